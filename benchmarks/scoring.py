"""Measures 'score': images a second, peak memory of driver and workers, over time and by number of files; and where
one process's time goes.

PYTHONPATH=. python benchmarks/scoring.py              # benchmarks/results/scoring.json and scoring.md; 12 minutes
PYTHONPATH=. python benchmarks/scoring.py --only ray   # the rows of one engine; the others and the profile stay
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TypeVar

from PIL import Image

from fer_edge.data.sample import synthetic_faces
from fer_edge.runtime.machine import describe_machine

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
NUM_DIFFERENT = 500
PER_FOLDER = 5000
SAMPLE_S = 0.25
PROFILED = 1024
"""Images of the profile."""
BATCHES = (1, 8, 32)


Found = TypeVar("Found")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--short", type=int, default=10_000, help="of the other rows")
    parser.add_argument("--only", choices=("local", "ray"))
    parser.add_argument("--note", default="", help="a sentence for the report: how the machine was kept quiet")
    options = parser.parse_args()
    kept = json.loads((RESULTS / "scoring.json").read_text()) if options.only else {"rows": [], "profiles": []}
    if options.only and kept["machine"] != describe_machine():
        parser.error(f"expected the machine of the other rows, {kept['machine']}; without --only all are measured")
    rows: list[dict[str, object]] = [row for row in kept["rows"] if row["engine"] != options.only]
    with tempfile.TemporaryDirectory() as place:
        faces, fewer = Path(place, "faces"), Path(place, "fewer")
        make_faces(faces, options.files)
        make_faces(fewer, options.short)
        profiles = kept["profiles"] or [profile(model, fewer) for model in ("fer-tiny", "fer-resnet18")]
        print(json.dumps(profiles), flush=True)
        plan = [
            ("fer-tiny", "local", fewer, options.short),
            ("fer-tiny", "local", faces, options.files),
            ("fer-resnet18", "local", fewer, options.short),
            ("fer-resnet18", "local", faces, options.files),
            ("fer-tiny", "ray", fewer, options.short),
            ("fer-tiny", "ray", faces, options.files),
        ]
        for model, engine, folder, count in plan:
            if options.only in (None, engine):
                rows.append(measured(model, engine, folder, count, Path(place, "out")))
                print(json.dumps({key: value for key, value in rows[-1].items() if key != "over_time"}), flush=True)
                found = {
                    "machine": describe_machine(),
                    "different_faces": NUM_DIFFERENT,
                    "note": options.note or kept.get("note", ""),
                    "rows": rows,
                    "profiles": profiles,
                }
                (RESULTS / "scoring.json").write_text(json.dumps(found) + "\n")
                (RESULTS / "scoring.md").write_text(page(found))


def make_faces(folder: Path, count: int) -> None:
    """Grey JPEGs of 48x48 as FER-2013's, NUM_DIFFERENT of them, under as many names as asked for."""
    data = []
    for face in synthetic_faces(range(NUM_DIFFERENT), seed=5).faces:
        Image.fromarray(face).save(folder.with_suffix(".jpg"), quality=90)
        data.append(folder.with_suffix(".jpg").read_bytes())
    for number in range(count):
        below = folder / f"{number // PER_FOLDER:04d}"
        if number % PER_FOLDER == 0:
            below.mkdir(parents=True)
        (below / f"{number:07d}.jpg").write_bytes(data[number % NUM_DIFFERENT])


def profile(model: str, folder: Path) -> dict[str, object]:
    """Processor time of one process in microseconds an image, step by step, and of the model by batch size."""
    import numpy as np

    from fer_edge.backends import open_model
    from fer_edge.runtime.folder import decode
    from fer_edge.scoring.columns import encoded, schema_of, table_of
    from fer_edge.scoring.local_images import PassedOver, local_images
    from fer_edge.scoring.request import ScoreRequest
    from fer_edge.scoring.run import _checked_model

    settings, labels, _ = _checked_model(ScoreRequest(source="", out="", model=model))
    backend = open_model(settings.path, threads=1)
    schema = schema_of(labels, {}, is_calibrated=settings.certainty is not None)
    us: dict[str, float] = {}
    items, us["list"] = timed(lambda: list(islice(local_images(str(folder), None, PassedOver()), PROFILED)))
    faces, us["open"] = timed(lambda: [decode(item.name, item.source).pixels for item in items])
    pixels = np.stack(faces)

    def answers(batch: int) -> "np.ndarray":
        parts = (pixels[at : at + batch] for at in range(0, len(pixels), batch))
        return np.concatenate([backend.run(part).probabilities for part in parts])

    by_batch = {batch: timed(lambda batch=batch: answers(batch))[1] for batch in BATCHES}
    rows, us["model"] = timed(lambda: answers(BATCHES[-1]))
    names = [item.name for item in items]
    table, us["table"] = timed(lambda: table_of(names, rows, labels, schema, certainty=settings.certainty))
    _, us["file"] = timed(lambda: encoded(table, schema, ""))
    return {"model": model, "us": us, "model_us_by_batch": by_batch}


