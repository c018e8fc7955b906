"""From settings and a data set to a finished run folder: begin a run, or go on with one."""

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fer_edge import __version__
from fer_edge.data.faces import NO_LABEL, FaceData
from fer_edge.data.load import load_faces
from fer_edge.data.votes import NO_MAJORITY, majority
from fer_edge.errors import CheckpointError, FerEdgeError, Interrupted, MissingExtraError, TrainingError
from fer_edge.evaluation.plots import plot_learning_rate, plot_training_curves
from fer_edge.labels import AUTO
from fer_edge.training.architectures import architecture_named
from fer_edge.training.batches import votes_of
from fer_edge.training.checkpoint import (
    CheckpointInfo,
    classifier_from_config,
    network_settings,
    read_checkpoint,
    seed_everything,
)
from fer_edge.training.classifier import FacialExpressionClassifier
from fer_edge.training.config import TrainConfig
from fer_edge.training.distributed import Processes, joined_processes
from fer_edge.training.hardware import choose_device, describe_machine, resolve
from fer_edge.training.heads import Head, heads_of, in_words, sizes_of, with_new_outputs
from fer_edge.training.history import History, Row
from fer_edge.training.one_cycle import EpochCallback, fit_one_cycle
from fer_edge.training.optimizer import one_cycle
from fer_edge.training.progress import Reporter
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.teachers import taught_probabilities
from fer_edge.training.weights import StartingWeights, TrainedWeights, mean_of_weights, starting_weights

_SMALLEST_STD = 1e-3  # faces that are all one grey must not divide by zero


@dataclass(frozen=True)
class DataRequest:
    """Which labelled faces a run trains on, so that it can find them again."""

    source: str | None = None
    """As ``load_faces`` takes it."""
    skip_bad: bool = False
    drop_leaks: bool = False
    labels: str = AUTO
    """As ``load_faces`` takes it."""

    def load(self, config: TrainConfig) -> FaceData:
        """Read the faces at the run's image size; the run's seed chooses validation faces where there is no split."""
        return load_faces(
            self.source,
            labels=self.labels,
            size=config.image_size,
            skip_bad=self.skip_bad,
            drop_leaks=self.drop_leaks,
            seed=config.seed,
        )


@dataclass(frozen=True)
class TrainResult:
    """What a finished run leaves behind."""

    folder: Path
    history: History
    record: CheckpointInfo
    num_train: int
    num_validation: int


def train(config: TrainConfig, request: DataRequest, folder: Path, *, quiet: bool = False) -> TrainResult:
    """Begin a run in ``folder`` and train to its end. Under torchrun, every process calls this.

    Raises CheckpointError when there is a run in the folder already, DataError before the first step when the data
    cannot be used, and what ``fit_one_cycle`` raises.
    """
    with _together(config) as (config, processes):
        with processes.together(config.device):
            _refuse_begun(folder)  # before the data is read, which takes longer
        data = request.load(config)
        with _held(folder, config, processes) as run:
            with processes.together(config.device):
                if run is not None:
                    _refuse_begun(folder)  # another one may have begun meanwhile
            return _begin(config, request, data, folder, run, processes, quiet=quiet)


