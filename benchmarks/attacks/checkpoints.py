"""Feed malformed checkpoints, weights, run folders and files of searches to every command that reads one, and count.

    python benchmarks/attacks/checkpoints.py --scale 0.25 --output benchmarks/results/attacks/checkpoints.json

Writes a Markdown table beside the JSON. Exits with 3 where a file ended in a traceback or a hang, was accepted though
wrong, or ran code.
"""

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter, OrderedDict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from attacked_commands import DATA, HARMLESS, OUTCOMES, REFUSED, Attack
from checkpoint_mutations import (
    STUDY_CHANGES,
    archive_mutations,
    begun_mutations,
    change_study,
    content_mutations,
    folder_mutations,
    make_not_begun,
    saved,
)

from fer_edge.cli import app
from fer_edge.training import reports
from fer_edge.training.checkpoint import load_classifier, read_checkpoint
from fer_edge.training.hardware import describe_machine

MEMORY_BYTES = 12 * 2**30
"""Of address space: a file that asks for more fails here rather than take the machine down."""
TUNE = ["tune", "--data", DATA, "--architecture", "tiny", "--weights", "none", "--epochs", "1", "--trials", "1"]
TUNE += ["--storage", "tune.db", "--precision", "fp32", "--device", "cpu", "--threads", "1", "--json"]


