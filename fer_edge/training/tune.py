"""A small search over settings: short runs, judged on validation alone, kept in an SQLite file that can be resumed."""

import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout

from fer_edge.data.faces import FaceData
from fer_edge.errors import CheckpointError, Interrupted, MissingExtraError, TrainingError
from fer_edge.files import make_folder, storage_errors
from fer_edge.training.config import Optimizer, TrainConfig
from fer_edge.training.hardware import resolve
from fer_edge.training.history import Row
from fer_edge.training.one_cycle import fit_one_cycle
from fer_edge.training.progress import Reporter
from fer_edge.training.train import DataRequest, build_for_training

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

_IDENTITY = "identity"


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


@dataclass(frozen=True)
class Trial:
    """One short run."""

    number: int
    state: str
    """'complete', 'pruned' (stopped as worse than the median, or its loss diverged) or 'failed' (killed, stopped)."""
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


def search(wanted: Search, report: Callable[[str], None], *, quiet: bool = False) -> SearchResult:
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
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config = resolve(wanted.config)
    torch.set_num_threads(config.threads)
    data = wanted.data.load(config)
    data.split("train"), data.split("validation")  # an empty one is refused before the file is made
    with _held(wanted.storage):
        study = _open_study(wanted, _identity(config, data))
        for left in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            study.tell(left.number, state=optuna.trial.TrialState.FAIL)  # the file is ours: its process was killed

        def objective(trial: "optuna.Trial") -> float:
            return _accuracy(trial, config, data, Reporter(quiet=quiet))

        def tell(study: "optuna.Study", _trial: object) -> None:
            report(_line(_trials_of(study)[-1], _num_finished(study), wanted.trials))

        missing = wanted.trials - _num_finished(study)
        timeout_s = wanted.timeout_minutes * 60 if wanted.timeout_minutes is not None else None
        try:
            if missing > 0:
                study.optimize(objective, n_trials=missing, timeout=timeout_s, callbacks=[tell])
        except (Interrupted, KeyboardInterrupt) as stop:
            code = stop.exit_code if isinstance(stop, Interrupted) else 128 + signal.SIGINT
            raise Interrupted(
                f"stopped; {_num_finished(study)} of {wanted.trials} trials are kept in {wanted.storage}; "
                f"the same command with --study {shlex.quote(wanted.study)} goes on",
                code - 128,
            ) from stop
        return _result(wanted, config, data, study)


def _accuracy(trial: "optuna.Trial", base: TrainConfig, data: FaceData, reporter: Reporter) -> float:
    """Train one short run with the settings that ``trial`` suggests; gives its best validation accuracy."""
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
        trial.report(row["validation_accuracy"], int(row["epoch"]))
        if trial.should_prune():
            raise optuna.TrialPruned

    classifier, record = build_for_training(config, data)
    try:
        return fit_one_cycle(classifier, data, record, reporter=reporter, on_epoch_end=compare).best_accuracy
    except TrainingError as error:  # a loss that is not finite tells the sampler to stay away from here
        reporter.line(str(error))
        raise optuna.TrialPruned from error


@contextmanager
def _held(storage: Path) -> Iterator[None]:
    """Hold the file against other searches, so that a trial still marked as running is known to be dead."""
    make_folder(storage.parent)
    lock = FileLock(storage.with_name(storage.name + ".lock"))
    with storage_errors(storage):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise CheckpointError(
                f"{storage}: expected a file nobody is using, found another search in it; "
                "wait for it, stop it, or choose another --storage"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _open_study(wanted: Search, identity: dict[str, Any]) -> "optuna.Study":
    """The study, new or gone on with. Raises CheckpointError when it is another than ``identity`` says."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{wanted.storage}")
        study = optuna.create_study(storage=storage, study_name=wanted.study, direction="maximize", load_if_exists=True)
    except (SQLAlchemyError, RuntimeError) as error:  # RuntimeError: written by another version of optuna
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{wanted.storage}: expected an SQLite file of searches, found one that cannot be opened ({reason}); "
            "choose another --storage"
        ) from error
    if _IDENTITY not in study.user_attrs:
        study.set_user_attr(_IDENTITY, identity)
    known = study.user_attrs[_IDENTITY]
    differing = [name for name, value in identity.items() if known.get(name) != value]
    if differing:
        raise CheckpointError(
            f"study '{wanted.study}' in {wanted.storage}: expected the {', '.join(differing)} it began with, "
            "found another, so that accuracies could not be compared; choose another --study"
        )
    # With the same seed again, a resumed study would repeat the random draws it began with.
    study.sampler = optuna.samplers.TPESampler(
        n_startup_trials=STARTUP_TRIALS, seed=wanted.config.seed + len(study.get_trials(deepcopy=False))
    )
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=1)
    return study


def _identity(config: TrainConfig, data: FaceData) -> dict[str, Any]:
    """What two trials must share for their accuracies to be comparable: the faces, and the settings of training."""
    elsewhere = {"max_lr", "weight_decay", "batch_size", "threads", "device", "save_interval", "tensorboard"}
    return {"data": data.fingerprint()} | {k: v for k, v in config.to_dict().items() if k not in elsewhere}


def _num_finished(study: "optuna.Study") -> int:
    return sum(trial.state in ("complete", "pruned") for trial in _trials_of(study))


def _trials_of(study: "optuna.Study") -> tuple[Trial, ...]:
    words = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    return tuple(
        Trial(
            number=trial.number + 1,
            state=words[trial.state.name],
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


def _result(wanted: Search, config: TrainConfig, data: FaceData, study: "optuna.Study") -> SearchResult:
    trials = _trials_of(study)
    completed = [trial for trial in trials if trial.accuracy is not None]
    best = max(completed, key=lambda trial: trial.accuracy or 0.0, default=None)
    command = _train_command(wanted, data, best) if best else None
    return SearchResult(wanted.study, wanted.storage, trials, best, command)


def _train_command(wanted: Search, data: FaceData, best: Trial) -> str:
    """``train`` with the best settings, and those of the search that are not ``train``'s defaults."""
    words = ["python", "cli.py", "train", "--data", data.source]
    words += ["--drop-leaks"] * wanted.data.drop_leaks + ["--skip-bad"] * wanted.data.skip_bad
    default = TrainConfig()
    for setting in fields(TrainConfig):
        value = getattr(wanted.config, setting.name)
        is_searched = setting.name in best.settings or setting.name in ("augment", "epochs")
        if not is_searched and value != getattr(default, setting.name):
            words += [f"--{setting.name.replace('_', '-')}", str(value)]
    for name, value in best.settings.items():
        words += [f"--{name.replace('_', '-')}", f"{value:.4g}"]
    return shlex.join(words)
