"""The commands that read checkpoints, weights and run folders, each run on one malformed file, and what came of it."""

import contextlib
import os
import random
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.errors import CheckpointError
from fer_edge.training.checkpoint import load_classifier, read_checkpoint
from fer_edge.training.config import TrainConfig
from fer_edge.training.hardware import resolve
from fer_edge.training.preparation import DataRequest, build_for_training
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.runs import train
from fer_edge.training.teachers import ask_teachers  # noqa: F401  # imported now, so that no command's time has it
from fer_edge.training.trainer import Trainer

REFUSED, HARMLESS, WRONG = "refused in one line", "read, and the same", "accepted though wrong"
TRACEBACK, HANG, CODE = "traceback", "hang", "code ran"
OUTCOMES = (REFUSED, HARMLESS, WRONG, TRACEBACK, HANG, CODE)
HANG_S = 60
DATA = "sample:70"
QUICK = ["--data", DATA, "--architecture", "tiny", "--precision", "fp32", "--device", "cpu", "--threads", "1"]
QUICK += ["--batch-size", "32", "--epochs", "1", "--name", "new"]


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
        distilled = replace(config, teacher=str(self.finished))
        train(distilled, DataRequest(DATA), folder / "base" / "distilled", quiet=True)
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
