"""How well the checkers of golden vectors tell the usual mistakes apart, for the shipped models.

    python benchmarks/golden_mistakes.py
    python benchmarks/golden_mistakes.py --table

The first writes results/golden_mistakes.json: of each model's kit and each mistake, how far its answers are from the
right ones and from those of the nearest other mistake, and what the checker says to an app that makes it (the apps of
tests/golden/apps.py: OpenCV, Pillow, numpy); to apps with two mistakes; and to answers of none. The second writes
results/golden_mistakes.md from it.
"""

import argparse
import json
import sys
import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.backends.registry import open_model
from fer_edge.errors import CheckFailed
from fer_edge.golden.answers import check_answers
from fer_edge.golden.kit import write_kit
from fer_edge.golden.mistakes import MISTAKES, labels_mistake, wrong_order
from fer_edge.runtime.machine import describe_machine
from fer_edge.runtime.shipped import model_path

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results"
MODELS = ("fer-tiny", "fer-resnet18", "ferplus-resnet18")
PIXELS_AT_ONCE = (
    *("swapped-red-blue", "no-antialias", "align-corners", "nearest", "nearest-upper-left", "luma-mean"),
    *("transposed", "divided-before", "float-bytes"),
)
NOISES, SEEDS = (0.3, 1.0, 3.0), 30
"""Standard deviations of what is added to each logit, and how often."""


def said(kit: Path, answers: dict[str, Any], place: Path) -> str:
    """What follows the first difference in the checker's line; 'passes' where there is none."""
    place.write_text(json.dumps(answers))
    try:
        check_answers(kit, place)
    except CheckFailed as error:
        return str(error).partition("; your answers are ")[2]
    return "passes"


def outcome(line: str, sentences: list[str]) -> str:
    """``line`` in a word, given what it should name."""
    if line == "passes":
        return "passes"
    named = [sentence for sentence in sentences if sentence in line]
    if "none of the" in line:
        return "none"
    if len(named) < len(sentences):
        return "another" if not named else "one and another" if "two mistakes" in line else "one of them"
    if len(sentences) == 1 and "two mistakes" in line:
        return "and another"
    return "nearest to" if line.startswith("nearest") else "those of"


