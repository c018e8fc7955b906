"""Checkpoints: written whole or not at all, loaded as data only, enough to evaluate or to go on bit for bit."""

import io
import json
import pickle
import random
import shlex
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fer_edge.errors import CheckpointError, FerEdgeError
from fer_edge.files import write_atomically
from fer_edge.labels import AUTO, LabelSet, label_set_of
from fer_edge.training.architectures import architecture_named, build_classifier
from fer_edge.training.classifier import FacialExpressionClassifier
from fer_edge.training.config import TrainConfig
from fer_edge.training.heads import LABELS_ALONE, Head, sizes_of

FORMAT = "fer_edge checkpoint"
VERSION = 1
BEST, LAST = "best.pt", "last.pt"


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says about itself beside its weights; in the file as plain types."""

    config: TrainConfig
    mean: float
    """Mean of pixel / 255 over the training faces."""
    std: float
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
    data_labels: str = AUTO
    """The label set of the training data, as ``load_faces`` takes it."""
    data_votes: str | None = None
    """Absolute path of the table of votes that was named for them; None where none was."""
    versions: dict[str, str] = field(default_factory=dict)
    machine: str = ""
    heads: tuple[Head, ...] = LABELS_ALONE
    """What the outputs are, the main head first."""
    epoch: int = 0
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
        """What ``to_dict`` gave, now or before there were heads. Raises KeyError, TypeError or a FerEdgeError else."""
        values = dict(values)
        if "taught_digest" in values:  # its former name
            values["teacher_digest"] = values.pop("taught_digest")
        if "labels" in values:  # before there were heads
            values["heads"] = (Head("labels", label_set_of(values.pop("labels"))),)
        else:
            values["heads"] = tuple(Head.from_dict(head) for head in values["heads"])
        return cls(**{**values, "config": TrainConfig.from_dict(values["config"]), "path": path})


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
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a checkpoint, found no such file; see 'python cli.py train --help'")
    try:
        content = torch.load(_checked(path), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path}: expected a checkpoint, found a damaged file or one that would run code; use another checkpoint"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: expected a checkpoint that 'python cli.py train' wrote, found another torch file"
        )
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path}: expected checkpoint version {VERSION}, found {content.get('version')!r}; "
            "use the version of fer_edge that wrote it"
        )
    return content


def _checked(path: Path) -> io.BytesIO:
    """The file once more, in memory, from entries whose checksums hold. Raises BadZipFile and what zipfile raises.

    torch looks at no checksum, and its reader takes an entry's attributes otherwise than Python's: a damaged bit there
    leaves a tensor unread. It shall see what was checked, and nothing else.
    """
    whole = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(whole, "w") as checked:
        entries = archive.infolist()
        if len({entry.filename for entry in entries}) < len(entries):
            raise zipfile.BadZipFile("two entries of one name")
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED:  # torch writes no other
                raise zipfile.BadZipFile(entry.filename)
            checked.writestr(zipfile.ZipInfo(entry.filename), archive.read(entry))
    whole.seek(0)
    return whole


def is_checkpoint(path: Path) -> bool:
    """Whether ``path`` is a whole checkpoint of this project, of this version or another."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a damaged file, or another kind: torch raises many kinds
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def checkpoint_path(path: Path | str) -> Path:
    """The checkpoint file that ``path`` means: itself, or a run folder's best. Raises CheckpointError without one."""
    path = Path(path)
    try:
        path.stat()
    except (OSError, ValueError) as error:  # missing, no permission, a name too long or with a null byte
        raise CheckpointError(
            f"{path}: expected a checkpoint or a run folder, found neither; train one: python cli.py train"
        ) from error
    if not path.is_dir():
        return path
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    if (folder / BEST).is_file():
        return folder / BEST
    if (folder / LAST).is_file():
        raise CheckpointError(
            f"{path}: expected a run with a finished epoch, found one without; "
            f"go on with it: python cli.py train --resume {shlex.quote(str(path))}"
        )
    raise CheckpointError(
        f"{path}: expected a run folder with checkpoints/{BEST}, found none; train first: python cli.py train"
    )


def load_classifier(path: Path | str) -> tuple[FacialExpressionClassifier, CheckpointInfo]:
    """The classifier in a checkpoint file or run folder, in eval mode, fp32, on the CPU, with averaged weights if any.

    It has all its heads; ``keep_main_head`` cuts it down to what it answers.

    Raises CheckpointError for anything that is no whole checkpoint of this project.
    """
    file = checkpoint_path(path)
    content = read_checkpoint(file)
    try:
        info = CheckpointInfo.from_dict(content["record"], file)
        classifier = classifier_from_config(info.config, heads=info.heads)
        classifier.load_state_dict(content["average"]["weights"] if content.get("average") else content["model"])
    except (KeyError, TypeError, AttributeError, RuntimeError, FerEdgeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{file}: expected a whole checkpoint, found one that does not fit: {reason}") from error
    return classifier.eval(), info


def seed_everything(seed: int) -> None:
    """Seed every random generator that code in this process may draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # libraries may draw from the global generator
    random.seed(seed)


def random_states() -> dict[str, Any]:
    """The state of every random generator that code in this process may draw from, as tensors and plain types."""
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002  # libraries may draw from the global generator
    assert isinstance(numpy_state, dict)
    numpy_state["state"]["key"] = numpy_state["state"]["key"].tolist()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": json.dumps(numpy_state),
        "python": json.dumps(random.getstate()),
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Put every generator where ``random_states`` found it; CUDA's only when as many GPUs are here as then."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
    numpy_state = json.loads(states["numpy"])
    numpy_state["state"]["key"] = np.array(numpy_state["state"]["key"], np.uint32)
    np.random.set_state(numpy_state)  # noqa: NPY002  # see random_states
    version, internal, gauss = json.loads(states["python"])
    random.setstate((version, tuple(internal), gauss))
