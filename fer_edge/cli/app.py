"""The typer app: every command in one place, and project errors as one line with their exit code."""

import io
import os
import sys
import threading
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperGroup

from fer_edge.cli import (
    accept,
    benchmark,
    bundle,
    calibrate,
    data,
    devices,
    evaluate,
    explain,
    export,
    golden,
    info,
    models,
    predict,
    program,
    score,
    serve,
    train,
    triton,
    tune,
    verify,
    web,
    webcam,
)
from fer_edge.cli.numbers import FiniteNumbers
from fer_edge.cli.output import (
    PLAIN,
    READER_GONE,
    expect_reader,
    is_main_process,
    loggers_heard,
    note,
    reader_is_gone,
    register_plain,
)
from fer_edge.cli.program import AsCalled
from fer_edge.cli.quiet import libraries_silenced
from fer_edge.cli.root import HELP_NAMES, complete_for, refuse_completion, root
from fer_edge.cli.stopping import raise_on_sigterm, signal_behind
from fer_edge.errors import (
    DataError,
    FerEdgeError,
    Interrupted,
    MissingExtraError,
    ProviderError,
    StorageError,
    UsageError,
)
from fer_edge.text import printable

_TRAIN_PACKAGES = ("torch", "torchvision", "onnx", "onnxscript", "filelock")
"""What the extra 'train' brings: commands that need it import it when they run."""


class _OneLineErrors(AsCalled, TyperGroup):
    """Prints a FerEdgeError as one line on stderr and exits with its code; other exceptions keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        expect_reader()
        try:
            with libraries_silenced(), loggers_heard():
                return super().invoke(ctx)
        except (FerEdgeError, ModuleNotFoundError) as error:
            told = _as_project_error(error)
            if is_main_process():
                # an interruption is no error: somebody asked for it
                # Only DataError may list lines: elsewhere a line break is one in a file's name.
                text = self._told(told, ctx.invoked_subcommand) if isinstance(told, DataError) else printable(told)
                note(text if isinstance(told, Interrupted) else f"error: {text}")
            raise typer.Exit(told.exit_code) from error
        except KeyboardInterrupt as stop:
            if is_main_process():
                note("interrupted; nothing more was written")
            raise typer.Exit(128 + signal_behind(stop)) from None

    def _told(self, error: DataError, name: str | None) -> str:
        """The text of an error of the command ``name``: without ``--labels`` in its advice, where it has none."""
        command = self.commands.get(name or "")
        takes_labels = isinstance(command, TyperGroup) or any(
            one.name == "labels" for one in getattr(command, "params", ())
        )
        return str(error) if takes_labels else error.without_labels


def _as_project_error(error: FerEdgeError | ModuleNotFoundError) -> FerEdgeError:
    """The missing extra behind a missing package of training. Raises ``error`` for a module missing by mistake."""
    if isinstance(error, FerEdgeError):
        return error
    package = (error.name or "").split(".")[0]
    if package == "onnxruntime":  # installed without its dependencies, beside none of the packages that bring it
        from fer_edge.runtime.onnxruntime_packages import install_advice

        return ProviderError(install_advice())
    if package not in _TRAIN_PACKAGES:
        raise error
    return MissingExtraError(package, "train")


app = typer.Typer(
    cls=_OneLineErrors,
    no_args_is_help=True,
    context_settings=HELP_NAMES,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

app.callback()(root)

app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(explain.explain)
app.command()(tune.tune)
app.command()(export.export)
app.command()(calibrate.calibrate)
app.command()(verify.verify)
app.command()(benchmark.benchmark)
app.command()(predict.predict)
app.command()(score.score)
app.command()(webcam.webcam)
app.command()(info.info)
app.command()(models.models)
app.command()(golden.golden)
app.command()(bundle.bundle)
app.command()(accept.accept)
app.command()(web.web)
app.command()(triton.triton)
app.command()(serve.serve)
app.add_typer(data.app, name="data")
app.add_typer(devices.devices, name="devices")
for one in (app, *(group.typer_instance for group in app.registered_groups)):
    for command in one.registered_commands if one is not None else ():
        command.cls = FiniteNumbers


def main() -> None:
    """Run the command line."""
    raise_on_sigterm()
    register_plain()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not closed, and not replaced by a test
            stream.reconfigure(errors=PLAIN)  # a terminal may lack a file name's letters
    program.remember(sys.argv[0])
    try:
        refuse_completion(sys.argv[1:])
        if complete_for(sys.argv[1:]):
            sys.exit(READER_GONE if reader_is_gone() else 0)
    except (UsageError, StorageError) as error:
        typer.echo(f"error: {error}", err=True)  # not by note, which would name the program as it was called
        sys.exit(error.exit_code)
    try:
        app(prog_name=program.called())
    except StorageError as error:  # of help and version, which are printed before there is a command
        note(f"error: {error}")
        sys.exit(error.exit_code)
    except SystemExit as end:
        if _is_closed_pipe(end) or (reader_is_gone() and not end.code):
            end.code = READER_GONE
        _end_one_of_several(end)
        _end_without_waiting(end)
        raise


def _is_closed_pipe(end: BaseException | None) -> bool:
    """Whether the program ends for want of a reader: so click and rich end it, of help and of progress, with code 1."""
    while end is not None:
        if isinstance(end, BrokenPipeError):
            return True
        end = end.__context__
    return False


_STILL_BUSY = ("decode", "fer_edge video")
"""How the names of such threads begin (runtime/folder.py, video/live.py)."""


def _end_without_waiting(end: SystemExit) -> None:
    """End at once where a signal was asked to end it and a thread still decodes an image, which may take seconds, or
    waits for a camera: there it is in FFmpeg, which was once seen to crash as the interpreter went away under it."""
    code = end.code if isinstance(end.code, int) else 0
    if code <= 128 or not any(thread.name.startswith(_STILL_BUSY) for thread in threading.enumerate()):
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _end_one_of_several(end: SystemExit) -> None:
    """End at once, with the code of ``end``, where this is one of several processes that trained together."""
    training = sys.modules.get("fer_edge.training.distributed")  # not imported for this: it brings torch
    if training is not None and training.has_joined():
        training.end_process(end.code if isinstance(end.code, int) else 0)
