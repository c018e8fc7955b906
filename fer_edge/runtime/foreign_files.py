"""Finds the description of a foreign model: what was said on the command line, or the JSON files beside it.

Beside ``NAME.onnx`` it is ``NAME.json`` with the keys of ``ForeignDescription``, or what Hugging Face
(``config.json``, ``preprocessor_config.json``) and timm (``config.json``) publish with their models, in the same folder
or, where that is called ``onnx``, in the one above it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_edge.errors import ModelError, UsageError
from fer_edge.runtime.foreign import ForeignDescription
from fer_edge.text import printable

Description = ForeignDescription | Mapping[str, Any] | str | Path | Sequence[str]
"""What functions take: a description, its keys, the path of its JSON, or ``key=value`` texts as ``--describe`` does."""

MAX_BYTES = 2**22
_CONFIG, _PROCESSOR = "config.json", "preprocessor_config.json"
_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}
"""Pillow's numbers, which Hugging Face's files have."""
_STEPS = (
    *("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_flip_channel_order"),
    *("do_convert_rgb", "do_reduce_labels"),
)
"""Of Hugging Face's processors: those that are done, and the last two, which change nothing here."""
_TIMM_CROP = 0.875
"""Where a file does not say: timm's own."""
HOW_TO_DESCRIBE = "describe it with --describe 'labels=A,B,C' (docs/deployment/foreign-models.md)"


def description_of(given: Description) -> ForeignDescription:
    """What ``given`` says. Raises UsageError where it is no description."""
    if isinstance(given, ForeignDescription):
        return given
    if isinstance(given, Mapping):
        return ForeignDescription.from_mapping(given, "description")
    texts = [str(given)] if isinstance(given, str | Path) else list(given)
    raw: dict[str, Any] = {}
    for text in texts:
        raw |= _pairs(text) if "=" in text else _read(Path(text))
    files = [text for text in texts if "=" not in text]
    return ForeignDescription.from_mapping(raw, files[0] if len(texts) == 1 and files else "--describe")


def description_beside(model: Path) -> ForeignDescription | None:
    """What the files beside ``model`` say of it; None where there are none. Raises UsageError for one that is wrong."""
    own = model.with_suffix(".json")
    if own.is_file() and (raw := _read(own)) and "file_sha256" not in raw:
        return ForeignDescription.from_mapping(_of_configs(raw, {}) if _is_config(raw) else raw, str(own))
    for folder in (model.parent, *([model.parent.parent] if model.parent.name == "onnx" else [])):
        config = folder / _CONFIG
        if config.is_file() and _is_config(raw := _read(config)):
            processor = _read(folder / _PROCESSOR) if (folder / _PROCESSOR).is_file() else {}
            return ForeignDescription.from_mapping(_of_configs(raw, processor), str(config))
    return None


def _is_config(raw: Mapping[str, Any]) -> bool:
    return "id2label" in raw or "label2id" in raw or isinstance(raw.get("pretrained_cfg"), dict) or "label_names" in raw


def _of_configs(config: Mapping[str, Any], processor: Mapping[str, Any]) -> dict[str, Any]:
    found = _of_timm(config) if isinstance(config.get("pretrained_cfg"), dict) else {}
    labels = config.get("id2label") or _by_number(config.get("label2id"))
    found |= {"labels": labels} if labels else {}
    return found | _of_processor(processor)


def _by_number(label2id: Any) -> dict[str, str]:
    return {str(number): label for label, number in label2id.items()} if isinstance(label2id, dict) else {}


