"""Checkpoints: written whole or not at all, loaded as data only, enough to evaluate or to go on bit for bit."""

import contextlib
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import torch
from msgspec import Meta
from torch import Tensor

from fer_edge.errors import CheckpointError, FerEdgeError
from fer_edge.files import write_atomically
from fer_edge.labels import AUTO, LabelSet, label_set_named, label_set_of
from fer_edge.runtime.file_kind import CHECKPOINT, mistaken
from fer_edge.runtime.shipped import names_in_words, shipped_checkpoint
from fer_edge.training.architectures import architecture_named, build_classifier
from fer_edge.training.classifier import FacialExpressionClassifier
from fer_edge.training.config import MAX_EPOCHS, TrainConfig
from fer_edge.training.heads import LABELS_ALONE, Head, heads_from, in_words, sizes_of
from fer_edge.training.plain_types import check_tensors, shown, typed
from fer_edge.training.torch_file import read_torch_file

FORMAT = "fer_edge checkpoint"
VERSION = 1
BEST, LAST = "best.pt", "last.pt"
ONLY_IN_LAST = ("optimizer", "schedule", "progress", "random")
"""Parts of a checkpoint to go on from, beside record, model and average."""
_ALWAYS_THERE = ("config", "mean", "std", "data_source", "data_fingerprint", "starting_weights", "epoch", "metrics")
"""What the records of all versions hold."""


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says about itself beside its weights; in the file as plain types within these bounds."""

    config: TrainConfig
    mean: Annotated[float, Meta(ge=0, le=1)]
    """Mean of pixel / 255 over the training faces."""
    std: Annotated[float, Meta(ge=1e-4, le=1)]  # that of a run is 1e-3 or more
    """Standard deviation of pixel / 255 over the training faces."""
    data_source: str
    """Absolute path of the training data, or ``sample:N``."""
    data_fingerprint: str
    starting_weights: str
    """Where the first weights came from, in words."""
    training_fingerprints: dict[str, str] = field(default_factory=dict)
    """Those of ``FaceData``; empty in checkpoints of versions before it."""
    teacher_digest: str = ""
    """SHA-256 in hexadecimal of the teachers' answers; empty without a teacher."""
    skip_bad: bool = False
    """Whether files and rows that cannot be read were left out."""
    drop_leaks: bool = False
    """Whether validation and test faces that are in an earlier split were left out."""
    data_name: str = ""
    """FER-2013 where the training faces are known to be; empty for others."""
    class_counts: dict[str, Annotated[int, Meta(ge=0)]] = field(default_factory=dict)
    """Training faces of each class of the main head; empty in checkpoints of versions before it."""
    data_labels: str = AUTO
    """The label set of the training data, as ``load_faces`` takes it."""
    data_votes: str | None = None
    """Absolute path of the table of votes that was named for them; None where none was."""
    data_class_map: dict[str, str] = field(default_factory=dict)
    """Which classes the training data's folders or label values mean; empty without ``--class-map``."""
    versions: dict[str, str] = field(default_factory=dict)
    machine: str = ""
    heads: tuple[Head, ...] = LABELS_ALONE
    """What the outputs are, the main head first."""
    process_changes: list[str] = field(default_factory=list)
    """Where another number of processes went on with the run, in words."""
    epoch: Annotated[int, Meta(ge=0, le=MAX_EPOCHS)] = 0
    """Epochs behind these weights."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Validation loss and accuracy of these weights, of the main head; empty before the first validation."""
    path: Path = Path()
    """The file it was read from; not in it."""

    @property
    def label_set(self) -> LabelSet:
        """The classes of the main head, which an exported model has."""
        return self.heads[0].label_set

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the main head's classes, in the order of its outputs."""
        return self.label_set.names

    @property
    def architecture(self) -> str:
        """Its name in the registry."""
        return self.config.architecture

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that shape the network, e.g. ResNet18's stem."""
        return network_settings(self.config)

    @property
    def image_size(self) -> int:
        """Side of a face in pixels."""
        return self.config.image_size

    @property
    def seed(self) -> int:
        """The run's: it chose the validation faces where the data set has none."""
        return self.config.seed

    def to_dict(self) -> dict[str, Any]:
        """Plain types for the checkpoint file."""
        values = {name: value for name, value in self.__dict__.items() if name != "path"}
        return {**values, "config": self.config.to_dict(), "heads": [head.to_dict() for head in self.heads]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], path: Path = Path()) -> "CheckpointInfo":
        """What ``to_dict`` gave, now or before there were heads. Raises a FerEdgeError, without a path, for other."""
        if not isinstance(values, dict):
            raise CheckpointError(f"record: expected names and values, found {shown(values)}")
        values = dict(values)
        if "taught_digest" in values:  # its former name
            values["teacher_digest"] = values.pop("taught_digest")
        if "labels" in values:  # before there were heads
            labels = values.pop("labels")
            if not isinstance(labels, list | tuple):
                raise CheckpointError(f"labels: expected a list of names, found {shown(labels)}")
            heads: tuple[Head, ...] = (Head("labels", label_set_of(labels)),)
        else:
            heads = heads_from(values.pop("heads", None))
        written: Any = typed(values, _PLAIN_TYPES, required=_ALWAYS_THERE)
        _check_record(written)
        config = TrainConfig.from_dict(written.config, whole=True)
        if ",".join(head.name for head in heads) != config.heads:
            raise CheckpointError(f"heads: expected those of the setting, {config.heads}, found {in_words(heads)}")
        if written.data_labels != AUTO:
            label_set_named(written.data_labels)
        return cls(**{**written.__dict__, "config": config, "heads": heads, "path": path})