def distances(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each mistake that the kit knows: how far it is from the right answers, and from the nearest other."""
    limit = manifest["tolerance"]["max_logit_difference"]
    right = np.concatenate([np.array(vector["logits"]) for vector in manifest["vectors"]])
    wrong = {}
    for mistake in manifest["mistakes"]:
        rows = [np.array(mistake["logits"].get(one["name"], one["logits"])) for one in manifest["vectors"]]
        wrong[mistake["name"]] = np.concatenate(rows)
    found = []
    for name, logits in wrong.items():
        moved = np.abs(logits - right).max(axis=1)
        shows = moved > limit
        whole = ((logits - right)[shows] ** 2).sum()
        shares = {
            other: float(np.sqrt(((logits - theirs)[shows] ** 2).sum() / whole))
            for other, theirs in wrong.items()
            if other != name
        }
        nearest = min(shares, key=shares.__getitem__)
        found.append(
            {
                "mistake": name,
                "images": int(shows.sum()),
                "tolerances": float(moved.max() / limit),
                "nearest": nearest,
                "share": shares[nearest],
            }
        )
    return found


def measure(name: str, folder: Path) -> dict[str, Any]:
    sys.path.insert(0, str(REPOSITORY / "tests" / "golden"))
    import apps

    model, place = model_path(name), folder / "answers.json"
    written = write_kit(model, folder / name)
    kit, manifest = written.folder, written.manifest
    labels = tuple(manifest["model"]["labels"])
    order = wrong_order(labels)
    assert order is not None
    says = {mistake.name: mistake.says for mistake in MISTAKES} | {"label-order": labels_mistake(order).says}
    rows = distances(manifest)
    for row in rows:
        mistake = row["mistake"]
        if mistake == "label-order":
            answers = apps.answers_to(apps.inputs(kit), model, order)
            for one in (one for images in answers.values() for one in images):
                one["probabilities"] = dict(zip(order, one["probabilities"], strict=True))
                del one["logits"]
        else:
            answers = apps.answers_with(mistake, kit, model)
        row["app"] = outcome(said(kit, answers, place), [says[mistake]])
    two = {}
    for first, second in [
        *((one, other) for one in apps.FILE_MISTAKES for other in PIXELS_AT_ONCE),
        *combinations(PIXELS_AT_ONCE, 2),
    ]:
        line = said(kit, apps.two_at_once(first, second, kit, model), place)
        sentences = [says[first], says[second]]
        if {first, second} == {"swapped-red-blue", "no-antialias"} and says["opencv"] in line:
            sentences = [says["opencv"]]
        two[f"{first} + {second}"] = outcome(line, sentences)
    none = {}
    right = apps.answers_to(apps.inputs(kit), model, labels)
    for scale in NOISES:
        noise = np.random.default_rng(0)
        none[f"noise of {scale:g}"] = [
            said(kit, {v: [{"logits": noisy(one, noise, scale)} for one in rows] for v, rows in right.items()}, place)
            for _ in range(SEEDS)
        ]
    for other in MODELS:
        if other != name and open_model(model_path(other)).metadata.labels == labels:
            theirs = apps.answers_to(apps.inputs(kit), model_path(other), labels)
            none[f"answers of {other}"] = [said(kit, theirs, place)]
    return {
        "model": model.name,
        "kit_bytes": written.size_bytes,
        "mistakes_bytes": len(json.dumps(manifest["mistakes"])),
        "mistakes": rows,
        "two": two,
        "none": {
            key: {"tried": len(lines), "named": sum("none of the" not in one for one in lines)}
            for key, lines in none.items()
        },
    }


def noisy(one: dict[str, Any], noise: np.random.Generator, scale: float) -> list[float]:
    return [float(value) for value in np.array(one["logits"]) + noise.normal(0, scale, len(one["logits"]))]


def table(found: dict[str, Any]) -> str:
    lines = [
        "# The mistakes that the checkers name, for the shipped models",
        "",
        f"{found['machine']}. Source: `benchmarks/golden_mistakes.py`.",
        "",
        "*From right*: the largest difference of a logit in tolerances, and the images that show it. *Nearest other*:",
        "the mistake whose answers are nearest, and its distance over that from the right answers (root mean square",
        "over those images). *An app*: what the checker says to one written with OpenCV, Pillow or numpy.",
    ]
    for model in found["models"]:
        size, part = model["kit_bytes"] / 1e3, model["mistakes_bytes"] / 1e3
        lines += ["", f"## {model['model']}", ""]
        lines += [f"The kit has {size:.0f} kB, {part:.0f} kB of it mistakes in each manifest.", ""]
        lines += ["| mistake | from right | images | nearest other | distance | an app |"]
        lines += ["| --- | ---: | ---: | --- | ---: | --- |"]
        for row in model["mistakes"]:
            figures = f"{row['tolerances']:.1f} | {row['images']} | {row['nearest']} | {row['share']:.2f}"
            lines.append(f"| {row['mistake']} | {figures} | {row['app']} |")
        lines += ["", f"Of {len(model['two'])} apps with two mistakes:", ""]
        for word, words in WORDS.items():
            pairs = [pair for pair, told in model["two"].items() if told == word]
            more = f" ({', '.join(pairs)})" if pairs and "another" in word else ""
            lines.append(f"* {words}: {len(pairs)}{more}")
        told = ", ".join(f"{key}: {one['named']} of {one['tried']}" for key, one in model["none"].items())
        lines += ["", f"Answers of no mistake that were given a name: {told}."]
    return "\n".join(lines) + "\n"


WORDS = {
    "those of": "both named, all answers within the tolerance",
    "nearest to": "both named, as nearest",
    "one of them": "one named, the stronger",
    "one and another": "one named, and another that was not made",
    "another": "none of the two named, but another",
    "none": "told that they are those of none",
    "passes": "within the tolerance of the right answers",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true")
    target = RESULTS / "golden_mistakes.json"
    if not parser.parse_args().table:
        found: dict[str, Any] = {"machine": describe_machine(), "models": []}
        for name in MODELS:
            print(name, file=sys.stderr)
            with tempfile.TemporaryDirectory() as folder:
                found["models"].append(measure(name, Path(folder)))
        target.write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "golden_mistakes.md").write_text(table(json.loads(target.read_text())))


if __name__ == "__main__":
    main()
