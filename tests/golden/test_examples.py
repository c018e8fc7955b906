"""The example programs in Node, C++ and C# name what Python names."""

import re

import csharp
import numpy as np
import pytest
from languages import FIXTURES, run
from PIL import Image

from fer_edge.runtime.classifier import Classifier

TINY = FIXTURES / "tiny.onnx"


def assert_says_what_python_says(said: str, path, tolerance: float) -> None:
    expected = Classifier.load(TINY).predict(path)
    found = re.fullmatch(r"(.+): (\w+) (\d\.\d{4})", said)
    assert found, said
    assert found[1] == str(path)
    assert found[2] == expected.label
    assert float(found[3]) == pytest.approx(expected.confidence, abs=tolerance)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("jpeg-rgb.jpg", 1e-3),
        ("jpeg-turned.jpg", 1e-3),
        ("jpeg-grey.jpg", 1e-3),
        # sharp rounds a blend with white down, Pillow to the nearest: up to one grey level, which random weights feel
        ("png-transparent.png", 0.06),
    ],
)
def test_node_example(name, tolerance, tiny_kit, node_project):
    path = tiny_kit / "images" / name
    done = run("node", "predict.mjs", TINY, path, folder=node_project)
    assert done.returncode == 0, done.stderr
    assert_says_what_python_says(done.stdout.strip(), path, tolerance)


@pytest.fixture(params=["cpp", "csharp"])
def predict(request):
    """The words before the arguments of the program that reads PGM and PPM."""
    if request.param == "cpp":
        return (request.getfixturevalue("cpp_build") / "predict",)
    return ("mono", request.getfixturevalue("csharp_build"), "predict")


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_cpp_and_csharp_example(mode, tiny_kit, predict, tmp_path):
    path = tmp_path / "face.ppm"
    with Image.open(tiny_kit / "images" / "jpeg-rgb.jpg") as image:
        image.convert(mode).save(path)
    done = run(*predict, TINY, path, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_says_what_python_says(done.stdout.strip(), path, 1e-4)


def test_cpp_and_csharp_examples_tell_mistakes_in_one_line(predict, tmp_path):
    (tmp_path / "face.ppm").write_bytes(b"P6 4 4 255\n" + bytes(11))
    (tmp_path / "notes.txt").write_text("no photo")
    for arguments, message in (
        ((TINY, tmp_path / "face.ppm"), "expected more pixels, found the end of the file"),
        ((TINY, tmp_path / "notes.txt"), "expected a binary PGM or PPM"),
        ((tmp_path / "none.onnx", tmp_path / "face.ppm"), "none.onnx"),
    ):
        done = run(*predict, *arguments, folder=tmp_path)
        assert done.returncode == 1
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_the_lines_of_the_csharp_page(tiny_kit, csharp_build, repository, tmp_path):
    page = (repository / "docs" / "deployment" / "csharp.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"^```csharp\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    labels = ", ".join(f'"{label}"' for label in Classifier.load(TINY).labels)
    with Image.open(tiny_kit / "images" / "jpeg-rgb.jpg") as image:
        pixels = np.asarray(image.convert("RGB"))
    pixels.tofile(tmp_path / "pixels")
    source = tmp_path / "Page.cs"
    source.write_text(
        f"""using System; using System.IO; using System.Linq; using Microsoft.ML.OnnxRuntime;
        static class Page {{ static void Main(string[] arguments) {{
        var labels = new[] {{ {labels} }};
        int height = {pixels.shape[0]}, width = {pixels.shape[1]};
        byte[] pixels = File.ReadAllBytes(arguments[1]);
        using (var session = new InferenceSession(arguments[0])) {{
        {lines}
        }} }} }}"""
    )
    program = csharp.compile_program(csharp_build.parent, [source], "Page")
    done = run("mono", program, TINY, tmp_path / "pixels", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = Classifier.load(TINY).predict(pixels)
    assert done.stdout == f"{expected.label} {expected.confidence:.4f}\n"


def test_cpp_sha256_is_right_at_the_padding_borders(cpp_build, tiny_kit, tmp_path):
    """The checker hashes before it opens the model, and says the hash of a file that is no model."""
    import hashlib

    for size in (1, 55, 56, 63, 64, 65, 1000):
        data = np.random.default_rng(size).bytes(size)
        (tmp_path / "data").write_bytes(data)
        done = run(cpp_build / "check", tiny_kit, tmp_path / "data", folder=tmp_path)
        assert hashlib.sha256(data).hexdigest() in done.stderr
