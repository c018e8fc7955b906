"""What models and checkpoints are worth on corrupted faces (fer_edge.evaluation.corruptions), side by side.

    python benchmarks/corruptions.py --data fer2013-original exported/fer-resnet18.pt old-fer-resnet18-int8.onnx
    python benchmarks/corruptions.py --compare fer-resnet18 old-fer-resnet18-int8 fer-tiny old-fer-tiny-int8

The first writes results/corruptions-NAME.json and .md for each file NAME.*; the second results/corruptions.md from
those, every second one being what the one before it is compared with.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from fer_edge import __version__
from fer_edge.evaluation.robustness import mean_corruption_error

RESULTS = Path(__file__).parent / "results"


def measure(path: Path, data: str) -> None:
    if path.suffix == ".pt":
        from fer_edge.training.evaluate import evaluate_checkpoint

        done = evaluate_checkpoint(path, source=data, device="cpu", corruptions=True)
    else:
        from fer_edge.backends.evaluation import evaluate_model

        done = evaluate_model(path, source=data, corruptions=True)
    found = done.to_dict()
    kept = {
        done.subject.kind: path.name,
        "description": done.subject.description,
        "fer_edge": __version__,
        "labels": found["labels"],
        "data": Path(done.data_source).name,
        **{name: found[name] for name in ("split", "data_fingerprint", "machine", "accuracy", "corruptions")},
    }
    (RESULTS / f"corruptions-{path.stem}.json").write_text(json.dumps(kept, indent=2) + "\n")
    (RESULTS / f"corruptions-{path.stem}.md").write_text(done.corruptions_in_markdown())


def compare(names: list[str]) -> None:
    found = [json.loads((RESULTS / f"corruptions-{name}.json").read_text()) for name in names]
    tables = [each["corruptions"] for each in found]
    lines = ["# Corrupted faces", "", "Accuracy / same answer as to the original, on the same faces."]
    lines += [""]
    for name, each in zip(names, found, strict=True):
        lines.append(f"- {name}: {each['description']}, {each['data']} {each['split']}, {each['machine']}")
    lines += ["", "| faces | " + " | ".join(names) + " |", "|---|" + "--:|" * len(names)]
    rows = ["original", *tables[0]["corrupted"], "mean"]
    for row in rows:
        cells = [_cell(_scores(table, row)) for table in tables]
        lines.append(f"| {'mean over the kinds' if row == 'mean' else row} | " + " | ".join(cells) + " |")
    lines.append("")
    for at in range(0, len(names) - 1, 2):
        ours, reference = tables[at], tables[at + 1]
        worse = [row for row in rows if _scores(ours, row)["accuracy"] < _scores(reference, row)["accuracy"]]
        lines.append(
            f"{names[at]}: mean corruption error (ImageNet-C) {mean_corruption_error(ours, reference):.3f} of "
            f"{names[at + 1]}'s; less accurate than it in {', '.join(worse) or 'no row'}."
        )
    (RESULTS / "corruptions.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _scores(table: dict[str, Any], row: str) -> dict[str, float]:
    return table["corrupted"].get(row) or table[row]


def _cell(scores: dict[str, float]) -> str:
    return f"{scores['accuracy']:.1%} / {scores['agreement']:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--compare", nargs="*", default=[])
    options = parser.parse_args()
    for path in options.files:
        measure(path, options.data)
    if options.compare:
        compare(options.compare)


if __name__ == "__main__":
    main()
