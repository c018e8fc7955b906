"""Weights of other makers: state dicts as torchvision defines them, wrapped and headed as people save them.

A DataParallel or Lightning module puts a prefix before every name (``module.``, ``model.``, ``net.``), a training
script puts the state dict under a key beside other things, and the last layer has its author's classes.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fer_edge.errors import CheckpointError, SettingError, TrainingError
from fer_edge.labels import LabelSet
from fer_edge.runtime.file_kind import CHECKPOINT, FOREIGN, kind_of, mistaken
from fer_edge.training.architectures.resnet18 import set_statistics
from fer_edge.training.architectures.torchvision_models import models
from fer_edge.training.checkpoint import CheckpointInfo, classifier_from_config, save_checkpoint
from fer_edge.training.config import Stem, TrainConfig
from fer_edge.training.heads import Head
from fer_edge.training.plain_types import check_tensors
from fer_edge.training.torch_file import read_torch_file

NETWORK = "resnet18"
"""What ``export`` takes without a checkpoint of this project."""
_AVERAGES = ("model_ema", "state_dict_ema", "ema_state_dict", "ema")
_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", *_AVERAGES)
"""Under which training scripts keep a state dict, an averaged one where there is no other."""
_COUNTERS = "num_batches_tracked"
_IMAGENET_CLASSES = 1000
_HEADER_BYTES = 8
_SAFETENSORS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_SAFETENSORS |= {"I64": torch.int64, "I32": torch.int32, "U8": torch.uint8, "BOOL": torch.bool}


@dataclass(frozen=True)
class FittedWeights:
    """A state dict by torchvision's own names, and what was done to get it."""

    state: Mapping[str, Tensor]
    """Every tensor of the network but counters; zeros for a head that does not fit."""
    head: Mapping[str, Tensor]
    """The last layer as it was found, ``weight`` and ``bias``; empty where it is none of the network's."""
    matched: str
    """For people: what matched."""
    is_grey: bool
    """Whether the first layer was for grey images."""
    left_out: str
    """For people: what was left, after a semicolon; empty where nothing was."""

    @property
    def num_classes(self) -> int | None:
        """Of the head as it was found."""
        return len(self.head["weight"]) if "weight" in self.head else None

    @property
    def report(self) -> str:
        """One line for people about a start of training: only a head of ImageNet's size is taken as it is."""
        if self.num_classes == _IMAGENET_CLASSES:
            return f"{self.matched}{self.left_out}"
        of_classes = "" if self.num_classes is None else f" of {self.num_classes} classes"
        return f"{self.matched}; the head{of_classes} replaced{self.left_out}"

    @property
    def report_with_head(self) -> str:
        """As ``report``, where the head that was found is kept."""
        return f"{self.matched}; a head of {self.num_classes} classes kept{self.left_out}"


def fit_weights(content: Any, network: str, path: Path) -> FittedWeights:
    """``content`` of the file ``path`` as weights of torchvision's ``network``.

    Raises TrainingError where it is no state dict, or one of another network: nothing but the head may be missing, no
    layer may have more, and no shape may differ but the head's and that of a first layer for grey images.
    """
    found = _state_dict_in(content, path)
    kept = [key for key in _KEYS if isinstance(content, Mapping) and isinstance(content.get(key), Mapping)]
    averages = [key for key in kept[1:] if key in _AVERAGES]
    with torch.device("meta"):
        wanted = getattr(models, network)(weights=None).state_dict()
    prefix = _prefix_of(found, wanted)
    found, inner = _with_plain_head(found, f"{prefix}fc") if "fc.weight" in wanted else (found, "")
    named = {name: found[prefix + name] for name in wanted if prefix + name in found}
    heads = {name for name in wanted if wanted[name].shape[:1] == (_IMAGENET_CLASSES,)}
    missing = [name for name in wanted if name not in named and name not in heads and not name.endswith(_COUNTERS)]
    if missing:
        raise TrainingError(
            f"--weights {path}: expected the {len(wanted)} tensors of torchvision's {network}, with any head, "
            f"found {len(named)} of them among {len(found)} (first missing: {missing[0]}); name other weights, or "
            "another --architecture"
        )
    left = sorted(found.keys() - {prefix + name for name in named})
    _refuse_further_layers(left, prefix, wanted, heads, f"--weights {path}", network)
    state = dict(named)
    is_grey = False
    matched = f"{len(named)} of {len(wanted)} tensors of {network} matched"
    matched += f" without the prefix '{prefix}'" if prefix else ""
    matched += f"; the head is {inner}" if inner else ""
    matched += f"; {averages[0]}, an average, is in the file, too, and was not taken" if averages else ""
    for name in named:
        if _is_grey(named[name], wanted[name]):  # summed over three equal channels it is what it was
            state[name] = named[name].float().repeat(1, 3, 1, 1) / 3
            matched += "; a first layer for grey images"
            is_grey = True
    found_head = {name.rpartition(".")[2]: named[name] for name in heads if name in named}
    if any(name not in named or named[name].shape != wanted[name].shape for name in heads):
        state |= {name: torch.zeros(wanted[name].shape) for name in heads}
    try:
        check_tensors(state, wanted, loose=(_COUNTERS,))
    except CheckpointError as error:
        raise TrainingError(
            f"--weights {path}: expected weights of torchvision's {network}, found others: {error}"
        ) from error
    shown = ", ".join(left[:3]) + (", ..." if len(left) > 3 else "")
    return FittedWeights(state, found_head, matched, is_grey, f"; {len(left)} left out ({shown})" if left else "")


