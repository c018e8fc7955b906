"""Apps as others write them, with OpenCV, Pillow and numpy: right, or with a usual mistake each. None of this project's
own code prepares their pixels."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from languages import FIXTURES
from PIL import Image, ImageOps

from fer_edge.labels import FER2013

TINY, TINY_RAW = FIXTURES / "tiny.onnx", FIXTURES / "tiny_raw.onnx"
SIDE, MEAN, STD = 48, 0.5, 0.25
Batch = np.ndarray


def softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def manifest_of(kit: Path) -> dict[str, Any]:
    return json.loads((kit / "manifest.json").read_text())


def on_white(image: Image.Image) -> np.ndarray:
    image = ImageOps.exif_transpose(image)
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    pixels = np.asarray(image)
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def square(photo: np.ndarray, box: list[float], margin: float) -> np.ndarray:
    x, y, width, height = box
    side = round(margin * max(width, height))
    left, top = round(x + width / 2 - side / 2), round(y + height / 2 - side / 2)
    padded = np.pad(photo, ((200, 200), (200, 200), (0, 0)), mode="edge")
    return padded[200 + top : 200 + top + side, 200 + left : 200 + left + side]


def inputs(
    kit: Path, decode: Callable[[Image.Image], np.ndarray] = on_white, margin: float = 1.0
) -> Iterator[tuple[str, Batch]]:
    """What an app has of each vector: the file that it decodes, the face that it crops, else the pixels."""
    for vector in manifest_of(kit)["vectors"]:
        if "image" in vector:
            with Image.open(kit / vector["image"]["file"]) as image:
                yield vector["name"], decode(image)[np.newaxis]
        elif "photo" in vector:
            with Image.open(kit / vector["photo"]["file"]) as image:
                yield vector["name"], square(np.asarray(image), vector["photo"]["box"], margin)[np.newaxis]
        else:
            pixels = np.fromfile(kit / vector["file"], np.uint8)
            yield vector["name"], pixels.reshape(vector["shape"])


@cache
def session_of(model: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # beside other tests
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def answers_to(
    feeds: Iterator[tuple[str, np.ndarray]], model: Path = TINY, labels: tuple[str, ...] = FER2013.names
) -> dict[str, list[dict[str, Any]]]:
    """What the app writes, as docs/golden.md says."""
    session = session_of(model)
    name = session.get_inputs()[0].name
    found = {}
    for vector, feed in feeds:
        (logits,) = session.run(["logits"], {name: np.ascontiguousarray(feed)})
        found[vector] = [
            {"label": labels[row.argmax()], "probabilities": row.tolist(), "logits": one.tolist()}
            for one, row in zip(logits, softmax(logits), strict=True)
        ]
    return found


def cv2_resized(interpolation: int, side: int = SIDE) -> Callable[[Batch], Batch]:
    def resized(images: Batch) -> Batch:
        done = [cv2.resize(image, (side, side), interpolation=interpolation) for image in images]
        return np.stack([one[..., np.newaxis] if one.ndim == 2 else one for one in done])

    return resized


def aligned_corners(images: Batch) -> Batch:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float()
    done = torch.nn.functional.interpolate(tensor, (SIDE, SIDE), mode="bilinear", align_corners=True)
    return done.round().byte().numpy().transpose(0, 2, 3, 1)


def upper_left(images: Batch) -> Batch:
    """As cv2.remap of x * scale."""
    _, height, width, _ = images.shape
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    places = (columns * (width / SIDE), rows * (height / SIDE))
    done = [cv2.remap(one, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for one in images]
    return np.stack([one[..., np.newaxis] if one.ndim == 2 else one for one in done])


def pillow_nearest(images: Batch) -> Batch:
    done = [Image.fromarray(one[..., 0] if one.shape[2] == 1 else one) for one in images]
    arrays = [np.asarray(one.resize((SIDE, SIDE), Image.Resampling.NEAREST)) for one in done]
    return np.stack([one[..., np.newaxis] if one.ndim == 2 else one for one in arrays])


def bgr(images: Batch) -> Batch:
    if images.shape[3] == 1:
        return images
    code = cv2.COLOR_RGB2BGR if images.shape[3] == 3 else cv2.COLOR_RGBA2BGRA
    return np.stack([cv2.cvtColor(one, code) for one in images])


def grey(weights: list[float]) -> Callable[[Batch], Batch]:
    def convert(images: Batch) -> Batch:
        if images.shape[3] == 1:
            return images
        return np.round(sum(images[..., [at]] * weight for at, weight in enumerate(weights))).astype(np.uint8)

    return convert


def bytes_of_floats(scale: float) -> Callable[[Batch], Batch]:
    def reinterpreted(images: Batch) -> Batch:
        buffer = memoryview((images.astype(np.float32) * np.float32(scale)).tobytes())
        return np.frombuffer(buffer, np.uint8, count=images.size).reshape(images.shape)

    return reinterpreted


def normalised_bytes(images: Batch) -> Batch:
    """(byte)((x / 255 - mean) / std), in C# or Java."""
    return np.trunc((images / 255 - MEAN) / STD).astype(np.int8).view(np.uint8)