def _plain_types_of_record() -> type:
    """The fields of CheckpointInfo as they stand in a file, beside its heads: settings are names and values there."""
    types = get_type_hints(CheckpointInfo, include_extras=True) | {"config": dict[str, Any]}
    plain = [one for one in fields(CheckpointInfo) if one.name not in ("heads", "path")]
    return make_dataclass(
        "Record",
        [(one.name, types[one.name], field(default=one.default, default_factory=one.default_factory)) for one in plain],
    )


_PLAIN_TYPES = _plain_types_of_record()


def _check_record(written: Any) -> None:
    """Raises CheckpointError for what no type says."""
    for name, value in (("mean", written.mean), ("std", written.std), *written.metrics.items()):
        if not math.isfinite(value):
            raise CheckpointError(f"{name}: expected a finite number, found {value}")
    if written.training_fingerprints and not {"order", "pool", "validation"} <= written.training_fingerprints.keys():
        raise CheckpointError("training_fingerprints: expected those of order, pool and validation, found others")


def classifier_from_config(
    config: TrainConfig, weights: Mapping[str, Tensor] | None = None, heads: Sequence[Head] = LABELS_ALONE
) -> FacialExpressionClassifier:
    """A classifier of the architecture and settings in ``config``, with the outputs of ``heads``."""
    return build_classifier(config.architecture, network_settings(config), weights, sizes_of(heads))


def network_settings(config: TrainConfig) -> dict[str, Any]:
    """The settings among ``config`` that shape its architecture's network."""
    return {name: getattr(config, name) for name in architecture_named(config.architecture).settings}


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` (tensors and plain types) to ``path`` atomically. Raises StorageError."""
    whole = {"format": FORMAT, "version": VERSION, **content}
    write_atomically(path, lambda stream: torch.save(whole, stream))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint file, on the CPU. Nothing in the file is run. Raises CheckpointError."""
    content: dict[str, Any] = read_torch_file(path)
    if not is_checkpoint(content):
        raise CheckpointError(
            f"{path}: expected a checkpoint that 'fer-edge train' wrote, found another torch file; a plain "
            "ResNet18 state dict is for 'fer-edge export --labels A,B,C' and 'fer-edge train --weights'"
        )
    version = content.get("version")
    if type(version) is not int or version != VERSION:
        raise CheckpointError(
            f"{path}: expected checkpoint version {VERSION}, found {shown(version)}; "
            "use the version of fer_edge that wrote it"
        )
    return content


def is_checkpoint(content: object) -> bool:
    """Whether the content of a torch file is that of a checkpoint of this project, of this version or another."""
    return isinstance(content, dict) and isinstance(content.get("format"), str) and content["format"] == FORMAT


def checkpoint_path(path: Path | str) -> Path:
    """The checkpoint file that ``path`` means: itself, a run folder's best, or the shipped one of that name.

    Raises CheckpointError where there is none.
    """
    path = shipped_checkpoint(path) or Path(path)
    try:
        path.stat()
    except (OSError, ValueError) as error:  # missing, no permission, a name too long or with a null byte
        raise CheckpointError(
            f"{path}: expected a checkpoint or a run folder, found neither; train one (fer-edge train), or "
            f"{names_in_words()}"
        ) from error
    if not path.is_dir():
        return path
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    if (folder / BEST).is_file():
        return folder / BEST
    if (folder / LAST).is_file():
        raise CheckpointError(
            f"{path}: expected a run with a finished epoch, found one without; "
            f"go on with it: fer-edge train --resume {shlex.quote(str(path))}"
        )
    told = mistaken(path, CHECKPOINT) or "found none; train first: fer-edge train"
    raise CheckpointError(f"{path}: expected a run folder with checkpoints/{BEST}, {told}")


def load_classifier(path: Path | str) -> tuple[FacialExpressionClassifier, CheckpointInfo]:
    """The classifier in a checkpoint file or run folder, in eval mode, fp32, on the CPU, with averaged weights if any.

    It has all its heads; ``keep_main_head`` cuts it down to what it answers.

    Raises CheckpointError for anything that is no whole checkpoint of this project.
    """
    file = checkpoint_path(path)
    with fits(file):
        content = read_checkpoint(file)
        info = record_of(content, file)
        classifier = classifier_from_config(info.config, heads=info.heads)
        weights = content["average"]["weights"] if content.get("average") else content["model"]
        check_tensors(weights, classifier.state_dict())
        classifier.load_state_dict(weights)
    return classifier.eval(), info


def record_of(content: Mapping[str, Any], path: Path) -> CheckpointInfo:
    """What a checkpoint says about itself, where it has all its parts. Raises CheckpointError without a path."""
    parts = [name for name in ("record", "model") if name not in content]
    if any(name in content for name in ONLY_IN_LAST):
        parts += [name for name in (*ONLY_IN_LAST, "average") if name not in content]
    if parts:
        raise CheckpointError(f"expected '{parts[0]}', found none")
    average = content.get("average")
    if average is not None and not (isinstance(average, dict) and average.keys() == {"weights", "steps"}):
        raise CheckpointError("average: expected its weights and steps, found something else")
    info = CheckpointInfo.from_dict(content["record"], path)
    is_last = any(name in content for name in ONLY_IN_LAST)
    if is_last and (average is not None) != (info.config.ema_decay > 0):
        raise CheckpointError(f"average: expected one with an ema_decay above 0 alone, found {info.config.ema_decay:g}")
    return info


@contextlib.contextmanager
def fits(path: Path) -> Iterator[None]:
    """Name ``path`` in a CheckpointError that does not, as in any other of this project: ``path`` does not fit."""
    try:
        yield
    except FerEdgeError as error:
        if str(error).startswith(f"{path}: "):
            raise
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{path}: expected a whole checkpoint, found one that does not fit: {reason}") from error
