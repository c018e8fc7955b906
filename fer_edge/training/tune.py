"""A small search over settings: short runs, judged on validation alone, kept in an SQLite file that can be resumed."""

import shlex
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fer_edge.data.faces import FaceData, empty_face_set
from fer_edge.errors import Interrupted, MissingExtraError, TrainingError
from fer_edge.files import require_writable
from fer_edge.labels import AUTO
from fer_edge.training.architectures import architecture_named
from fer_edge.training.config import Optimizer, TrainConfig
from fer_edge.training.hardware import resolve
from fer_edge.training.history import Row
from fer_edge.training.preparation import DataRequest, build_for_training
from fer_edge.training.signals import StopSignals
from fer_edge.training.study_file import held_study_file, open_study
from fer_edge.training.trainer import Trainer
from fer_edge.training.weights import starting_weights

if TYPE_CHECKING:
    import optuna

LEARNING_RATES: dict[Optimizer, tuple[float, float]] = {"sgd": (3e-3, 0.3), "adam": (1e-4, 1e-2), "adamw": (1e-4, 1e-2)}
"""Range of the peak learning rate, searched by its logarithm; Adam wants smaller ones."""
WEIGHT_DECAYS = (1e-5, 1e-2)
"""Range of the weight decay, searched by its logarithm."""
BATCH_SIZES = (32, 64, 128, 256)
"""Those no larger than the training split."""
AUGMENT_STRENGTHS = (0.0, 1.5)
"""Range of the factor on every variation in AugmentConfig."""

STARTUP_TRIALS = 5
"""Trials drawn at random before the sampler models them, and completed before the pruner compares with them."""

SEARCHED = ("max_lr", "weight_decay", "batch_size", "augment_strength")
"""Settings of a trial, under the names of their ``train`` options."""

_DIVERGED = "diverged"
"""Attribute of a trial that holds why its numbers were not finite."""


@dataclass(frozen=True)
class Search:
    """What to search and where to keep it."""

    config: TrainConfig
    """Settings of every trial, but for the four that are searched."""
    data: DataRequest
    storage: Path
    """SQLite file; one process at a time searches in it."""
    study: str
    """Name in the file. A study that is there is gone on with."""
    trials: int
    """Finished trials the study shall have, those of earlier sessions included."""
    timeout_minutes: float | None = None
    """Begin no more trials after so long."""
    class_map_file: str | None = None
    """The file that ``data.class_map`` was read from, for the command that trains with the best settings."""


@dataclass(frozen=True)
class Trial:
    """One short run."""

    number: int
    state: str
    """'complete', 'pruned' (worse than the median), 'diverged' (not finite) or 'failed' (interrupted or killed)."""
    accuracy: float | None
    """Validation accuracy of its best epoch; None where it did not complete."""
    settings: dict[str, float]
    """max_lr, weight_decay, batch_size and augment_strength, under the names of their ``train`` options."""
    seconds: float | None


@dataclass(frozen=True)
class SearchResult:
    """All trials of a study, in their order, and what to do with the best."""

    study: str
    storage: Path
    trials: tuple[Trial, ...]
    best: Trial | None
    """The completed trial with the highest accuracy, the earlier of equals; None where none completed."""
    train_command: str | None
    """The command line that trains with the best settings and the default number of epochs."""
    left_out_files: Mapping[str, int] = field(default_factory=dict)
    """Files and rows of the data set that cannot be used, by kind (``fer_edge.data.left_out``)."""