def checkpoint_of_weights(
    path: Path,
    target: Path,
    *,
    labels: LabelSet,
    image_size: int,
    mean: float | Sequence[float],
    std: float | Sequence[float],
) -> str:
    """Write the weights at ``path``, of torchvision's ResNet18, as a checkpoint to ``target``; gives the report.

    A first layer of three channels is summed up to one: the network is fed grey, as if all three were equal, which is
    what it answers to such images, exactly. Where ``mean`` and ``std`` differ between the channels, three of each, the
    layer stays and gets its channels by a 1x1 convolution. Raises TrainingError or SettingError.
    """
    means, stds = _by_channel("--mean", mean), _by_channel("--std", std)
    if not all(0 <= one <= 1 for one in means) or not all(1e-4 <= one <= 1 for one in stds):
        raise SettingError(
            f"--mean, --std: expected those of pixel / 255, found {_in_words(means)} and {_in_words(stds)}"
        )
    is_by_channel = len({*means}) > 1 or len({*stds}) > 1
    middle, spread = sum(means) / 3, sum(stds) / 3
    if not is_by_channel:
        middle, spread = means[0], stds[0]
    fitted = fit_weights(read_weights(path), NETWORK, path)
    weight, bias = fitted.head.get("weight"), fitted.head.get("bias")
    if weight is None or weight.ndim != 2 or bias is None or len(bias) != len(weight):
        raise TrainingError(
            f"{path}: expected a last layer fc, one linear layer, to export, found none; begin a run from these: "
            f"fer-edge train --weights {path}"
        )
    if len(weight) != len(labels):
        raise TrainingError(
            f"{path}: expected as many --labels as the last layer has outputs, {len(weight)}, found {len(labels)}"
        )
    if is_by_channel and fitted.is_grey:
        raise SettingError(f"--mean, --std: expected one each for the grey first layer of {path}, found three")
    stem: Stem = "three_channels" if is_by_channel else "imagenet"
    config = TrainConfig(architecture=NETWORK, stem=stem, image_size=image_size, weights=str(path))
    heads = (Head("labels", labels),)
    classifier = classifier_from_config(config, fitted.state, heads)
    if is_by_channel:  # ((x * spread + middle) - mean) / std, of x that is normalised by the middle ones
        shifts = [(middle - one) / each for one, each in zip(means, stds, strict=True)]
        set_statistics(classifier, [spread / each for each in stds], shifts)
    layer = classifier.network.fc
    check_tensors({"weight": weight, "bias": bias}, layer.state_dict())  # type: ignore[union-attr]
    layer.load_state_dict({"weight": weight.float(), "bias": bias.float()})  # type: ignore[union-attr]
    record = CheckpointInfo(
        config=config,
        mean=middle,
        std=spread,
        data_source="unknown",
        data_fingerprint="unknown",
        starting_weights=f"another maker's, {path.name}: {fitted.report_with_head}",
        heads=heads,
    )
    save_checkpoint(target, {"record": record.to_dict(), "model": classifier.state_dict(), "average": None})
    return fitted.report_with_head


def _by_channel(option: str, given: float | Sequence[float]) -> list[float]:
    """One number for each of three channels. Raises SettingError for another count."""
    numbers = [given] * 3 if isinstance(given, int | float) else list(given)
    numbers = numbers * 3 if len(numbers) == 1 else numbers
    if len(numbers) != 3 or not all(math.isfinite(one) for one in numbers):
        raise SettingError(
            f"{option}: expected one number, or three with commas between them, found {_in_words(numbers)}"
        )
    return numbers


def _in_words(numbers: Sequence[float]) -> str:
    return ",".join(f"{one:g}" for one in (numbers[:1] if len({*numbers}) == 1 else numbers)) or "none"