def attack(folder: Path, seed: int, scale: float) -> list[dict[str, str]]:
    """All malformed files to all readers; ``scale`` is how many of those that are drawn."""
    one = Attack(folder, seed)
    warnings.simplefilter("ignore")  # torch's, of what the malformed files are made of
    one.model, one.photo = _model_and_photo(one)
    for plot in ("plot_training_curves", "plot_learning_rate"):  # which take most of the time; what they show is read
        setattr(reports, plot, lambda *_: None)
    _attack_weights(one, round(20 * scale))
    _attack_folders(one, round(40 * scale))
    _attack_studies(one)
    print(f"{len(one.results)} runs; contents", file=sys.stderr, flush=True)
    number = round(120 * scale)
    for base, name in ((one.finished, "last.pt"), (one.finished, "best.pt"), (one.stopped, "last.pt")):
        content = read_checkpoint(base / "checkpoints" / name)
        best = name == "best.pt"
        for kind, file in content_mutations(content, one.draw, number if not best else number // 2):
            if base is one.stopped:  # the other readers are the same for it
                run = one.fresh(base)
                (run / "checkpoints" / name).write_bytes(file)
                one.resume(f"{name}, {kind}", run)
            else:
                one.feed_checkpoint(f"{name}, {kind}", file, best=best)
    print(f"{len(one.results)} runs; archives", file=sys.stderr, flush=True)
    whole = (one.finished / "checkpoints" / "last.pt").read_bytes()
    for kind, file in archive_mutations(whole, one.draw, one.mark, round(20 * scale)):
        one.feed_checkpoint(f"last.pt, {kind}", file, best=False)
    return one.results


def _model_and_photo(one: Attack) -> tuple[Path, Path]:
    from PIL import Image

    from fer_edge.data.sample import synthetic_faces

    photo = one.folder / "face.png"
    Image.fromarray(synthetic_faces(range(1), seed=3).faces[0]).save(photo)
    done = one.runner.invoke(
        app, ["export", "--checkpoint", str(one.finished), "--folder", "models", "--name", "whole"]
    )
    assert done.exit_code == 0, done.output
    return one.folder / "models" / "whole.onnx", photo


def _attack_weights(one: Attack, number: int) -> None:
    """State dicts as torchvision's, and paths that are no files."""
    classifier, _ = load_classifier(one.finished)
    state = classifier.network.state_dict()
    file = one.folder / "weights.pt"
    name = next(iter(state))

    def feed(kind: str, content: Any) -> None:
        file.write_bytes(content if isinstance(content, bytes) else saved(content))
        one.new_run("train --weights", f"weights, {kind}", ["--weights", str(file)], lambda: False)

    for kind, value in (
        ("NaN", state[name] * float("nan")),
        ("complex", state[name].to(torch.complex64)),
        ("integers", state[name].to(torch.int32)),
        ("sparse", state[name].to_sparse()),
        ("meta", state[name].to("meta")),
        ("quantised", torch.quantize_per_tensor(state[name], 0.1, 0, torch.qint8)),
        ("another shape", state[name][:1]),
        ("list", state[name].tolist()),
        ("none", None),
    ):
        feed(kind, OrderedDict(state) | {name: value})
    feed("one is missing", {key: value for key, value in state.items() if key != name})
    feed("one too many", {**state, "more": state[name]})
    feed("name of a number", {**state, 7: state[name]})
    feed("list", list(state.values()))
    feed("empty", {})
    for kind, content in archive_mutations(saved(state), one.draw, one.mark, number):
        # Whole where only bytes between the entries changed: then the run is one from these very weights.
        file.write_bytes(content)
        one.new_run(
            "train --weights", f"weights, {kind}", ["--weights", str(file)], lambda: _is_same_state(file, state)
        )
    file.unlink()
    os.mkfifo(file)
    one.new_run("train --weights", "a name with a null byte", ["--weights", "a\0b"], lambda: False)
    for kind, path in (("a pipe", file), ("a device", Path("/dev/zero"))):
        one.new_run("train --weights", kind, ["--weights", str(path)], lambda: False)
        for reader in (["evaluate", "--checkpoint"], ["train", "--resume"]):
            one.command(" ".join(reader), kind, [*reader, str(path)])
    file.unlink()


def _is_same_state(file: Path, state: Any) -> bool:
    found = torch.load(file, weights_only=True)
    return found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


def _attack_folders(one: Attack, number: int) -> None:
    other = one.folder / "base" / "other"
    for base in (one.finished, one.stopped):
        for kind, change in folder_mutations(other, one.draw):
            run = one.fresh(base)
            change(run)
            one.resume(kind, run)
            if base is one.finished:
                arguments = ["evaluate", "--checkpoint", str(run)]
                one.command("evaluate --checkpoint", kind, arguments, is_same=partial(one.is_best_of_a_run, run))
    written = json.loads((one.finished / "config.json").read_text())
    for kind, values in begun_mutations(written, one.draw, number):
        run = one.fresh(one.finished)
        make_not_begun(run)
        (run / "config.json").write_text(json.dumps(values))
        one.resume(kind, run)
    for kind, content in _soft_targets(one.folder / "base" / "distilled"):
        run = one.fresh(one.folder / "base" / "distilled")
        (run / "checkpoints" / "soft_targets.npy").write_bytes(content)
        one.command("train --resume", f"soft_targets.npy: {kind}", ["train", "--resume", str(run)])


def _soft_targets(run: Path) -> Iterator[tuple[str, bytes]]:
    import io

    import numpy as np

    whole = (run / "checkpoints" / "soft_targets.npy").read_bytes()
    answers = np.load(io.BytesIO(whole))
    for kind, value in (("NaN", answers * np.nan), ("float64", answers.astype(float)), ("fewer", answers[:3])):
        stream = io.BytesIO()
        np.save(stream, value)
        yield kind, stream.getvalue()
    archive = io.BytesIO()
    np.savez(archive, answers=answers)
    yield "an archive", archive.getvalue()
    yield "empty", b""
    yield "cut short", whole[:-9]
    yield "a shape of 1e12", whole.replace(b"'shape': (", b"'shape': (1000000000000, ", 1)
    yield "objects", whole.replace(b"'<f4'", b"'|O' ", 1)


def _attack_studies(one: Attack) -> None:
    base, file = one.folder / "whole.db", one.folder / "tune.db"
    done = one.runner.invoke(app, TUNE)
    assert done.exit_code == 0, done.output
    accuracy = json.loads(done.stdout)["trials"][0]["accuracy"]
    file.replace(base)
    whole = base.read_bytes()

    def run(kind: str) -> None:
        # A trial is repeated where none is whole: right too, and told by its state and accuracy.
        one.command("tune", f"tune.db, {kind}", TUNE, is_same=lambda: _is_whole(one.runner.invoke(app, TUNE), accuracy))

    for kind, statement in STUDY_CHANGES.items():
        shutil.copy(base, file)
        change_study(file, statement)
        run(kind)
    for kind, content in (("empty", b""), ("text", b"hello\n" * 1000), ("cut short", whole[: len(whole) // 2])):
        file.write_bytes(content)
        run(kind)
    for _ in range(10):
        damaged, place = bytearray(whole), one.draw.randrange(len(whole))
        damaged[place] ^= 1 << one.draw.randrange(8)
        file.write_bytes(damaged)
        run(f"bit flipped in byte {place}")


def _is_whole(done: Any, accuracy: float) -> bool:
    found = json.loads(done.stdout)["trials"]
    complete = [trial for trial in found if trial["state"] == "complete"]
    return all(0 <= trial["accuracy"] <= 1 and len(trial["settings"]) == 4 for trial in complete)


def to_markdown(report: dict[str, Any]) -> str:
    """One row a reader."""
    readers = dict.fromkeys(one["reader"] for one in report["runs"])
    counts = {
        reader: Counter(one["outcome"] for one in report["runs"] if one["reader"] == reader) for reader in readers
    }
    lines = [
        "# Malformed checkpoints",
        "",
        f"`python benchmarks/attacks/checkpoints.py --seed {report['seed']} --scale {report['scale']}` "
        f"on {report['machine']}: "
        f"{report['files']} malformed files, {len(report['runs'])} runs of commands in {report['seconds']:.0f} s.",
        "",
        f"| reader | runs | {' | '.join(OUTCOMES)} |",
        "| --- |" + " ---: |" * (len(OUTCOMES) + 1),
    ]
    for reader, found in counts.items():
        numbers = " | ".join(str(found[outcome]) for outcome in OUTCOMES)
        lines.append(f"| `{reader}` | {sum(found.values())} | {numbers} |")
    total = Counter(one["outcome"] for one in report["runs"])
    lines.append(f"| all | {len(report['runs'])} | {' | '.join(str(total[outcome]) for outcome in OUTCOMES)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="Part of the drawn files.")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    output = arguments.output.resolve() if arguments.output else None
    started = time.monotonic()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="fer-edge-attack-"))
    folder.mkdir(parents=True, exist_ok=True)
    runs = attack(folder.resolve(), arguments.seed, arguments.scale)
    report = {
        "machine": describe_machine(),
        "seed": arguments.seed,
        "scale": arguments.scale,
        "seconds": round(time.monotonic() - started, 1),
        "files": len(
            {one["file"].removesuffix(" (finished)") for one in runs}
        ),  # once, where a run folder holds it too
        "outcomes": Counter(one["outcome"] for one in runs),
        "bad": [one for one in runs if one["outcome"] not in (REFUSED, HARMLESS)],
        "runs": runs,
    }
    print(f"{report['files']} files, {len(runs)} runs: {dict(report['outcomes'])}")
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        kept: dict[str, dict[str, list[str]]] = {}
        for one in runs:
            kept.setdefault(one["reader"], {}).setdefault(one["outcome"], []).append(one["file"])
        output.write_text(json.dumps({**report, "runs": kept}, indent=1) + "\n")
        output.with_suffix(".md").write_text(to_markdown(report))
        print(f"wrote {output} and {output.with_suffix('.md').name}", file=sys.stderr)
    if not arguments.folder:
        os.chdir("/")
        shutil.rmtree(folder)
    if report["bad"]:
        raise SystemExit(3)


if __name__ == "__main__":
    main()
