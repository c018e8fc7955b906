"""recipes/README.md: how each shipped model was made and how good it is, from what recipes/ship.sh kept of its run.

python recipes/table.py
"""

import csv
import json
from pathlib import Path
from typing import Any

from fer_edge.export.tables import markdown_table
from fer_edge.labels import EXPRESSIONS
from fer_edge.training.config import TrainConfig
from fer_edge.training.presets import PRESETS

RECIPES = Path(__file__).parent
VIEWS = {"none": "plain", "flip": "face and mirror image", "ten-crop": "ten crops"}

HEAD = """\
# How the shipped models were made, and how good they are

Written by `python recipes/table.py` from the files in the folders beside it, which `recipes/ship.sh` collects. All
accuracies are on PublicTest (3,589 faces), on which recipe, epochs and settings were chosen; one standard error is
{error:.2f} points. *Without leaks* leaves out the 280 PublicTest faces that are byte-identical to a training face.
A run that begins from another one, or is taught by it, takes the other's `best.pt`: the epoch that was best on
PublicTest, which is the last or within 0.12 points of it (`fer-tiny-first`, `fer-resnet18-sixth`).
PrivateTest was never looked at: its column is for whoever scores the files independently. Runs with INT8 rows became a
model: `fer-resnet18` the one of its name (`recipes/ship.sh runs/fer-resnet18`), `fer-tiny-fourth` the model `fer-tiny`
(`recipes/ship.sh runs/fer-tiny-fourth fer-tiny`). While they were the last of their kind, `fer-resnet18-third` and
`fer-resnet18-sixth` were called `fer-resnet18`, and `fer-tiny-second` `tiny-second-cycle`: logs name them so, the
settings as they are called now. `recipes/train_all.sh` makes them all, in order.
"""


def read(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text())


def evaluation(name: str, kind: str) -> Path:
    """Where the evaluation of a run is kept."""
    return RECIPES / name / f"evaluation-{kind}.json"


def accuracies(name: str) -> list[tuple[str, ...]]:
    """One row for each kind of evaluation of a run."""
    kinds = {f"INT8, {text}": f"int8-{views}" for views, text in VIEWS.items()} | {"fp32, plain": "fp32"}
    rows = []
    for text, kind in kinds.items():
        if not (file := evaluation(name, kind)).is_file():
            continue  # a run that is a step on the way has no INT8 model
        found = read(file)
        rows.append(
            (
                name,
                text,
                f"{found['accuracy']:.2%}",
                f"{found['leaks']['accuracy_without']:.2%}",
                f"{found['macro_f1']:.3f}",
                f"{found['calibration_error']:.3f}",
                "",
            )
        )
    return rows


def by_expression(name: str) -> list[tuple[str, ...]]:
    """Precision, recall and F1 of each expression, INT8, plain."""
    found = read(evaluation(name, "int8-none"))["expressions"]
    return [
        (
            name if expression == EXPRESSIONS[0] else "",
            expression,
            *(f"{found[expression][kind]:.3f}" for kind in ("precision", "recall", "f1")),
            str(found[expression]["support"]),
        )
        for expression in EXPRESSIONS
    ]


def listed(paths: str) -> str:
    """Paths with commas between them, as code."""
    return ", ".join(f"`{path}`" for path in paths.split(","))


def making(name: str) -> str:
    """The command, its machine and what the run took."""
    folder = RECIPES / name
    with (folder / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    config = TrainConfig.from_dict(read(folder / "config.json")["config"])
    hours = sum(float(row["seconds"]) for row in rows) / 3600
    machine = read(evaluation(name, "fp32"))["machine"]
    mean_of = "the mean of the weights of " if "," in config.weights else ""
    first = f" It begins from {mean_of}{listed(config.weights)}." if "/" in config.weights else ""
    taught = f" Taught by {listed(config.teacher)}." if config.teacher else ""
    return f"""\
## {name}

    python cli.py train --preset {name} --data fer2013 2> runs/{name}.log

{len(rows)} epochs with seed {config.seed} in {hours:.1f} hours on {config.threads} thread(s) of this machine:
{machine}.{first}{taught} The figures are those of the averaged weights after the last epoch. Settings, history, log:
[config.json]({name}/config.json), [history.csv]({name}/history.csv), [train.log]({name}/train.log).

![loss and accuracy by epoch]({name}/curves.png)
![confusion matrix]({name}/confusion-validation.png)
![reliability]({name}/reliability-validation.png)
"""


def main() -> None:
    kept = [name for name in PRESETS if evaluation(name, "fp32").is_file()]
    shipped = [name for name in kept if evaluation(name, "int8-none").is_file()]
    error = read(evaluation(kept[-1], "fp32"))["standard_error"]
    accuracy_header = (
        "model",
        "evaluated",
        "PublicTest",
        "without leaks",
        "macro-F1",
        "calibration error",
        "PrivateTest",
    )
    expression_header = ("model", "expression", "precision", "recall", "F1", "faces")
    parts = [
        HEAD.format(error=100 * error),
        markdown_table(accuracy_header, [row for name in kept for row in accuracies(name)], right=range(2, 7)),
        "\nBy expression, INT8, plain:\n",
        markdown_table(expression_header, [row for name in shipped for row in by_expression(name)], right=range(2, 6)),
        "",
        *(making(name) for name in kept),
    ]
    (RECIPES / "README.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