def read_weights(path: Path) -> Any:
    """What is in a ``.pt``, ``.pth``, ``.ckpt`` or ``.safetensors`` file, as data: nothing is run.

    Raises TrainingError or CheckpointError.
    """
    return _read_safetensors(path) if path.suffix == ".safetensors" else read_torch_file(path, before_zip=True)


def _state_dict_in(content: Any, path: Path) -> dict[str, Tensor]:
    for _ in range(2):  # a Lightning checkpoint may hold a training script's
        inner = [
            content[key] for key in _KEYS if isinstance(content, Mapping) and isinstance(content.get(key), Mapping)
        ]
        content = inner[0] if inner else content
    if not isinstance(content, Mapping):
        raise TrainingError(
            f"--weights {path}: expected a state dict (names to tensors), found a {type(content).__name__}"
        )
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if len(tensors) != len(content) or not tensors:
        raise TrainingError(
            f"--weights {path}: expected a torchvision state dict (names to tensors), found other content; "
            "name such a file or a run of this project, or start from scratch with --weights none"
        )
    return tensors


def _with_plain_head(found: dict[str, Tensor], layer: str) -> tuple[dict[str, Tensor], str]:
    """``found`` with a head of several parts (dropout, then a linear layer) by the name of its one part with weights,
    and the name that had; empty where there is none. What else can be in it, ReLU before and softmax after the layer,
    changes no order of answers: the pooled features are not negative."""
    parts = {name for name in found if name.startswith(f"{layer}.")}
    inner = {name.rpartition(".")[0] for name in parts} - {layer}
    if len(inner) != 1 or f"{layer}.weight" in found:
        return found, ""
    (own,) = inner
    if parts != {f"{own}.weight", f"{own}.bias"} or found[f"{own}.weight"].ndim != 2:
        return found, ""
    renamed = {name.replace(own, layer, 1) if name in parts else name: value for name, value in found.items()}
    return renamed, own


def _prefix_of(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """What stands before most of the names that are wanted."""
    prefixes = Counter(name[: -len(own)] for own in wanted for name in found if name == own or name.endswith(f".{own}"))
    # Shorter among equals: a block's name ends as another's.
    return min(prefixes, key=lambda prefix: (-prefixes[prefix], len(prefix)), default="")


def _refuse_further_layers(
    left: Iterable[str], prefix: str, wanted: Iterable[str], heads: Iterable[str], where: str, network: str
) -> None:
    """Raise TrainingError where ``left`` has more of the network's own layers: without them it answers otherwise."""
    layers = {name.partition(".")[0] for name in wanted} - {name.partition(".")[0] for name in heads}
    own = [name.removeprefix(prefix) for name in left if name.startswith(prefix)]
    further = [name for name in own if name.partition(".")[0] in layers]
    if further:
        raise TrainingError(
            f"{where}: expected the tensors of torchvision's {network}, with any head, found {len(further)} more in "
            f"its layers (first: {further[0]}); name other weights, or another --architecture"
        )


def _is_grey(found: Tensor, wanted: Tensor) -> bool:
    return found.ndim == 4 and wanted.shape[1] == 3 and found.shape == (wanted.shape[0], 1, *wanted.shape[2:])


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """https://huggingface.co/docs/safetensors: the length of a JSON header, the header, and the tensors' bytes."""
    try:
        data = path.read_bytes()
        length = int.from_bytes(data[:_HEADER_BYTES], "little")
        header = json.loads(data[_HEADER_BYTES : _HEADER_BYTES + length])
        body = bytearray(data[_HEADER_BYTES + length :])
        return {name: _tensor(one, body) for name, one in header.items() if name != "__metadata__"}
    except OSError as error:
        raise TrainingError(f"--weights {path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        told = None if kind_of(path) is FOREIGN else mistaken(path, CHECKPOINT)  # FOREIGN: safetensors, but damaged
        raise TrainingError(
            f"--weights {path}: expected a safetensors file, {told or 'found a damaged or another one'}"
        ) from error


def _tensor(entry: Mapping[str, Any], body: bytearray) -> Tensor:
    dtype, shape, (start, end) = _SAFETENSORS[entry["dtype"]], entry["shape"], entry["data_offsets"]
    size = math.prod(shape) * dtype.itemsize
    if not 0 <= start <= end <= len(body) or end - start != size or not all(isinstance(one, int) for one in shape):
        raise ValueError(entry)
    if not size:
        return torch.zeros(shape, dtype=dtype)
    return torch.frombuffer(body[start:end], dtype=dtype).reshape(shape)