PIXEL_MISTAKES: dict[str, Callable[[Batch], Batch]] = {
    "swapped-red-blue": bgr,
    "no-antialias": cv2_resized(cv2.INTER_LINEAR),
    "align-corners": aligned_corners,
    "upper-left": upper_left,
    "nearest": pillow_nearest,
    "nearest-upper-left": cv2_resized(cv2.INTER_NEAREST),
    "luma-bt709": grey([0.2126, 0.7152, 0.0722]),
    "luma-mean": grey([1 / 3, 1 / 3, 1 / 3]),
    "transposed": lambda images: np.stack([np.rot90(one, -1)[:, ::-1] for one in images]),
    "height-for-width": lambda images: images.reshape(len(images), images.shape[2], images.shape[1], -1),
    "planes": lambda images: np.stack([np.stack(cv2.split(one)).reshape(one.shape) for one in images]),
    "divided-before": lambda images: np.floor(images / 255.0).astype(np.uint8),
    "normalised-before": normalised_bytes,
    "float-bytes": bytes_of_floats(1),
    "float-bytes-0-1": bytes_of_floats(1 / 255),
    "opencv": lambda images: cv2_resized(cv2.INTER_LINEAR)(bgr(images)),
}
FILE_MISTAKES: dict[str, dict[str, Any]] = {
    "exif-ignored": {"decode": lambda image: on_white(Image.frombytes(image.mode, image.size, image.tobytes()))},
    "alpha-dropped": {"decode": lambda image: on_white(image.convert("RGB") if image.mode == "RGBA" else image)},
    "alpha-on-black": {
        "decode": lambda image: (
            np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "black"), image).convert("RGB"))
            if image.mode == "RGBA"
            else on_white(image)
        )
    },
    "margin-1.5": {"margin": 1.5},
}
FLOAT_MISTAKES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "divided-twice": lambda levels: (levels / 255.0**2 - MEAN) / STD,
    "not-divided": lambda levels: (levels - MEAN) / STD,
    "not-normalised": lambda levels: levels / 255,
    "levels": lambda levels: levels,
    "normalised-twice": lambda levels: (((levels / 255) - MEAN) / STD - MEAN) / STD,
}


def answers_with(mistake: str, kit: Path, model: Path = TINY) -> dict[str, list[dict[str, Any]]]:
    """What an app that makes one mistake answers; of ``model``, or of TINY_RAW where it is one with floats."""
    labels = tuple(manifest_of(kit)["model"]["labels"])
    if mistake in FILE_MISTAKES:
        return answers_to(inputs(kit, **FILE_MISTAKES[mistake]), model, labels)
    if mistake in PIXEL_MISTAKES:
        change = PIXEL_MISTAKES[mistake]
        return answers_to(((vector, change(images)) for vector, images in inputs(kit)), model, labels)
    return answers_to(float_feeds(kit, FLOAT_MISTAKES[mistake]), TINY_RAW)


