"""The page's own pixel work against Pillow and fer_edge.runtime.crops, byte for byte, in node: no browser needed."""

import json
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fer_edge.runtime import crops
from fer_edge.runtime.detector import Box, Face
from fer_edge.web.site import PAGE

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="no node: install Node.js 20 or newer")

SCRIPT = """
import { readFileSync, writeFileSync } from "node:fs";
const [page, name, options] = process.argv.slice(1);
const { width, height, ...rest } = JSON.parse(options);
const module = await import(`${page}/${name === "crop" ? "expression" : "picture"}.js`);
const picture = { data: new Uint8Array(readFileSync(0)), width, height };
const made = module[name](picture, ...rest.arguments);
writeFileSync(1, JSON.stringify([made.height, made.width]) + "\\n");
writeFileSync(1, made.data);
"""


def in_node(name: str, pixels: NDArray[np.uint8], *arguments: Any) -> NDArray[np.uint8]:
    """Call a function of the page on RGB pixels (H, W, 3); returns RGB."""
    height, width = pixels.shape[:2]
    opaque = np.dstack([pixels, np.full((height, width), 255, np.uint8)])
    options = json.dumps({"width": width, "height": height, "arguments": arguments})
    command = ["node", "--input-type=module", "--eval", SCRIPT, PAGE.as_uri(), name, options]
    done = subprocess.run(command, input=opaque.tobytes(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    size, _, data = done.stdout.partition(b"\n")
    rgba = np.frombuffer(data, np.uint8).reshape(*json.loads(size), 4)
    assert (rgba[:, :, 3] == 255).all()
    return rgba[:, :, :3]


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    return np.random.default_rng(6).integers(0, 256, (97, 211, 3), dtype=np.uint8)


@pytest.mark.parametrize(("width", "height"), [(64, 29), (210, 97), (211, 50), (1, 1), (300, 140)])
def test_resize_is_that_of_pillow(photo: NDArray[np.uint8], width: int, height: int) -> None:
    expected = np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(in_node("resized", photo, width, height), expected)


@pytest.mark.parametrize("max_side", [211, 100, 640])
def test_bounded_side_is_that_of_the_detector(photo: NDArray[np.uint8], max_side: int) -> None:
    from fer_edge.runtime.detector import MIN_SIDE, _within

    np.testing.assert_array_equal(in_node("within", photo, MIN_SIDE, max_side), np.asarray(_within(photo, max_side)))


@pytest.mark.parametrize(
    "box",
    [Box(60.3, 20.7, 30.2, 41.9), Box(-12.5, -8.0, 40.0, 50.0), Box(180.1, 70.2, 50.0, 44.4), Box(5, 5, 0.1, 0.1)],
)
def test_crop_is_that_of_python(photo: NDArray[np.uint8], box: Box) -> None:
    framing = crops.Framing()
    expected = crops.crop_face(photo, Face(box, ((0, 0),) * 5, 1.0), framing)
    options = {"margin": framing.margin, "maxCropSide": crops.MAX_CROP_SIDE}
    np.testing.assert_array_equal(in_node("crop", photo, vars(box), options), expected)


def test_large_face_is_made_smaller_as_python_does(photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crops, "MAX_CROP_SIDE", 20)
    box = Box(30.0, 10.0, 61.0, 70.0)
    expected = crops.crop_face(photo, Face(box, ((0, 0),) * 5, 1.0), crops.Framing(1.1))
    found = in_node("crop", photo, vars(box), {"margin": 1.1, "maxCropSide": 20})
    np.testing.assert_array_equal(found, expected)
