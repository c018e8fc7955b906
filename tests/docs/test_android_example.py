"""examples/android: its resize is compiled and run, its Kotlin compiled against stubs of the Android that it uses."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_edge.runtime.images import decode_image, face_pixels

SOURCES = Path(__file__).resolve().parents[2] / "examples" / "android" / "app" / "src" / "main"
CODE = SOURCES / "java" / "org" / "example" / "expressions"
HARNESS = """
import java.io.DataInputStream;
import org.example.expressions.Resize;

public class Harness {
    public static void main(String[] words) throws Exception {
        DataInputStream in = new DataInputStream(System.in);
        while (in.available() > 0) {
            int width = in.readInt();
            int height = in.readInt();
            int[] pixels = new int[width * height];
            for (int place = 0; place < pixels.length; place++) pixels[place] = in.readInt();
            System.out.write(Resize.greyFace(pixels, width, height, Integer.parseInt(words[0])));
        }
        System.out.flush();
    }
}
"""


@pytest.fixture(scope="module")
def resize(tmp_path_factory):
    """``resize(size, images)``: faces (N, size, size) of images uint8 (H, W, 4)."""
    if shutil.which("javac") is None or shutil.which("java") is None:
        pytest.skip("javac and java not installed")
    folder = tmp_path_factory.mktemp("java")
    (folder / "Harness.java").write_text(HARNESS)
    subprocess.run(["javac", "-d", folder, CODE / "Resize.java", folder / "Harness.java"], check=True, timeout=120)

    def run(size: int, images: list[np.ndarray]) -> np.ndarray:
        data = b""
        for image in images:
            red, green, blue, alpha = (image[..., channel].astype(np.uint32) for channel in range(4))
            data += np.array(image.shape[1::-1], ">u4").tobytes()
            data += (alpha << 24 | red << 16 | green << 8 | blue).astype(">u4").tobytes()
        done = subprocess.run(
            ["java", "-cp", folder, "Harness", str(size)], input=data, capture_output=True, check=True, timeout=120
        )
        return np.frombuffer(done.stdout, np.uint8).reshape(len(images), size, size)

    return run


@pytest.mark.parametrize("size", [48, 64])
def test_its_faces_are_pillows_within_a_grey_level(resize, size):
    rng = np.random.default_rng(0)
    shapes = [(48, 48), (300, 211), (97, 400), (7, 5), (1, 1), (64, 48), (640, 33)]
    images = []
    for place, (height, width) in enumerate(shapes):
        noise = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        smooth = noise.resize((width, height), Image.Resampling.BICUBIC)
        image = smooth if place % 2 else Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        images.append(np.asarray(image.convert("RGBA")))
    for image, found in zip(images, resize(size, images), strict=True):
        expected = face_pixels(image, size)
        difference = np.abs(found.astype(int) - expected)
        assert difference.max() <= 1
        assert difference.mean() < 0.25  # halves, which the two round differently
        if image.shape[:2] == (size, size):
            assert not difference.any()


def test_what_is_transparent_lies_on_white(resize):
    image = np.random.default_rng(1).integers(0, 256, (60, 50, 4), dtype=np.uint8)
    (found,) = resize(48, [image])
    expected = face_pixels(decode_image(Image.fromarray(image)), 48)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_its_kotlin_compiles(tmp_path):
    """Against the signatures that Android and LiteRT document, in android_stubs: no Android SDK is at hand."""
    if shutil.which("kotlinc") is None or shutil.which("javac") is None:
        pytest.skip("kotlinc and javac not installed")
    stubs = sorted((Path(__file__).parent / "android_stubs").rglob("*.java"))
    subprocess.run(["javac", "-d", tmp_path / "stubs", *stubs, CODE / "Resize.java"], check=True, timeout=120)
    command = ["kotlinc", "-cp", tmp_path / "stubs", "-d", tmp_path / "app", *sorted(CODE.glob("*.kt"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    made = {path.name for path in (tmp_path / "app").rglob("*.class")}
    assert {"MainActivity.class", "Expressions.class"} <= made


def test_it_calls_the_model_by_the_names_that_it_has():
    kotlin = (CODE / "Expressions.kt").read_text()
    for name in ("serving_default", "image", "probabilities", "logits", "labels.txt"):
        assert f'"{name}"' in kotlin