def search(wanted: Search, report: Callable[[str], None]) -> SearchResult:
    """Train short runs until the study has as many finished trials as wanted; ``report`` hears a line after each.

    Trials are chosen by a tree-structured Parzen estimator (Bergstra et al., "Algorithms for Hyper-Parameter
    Optimization", NeurIPS 2011) and stopped early by the median rule of Golovin et al. 2017, both optuna's. What is
    maximised is the validation accuracy; the test split is never looked at.

    Raises MissingExtraError without optuna, CheckpointError when the file is in use, is no study or the study had other
    data or settings, DataError, StorageError, and Interrupted after a signal: every finished trial is kept.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("optuna", "tune") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    require_writable(wanted.storage.parent)
    wanted = replace(wanted, config=_with_known_weights(wanted.config, report))
    config = resolve(wanted.config)
    torch.set_num_threads(config.threads)
    data = wanted.data.load(config)
    data = replace(data, test=empty_face_set(config.image_size))  # nothing below can look at it
    data.split("train"), data.split("validation")  # an empty one is refused before the file is made
    with held_study_file(wanted.storage):
        study = open_study(wanted.storage, wanted.study, _identity(config, data), SEARCHED)
        for left in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            study.tell(left.number, state=optuna.trial.TrialState.FAIL)  # the file is ours: its process was killed
        # With the same seed again, a resumed study would repeat the random draws it began with.
        seed = config.seed + len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed)
        study.pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=1)
        _run_trials(study, wanted, config, data, report)
        return _result(wanted, data, study)


def _run_trials(
    study: "optuna.Study", wanted: Search, config: TrainConfig, data: FaceData, report: Callable[[str], None]
) -> None:
    """Train until ``study`` has as many finished trials as wanted, or the time is over. Raises Interrupted."""
    missing = wanted.trials - _num_finished(study)
    if missing <= 0:
        return
    timeout_s = wanted.timeout_minutes * 60 if wanted.timeout_minutes is not None else None

    with StopSignals() as signals:

        def tell(study: "optuna.Study", _trial: object) -> None:
            report(_line(_trials_of(study)[-1], _num_finished(study), wanted.trials))
            if signals.received:
                raise Interrupted("between two trials", signals.received)

        try:
            study.optimize(
                lambda trial: _accuracy(trial, config, data, signals),
                n_trials=missing,
                timeout=timeout_s,
                callbacks=[tell],
            )
        except (Interrupted, KeyboardInterrupt) as stop:
            code = stop.exit_code if isinstance(stop, Interrupted) else 128 + signal.SIGINT
            raise Interrupted(
                f"stopped; {_num_finished(study)} of {wanted.trials} trials are kept in {wanted.storage}; "
                f"the same command with --study {shlex.quote(wanted.study)} goes on",
                code - 128,
            ) from stop


def _accuracy(trial: "optuna.Trial", base: TrainConfig, data: FaceData, signals: StopSignals) -> float:
    """Train one short run with the settings that ``trial`` suggests; gives its best validation accuracy.

    Raises TrialPruned where it is worse than others or diverges, and Interrupted after a signal.
    """
    import optuna

    low, high = LEARNING_RATES[base.optimizer]
    # The smallest stays for the smallest data sets, whose steps then hold every face.
    batch_sizes = [size for size in BATCH_SIZES if size <= len(data.train)] or [BATCH_SIZES[0]]
    config = replace(
        base,
        max_lr=trial.suggest_float("max_lr", low, high, log=True),
        weight_decay=trial.suggest_float("weight_decay", *WEIGHT_DECAYS, log=True),
        batch_size=trial.suggest_categorical("batch_size", batch_sizes),
        augment=base.augment.scaled(trial.suggest_float("augment_strength", *AUGMENT_STRENGTHS)),
    )

    def compare(row: Row) -> None:
        signals.received = signals.received or _noted_while_training()
        is_last = row["epoch"] >= base.epochs
        if signals.received and not is_last:
            raise Interrupted("between two epochs", signals.received)
        trial.report(row["validation_accuracy"], int(row["epoch"]))
        if not is_last and trial.should_prune():
            raise optuna.TrialPruned

    classifier, record = build_for_training(config, data)
    try:
        return Trainer(classifier, data, record, on_epoch_end=compare).fit_one_cycle().best_accuracy
    except TrainingError as error:
        trial.set_user_attr(_DIVERGED, str(error))
        raise optuna.TrialPruned from error  # ranks below every complete trial: the sampler stays away from here


def _noted_while_training() -> int | None:
    """The signal that training noted: it listens in place of the search, and obeys none after its last step."""
    listener = getattr(signal.getsignal(signal.SIGINT), "__self__", None)
    return listener.received if isinstance(listener, StopSignals) else None


def _with_known_weights(config: TrainConfig, report: Callable[[str], None]) -> TrainConfig:
    """``config`` with 'auto' weights replaced by what they are here, so that all trials of a study begin alike."""
    if config.weights != "auto":
        return config
    found = starting_weights("auto", architecture_named(config.architecture))
    report(f"starting weights of every trial: {found.description}")
    return replace(config, weights="none" if found.state is None else "imagenet")


def _identity(config: TrainConfig, data: FaceData) -> dict[str, Any]:
    """What two trials must share for their accuracies to be comparable: the faces, and the settings of training."""
    elsewhere = {"max_lr", "weight_decay", "batch_size", "threads", "device", "save_interval", "tensorboard"}
    return {"data": data.fingerprint()} | {k: v for k, v in config.to_dict().items() if k not in elsewhere}


def _num_finished(study: "optuna.Study") -> int:
    return sum(trial.state != "failed" for trial in _trials_of(study))


def _trials_of(study: "optuna.Study") -> tuple[Trial, ...]:
    words = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    return tuple(
        Trial(
            number=trial.number + 1,
            state="diverged" if _DIVERGED in trial.user_attrs else words[trial.state.name],
            accuracy=trial.value if trial.state.name == "COMPLETE" else None,
            settings=dict(trial.params),
            seconds=trial.duration.total_seconds() if trial.duration else None,
        )
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name in words
    )


def _line(trial: Trial, finished: int, wanted: int) -> str:
    outcome = f"accuracy {trial.accuracy:.4f}" if trial.accuracy is not None else trial.state
    settings = "  ".join(f"{name} {value:.3g}" for name, value in trial.settings.items())
    return f"trial {trial.number} ({finished}/{wanted} finished)  {outcome}  {settings}  {trial.seconds or 0:.0f} s"


def _result(wanted: Search, data: FaceData, study: "optuna.Study") -> SearchResult:
    trials = _trials_of(study)
    completed = [trial for trial in trials if trial.accuracy is not None]
    best = max(completed, key=lambda trial: trial.accuracy or 0.0, default=None)
    command = _train_command(wanted, data, best) if best else None
    return SearchResult(wanted.study, wanted.storage, trials, best, command, data.left_out)


def _train_command(wanted: Search, data: FaceData, best: Trial) -> str:
    """``train`` with the best settings, and those of the search that are not ``train``'s defaults."""
    words = ["fer-edge", "train", "--data", data.location]
    words += ["--drop-leaks"] * wanted.data.drop_leaks + ["--skip-bad"] * wanted.data.skip_bad
    words += ["--labels", wanted.data.labels] * (wanted.data.labels != AUTO)
    words += ["--votes", wanted.data.votes] if wanted.data.votes is not None else []
    words += ["--class-map", wanted.class_map_file] if wanted.class_map_file is not None else []
    default = TrainConfig()
    for found, usual in ((wanted.config, default), (wanted.config.augment, default.augment)):
        for setting in fields(found):
            value, name = getattr(found, setting.name), setting.name.replace("_", "-")
            is_searched = setting.name in best.settings or setting.name in ("augment", "epochs")
            if not is_searched and value != getattr(usual, setting.name):
                words += [f"--{'' if value else 'no-'}{name}"] if isinstance(value, bool) else [f"--{name}", str(value)]
    for name, value in best.settings.items():
        words += [f"--{name.replace('_', '-')}", f"{value:.4g}"]
    return shlex.join(words)
