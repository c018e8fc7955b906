"""What an app wrote as JSON, compared by the checkers of other languages: to the letter what Python's says."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from languages import need, run

from fer_edge.errors import CheckFailed
from fer_edge.golden.answers import check_answers
from fer_edge.golden.kit import write_kit
from fer_edge.golden.mistakes import MISTAKES
from fer_edge.golden.vectors import make_vectors

pytest.importorskip("cv2")

from apps import (
    COLOUR,
    COLOUR_FLOATS,
    COLOUR_PIXELS,
    FILE_MISTAKES,
    FLOAT_MISTAKES,
    PIXEL_MISTAKES,
    answers_to,
    answers_with,
    colour_answers,
    inputs,
    manifest_of,
    two_at_once,
    write_colour_model,
)

SAYS = {mistake.name: mistake.says for mistake in MISTAKES}

CPP_MAIN = """
#include <iostream>

#include "answers.hpp"

int main(int, char** arguments) {
  try {
    std::cout << check_answers(arguments[1], arguments[2]) << std::endl;
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "FAILED: " << error.what() << std::endl;
    return 1;
  }
}
"""
CSHARP_MAIN = """
using System;
using System.Globalization;
using System.Text;

static class Program
{
    static int Main(string[] arguments)
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        Console.OutputEncoding = new UTF8Encoding(false);
        try
        {
            Console.WriteLine(Answers.Check(arguments[0], arguments[1]));
            return 0;
        }
        catch (Exception error)
        {
            Console.Error.WriteLine("FAILED: " + error.Message);
            return 1;
        }
    }
}
"""

Compare = Callable[[Path, Path], subprocess.CompletedProcess[str]]
"""Kit and answers to exit code, line of figures on stdout or reason on stderr."""


@pytest.fixture(scope="module", params=["node", "cpp", "csharp"])
def compare(request, repository, tiny_kit, tmp_path_factory) -> Compare:
    """The comparing part alone: no onnxruntime is needed to compile it, nor to run it."""
    place = tmp_path_factory.mktemp(request.param)
    if request.param == "node":
        need("node")
        return lambda kit, file: run("node", kit / "check.mjs", "--answers", file, folder=place)
    if request.param == "cpp":
        need("c++")
        (place / "main.cpp").write_text(CPP_MAIN)
        flags = ("-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{tiny_kit}")
        done = run("c++", *flags, place / "main.cpp", "-o", place / "compare", folder=place)
        assert done.returncode == 0, done.stderr
        return lambda kit, file: run(place / "compare", kit, file, folder=place)
    need("mcs", "mono")
    (place / "Main.cs").write_text(CSHARP_MAIN)
    sources = [repository / "examples" / "csharp" / f"{name}.cs" for name in ("Kit", "Mistakes", "Answers")]
    flags = ("-nologo", "-warnaserror", "-langversion:7.2", "-r:System.Runtime.Serialization", "-r:System.Xml")
    done = run("mcs", *flags, f"-out:{place / 'compare.exe'}", *sources, place / "Main.cs", folder=place)
    if "CS0006" in done.stderr:
        pytest.skip("Mono without System.Runtime.Serialization")
    assert done.returncode == 0, done.stderr
    return lambda kit, file: run("mono", place / "compare.exe", kit, file, folder=place)


def python(kit: Path, file: Path) -> tuple[int, str]:
    """Exit code and line of the Python checker."""
    try:
        return 0, check_answers(kit, file)
    except CheckFailed as error:
        return 1, f"FAILED: {error}"


def written(content: Any, file: Path) -> Path:
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


Cases = dict[str, tuple[Path, Path, tuple[int, str]]]
"""By mistake: the kit, what an app that makes it wrote, and what Python says of that."""


@pytest.fixture(scope="module")
def mistaken(tiny_kit, tiny_raw_kit, tmp_path_factory) -> Cases:
    """With models of grey faces, of pixels and of floats."""
    place = tmp_path_factory.mktemp("mistaken")
    found = {}
    for name in (*PIXEL_MISTAKES, *FILE_MISTAKES, *FLOAT_MISTAKES):
        kit = tiny_raw_kit if name in FLOAT_MISTAKES else tiny_kit
        file = written(answers_with(name, kit), place / f"{name}.json")
        found[name] = (kit, file, python(kit, file))
    return found


@pytest.fixture(scope="module")
def mistaken_in_colour(tmp_path_factory) -> Cases:
    """With another maker's model of colour faces."""
    place = tmp_path_factory.mktemp("colour")
    model = write_colour_model(place / "colour.onnx")
    kit = write_kit(model, place / "kit", description=COLOUR).folder
    pixels = {vector.name: vector.pixels for vector in make_vectors()}
    found = {}
    for name in (*COLOUR_PIXELS, *FILE_MISTAKES, *COLOUR_FLOATS):
        file = written(colour_answers(name, pixels, kit, model), place / f"{name}.json")
        found[name] = (kit, file, python(kit, file))
    right = written(colour_answers("none", pixels, kit, model), place / "right.json")
    assert python(kit, right)[0] == 0
    return found