def float_feeds(kit: Path, change: Callable[[np.ndarray], np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """What a raw model is fed by an app that is right until it normalises, which ``change`` does of grey levels."""
    for vector in manifest_of(kit)["vectors"]:
        right = np.fromfile(kit / vector["file"], np.float32).reshape(vector["shape"])
        yield vector["name"], change(np.round((right * STD + MEAN) * 255)).astype(np.float32)


def two_at_once(first: str, second: str, kit: Path, model: Path = TINY) -> dict[str, list[dict[str, Any]]]:
    """What an app with two mistakes answers: the first with files or pixels, the second with its pixels."""
    made = FILE_MISTAKES.get(first, {})
    change = PIXEL_MISTAKES.get(first, lambda images: images)
    feeds = ((vector, PIXEL_MISTAKES[second](change(images))) for vector, images in inputs(kit, **made))
    return answers_to(feeds, model, tuple(manifest_of(kit)["model"]["labels"]))


COLOUR_SIDE, COLOUR_MEAN, COLOUR_STD = 24, np.array((0.48, 0.45, 0.4)), np.array((0.22, 0.23, 0.25))
COLOUR = {"labels": FER2013.names, "mean": tuple(COLOUR_MEAN.tolist()), "std": tuple(COLOUR_STD.tolist())}
"""The description of another maker's model of colour faces, (N, 3, 24, 24), with one layer of random weights."""


def write_colour_model(path: Path) -> Path:
    """``path``, written."""
    columns = 3 * COLOUR_SIDE**2
    weights = np.random.default_rng(5).normal(0, 3 / columns**0.5, (columns, len(FER2013))).astype(np.float32)
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Flatten", ["image"], ["flat"]),
            onnx.helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ],
        "colour",
        [onnx.helper.make_tensor_value_info("image", 1, ["n", 3, COLOUR_SIDE, COLOUR_SIDE])],
        [onnx.helper.make_tensor_value_info("logits", 1, ["n", len(FER2013)])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def colour_feed(
    images: Batch,
    normalise: Callable[[np.ndarray], np.ndarray] = lambda levels: (levels / 255 - COLOUR_MEAN) / COLOUR_STD,
) -> np.ndarray:
    """Right, of pixels (N, H, W, C): RGB, resized by Pillow, normalised, planes first."""
    done = []
    for image in images:
        face = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image[..., :3]).convert("RGB")
        done.append(np.asarray(face.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BILINEAR)))
    return normalise(np.stack(done).astype(np.float64)).transpose(0, 3, 1, 2).astype(np.float32)


COLOUR_PIXELS: dict[str, Callable[[Batch], Batch]] = {
    "swapped-red-blue": bgr,
    "no-antialias": cv2_resized(cv2.INTER_LINEAR, COLOUR_SIDE),
    "nearest-upper-left": cv2_resized(cv2.INTER_NEAREST, COLOUR_SIDE),
    "transposed": PIXEL_MISTAKES["transposed"],
    "opencv": lambda images: cv2_resized(cv2.INTER_LINEAR, COLOUR_SIDE)(bgr(images)),
}
COLOUR_FLOATS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "range-0-255": lambda levels: (levels - COLOUR_MEAN) / COLOUR_STD,
    "no-mean-std": lambda levels: levels / 255,
}


def colour_answers(mistake: str, pixels: dict[str, Batch], kit: Path, model: Path) -> dict[str, list[dict[str, Any]]]:
    """What an app that makes one mistake answers with the colour model. ``pixels``: of the kit's vectors, by name."""
    files = FILE_MISTAKES.get(mistake, {})
    change = COLOUR_PIXELS.get(mistake, lambda images: images)
    feeds = []
    for entry in manifest_of(kit)["vectors"]:
        images = pixels[entry["name"]]
        if files and "image" in entry:
            with Image.open(kit / entry["image"]["file"]) as image:
                images = files.get("decode", on_white)(image)[np.newaxis]
        elif files and "photo" in entry:
            with Image.open(kit / entry["photo"]["file"]) as image:
                images = square(np.asarray(image), entry["photo"]["box"], files.get("margin", 1.0))[np.newaxis]
        normalise = (COLOUR_FLOATS[mistake],) if mistake in COLOUR_FLOATS else ()
        feeds.append((entry["name"], colour_feed(change(images), *normalise)))
    return answers_to(iter(feeds), model)
