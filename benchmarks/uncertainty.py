"""When the shipped models should be silent: risk over coverage and sizes of prediction sets, on validation faces that
had no part in the calibration and on faces that are covered, blurred, turned, small, or none.

    python benchmarks/uncertainty.py --data fer2013-original exported/fer-tiny-int8.onnx exported/fer-resnet18-int8.onnx
    python benchmarks/uncertainty.py --table

The first writes results/uncertainty-NAME.json for each model; the second results/uncertainty.md and uncertainty.png
from all of them. The thresholds are fitted anew (calibrate's seed 0, on one half of validation) where the model's
metadata have none; the test split is not read.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge import __version__
from fer_edge.backends.registry import open_model
from fer_edge.data.faces import FaceSet
from fer_edge.data.load import load_faces_for
from fer_edge.data.relabel import relabelled
from fer_edge.data.votes import majority
from fer_edge.evaluation.conformal import evaluate_sets
from fer_edge.evaluation.doubtful_faces import DOUBTFUL, NOT_A_FACE
from fer_edge.evaluation.selective import risk_coverage
from fer_edge.evaluation.uncertainty import parts_of
from fer_edge.evaluation.votes import emotions_of
from fer_edge.export.uncertainty import calibrate_model, new_faces
from fer_edge.labels import LabelSet
from fer_edge.runtime.certainty import Certainty, prediction_sets, with_temperature
from fer_edge.runtime.machine import describe_machine
from fer_edge.uncertainty import Uncertainty

RESULTS = Path(__file__).parent / "results"
ORIGINAL = "as they are"
COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
BATCH = 64
NUM_POINTS = 200
"""Of a curve, in the JSON."""


def measure(path: Path, source: str, limit: int | None) -> None:
    backend = open_model(path, threads=0, provider="cpu")
    metadata = backend.metadata
    fitted, left_out = calibrate_model(path, source=source)
    if metadata.uncertainty is not None:
        same = (metadata.uncertainty.data_fingerprint, metadata.uncertainty.seed)
        assert same == (fitted.data_fingerprint, fitted.seed), "calibrated on other faces: the check half is unknown"
        fitted = metadata.uncertainty
    data = load_faces_for(metadata.label_set, source, size=metadata.image_size, seed=metadata.training_data.seed)
    faces, _ = new_faces(relabelled(data, metadata.label_set), data, "validation", metadata)
    kept = faces.take(parts_of(len(faces), fitted.seed).check)

    def answers(pixels: np.ndarray) -> np.ndarray:
        starts = range(0, len(pixels), BATCH)
        batches = (np.ascontiguousarray(pixels[at : at + BATCH, :, :, np.newaxis]) for at in starts)
        return np.concatenate([backend.run(batch).probabilities for batch in batches])

    raw = answers(kept.faces)
    rows = [row_of(ORIGINAL, "", raw, kept.labels, fitted)]
    some = kept.take(np.arange(len(kept))[:limit])  # in the order that the seed drew
    rows += [row_of(one.name, one.kind, answers(one.apply(some.faces)), some.labels, fitted) for one in DOUBTFUL]
    calibrated = with_temperature(raw, fitted.temperature)
    curve = risk_coverage(calibrated.max(axis=1), calibrated.argmax(axis=1) == kept.labels)
    points = np.unique(np.linspace(0, len(curve.coverage) - 1, NUM_POINTS).astype(int))
    found = {
        "model": path.name,
        "fer_edge": __version__,
        "labels": list(metadata.labels),
        "data": Path(source).name,
        "split": "validation",
        "left_out": asdict(left_out),
        "machine": describe_machine(),
        "uncertainty": asdict(fitted),
        "rows": rows,
        "disputed": disputed(kept, calibrated, fitted, metadata.label_set),
        "curve": {
            "coverage": curve.coverage[points].round(5).tolist(),
            "risk": curve.risk[points].round(5).tolist(),
            "area": curve.area,
            "risk_at": {f"{share:g}": curve.risk_at(share) for share in COVERAGES},
        },
    }
    (RESULTS / f"uncertainty-{path.stem}.json").write_text(json.dumps(found, indent=2) + "\n")


def disputed(faces: FaceSet, rows: np.ndarray, fitted: Uncertainty, labels: LabelSet) -> dict[str, list[int]]:
    """By risk: the certain answers that differ from the label, and on how many of those more than half of FER+'s
    annotators chose the answer."""
    assert faces.votes is not None
    answers, wrong_by = rows.argmax(axis=1), {}
    agrees = emotions_of(labels)[answers] == majority(faces.votes)
    for one in fitted.risks:
        if one.threshold is not None:
            wrong = (rows.max(axis=1) > one.threshold) & (answers != faces.labels)
            wrong_by[f"{one.max_risk:g}"] = [int(wrong.sum()), int((wrong & agrees).sum())]
    return wrong_by


def row_of(name: str, kind: str, raw: np.ndarray, labels: np.ndarray, fitted: Uncertainty) -> dict[str, Any]:
    """What becomes of one kind of faces, by the thresholds of the untouched ones."""
    rows = with_temperature(raw, fitted.temperature)
    confidence, correct = rows.max(axis=1), rows.argmax(axis=1) == labels
    has_answer = kind != NOT_A_FACE
    certain = {}
    for one in fitted.risks:
        threshold = Certainty.of(fitted, one.max_risk).threshold
        answers = confidence > threshold if threshold is not None else np.zeros(len(labels), bool)
        wrong = int((answers & ~correct).sum()) if has_answer else int(answers.sum())
        certain[f"{one.max_risk:g}"] = {"answers": int(answers.sum()), "wrong": wrong}
    sets = {}
    for each in fitted.sets:
        sizes = prediction_sets(rows, each.method, each.threshold).sum(axis=1)
        found = evaluate_sets(rows, labels, each.method, each.threshold)
        sets[each.method] = {
            "mean_size": float(sizes.mean()),
            "sizes": list(found.sizes),
            "covered": found.covered if has_answer else None,
        }
    return {
        "faces": name,
        "count": len(labels),
        "correct": int(correct.sum()) if has_answer else 0,
        "certain": certain,
        "sets": sets,
    }


def table(found: list[dict[str, Any]]) -> str:
    lines = ["# When the shipped models are silent", ""]
    for each in found:
        fitted = each["uncertainty"]
        out = each["left_out"]
        lines += [
            f"## {each['model']}",
            "",
            f"{each['data']} {each['split']}: temperature from {fitted['temperature_faces']:,} faces, thresholds from "
            f"{fitted['threshold_faces']:,}, everything below measured on {fitted['checked_faces']:,} others (seed "
            f"{fitted['seed']}); {out['leaked']} faces that are training faces too and {out['repeated']} that are "
            f"there twice were left out. {each['machine']}; fer_edge {each['fer_edge']}.",
            "",
            f"Temperature {fitted['temperature']:.3f}; calibration error {fitted['calibration_error']:.4f} before it, "
            f"{fitted['calibration_error_at_temperature']:.4f} after. Area under the risk-coverage curve "
            f"{each['curve']['area']:.4f}.",
            "",
            "| the surest share of the faces | " + " | ".join(f"{share:.0%}" for share in COVERAGES) + " |",
            "|---|" + "--:|" * len(COVERAGES),
            "| wrong | " + " | ".join(f"{value:.1%}" for value in each["curve"]["risk_at"].values()) + " |",
            "",
            "| at most wrong | confidence above | faces answered | of these wrong |",
            "|--:|--:|--:|--:|",
        ]
        for one in fitted["risks"]:
            if one["threshold"] is None:
                lines.append(f"| {one['max_risk']:.0%} | none found | 0.0% | |")
                continue
            answers, wrong = one["checked_answers"], one["checked_mistakes"]
            share = f"{wrong / answers:.1%}" if answers else ""
            answered = f"{answers / fitted['checked_faces']:.1%}"
            lines.append(f"| {one['max_risk']:.0%} | {one['threshold']:.4f} | {answered} | {share} |")
        names = [one["method"] for one in fitted["sets"]]
        lines += ["", f"| the right class among the candidates | {' | '.join(map(str.upper, names))} | faces |"]
        lines.append("|---|" + "--:|" * (len(names) + 1))
        for name in each["labels"]:
            pairs = [one["classes"][name] for one in fitted["sets"]]
            if pairs[0][0]:
                cells = " | ".join(f"{covered / number:.1%}" for number, covered in pairs)
                lines.append(f"| {name} | {cells} | {pairs[0][0]} |")
        all_covered = " | ".join(f"{one['checked_covered'] / fitted['checked_faces']:.1%}" for one in fitted["sets"])
        lines.append(f"| all | {all_covered} | {fitted['checked_faces']} |")
        sizes = " | ".join(f"{one['mean_size']:.2f}" for one in fitted["sets"])
        lines.append(f"| mean number of candidates | {sizes} | |")
        # The strictest risk that the model keeps, beside the default or the next useful one.
        strict = next(f"{one['max_risk']:g}" for one in fitted["risks"] if one["threshold"] is not None)
        loose = "0.1" if strict != "0.1" else "0.2"
        lines += [
            "",
            f"| faces | number | right | certain at {float(strict):.0%} | of these wrong | "
            f"certain at {float(loose):.0%} | of these wrong | "
            "LAC candidates | right class among them | APS candidates | right class among them |",
            "|---|" + "--:|" * 10,
        ]
        for row in each["rows"]:
            lines.append(f"| {row['faces']} | {' | '.join(cells_of(row, (strict, loose)))} |")
        lines.append("")
        told = ", ".join(
            f"{agreed} of {wrong} at {float(risk):.0%}" for risk, (wrong, agreed) in each["disputed"].items()
        )
        lines += [
            "Of the certain answers that differ from the label, those that more than half of FER+'s ten annotators "
            f"gave, too: {told}.",
            "",
        ]
    lines.append(
        "The promises are made for faces like those that calibrated the model: the other rows show how far they hold "
        "for faces that are not. Of pictures of no face every certain answer is wrong."
    )
    return "\n".join(lines) + "\n"


def cells_of(row: dict[str, Any], risks: tuple[str, str]) -> list[str]:
    count = row["count"]
    cells = [f"{count:,}", f"{row['correct'] / count:.1%}"]
    for risk in risks:
        one = row["certain"][risk]
        share = one["wrong"] / one["answers"] if one["answers"] else None
        cells += [f"{one['answers'] / count:.1%}", "" if share is None else f"{share:.1%}"]
    for method in ("lac", "aps"):
        one = row["sets"][method]
        cells += [f"{one['mean_size']:.2f}", "" if one["covered"] is None else f"{one['covered'] / count:.1%}"]
    return cells


def plot(found: list[dict[str, Any]], path: Path) -> None:
    from fer_edge.evaluation.plot_style import new_figure, style_plot

    colours = ("#3b6ea8", "#d1701f", "#2e7d4f", "#b3372f")
    figure = new_figure(
        12.0, 5.6, "Answers only where the model is sure: how often they are wrong, and what it is silent on"
    )
    curves, bars = figure.subplots(1, 2, width_ratios=(1, 1.15))
    style_plot(curves, "share of validation faces that get an answer", "share of these answers that is wrong")
    for each, colour in zip(found, colours, strict=False):
        name = each["model"].removesuffix(".onnx")
        start = next(at for at, share in enumerate(each["curve"]["coverage"]) if share >= 0.05)
        curves.plot(each["curve"]["coverage"][start:], each["curve"]["risk"][start:], color=colour, lw=1.8, label=name)
        faces = each["uncertainty"]["checked_faces"]
        chosen = [one for one in each["uncertainty"]["risks"] if one["checked_answers"]]
        at = [one["checked_answers"] / faces for one in chosen]
        risks = [one["checked_mistakes"] / one["checked_answers"] for one in chosen]
        curves.plot(at, risks, "o", color=colour, ms=5)
        if each is found[0]:
            for x, y, one in zip(at, risks, chosen, strict=True):
                text = f"max-risk {one['max_risk']:.0%}"
                curves.annotate(text, (x, y), (6, -10), textcoords="offset points", fontsize=7.5, color=colour)
    for risk in (0.1, 0.2):
        curves.axhline(risk, color="#8a8a8a", lw=0.8, ls=":")
    curves.set_xlim(0, 1.12)
    curves.set_xticks(np.arange(0, 1.01, 0.2))
    curves.set_ylim(0, None)
    curves.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    curves.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    curves.legend(frameon=False, fontsize=8.5, loc="upper left")

    each = found[0]
    rows = each["rows"][::-1]
    heights, left, certain_ends = np.arange(len(rows)), [0.0] * len(rows), [0.0] * len(rows)
    for name, colour, values in (
        (
            "certain and right",
            "#2e7d4f",
            [row["certain"]["0.1"]["answers"] - row["certain"]["0.1"]["wrong"] for row in rows],
        ),
        ("certain and wrong", "#b3372f", [row["certain"]["0.1"]["wrong"] for row in rows]),
        ("silent", "#dcdcdc", [row["count"] - row["certain"]["0.1"]["answers"] for row in rows]),
    ):
        shares = [value / row["count"] for value, row in zip(values, rows, strict=True)]
        bars.barh(heights, shares, left=left, color=colour, height=0.72, label=name)
        left = [start + share for start, share in zip(left, shares, strict=True)]
        certain_ends = left if name == "certain and wrong" else certain_ends
    for height, end, row in zip(heights, certain_ends, rows, strict=True):
        one = row["certain"]["0.1"]
        share = one["wrong"] / one["answers"] if one["answers"] else None
        text = "no certain answer" if share is None else f"{share:.0%} of the certain answers wrong"
        colour = "#8a8a8a" if share is None or share <= 0.1 else "#b3372f"
        bars.annotate(text, (end, height), (4, 0), textcoords="offset points", va="center", fontsize=7, color=colour)
    bars.set_yticks(heights, [row["faces"] for row in rows])
    style_plot(bars, f"share of the faces ({each['model'].removesuffix('.onnx')}, max-risk 10%)", "")
    bars.set_title("the same threshold on faces it was not chosen for", fontsize=9, color="#2b2b2b")
    bars.grid(axis="y", visible=False)
    bars.set_xlim(0, 1)
    bars.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    bars.legend(frameon=False, fontsize=8.5, loc="upper center", bbox_to_anchor=(0.45, -0.1), ncols=3)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--data", default="fer2013-original")
    parser.add_argument("--limit", type=int, help="this many of the faces in each other row; default: all")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    for path in options.models:
        measure(path, options.data, options.limit)
    if options.table:
        paths = sorted(RESULTS.glob("uncertainty-*.json"))
        found = [json.loads(path.read_text()) for path in paths]
        (RESULTS / "uncertainty.md").write_text(table(found))
        plot(found, RESULTS / "uncertainty.png")


if __name__ == "__main__":
    main()
