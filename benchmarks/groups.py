"""Who the shipped models are right for, as far as FER-2013 can tell: by light, contrast and how far annotators agree.

    python benchmarks/groups.py --data fer2013-original [NAME ...]

FER-2013 says nothing of age, sex or origin, so no such group is here. For each NAME the table groups.csv is made from
the validation faces and their FER+ votes, and 'evaluate --groups' is run on it; its tables go to
benchmarks/results/groups/NAME/, and the comparison of the INT8 file with the fp32 one, which it is made from, too (no
picture of a face: those stay out of the repository).
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from fer_edge.data.load import load_faces

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "groups"
SPLIT = "validation"


def third(values: np.ndarray, names: tuple[str, str, str]) -> list[str]:
    """Which third of all faces each value is in."""
    edges = np.quantile(values, [1 / 3, 2 / 3])
    return [names[place] for place in np.searchsorted(edges, values)]


def agreement(votes: np.ndarray) -> list[str]:
    """How many of ten annotators chose what most did."""
    most = votes.max(axis=1) / np.maximum(votes.sum(axis=1), 1)
    return ["8 or more of 10" if one >= 0.75 else "5 to 7 of 10" if one >= 0.5 else "fewer than 5" for one in most]


def write_table(data: str, path: Path) -> None:
    """The table of groups of the validation faces at ``data``."""
    faces = load_faces(data).split(SPLIT)
    assert faces.votes is not None, "expected faces with FER+'s votes: take the original pixels"
    levels = faces.faces.reshape(len(faces), -1)
    light = third(levels.mean(axis=1), ("dark", "medium", "bright"))
    contrast = third(levels.std(axis=1), ("low", "medium", "high"))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "light", "contrast", "annotators who agree"])
        writer.writerows(zip(faces.sources, light, contrast, agreement(faces.votes), strict=True))


def main() -> None:
    """Make the tables and run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["fer-resnet18"])
    parser.add_argument("--data", required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "groups.csv"
        write_table(given.data, table)
        for name in given.names:
            for end in (".onnx", ".json"):  # beside the other, so that reports name both without a machine's folders
                shutil.copy(ROOT / "exported" / f"{name}-int8{end}", folder)
            checkpoint = ["--checkpoint", str(ROOT / "exported" / f"{name}.pt")]
            run("export", *checkpoint, "--folder", folder, folder=folder)
            faces = ["--data", str(Path(given.data).resolve()), "--split", SPLIT]
            compared = ["--groups", table.name, "--compare", f"{name}.onnx", "--out", "out"]
            run("evaluate", "--model", f"{name}-int8.onnx", *faces, *compared, folder=folder)
            (RESULTS / name).mkdir(parents=True, exist_ok=True)
            for pattern in ("groups-*", "changes-*"):
                for path in Path(folder, "out").glob(pattern):
                    data = path.read_bytes().replace(f"{Path(given.data).resolve()}/".encode(), b"")
                    (RESULTS / name / path.name).write_bytes(data)


def run(*words: str, folder: str) -> None:
    """The command line, in ``folder``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(ROOT / "cli.py"), *words], cwd=folder, env=environment, check=True)


if __name__ == "__main__":
    main()