@pytest.mark.parametrize("cases", ["mistaken", "mistaken_in_colour"])
def test_each_mistake_is_named_in_the_same_words(compare, cases, request):
    for name, (kit, file, said) in request.getfixturevalue(cases).items():
        done = compare(kit, file)
        assert done.stderr.endswith(f"those of {SAYS[name]}\n"), (name, done.stderr)
        assert (done.returncode, done.stderr.rstrip("\n")) == said


def test_right_answers_pass_with_the_same_figures(compare, tiny_kit, tmp_path):
    for keys in (("label",), ("probabilities",), ("label", "probabilities", "logits")):
        answers = answers_to(inputs(tiny_kit))
        told = {vector: [{key: row[key] for key in keys} for row in rows] for vector, rows in answers.items()}
        file = written(told, tmp_path / "answers.json")
        done = compare(tiny_kit, file)
        assert done.returncode == 0, done.stderr
        assert (0, done.stdout.rstrip("\n")) == python(tiny_kit, file)


TWO = (
    ("exif-ignored", "alpha-on-black", "those of two mistakes"),
    ("swapped-red-blue", "nearest-upper-left", "nearest to those of two mistakes"),
    ("margin-1.5", "no-antialias", "nearest to those of two mistakes"),
    ("alpha-dropped", "swapped-red-blue", "nearest to those of two mistakes"),
)


def test_two_mistakes_at_once_are_told_as_two(compare, tiny_kit, tmp_path):
    for first, second, words in TWO:
        if second in FILE_MISTAKES:
            answers = answers_with(first, tiny_kit)
            answers |= {"png-transparent": answers_with(second, tiny_kit)["png-transparent"]}
        else:
            answers = two_at_once(first, second, tiny_kit)
        file = written(answers, tmp_path / "answers.json")
        done = compare(tiny_kit, file)
        assert f"; your answers are {words}: " in done.stderr, (first, second, done.stderr)
        assert SAYS[first] in done.stderr
        assert SAYS[second] in done.stderr
        assert (done.returncode, done.stderr.rstrip("\n")) == python(tiny_kit, file)