def timed(work: Callable[[], Found]) -> tuple[Found, float]:
    """What it gives, and the processor time of this thread in microseconds an image; of the second and third call the
    shorter."""
    found, times = work(), []
    for _ in range(2):
        start = time.thread_time()
        found = work()
        times.append((time.thread_time() - start) / PROFILED * 1e6)
    return found, round(min(times), 1)


def measured(model: str, engine: str, folder: Path, count: int, out: Path) -> dict[str, object]:
    """One run of the command line, with the memory of its processes sampled as it goes."""
    shutil.rmtree(out, ignore_errors=True)
    words = ["score", str(folder), "--out", str(out), "--model", model, "--engine", engine, "--json"]
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "cli.py"), *words],
            stdout=output,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        driver_mb = worker_mb = total_mb = 0.0
        over_time = []
        while process.poll() is None:
            driver, workers = memory_mb(process.pid)
            driver_mb, worker_mb = max(driver_mb, driver), max([worker_mb, *workers])
            total_mb = max(total_mb, driver + sum(workers))
            # The engine local writes a file as soon as its rows are there: about as many each.
            files = len(list(out.glob("part-*.parquet"))) if out.is_dir() else 0
            over_time.append([round(time.monotonic() - start, 2), files, round(driver), round(max([0.0, *workers]))])
            time.sleep(SAMPLE_S)
        errors.seek(0)
        assert process.returncode == 0, errors.read()
        output.seek(0)
        told = json.load(output)
    assert (told["rows"], told["errors"]) == (count, 0)
    return {
        "model": model,
        "engine": engine,
        "images": count,
        "workers": told["workers"],
        "seconds": told["seconds"],
        "images_per_s": told["images_per_s"],
        # Ray's files come to their places a wave at a time.
        "images_per_s_by_fifth": by_fifth(over_time, told) if engine == "local" else [],
        "driver_peak_mb": round(driver_mb),
        "worker_peak_mb": round(worker_mb),
        "all_peak_mb": round(total_mb),
        "over_time": over_time[:: max(1, len(over_time) // 100)],
    }


def by_fifth(over_time: list[list[float]], told: dict[str, float]) -> list[float]:
    """Images a second in each fifth of the files: from when so many were there to when the next fifth was."""
    per_file = told["rows"] / told["parts"]
    marks = [told["parts"] * fifth / 5 for fifth in range(6)]
    times = [next((row[0] for row in over_time if row[1] >= mark and row[1] > 0), over_time[-1][0]) for mark in marks]
    if marks[1] < 4:  # too few files to tell
        return []
    return [
        round((later - sooner) * per_file / max(end - begin, SAMPLE_S))
        for sooner, later, begin, end in zip(marks, marks[1:], times, times[1:], strict=False)
    ]


def memory_mb(pid: int) -> tuple[float, list[float]]:
    """Memory of the driver, and of each process below it (workers, and all of Ray's): shared pages count for both
    (VmRSS)."""
    parents = {}
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
    below = {pid}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return resident_mb(pid), [resident_mb(one) for one in below - {pid}]


def resident_mb(pid: int) -> float:
    try:
        pages = int(Path("/proc", str(pid), "statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def page(found: dict[str, object]) -> str:
    rows = found["rows"]
    assert isinstance(rows, list)
    lines = [
        "# Scoring many images",
        "",
        f"`python benchmarks/scoring.py` on {found['machine']}: grey JPEGs of 48x48, from a cold start of the command. "
        f"{found['note']}".rstrip(),
        "",
        "| model (INT8) | engine | images | workers | images/s | by fifth of the run | driver, peak | worker, peak |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for row in rows:
        fifths = ", ".join(map(str, row["images_per_s_by_fifth"])) or "-"
        lines.append(
            f"| {row['model']} | {row['engine']} | {row['images']:,} | {row['workers']} | {row['images_per_s']:.0f} | "
            f"{fifths} | {row['driver_peak_mb']} MB | {row['worker_peak_mb']} MB |"
        )
    lines += [
        "",
        "Memory is what is resident, libraries included, four times a second; of Ray that of its largest process.",
        "",
        "## Where one process's time goes",
        "",
        "Processor time in microseconds an image; the model with batches of 32, then by batch size.",
        "",
        "| model | list | open | model | table | file | "
        + " | ".join(f"model, batch {batch}" for batch in BATCHES)
        + " |",
        "| --- |" + " ---: |" * (5 + len(BATCHES)),
    ]
    profiles = found["profiles"]
    assert isinstance(profiles, list)
    for one in profiles:
        cells = [*one["us"].values(), *one["model_us_by_batch"].values()]
        lines.append(f"| {one['model']} | {' | '.join(f'{value:.0f}' for value in cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
