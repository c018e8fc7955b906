"""The training runs behind version 0.1.0 and before, from recipes/history.csv: a table, or the commands to repeat them.

python recipes/history.py                # writes recipes/history.md
python recipes/history.py --names        # the runs, in an order in which they can be trained
python recipes/history.py --command RUN  # the command of one run
"""

import argparse
import csv
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

RECIPES = Path(__file__).parent
FIRST_SETTING = "teacher"
"""In history.csv, the columns before this one are results; from it on to the first INT8 column they are settings."""

HEAD = """\
# The runs behind the first models

The faces are those of the popular folder: equalised pixels, FER-2013's labels alone. The models that are shipped now
were trained otherwise ([README.md](README.md)).

Written by `python recipes/history.py` from [history.csv](history.csv), which has every setting and every figure in
full; [epochs.csv](epochs.csv) has loss, accuracy and learning rate of every epoch. Both were collected from the run
folders before the intermediate ones left the tree.

Accuracy is on PublicTest (3,589 faces; one standard error is 0.8 points), on which recipe, epochs and settings were
chosen. It is that of the averaged weights after the last epoch. PrivateTest was never looked at. *Without duplicates*
leaves out the 280 PublicTest faces that are byte-identical to a training face.

A run that starts from another run, or has it as a teacher, takes the other's `best.pt`: the epoch that was best on
PublicTest. That is the last epoch or within 0.12 points of it.
"""

AFTER_RESULTS = """
`fer-resnet18` was shipped as the model of that name, `fer-tiny-fourth` as `fer-tiny`. While they were the newest of
their kind, `fer-resnet18-third` and `fer-resnet18-sixth` were called `fer-resnet18`, and `fer-tiny-second` was called
`tiny-second-cycle`.

## Settings that differ
"""

AFTER_SETTINGS = """
Several runs in *starts from* mean: from the mean of their weights. *lr* is the peak of the one-cycle learning rate,
*rotation, scale* are the largest rotation (degrees) and relative change of size of the augmentation.

The same in all runs: {same}.

To repeat one: `python recipes/history.py --command RUN` prints its command; in this order they take about 10 hours on
one CPU core.
"""


def rows() -> list[dict[str, str]]:
    """One dictionary a run, in an order in which the runs can be trained."""
    with (RECIPES / "history.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def settings(row: dict[str, str]) -> dict[str, str]:
    """The run's training settings: option names without dashes to values."""
    names = list(row)
    return {name: row[name] for name in names[names.index(FIRST_SETTING) :] if not name.startswith("int8")}


def command(row: dict[str, str]) -> list[str]:
    """The command that repeats a run, with every setting in full."""
    words = ["cli.py", "train", "--data", "fer2013", "--name", row["run"]]
    for name, value in settings(row).items():
        option = name.replace("_", "-")
        if value in ("true", "false"):
            words.append(f"--{option}" if value == "true" else f"--no-{option}")
        elif value:
            words += [f"--{option}", value]
    return words


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """A Markdown table whose columns are aligned in the source too; ``right`` are the columns aligned to the right."""
    lines = [list(header), *(list(line) for line in lines)]
    numbers = set(right)
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(header))]

    def row(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (width - 1) + (":" if column in numbers else "-") for column, width in enumerate(widths)]
    return "\n".join([row(lines[0]), row(rule), *map(row, lines[1:])])


def percent(text: str) -> str:
    """A fraction as a percentage with two decimals; empty stays empty."""
    return f"{100 * float(text):.2f}%" if text else ""


def three(text: str) -> str:
    """A number with three decimals; empty stays empty."""
    return f"{float(text):.3f}" if text else ""


def short(paths: str) -> str:
    """Run names without their folder."""
    return ", ".join(path.removeprefix("runs/") for path in paths.split(",")) if paths != "none" else "random weights"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", action="store_true")
    parser.add_argument("--command", metavar="RUN")
    arguments = parser.parse_args()
    runs = rows()
    if arguments.names:
        print(*(row["run"] for row in runs), sep="\n")
    elif arguments.command:
        found = next((row for row in runs if row["run"] == arguments.command), None)
        if found is None:
            parser.error(f"--command: expected one of {', '.join(row['run'] for row in runs)}")
        print("python", shlex.join(command(found)))
    else:
        (RECIPES / "history.md").write_text(page(runs), encoding="utf-8")


def page(runs: list[dict[str, str]]) -> str:
    """The text of history.md."""
    results = markdown_table(
        (
            *("run", "epochs", "seed", "hours", "threads", "fp32", "without duplicates", "macro-F1"),
            *("calibration error", "validation loss", "INT8"),
        ),
        [
            (
                *(row["run"], row["epochs_run"], row["seed"], f"{float(row['seconds']) / 3600:.1f}", row["threads"]),
                *(percent(row["fp32_accuracy"]), percent(row["fp32_accuracy_without_leaks"])),
                *(three(row["fp32_macro_f1"]), three(row["fp32_calibration_error"])),
                *(three(row["last_validation_loss"]), percent(row["int8_accuracy"])),
            )
            for row in runs
        ],
        right=range(1, 11),
    )
    different = markdown_table(
        ("run", "network", "starts from", "teachers", "weight of teachers", "sizes", "lr", "warmup", "rotation, scale"),
        [
            (
                *(row["run"], row["architecture"], short(row["weights"]), short(row["teacher"]), row["distillation"]),
                *(row["progression"], row["max_lr"], row["warmup"]),
                f"{float(row['rotation']):g}, {float(row['scale']):g}",
            )
            for row in runs
        ],
        right=(4, 6, 7),
    )
    shown = {"architecture", "weights", "teacher", "distillation", "progression", "max_lr", "warmup", "rotation"}
    same = [
        f"{name} {next(iter(values))}"
        for name in settings(runs[0])
        if name not in shown | {"scale", "epochs", "seed", "threads", "temperature"}
        and len(values := {_plain(row[name]) for row in runs}) == 1
    ]
    same.append("temperature 2 (where there are teachers)")
    return "\n".join([HEAD, results, AFTER_RESULTS, different, AFTER_SETTINGS.format(same=", ".join(same))])


def _plain(text: str) -> str:
    """``300.0`` as ``300``, so that equal settings look alike."""
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


if __name__ == "__main__":
    main()
