"""recipes/README.md: how good the shipped models are, from what recipes/ship.sh kept of their runs.

python recipes/table.py
"""

import csv
import json
from pathlib import Path
from typing import Any

from history import markdown_table  # the script beside this one

RECIPES = Path(__file__).parent
VIEWS = {"none": "as it is", "flip": "face and mirror image", "ten-crop": "ten crops"}

HEAD = """\
# How the shipped models were made

Written by `python recipes/table.py` from the files in the folders beside it, which `recipes/ship.sh` collects.

Two generations are here.

* **The runs of the INT8 files** that the tables below measure: `fer-resnet18` became the model of that name,
  `fer-tiny-fourth` the model `fer-tiny`, on two CPU cores. Both start from earlier runs: [history.md](history.md) lists
  all of them, and `recipes/train_all.sh` repeats them in order (about 10 hours on one CPU core).
* **The presets of `train`** (`fer_edge/training/recipes/*.json`): trained on one H200 by `recipes/gpu.sh`, from
  FER-2013's own pixels with labels and FER+ votes. [gpu/validation.json](gpu/validation.json) has their accuracy in
  fp32, the folders in `gpu/` their settings, history and logs.

All accuracies are on PublicTest (3,589 faces), on which recipe, epochs and settings were chosen; one standard error is
{error:.2f} points. *Without duplicates* leaves out the 280 PublicTest faces that are byte-identical to a training face.
PrivateTest was never looked at. *As it is*: one forward pass a face; the other rows average over several views.
"""

ACCURACIES = ("run", "file", "views", "PublicTest", "without duplicates", "macro-F1", "calibration error")
EXPRESSIONS = ("run", "expression", "precision", "recall", "F1", "faces")


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def accuracies(folder: Path) -> list[tuple[str, ...]]:
    """A row for each evaluation of the run: INT8 in three views, and fp32."""
    evaluations = [(f"int8-{views}", "INT8", label) for views, label in VIEWS.items()] + [("fp32", "fp32", "as it is")]
    lines = []
    for name, precision, views in evaluations:
        found = read(folder / f"evaluation-{name}.json")
        lines.append(
            (
                *(folder.name, precision, views, f"{100 * found['accuracy']:.2f}%"),
                f"{100 * found['leaks']['accuracy_without']:.2f}%",
                *(f"{found['macro_f1']:.3f}", f"{found['calibration_error']:.3f}"),
            )
        )
    return lines


def by_expression(folder: Path) -> list[tuple[str, ...]]:
    """Precision, recall and F1 of each class, INT8, one view."""
    return [
        (folder.name, name, *(f"{row[kind]:.3f}" for kind in ("precision", "recall", "f1")), str(row["support"]))
        for name, row in read(folder / "evaluation-int8-none.json")["expressions"].items()
    ]


def making(folder: Path) -> str:
    """The command, its machine and what the run took."""
    with (folder / "history.csv").open(encoding="utf-8") as stream:
        epochs = list(csv.DictReader(stream))
    config = read(folder / "config.json")["config"]
    hours = sum(float(row["seconds"]) for row in epochs) / 3600
    machine = read(folder / "evaluation-fp32.json")["machine"]
    name = folder.name
    return f"""\
## {name}

{len(epochs)} epochs with seed {config["seed"]} in {hours:.1f} hours on {config["threads"]} thread(s) of {machine}.
Files: [config.json]({name}/config.json), [history.csv]({name}/history.csv), [train.log]({name}/train.log).

![loss and accuracy by epoch]({name}/curves.png)
![confusion matrix]({name}/confusion-validation.png)
![reliability]({name}/reliability-validation.png)
"""


def main() -> None:
    kept = sorted(path.parent for path in RECIPES.glob("*/evaluation-int8-none.json"))
    error = read(kept[0] / "evaluation-fp32.json")["standard_error"]
    parts = [
        HEAD.format(error=100 * error),
        markdown_table(ACCURACIES, [row for folder in kept for row in accuracies(folder)], right=range(3, 7)),
        "\nBy expression, INT8, one view:\n",
        markdown_table(EXPRESSIONS, [row for folder in kept for row in by_expression(folder)], right=range(2, 6)),
        "",
        *(making(folder) for folder in kept),
    ]
    (RECIPES / "README.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
