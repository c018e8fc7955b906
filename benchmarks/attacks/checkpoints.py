"""Feed malformed checkpoints, weights, run folders and files of searches to every command that reads one, and count.

    python benchmarks/attacks/checkpoints.py --scale 0.25 --output benchmarks/results/attacks/checkpoints.json

Writes a Markdown table beside the JSON. Exits with 3 where a file ended in a traceback or a hang, was accepted though
wrong, or ran code.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
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
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.errors import CheckpointError
from fer_edge.training import reports
from fer_edge.training.checkpoint import load_classifier, read_checkpoint
from fer_edge.training.config import TrainConfig
from fer_edge.training.hardware import describe_machine, resolve
from fer_edge.training.preparation import DataRequest, build_for_training
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.runs import train
from fer_edge.training.teachers import ask_teachers  # noqa: F401  # imported now, so that no command's time has it
from fer_edge.training.trainer import Trainer

REFUSED, HARMLESS, WRONG = "refused in one line", "read, and the same", "accepted though wrong"
TRACEBACK, HANG, CODE = "traceback", "hang", "code ran"
OUTCOMES = (REFUSED, HARMLESS, WRONG, TRACEBACK, HANG, CODE)
HANG_S = 60
MEMORY_BYTES = 12 * 2**30
"""Of address space: a file that asks for more fails here rather than take the machine down."""
DATA = "sample:70"
QUICK = ["--data", DATA, "--architecture", "tiny", "--precision", "fp32", "--device", "cpu", "--threads", "1"]
QUICK += ["--batch-size", "32", "--epochs", "1", "--name", "new"]
TUNE = ["tune", "--data", DATA, "--architecture", "tiny", "--weights", "none", "--epochs", "1", "--trials", "1"]
TUNE += ["--storage", "tune.db", "--precision", "fp32", "--device", "cpu", "--threads", "1", "--json"]
TIMINGS = ("images_per_second", "seconds")


class _TooLongError(BaseException):
    pass


class Attack:
    """The whole files, what a reader gave for them, and what came of each malformed one."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.draw = folder, random.Random(seed)
        self.mark = folder / "code-ran"
        self.results: list[dict[str, str]] = []
        self.runner = CliRunner()
        os.chdir(folder)
        config = resolve(
            TrainConfig(
                architecture="tiny", weights="none", epochs=2, batch_size=32, precision="fp32", device="cpu", threads=1
            )
        )
        self.finished, self.stopped = folder / "base" / "finished", folder / "base" / "stopped"
        train(config, DataRequest(DATA), self.finished, quiet=True)
        train(replace(config, seed=7), DataRequest("sample:84"), folder / "base" / "other", quiet=True)
        taught = replace(config, teacher=str(self.finished))
        train(taught, DataRequest(DATA), folder / "base" / "taught", quiet=True)
        self._stop_after_one_epoch(config)
        classifier, self.info = load_classifier(self.finished)
        self.weights = classifier.state_dict()
        self.end = self._end_of(self.finished)

    def _stop_after_one_epoch(self, config: TrainConfig) -> None:
        def stop(row: Any) -> None:
            raise _TooLongError

        data = DataRequest(DATA).load(config)
        classifier, record = build_for_training(config, data)
        with contextlib.suppress(_TooLongError), RunFolder(self.stopped) as run:
            shutil.copy(self.finished / "config.json", run.config)
            Trainer(classifier, data, record, run=run, on_epoch_end=stop).fit_one_cycle()

    @staticmethod
    def _end_of(folder: Path) -> list[torch.Tensor]:
        files = [load_classifier(folder / "checkpoints" / name)[0].state_dict() for name in ("best.pt", "last.pt")]
        files.append(read_checkpoint(folder / "checkpoints" / "last.pt")["model"])
        return [value for file in files for value in file.values()]

    def command(self, kind: str, name: str, arguments: list[str], *, is_same: Any = lambda: False) -> None:
        """Run one command on one malformed file, and note what came of it; ``is_same`` judges what it accepted."""
        outcome, told = self._outcome(arguments, is_same)
        if self.mark.exists():
            outcome = CODE
            self.mark.unlink()
        self._note(kind, name, outcome, told)

    def _note(self, kind: str, name: str, outcome: str, told: str) -> None:
        self.results.append({"reader": kind, "file": name, "outcome": outcome, "told": told})
        if outcome not in (REFUSED, HARMLESS):
            print(f"{outcome}: {kind}: {name}: {told}", flush=True)

    def _outcome(self, arguments: list[str], is_same: Any) -> tuple[str, str]:
        def too_long(*_: Any) -> None:
            raise _TooLongError

        signal.signal(signal.SIGALRM, too_long)
        signal.alarm(HANG_S)
        try:
            done = self.runner.invoke(app, arguments)
        except _TooLongError:
            return HANG, ""
        finally:
            signal.alarm(0)
        if isinstance(done.exception, _TooLongError):
            return HANG, ""
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            return TRACEBACK, f"{type(done.exception).__name__}: {done.exception}"[:300]
        errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
        told = errors[-1] if errors else (done.stderr.strip().splitlines() or [""])[-1]
        if done.exit_code == 0:
            return (HARMLESS, "") if is_same() else (WRONG, told)
        is_one_line = done.exit_code == 1 and len(errors) == 1 and done.stderr.rstrip().endswith(errors[0])
        is_one_line = is_one_line and len(errors[0]) < 2000
        return (REFUSED, told) if is_one_line else (TRACEBACK, f"exit code {done.exit_code}: {done.stderr[-300:]}")

    def is_same_classifier(self, path: Path) -> bool:
        """Whether the file gives the classifier, the labels and the input that the whole one gives."""
        classifier, info = load_classifier(path)
        now, known = classifier.state_dict(), self.weights
        of_input = ("labels", "mean", "std", "image_size", "architecture", "heads")
        same_weights = now.keys() == known.keys() and all(torch.equal(now[name], known[name]) for name in known)
        return same_weights and all(getattr(info, name) == getattr(self.info, name) for name in of_input)

    def is_best_of_a_run(self, run: Path) -> bool:
        """Whether evaluate's answer is about what lies there as best.pt: whole, whoever's it is."""
        load_classifier(run / "checkpoints" / "best.pt")
        return True

    def is_same_end(self, folder: Path) -> bool:
        """Whether a run that went on ended with the weights of the one that was left alone."""
        found = self._end_of(folder)
        return len(found) == len(self.end) and all(map(torch.equal, found, self.end))

    def feed_checkpoint(self, name: str, content: bytes, *, best: bool) -> None:
        """To the commands that take a checkpoint, and in a run folder to those that take one."""
        file = self.folder / "malformed.pt"
        file.write_bytes(content)
        self._feed_file(name, file, is_same=lambda: self.is_same_classifier(file))
        run = self.fresh(self.finished)
        (run / "checkpoints" / ("best.pt" if best else "last.pt")).write_bytes(content)
        self.resume(name, run)

    def _load(self, name: str, file: Path, is_same: Any) -> None:
        """By the function that all commands but ``--resume`` and ``--weights`` read a checkpoint with."""
        try:
            outcome, told = (HARMLESS if is_same() else WRONG), ""
        except CheckpointError as error:
            outcome, told = (REFUSED if len(str(error).splitlines()) == 1 else TRACEBACK), str(error)
        except Exception as error:
            outcome, told = TRACEBACK, f"{type(error).__name__}: {error}"[:300]
        self._note("load_classifier", name, CODE if self.mark.exists() else outcome, told)

    def _feed_file(self, name: str, file: Path, is_same: Any) -> None:
        out = str(self.folder / "out")
        path = str(file)
        self._load(name, file, is_same)
        if self.results[-1]["outcome"] == HARMLESS:
            return  # the commands would go on as with the whole file, which takes long
        self.command("evaluate --checkpoint", name, ["evaluate", "--checkpoint", path, "--out", out], is_same=is_same)
        self.command("explain --checkpoint", name, ["explain", "--checkpoint", path, "--out", out], is_same=is_same)
        self.command("export --checkpoint", name, ["export", "--checkpoint", path, "--folder", out], is_same=is_same)
        half = ["export", "--checkpoint", path, "--folder", out, "--format", "weights"]
        self.command("export --format weights", name, half, is_same=is_same)
        self.new_run("train --teacher", name, ["--weights", "none", "--teacher", path], is_same)
        self.new_run("train --weights", name, ["--weights", path], is_same)
        for reader, arguments in (
            ("verify --checkpoint", ["verify", str(self.model), "--checkpoint", path]),
            ("benchmark --baseline", ["benchmark", str(self.model), "--checkpoint", path, "--quick"]),
            ("predict --model", ["predict", "--model", path, str(self.photo)]),
            ("info", ["info", path]),
        ):
            if reader in self.readers:
                self.command(reader, name, arguments, is_same=is_same)

    readers: tuple[str, ...] = ("verify --checkpoint", "predict --model")
    model = Path()
    photo = Path()

    def new_run(self, kind: str, name: str, arguments: list[str], is_same: Any) -> None:
        """``train`` from the beginning."""
        shutil.rmtree(self.folder / "runs", ignore_errors=True)
        self.command(kind, name, ["train", *QUICK, *arguments], is_same=is_same)

    def resume(self, name: str, run: Path) -> None:
        """``train --resume``."""
        whole = f"{name} ({run.name})"
        self.command("train --resume", whole, ["train", "--resume", str(run)], is_same=lambda: self.is_same_end(run))

    def fresh(self, base: Path) -> Path:
        """A copy of a run folder."""
        run = self.folder / "malformed" / base.name
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(base, run)
        return run


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
    for kind, content in _soft_targets(one.folder / "base" / "taught"):
        run = one.fresh(one.folder / "base" / "taught")
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