def resume(folder: Path, *, source: str | None = None, device: str | None = None, quiet: bool = False) -> TrainResult:
    """Go on with the run in ``folder`` to its end, bit for bit as if it had not stopped (on the same kind of CPU).

    ``source`` says where the data is when it has moved; it must be the same faces. ``device`` replaces the one the run
    began on, for a run that goes on elsewhere. Raises CheckpointError when there is no run, another process holds it or
    the data differs, and what ``fit_one_cycle`` raises.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: expected a run folder, found none; see what is in {folder.parent}/")
    files = RunFolder(folder)
    state = _state_to_go_on_from(files)
    config, request = _settings(files, state)
    request = replace(request, source=source or request.source)
    config = replace(config, device=device or config.device)
    with _together(config) as (config, processes):
        data = request.load(config)
        with _held(folder, config, processes) as run:
            # Read again: another process may have begun it, or trained on, until this one held it.
            state = _state_to_go_on_from(files)
            if state is None:  # stopped before its first checkpoint: nothing to go on from but the settings
                return _begin(config, request, data, folder, run, processes, quiet=quiet)
            record = replace(CheckpointInfo.from_dict(state["record"]), config=config)
            _refuse_other_faces(folder, data, record)
            reporter = Reporter(quiet=quiet or not processes.is_main)
            reporter.line(f"going on with {folder} after {state['progress']['epoch']} of {config.epochs} epochs")
            classifier = classifier_from_config(config, heads=record.heads)
            return _fit(classifier, data, record, folder, run, processes, reporter, state)


def _refuse_other_faces(folder: Path, data: FaceData, record: CheckpointInfo) -> None:
    if data.fingerprint() != record.data_fingerprint:
        raise CheckpointError(
            f"{folder}: expected the faces the run began with (fingerprint {record.data_fingerprint[:12]}), "
            f"found others in {data.source}; name the right ones with --data"
        )
    known = record.training_fingerprints.get("order")
    if known is not None and known != data.training_fingerprints()["order"]:
        raise CheckpointError(
            f"{folder}: expected the faces in the order in which the run began, found the same in another order in "
            f"{data.source}; give the files their names of then, which order them"
        )


def _state_to_go_on_from(files: RunFolder) -> dict[str, Any] | None:
    """The run's last checkpoint; None where it was stopped before its first."""
    if not files.has_begun:
        return None
    if not files.last.is_file():
        found = files.best.name if files.best.is_file() else "the history of a run"
        raise CheckpointError(
            f"{files.last}: expected a checkpoint to go on from, found none beside {found}; "
            "put it back, or begin a new run under another --name"
        )
    state = read_checkpoint(files.last)
    if "optimizer" not in state or "progress" not in state:
        raise CheckpointError(
            f"{files.last}: expected a checkpoint to go on from, found one of weights alone; "
            "begin a new run from them with --weights"
        )
    if state["progress"].get("rows") and not files.best.is_file():
        raise CheckpointError(
            f"{files.best}: expected the weights of the best epoch so far, found no such file; "
            f"put it back, or begin a new run with --weights {shlex.quote(str(files.last))}"
        )
    return state


def _refuse_begun(folder: Path) -> None:
    if RunFolder(folder).has_begun:
        raise CheckpointError(
            f"{folder}: expected a folder without a run, found one; "
            f"go on with it: python cli.py train --resume {shlex.quote(str(folder))}, or choose another --name"
        )


def _settings(files: RunFolder, state: Mapping[str, Any] | None) -> tuple[TrainConfig, DataRequest]:
    """Settings and data of a run: from its last checkpoint, or from its config.json where it has none yet."""
    try:
        if state is not None:
            record = CheckpointInfo.from_dict(state["record"])
            return record.config, DataRequest(
                record.data_source, record.skip_bad, record.drop_leaks, record.data_labels
            )
        written = files.read_config()
        return TrainConfig.from_dict(written["config"]), DataRequest(**written["data"])
    except (KeyError, TypeError, AttributeError, TrainingError) as error:
        raise CheckpointError(
            f"{files.path}: expected the settings of a run, found others ({error}); start a new run"
        ) from error