def test_what_is_no_mistake_or_more_is_told(compare, tiny_kit, tmp_path):
    noise = np.random.default_rng(3)
    none = answers_to(inputs(tiny_kit))
    for rows in none.values():
        for row in rows:
            row["logits"] = (row["logits"] + noise.normal(0, 0.3, 7)).tolist()
    three = answers_with("alpha-on-black", tiny_kit)
    three["jpeg-turned"] = answers_with("exif-ignored", tiny_kit)["jpeg-turned"]
    three["face-in-photo"] = answers_with("margin-1.5", tiny_kit)["face-in-photo"]
    names = answers_to(inputs(tiny_kit))
    for rows in names.values():
        for row in rows:
            row["label"] = {"sad": "happy", "happy": "sad"}.get(row["label"], row["label"])
    labels = {vector: [{"label": row["label"]} for row in rows] for vector, rows in names.items()}
    for answers, words in (
        (none, "; your answers are those of none of the 21 mistakes that the kit knows"),
        (three, "Something else differs too, first vector jpeg-turned, image 0"),
        (
            names,
            "; the numbers are right, the labels are not: each number has the name at its place in the kit's labels",
        ),
        (labels, "; labels alone do not tell the mistake: write probabilities or logits, too"),
    ):
        file = written(answers, tmp_path / "answers.json")
        done = compare(tiny_kit, file)
        assert done.stderr.endswith(f"{words}\n"), done.stderr
        assert (done.returncode, done.stderr.rstrip("\n")) == python(tiny_kit, file)


def test_what_is_no_answer_is_the_same_line(compare, tiny_kit, tmp_path):
    right = {
        vector["name"]: [{"logits": row} for row in vector["logits"]] for vector in manifest_of(tiny_kit)["vectors"]
    }
    one = {"jpeg-rgb": {"label": "sad"}}
    wrong: list[Any] = [
        [1],
        {"mine": [], **right},
        {"\u00e9" * 70 + "\n": []},
        {**right, "a\tb": []},
        {"grey-faces": right["grey-faces"]},
        {**right, "rgb-faces": right["rgb-faces"][:1]},
        *(
            {**right, "jpeg-rgb": content}
            for content in (
                None,
                3,
                [[]],
                {},
                {"label": "joy"},
                {"label": ["sad"]},
                {"label": None},
                {"label": True},
                {"logits": [1.0] * 6},
                {"logits": ["1"] * 7},
                {"logits": [1e300] * 7},
                {"logits": 5},
                {"probabilities": {"joy": 1}},
                {"probabilities": {"sad": 1}},
            )
        ),
        json.dumps({**right, **one}).replace('"sad"', '"\\ud83d\\ude00 \\u0041"'),
    ]
    for content in wrong:
        file = written(content, tmp_path / "answers.json")
        done = compare(tiny_kit, file)
        assert (done.returncode, done.stderr.rstrip("\n")) == python(tiny_kit, file), content
        assert done.returncode == 1
    for text in ("", "no JSON", "[" * 100_000, "{} x", json.dumps(right)[:-30], '{"a": NaN}', '{"a": 01}'):
        done = compare(tiny_kit, written(text, tmp_path / "answers.json"))
        assert done.returncode == 1
        expected = f"FAILED: {tmp_path / 'answers.json'}: expected JSON, found something else: "
        assert done.stderr.startswith(expected), text
        assert len(done.stderr.splitlines()) == 1
    done = compare(tiny_kit, tmp_path / "none.json")
    assert done.stderr == f"FAILED: {tmp_path / 'none.json'}: cannot be read\n"


def test_a_file_of_another_app_may_begin_with_a_byte_order_mark(compare, tiny_kit, tmp_path):
    text = json.dumps(answers_to(inputs(tiny_kit)))
    assert compare(tiny_kit, written("\ufeff" + text, tmp_path / "answers.json")).returncode == 0


def test_the_compiled_checkers_take_the_option(tiny_kit, cpp_build, csharp_build, tmp_path):
    file = written(answers_with("swapped-red-blue", tiny_kit), tmp_path / "answers.json")
    for command in ([cpp_build / "check"], ["mono", csharp_build, "check"]):
        done = run(*command, tiny_kit, "--answers", file, folder=tmp_path)
        assert (done.returncode, done.stderr.rstrip("\n")) == python(tiny_kit, file)
        done = run(*command, tiny_kit, "--answer", file, folder=tmp_path)
        assert done.returncode == 2
        assert "check KIT --answers FILE" in done.stderr
