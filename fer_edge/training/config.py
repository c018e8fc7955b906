"""Every setting of a training run: frozen, documented, checked once. Standard library only, for the command line."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, TypeVar, get_args

import msgspec

from fer_edge.errors import SettingError, TrainingError
from fer_edge.metadata import MAX_IMAGE_SIZE, MAX_SEED
from fer_edge.training.architectures import FORMER_NAMES, architecture_names

Optimizer = Literal["sgd", "adam", "adamw"]
Precision = Literal["auto", "fp32", "bf16"]
Stem = Literal["imagenet", "no_pool", "small", "three_channels"]
Heads = Literal["labels", "votes", "labels,votes", "votes,labels"]


MODEL, TRAINING, AUGMENTATION, MACHINE = "Model", "Training", "Augmentation (0 is off)", "Machine"
MAX_EPOCHS = 100_000
MAX_BATCH_SIZE = 2**20
ADDED_LATER = frozenset(
    (
        *("heads", "second_head_weight", "progression", "teacher", "distillation", "temperature"),
        *("equalise", "gamma", "jpeg", "jpeg_quality", "resolution", "resolution_side"),
        "micro_batch",
    )
)
"""Settings that runs of earlier versions lack; the others are in every checkpoint."""
GROUPS = (MODEL, TRAINING, AUGMENTATION, MACHINE)
"""Groups of settings, as ``train --help`` shows them."""

T = TypeVar("T")


def _setting(default: T, text: str, group: str, choices: Callable[[], Sequence[str]] | None = None) -> T:
    """A field with what it means, which is also its help on the command line; ``choices`` are names from a registry."""
    return field(default=default, metadata={"help": text, "group": group, "choices": choices})


def _require(condition: bool, setting: str, expected: str, found: object) -> None:
    if not condition:
        raise SettingError(f"setting '{setting}': expected {expected}, found {found!r}; see 'fer-edge train --help'")


@dataclass(frozen=True)
class AugmentConfig:
    """How training faces are varied, each face on its own. Zero turns a variation off."""

    crop: int = _setting(
        4,
        "Pixels by which a window of the face's own size may be moved over the reflected border (random crop).",
        AUGMENTATION,
    )
    flip: float = _setting(0.5, "Probability of a horizontal flip.", AUGMENTATION)
    rotation: float = _setting(12.0, "Largest rotation to either side, in degrees.", AUGMENTATION)
    scale: float = _setting(
        0.12, "Largest relative change of size: 0.12 draws a factor from 0.88 to 1.12.", AUGMENTATION
    )
    shift: float = _setting(
        0.04,
        "Largest shift to each side, as a part of the face's width, on top of the crop's whole pixels.",
        AUGMENTATION,
    )
    brightness: float = _setting(
        0.2, "Largest change of brightness, as a part of the full range of pixel values.", AUGMENTATION
    )
    contrast: float = _setting(0.2, "Largest relative change of contrast around the face's own mean.", AUGMENTATION)
    erasing: float = _setting(
        0.25, "Probability that a rectangle is replaced by the mean grey (Zhong et al. 2017).", AUGMENTATION
    )
    erasing_area: float = _setting(
        0.2, "Largest part of the face that the rectangle covers; the smallest is a tenth of it.", AUGMENTATION
    )
    equalise: float = _setting(
        0.0, "Probability that the histogram is equalised, as in some copies of FER-2013.", AUGMENTATION
    )
    gamma: float = _setting(
        0.0,
        "Largest relative change of the exponent of pixel values: 0.6 draws it from 1/1.6 to 1.6, by its logarithm.",
        AUGMENTATION,
    )
    jpeg: float = _setting(0.0, "Probability that the face is compressed as JPEG.", AUGMENTATION)
    jpeg_quality: int = _setting(30, "Lowest quality of the JPEG; the highest is 95.", AUGMENTATION)
    resolution: float = _setting(0.0, "Probability that the face is shrunk and enlarged again.", AUGMENTATION)
    resolution_side: int = _setting(
        16, "Smallest side in pixels that the face is shrunk to; the largest is five sixths of its own.", AUGMENTATION
    )

    def __post_init__(self) -> None:
        """Check every setting. Raises TrainingError."""
        _require(self.crop >= 0, "crop", "a number of pixels, 0 or more", self.crop)
        for name in ("flip", "erasing", "equalise", "jpeg", "resolution"):
            value = getattr(self, name)
            _require(0 <= value <= 1, name, "a probability from 0 to 1", value)
        _require(0 <= self.rotation <= 180, "rotation", "degrees from 0 to 180", self.rotation)
        for name in ("scale", "shift", "brightness", "contrast", "erasing_area"):
            value = getattr(self, name)
            _require(0 <= value < 1, name, "a part from 0 to below 1", value)
        _require(0 <= self.gamma <= 9, "gamma", "a relative change from 0 to 9", self.gamma)
        _require(1 <= self.jpeg_quality <= 95, "jpeg_quality", "a quality from 1 to 95", self.jpeg_quality)
        _require(self.resolution_side >= 1, "resolution_side", "a number of pixels, 1 or more", self.resolution_side)

    def scaled(self, strength: float) -> "AugmentConfig":
        """The same variations, each ``strength`` times as strong (probabilities stop at 1, parts below 1)."""
        _require(0 <= strength < float("inf"), "augment_strength", "0 or more", strength)
        if strength == 1:
            return self
        part = {
            name: min(getattr(self, name) * strength, 0.95) for name in ("scale", "shift", "brightness", "contrast")
        }
        part |= {name: min(getattr(self, name) * strength, 1.0) for name in ("equalise", "jpeg", "resolution")}
        return replace(
            self,
            crop=round(self.crop * strength),
            flip=self.flip if strength > 0 else 0.0,  # a mirrored face is as good as the face: no strength to it
            rotation=min(self.rotation * strength, 180.0),
            erasing=min(self.erasing * strength, 1.0),
            gamma=min(self.gamma * strength, 9.0),
            **part,
        )


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run. Raises TrainingError for a value out of range."""

    architecture: str = _setting(
        "resnet18", "Network, by its file in fer_edge/training/architectures.", MODEL, choices=architecture_names
    )
    stem: Stem = _setting(
        "no_pool",
        "First layers of ResNet18: 7x7 stride 2 with max-pool, the same without the pool, 3x3 stride 1 without it, or "
        "as imagenet with three channels, each of its own mean and standard deviation (of other makers' weights).",
        MODEL,
    )
    weights: str = _setting(
        "auto",
        "Where training starts: 'auto', 'imagenet', 'none', the name of a shipped model ('models' lists them), the "
        "path of a torchvision state dict, or paths, with commas between them, of runs or checkpoints of one "
        "architecture: it begins from the mean of their weights. Their network is trained unless another is named.",
        MODEL,
    )
    heads: Heads = _setting(
        "labels",
        "What is learned, the main head first: labels, votes (FER+'s distribution of them), or both by one "
        "network. An exported model has the main head alone.",
        MODEL,
    )
    second_head_weight: float = _setting(1.0, "Weight of the second head's loss beside the main one's.", MODEL)
    image_size: int = _setting(48, "Side of a face in pixels.", MODEL)
    epochs: int = _setting(12, "Passes over the training faces.", TRAINING)
    progression: str = _setting(
        "",
        "Smaller faces for the first epochs, as SIDE:EPOCHS pairs: 32:14,40:16 is 32 pixels for 14 epochs, 40 "
        "for 16 more, then the full size (progressive resizing: fewer operations while little is known). "
        "Validation is always at full size.",
        TRAINING,
    )
    batch_size: int = _setting(128, "Faces per optimizer step, over all processes together.", TRAINING)
    max_lr: float = _setting(0.05, "Learning rate at the peak of the one-cycle schedule.", TRAINING)
    warmup: float = _setting(0.25, "Part of all steps in which the learning rate rises to its peak.", TRAINING)
    optimizer: Optimizer = _setting("sgd", "sgd (with Nesterov momentum 0.9), adam or adamw.", TRAINING)
    weight_decay: float = _setting(
        5e-4, "Weight decay on weights of two or more dimensions; norms and biases have none.", TRAINING
    )
    clip_value: float = _setting(0.0, "Clip each gradient element to this size; 0 is off.", TRAINING)
    clip_norm: float = _setting(5.0, "Clip the gradient's total norm to this size; 0 is off.", TRAINING)
    label_smoothing: float = _setting(
        0.1, "Part of each target that is spread over all classes (Szegedy et al. 2016).", TRAINING
    )
    ema_decay: float = _setting(
        0.998, "Decay per step of the moving average of weights that is validated and saved; 0 is off.", TRAINING
    )
    mixup: float = _setting(
        0.0,
        "Alpha of mixup's Beta distribution (Zhang et al. 2018), pairing faces within a process; 0 is off.",
        TRAINING,
    )
    teacher: str = _setting(
        "",
        "Runs or checkpoints to learn from beside the labels, with commas between them. Their probabilities, "
        "averaged over them and over the face and its mirror image, are targets.",
        TRAINING,
    )
    distillation: float = _setting(
        0.7, "Weight of the teachers' answers in the loss (Hinton et al. 2015); the labels have the rest.", TRAINING
    )
    temperature: float = _setting(
        2.0,
        "What teachers' and student's logits are divided by before they are compared; above 1, small ones count more.",
        TRAINING,
    )
    class_weights: bool = _setting(
        False,
        "Weigh the loss by the inverse of each class's share, normalised over each process's part of a batch.",
        TRAINING,
    )
    micro_batch: int = _setting(
        0,
        "Most faces that a process takes at once: a larger part of the batch goes through in equal parts whose "
        "gradients are added up (gradient accumulation). 0 takes it whole, and where fewer processes go on with a "
        "run, as many faces as before.",
        MACHINE,
    )
    precision: Precision = _setting(
        "auto",
        "Arithmetic of the forward pass: bf16 mixed precision, fp32, or bf16 where the hardware has it.",
        MACHINE,
    )
    channels_last: bool = _setting(
        True, "Keep activations in NHWC order, which convolutions prefer on CPU and on tensor cores.", MACHINE
    )
    patience: int = _setting(
        0,
        "Stop after this many epochs without a better one (accuracy, then loss, on validation); 0 never stops early.",
        TRAINING,
    )
    seed: int = _setting(0, "Seeds the initial weights, the order of faces and their augmentation.", TRAINING)
    threads: int = _setting(
        0, "CPU threads; 0 leaves torch's own choice. A resumed run uses as many as it began with.", MACHINE
    )
    device: str = _setting(
        "auto", "auto (CUDA where there is one), cpu, cuda or cuda:N. Asking for CUDA without one is an error.", MACHINE
    )
    save_interval: float = _setting(
        60.0,
        "Seconds between two checkpoints within an epoch, beside the one at its end; 0 saves after every step.",
        MACHINE,
    )
    tensorboard: bool = _setting(False, "Also write a TensorBoard log (extra 'tensorboard').", MACHINE)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """How training faces are varied."""

    def __post_init__(self) -> None:
        """Check every setting; a former name of an architecture becomes its name. Raises TrainingError."""
        object.__setattr__(self, "architecture", FORMER_NAMES.get(self.architecture, self.architecture))
        for name, choices in (("stem", Stem), ("optimizer", Optimizer), ("precision", Precision), ("heads", Heads)):
            value = getattr(self, name)
            separator = "; " if name == "heads" else ", "
            _require(value in get_args(choices), name, f"one of {separator.join(get_args(choices))}", value)
        for name, largest in (("epochs", MAX_EPOCHS), ("batch_size", MAX_BATCH_SIZE)):
            value = getattr(self, name)
            _require(1 <= value <= largest, name, f"1 to {largest}", value)
        is_possible = self.micro_batch == 0 or 2 <= self.micro_batch <= MAX_BATCH_SIZE
        _require(is_possible, "micro_batch", f"0 or 2 to {MAX_BATCH_SIZE}", self.micro_batch)
        is_possible = 16 <= self.image_size <= MAX_IMAGE_SIZE
        _require(is_possible, "image_size", f"16 to {MAX_IMAGE_SIZE} pixels", self.image_size)
        _require(0 < self.max_lr < float("inf"), "max_lr", "a learning rate above 0", self.max_lr)
        _require(0 < self.warmup < 1, "warmup", "a part between 0 and 1", self.warmup)
        for name in ("weight_decay", "clip_value", "clip_norm", "mixup", "save_interval", "second_head_weight"):
            value = getattr(self, name)
            _require(0 <= value < float("inf"), name, "0 or more", value)
        _require(0 < self.distillation <= 1, "distillation", "a part above 0, up to 1", self.distillation)
        _require(0 < self.temperature <= 100, "temperature", "above 0, up to 100", self.temperature)
        for name in ("label_smoothing", "ema_decay"):
            value = getattr(self, name)
            _require(0 <= value < 1, name, "0 up to below 1", value)
        for name, largest in (("patience", 2**31), ("seed", MAX_SEED), ("threads", 4096)):
            value = getattr(self, name)
            _require(0 <= value <= largest, name, f"0 to {largest}", value)
        _require(
            sum(epochs for _, epochs in self.phases) < self.epochs,
            "progression",
            f"SIDE:EPOCHS pairs of fewer than {self.epochs} epochs in all, the last being at the full size",
            self.progression,
        )
        crop = self.augment.crop
        _require(crop < self.image_size, "crop", f"less than the image size, {self.image_size} pixels", crop)

    @property
    def phases(self) -> tuple[tuple[int, int], ...]:
        """(side in pixels, epochs) of each pair of ``progression``. Raises TrainingError for what is no such pair."""
        pairs = [pair.split(":") for pair in self.progression.split(",") if pair]
        expected = f"SIDE:EPOCHS pairs with a side from 16 to {self.image_size} pixels, such as 32:14,40:16"
        for pair in pairs:
            are_numbers = len(pair) == 2 and all(re.fullmatch("[0-9]{1,9}", part) for part in pair)
            _require(are_numbers, "progression", expected, self.progression)
            _require(
                16 <= int(pair[0]) <= self.image_size and int(pair[1]) > 0, "progression", expected, ":".join(pair)
            )
        return tuple((int(side), int(epochs)) for side, epochs in pairs)

    def side_of(self, epoch: int) -> int:
        """Side in pixels of the training faces in ``epoch``, from 0."""
        first = 0
        for side, epochs in self.phases:
            first += epochs
            if epoch < first:
                return side
        return self.image_size

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON and checkpoints; ``from_dict`` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, whole: bool = False) -> "TrainConfig":
        """The settings that ``to_dict`` gave.

        Raises TrainingError for a name that is no setting of this version, a value of another type or out of range, and
        with ``whole`` where one is missing that the runs of every version have.
        """
        known, known_augment = ({f.name for f in fields(kind)} for kind in (cls, AugmentConfig))
        augment = values.get("augment", {})
        if not isinstance(augment, dict):
            raise TrainingError(f"setting 'augment': expected settings, found a {type(augment).__name__}")
        given = {*values, *augment}
        unknown = sorted(map(str, (set(values) - known) | (set(augment) - known_augment)))
        if unknown:
            raise TrainingError(
                f"expected settings of this version of fer_edge, found {', '.join(unknown)[:200]}; "
                "use the version that wrote the run, or start a new run"
            )
        missing = sorted((known | known_augment) - given - ADDED_LATER)
        if whole and missing:
            raise TrainingError(f"expected all settings of a run, found none for '{missing[0]}'")
        try:
            return msgspec.convert(values, cls)
        except (msgspec.ValidationError, RecursionError, UnicodeError) as error:
            expected, _, setting = str(error).partition(" - at `$.")
            named = f"setting '{setting.rstrip('`')}'" if setting else "settings"
            raise TrainingError(f"{named}: {expected.replace('`', '')}") from error