def build_for_training(
    config: TrainConfig,
    data: FaceData,
    processes: Processes | None = None,
    request: DataRequest | None = None,
) -> tuple[FacialExpressionClassifier, CheckpointInfo]:
    """A seeded classifier with its starting weights, and the record of where it comes from. ``config`` is resolved.

    Raises TrainingError when the weights do not fit the architecture, or the architecture the size of the faces.
    """
    processes, request = processes or Processes(), request or DataRequest()
    mean, std = data.train.mean_and_std()
    heads = heads_of(config.heads, data.labels)
    _check_targets(data, heads)
    architecture = architecture_named(config.architecture)
    seed_everything(config.seed)
    # The other processes take the main one's weights when DistributedDataParallel begins: one download is enough.
    weights = starting_weights(config.weights, architecture) if processes.is_main else StartingWeights(None, "")
    classifier = classifier_from_config(config, weights.state, heads)
    description = weights.description
    for trained in weights.trained:
        _check_trained(trained, config, data)
    if weights.trained:
        state = mean_of_weights(weights.trained)
        found = weights.trained[0].info.heads
        if found != heads:
            state = with_new_outputs(state, classifier, sum(sizes_of(heads)))
            description += f"; the last layer begins anew: {in_words(heads)} in place of {in_words(found)}"
        classifier.load_state_dict(state)
    _check_image_size(classifier, config)
    if not processes.is_main:
        seed_everything(config.seed + processes.rank)  # dropout differs between processes
    return classifier, CheckpointInfo(
        config=config,
        mean=mean,
        std=max(std, _SMALLEST_STD),
        data_source=data.location,
        data_fingerprint=data.fingerprint(),
        training_fingerprints=data.training_fingerprints(),
        skip_bad=request.skip_bad,
        drop_leaks=request.drop_leaks,
        data_labels=request.labels,
        starting_weights=description,
        heads=heads,
        versions={
            "fer-edge": __version__,
            "torch": str(torch.__version__),
            "torchvision": version("torchvision"),
            "numpy": np.__version__,
        },
        machine=describe_machine(config.device),
    )


@contextlib.contextmanager
def _together(config: TrainConfig) -> Iterator[tuple[TrainConfig, Processes]]:
    """Join the other processes, if any, with the settings resolved for this machine."""
    with joined_processes(str(choose_device(config.device))) as (processes, device):
        resolved = resolve(replace(config, device=device))
        torch.set_num_threads(resolved.threads)
        yield resolved, processes


@contextlib.contextmanager
def _held(folder: Path, config: TrainConfig, processes: Processes) -> Iterator[RunFolder | None]:
    """The run folder, held by the main process; None for the others, who write nothing."""
    with contextlib.ExitStack() as held:
        run = None
        with processes.together(config.device):
            if processes.is_main:
                run = held.enter_context(RunFolder(folder))
        yield run


def _check_targets(data: FaceData, heads: Sequence[Head]) -> None:
    """Raises TrainingError where the faces have not what a head learns from and is judged by."""
    for head in heads:
        for split, faces in (("train", data.train), ("validation", data.validation)):
            if head.name == "votes" and (len(votes_of(faces)) and (majority(votes_of(faces)) == NO_MAJORITY).all()):
                raise TrainingError(f"--heads: expected {split} faces with a majority of votes, found none")
            if head.name == "labels" and len(faces) and (faces.labels == NO_LABEL).all():
                raise TrainingError(
                    f"--heads: expected {split} faces with labels, found faces with votes alone; "
                    "put rows.csv beside the votes, or take --heads votes"
                )


def _check_trained(trained: TrainedWeights, config: TrainConfig, data: FaceData) -> None:
    found = trained.info
    wanted_network = _in_words(config.architecture, network_settings(config))
    found_network = _in_words(found.architecture, found.settings)
    if found_network != wanted_network:
        raise TrainingError(
            f"--weights {found.path}: expected a trained {wanted_network}, found {found_network}; "
            "train that network, or choose other weights"
        )
    if data.validation_from_train and _may_have_seen_validation(found, data):
        raise TrainingError(
            f"--weights {found.path}: expected the validation faces of its run, found some that it trained on; "
            f"take its --seed {found.seed} and --image-size {found.image_size} on the same faces, "
            "or put validation faces in a folder validation/"
        )


def _may_have_seen_validation(found: CheckpointInfo, data: FaceData) -> bool:
    """Whether faces that are drawn for validation now may have been drawn for training in the run behind ``found``."""
    if not found.training_fingerprints:  # of a version before them
        return found.data_source == data.location and found.data_fingerprint != data.fingerprint()
    now = data.training_fingerprints()
    is_same_pool = found.training_fingerprints["pool"] == now["pool"]
    # The same place at another image size, or with more faces than then, is no longer the same pool.
    is_same_place = Path(found.data_source).resolve() == Path(data.location).resolve()
    return (is_same_pool or is_same_place) and found.training_fingerprints["validation"] != now["validation"]