def _of_timm(config: Mapping[str, Any]) -> dict[str, Any]:
    """timm's ``pretrained_cfg``: its evaluation resizes the shorter side to size / crop_pct and takes the middle."""
    settings = config["pretrained_cfg"]
    found: dict[str, Any] = {key: settings[key] for key in ("mean", "std", "interpolation") if key in settings}
    labels = config.get("label_names") or settings.get("label_names")
    found |= {"labels": labels} if labels else {}
    if isinstance(size := settings.get("input_size"), list) and len(size) == 3:
        found |= {"channels": size[0], "size": size[1:]}
        mode = settings.get("crop_mode") or "center"
        if mode not in ("center", "squash"):
            raise UsageError(
                f"{_CONFIG}: expected the crop_mode center or squash, found {mode!r:.40}; describe the model by "
                "--describe"
            )
        if mode == "center":
            found["shortest"] = int(min(size[1:]) / float(settings.get("crop_pct") or _TIMM_CROP))
    return found


def _of_processor(processor: Mapping[str, Any]) -> dict[str, Any]:
    """Hugging Face's image processor, each step of which can be off."""
    found: dict[str, Any] = {}
    if others := [key for key, value in processor.items() if key.startswith("do_") and value and key not in _STEPS]:
        raise UsageError(
            f"{_PROCESSOR}: expected the steps {', '.join(_STEPS)}, found {printable(', '.join(others))}; describe the "
            "model by --describe"
        )
    size, crop = processor.get("size"), processor.get("crop_size")
    if processor.get("do_center_crop") and crop:
        found["size"] = _sides(crop)
        shortest = size.get("shortest_edge") if isinstance(size, dict) else size
        found["shortest"] = shortest if isinstance(shortest, int) else min(_sides(size or crop))
    elif processor.get("do_resize", True) and size:
        edge = size.get("shortest_edge") if isinstance(size, dict) else None
        found["size"] = [edge, edge] if edge else _sides(size)
        if edge:  # resized by the shorter side and, as these processors do, cropped
            found["shortest"] = int(edge / float(processor.get("crop_pct") or 1)) if edge < 384 else edge
    if processor.get("do_flip_channel_order"):
        found["order"] = "BGR"
    if processor.get("resample") is not None:
        found["interpolation"] = _RESAMPLE.get(processor["resample"], str(processor["resample"]))
    factor = processor.get("rescale_factor", 1 / 255) if processor.get("do_rescale", True) else 1.0
    scale = 255 * float(factor)  # of pixels as 0 to 1
    mean, std = ([0.0], [1.0])
    if processor.get("do_normalize", "image_mean" in processor):
        mean, std = processor.get("image_mean", mean), processor.get("image_std", std)
    offset = 1 if processor.get("rescale_offset") else 0
    kind = str(processor.get("image_processor_type") or processor.get("feature_extractor_type"))
    if processor.get("include_top", kind.startswith("EfficientNet")):  # it divides by the deviation once more
        once = processor.get("image_std", [1.0])
        std = [float(one) * float(more) for one, more in zip(_three(std), _three(once), strict=True)]
    if processor:  # (pixel * factor - offset - mean) / std, said of pixels from 0 to 1
        found["mean"] = [(float(value) + offset) / scale for value in mean]
        found["std"] = [float(value) / scale for value in std]
    return found


def _three(values: list[Any]) -> list[Any]:
    return values * 3 if len(values) == 1 else values


def _sides(size: Any) -> list[int]:
    """Height and width of what Hugging Face calls a size."""
    if isinstance(size, Mapping):
        return [int(size["height"]), int(size["width"])]
    return [int(size), int(size)]


def _pairs(text: str) -> dict[str, str]:
    """``key=value; key=value``."""
    found = {}
    for part in text.split(";"):
        key, sign, value = part.partition("=")
        if part.strip():
            if not sign:
                raise UsageError(f"--describe: expected key=value, found {part.strip()!r:.80}")
            found[key.strip()] = value.strip()
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path}: expected a description of at most {MAX_BYTES} bytes, found more")
        raw = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"--describe: expected key=value or a JSON file, found {str(path)!r:.100} ({error.strerror or error})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: expected a description in JSON, found other text ({error})") from error
    if not isinstance(raw, dict):
        raise UsageError(f"{path}: expected an object in JSON, found a {type(raw).__name__}")
    return raw