def _in_words(architecture: str, settings: Mapping[str, Any]) -> str:
    return " ".join([architecture, *(f"({name} {value})" for name, value in settings.items())])


def _check_image_size(classifier: FacialExpressionClassifier, config: TrainConfig) -> None:
    """Try blank faces of every size: deep networks halve a small one until nothing is left."""
    classifier.eval()
    sizes = [("--image-size", config.image_size), *(("--progression", side) for side, _ in config.phases)]
    for option, side in sizes:
        try:
            with torch.inference_mode():
                classifier(torch.zeros(1, 1, side, side))
        except RuntimeError as error:
            raise TrainingError(
                f"{option}: expected a size that {config.architecture} can take, found {side}; "
                "choose a larger one or another --architecture"
            ) from error


def _begin(
    config: TrainConfig,
    request: DataRequest,
    data: FaceData,
    folder: Path,
    run: RunFolder | None,
    processes: Processes,
    *,
    quiet: bool,
) -> TrainResult:
    data.split("train"), data.split("validation")  # an empty one is refused before anything is written
    with processes.together(config.device):
        classifier, record = build_for_training(config, data, processes, request)
        if run is not None:
            run.write_config({"config": config.to_dict(), "data": asdict(replace(request, source=data.location))})
    reporter = Reporter(quiet=quiet or not processes.is_main)
    size = sum(p.numel() for p in classifier.parameters()) / 1e6
    reporter.line(f"{config.architecture}, {size:.2f} M weights, {record.starting_weights}")
    left_out = f", {len(data.problems)} bad files or rows left out" if data.problems else ""
    reporter.line(
        f"{data.source}: {len(data.train)} train and {len(data.validation)} validation faces{left_out}; "
        f"{config.precision} on {config.device}, {config.threads} threads"
    )
    return _fit(classifier, data, record, folder, run, processes, reporter, None)


def _fit(
    classifier: FacialExpressionClassifier,
    data: FaceData,
    record: CheckpointInfo,
    folder: Path,
    run: RunFolder | None,
    processes: Processes,
    reporter: Reporter,
    state: Mapping[str, Any] | None,
) -> TrainResult:
    config = record.config
    on_epoch_end = None
    if run is not None and config.tensorboard:
        on_epoch_end = _tensorboard_log(run.tensorboard, state["progress"]["epoch"] if state else 0)
    kept = run.taught if run is not None else None
    taught, digest = taught_probabilities(
        data.train,
        config,
        record.heads,
        processes,
        reporter,
        kept=kept,
        resumes=state is not None,
        digest=record.taught_digest,
    )
    record = replace(record, taught_digest=digest)
    try:
        history = fit_one_cycle(
            classifier,
            data,
            record,
            run=run,
            processes=processes,
            reporter=reporter,
            on_epoch_end=on_epoch_end,
            taught=taught,
            state=state,
        )
    except Interrupted:
        if run is not None:
            with contextlib.suppress(FerEdgeError):  # how to go on matters more than the pictures
                _draw(run)
        raise
    if run is not None:
        _draw(run)
    return TrainResult(folder, history, record, len(data.train), len(data.validation))


def _draw(run: RunFolder) -> None:
    """Draw the pictures of the run from what it has saved."""
    saved = read_checkpoint(run.last)
    rows = saved["progress"]["rows"]
    if rows:
        plot_training_curves(rows, run.curves)
    config = TrainConfig.from_dict(saved["record"]["config"])
    learning_rates, momenta = one_cycle(config, saved["schedule"]["total_steps"])
    plot_learning_rate(learning_rates, run.learning_rate, momenta)


def _tensorboard_log(folder: Path, epochs_done: int) -> EpochCallback:
    """Writes each epoch's row to a TensorBoard log; events of epochs that are done again are purged."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboard", "tensorboard") from error
    writer = SummaryWriter(str(folder), purge_step=epochs_done + 1)

    def write(row: Row) -> None:
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(name, value, int(row["epoch"]))
        writer.flush()

    return write
