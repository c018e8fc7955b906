"""``benchmark``: which model, runtime and setting to deploy, measured."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_edge.backends.registry import backends, formats_that_run_code, in_words
from fer_edge.cli.benchmark_scenarios import measure_scenarios
from fer_edge.cli.named import complete_checkpoint, complete_model, given_checkpoint
from fer_edge.cli.output import files_of_model, note, refuse_overwriting, result, wrote
from fer_edge.cli.program import called
from fer_edge.cli.typed import ClassMapFile, Describe, class_map_in
from fer_edge.errors import CheckFailed, Interrupted, ModelError, ProviderError, UsageError
from fer_edge.text import printable

if TYPE_CHECKING:
    from fer_edge.benchmark.comparison import Comparison
    from fer_edge.benchmark.request import BenchmarkRequest
    from fer_edge.benchmark.results import Benchmark

FORMER_STDOUT = Path("-")
"""What ``--json`` took to print, before it took nothing."""


def benchmark(
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="MODEL",
            help="Exported models, or names of shipped ones. [default: all in exported/, else those]",
            autocompletion=complete_model,
        ),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            help="Run folder or checkpoint file: the reference, and PyTorch as a baseline; may be repeated.",
            callback=given_checkpoint,
            autocompletion=complete_checkpoint,
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Labelled faces, for accuracy. [default: fer2013 in this folder, if it is there]")
    ] = None,
    class_map: ClassMapFile = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on without files that cannot be read.")] = False,
    split: Annotated[Literal["validation", "test"], typer.Option(help="Which of them.")] = "validation",
    faces: Annotated[int, typer.Option(min=0, help="Most faces for accuracy, at random; 0: all. [--quick: 500]")] = 0,
    provider: Annotated[Literal["cpu", "cuda"], typer.Option(help="What has to run every row.")] = "cpu",
    batch_sizes: Annotated[
        str | None, typer.Option(metavar="N,...", help="Images a run. [default: 1,8,32; --quick: 1,32]")
    ] = None,
    threads: Annotated[
        str | None, typer.Option(metavar="N,...", help="Threads a process. [default: 1 and all cores; --quick: 1]")
    ] = None,
    runtimes: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help=f"Among {', '.join(backends())}. [default: all that can]",
        ),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Measurement rounds. [default: 5; quick: 3]")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rows, rounds and faces: under half a minute.")] = False,
    scenario: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Measure these instead: single-stream, multi-stream, server, offline (as MLPerf), sustained.",
        ),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Measure the time of each layer instead, its bound here, and the energy.")
    ] = False,
    latency_bound: Annotated[
        float, typer.Option(help="Milliseconds that p99 of --scenario server stays under.")
    ] = 20.0,
    minutes: Annotated[float, typer.Option(help="Length of --scenario sustained.")] = 1.0,
    describe: Describe = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help=f"Load {in_words(formats_that_run_code(), 'and')} files, which can run any code."),
    ] = False,
    max_drop: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Percentage points of accuracy that may be lost: by a row since --compare, beyond: exit 3 "
            "[default: 1]; by a recommended row against the best one [default: 0.5].",
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(help="JSON of an earlier benchmark: what changed in latency, and in accuracy by class and face."),
    ] = None,
    max_regression: Annotated[
        float, typer.Option(min=0, help="Percent that a row may be slower than with --compare; beyond it: exit 3.")
    ] = 10.0,
    out: Annotated[Path, typer.Option(help="Folder for JSON, CSV, Markdown and pictures.")] = Path("benchmark-results"),
    name: Annotated[str, typer.Option(help="File name without suffix.")] = "benchmark",
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON in place of the table.")] = False,
    json_file: Annotated[Path | None, typer.Option(help="Write the JSON to this file, too.")] = None,
) -> None:
    """Measure models and baselines side by side: latency, throughput, cold start, memory, size and accuracy.

    Every row has its own process and an equal thread budget; rows alternate, so that a machine that slows down slows
    all alike. Ctrl-C keeps what is measured (exit code 130). Exit code 3: slower than --compare by --max-regression,
    less accurate by --max-drop, or an audit failed: answers of timed runs that are not those of the accuracy run, or
    one input repeated is faster.

    Examples:

        fer-edge benchmark --quick

        fer-edge benchmark exported/NAME-int8.onnx --checkpoint runs/NAME --data fer2013 --batch-sizes 1,8,32

        fer-edge benchmark --compare benchmark-results/benchmark.json --max-regression 5 --name after

        fer-edge benchmark fer-tiny --layers
    """
    from fer_edge.benchmark.comparison import MAX_DROP_POINTS, compare_benchmarks
    from fer_edge.benchmark.output import OTHER_NAME, output_paths, write_benchmark
    from fer_edge.benchmark.plan import model_paths
    from fer_edge.benchmark.progress import Reporter
    from fer_edge.benchmark.results import Benchmark
    from fer_edge.benchmark.run import run_benchmark
    from fer_edge.files import is_reserved_name
    from fer_edge.own_files import OwnFiles
    from fer_edge.training.signals import StopSignals

    if Path(name).name != name or name in ("", ".", "..") or is_reserved_name(name):
        raise UsageError(f"--name: expected a file name without folder, found {name!r}")
    if as_json:
        _refuse_former_use(models or [])
    request = _request(
        quick=quick,
        models=models,
        checkpoints=checkpoint,
        data=data,
        class_map=class_map,
        skip_bad=skip_bad,
        split=split,
        faces=faces,
        provider=provider,
        batch_sizes=batch_sizes,
        threads=threads,
        runtimes=runtimes,
        rounds=rounds,
        describe=describe,
        trust=trust,
        max_drop=max_drop,
    )
    if layers:
        if scenario is not None:
            raise UsageError("expected --layers or --scenario, found both: they measure different runs")
        from fer_edge.cli.benchmark_layers import measure_layers, request_for_layers

        named = {"batch_sizes": batch_sizes, "threads": threads, "runtimes": runtimes}
        request = request_for_layers(request, {option for option, value in named.items() if value is not None})
        measure_layers(request, out, "layers" if name == "benchmark" else name, quick=quick, as_json=as_json)
        return
    if scenario is not None:
        if compare is not None:
            raise UsageError("--compare: expected no --scenario with it, found both; leave one out")
        measure_scenarios(
            request, tuple(scenario.split(",")), latency_bound, minutes, out, quick=quick, as_json=as_json
        )
        return
    untouched = [file for model in model_paths(request) for file in files_of_model(model)]
    untouched += [*request.checkpoints, *([compare] if compare is not None else [])]
    refuse_overwriting("--out, --name", output_paths(out, name, json_file), untouched)
    OwnFiles(OTHER_NAME).refuse_foreign(output_paths(out, name, json_file))
    before = Benchmark.read(compare) if compare is not None else None  # before minutes of measuring, not after
    with StopSignals() as signals, Reporter() as reporter:
        done = run_benchmark(request, reporter, stop=lambda: signals.received is not None, command=_command_line())
    received = signals.received
    comparison, incomparable = None, None
    if before is not None and done.timed:
        try:
            comparison = compare_benchmarks(
                done, before, max_regression, MAX_DROP_POINTS if max_drop is None else max_drop
            )
        except ModelError as error:  # said once what was measured is written
            incomparable = error
    if as_json:
        result(done.to_json().rstrip())
    elif done.timed:
        _print(done, comparison)
    if done.timed:
        wrote(*write_benchmark(done, out, name, comparison, note, json_file))
    for line in done.left_out:
        note(f"left out: {line}")
    if received is not None:
        kept = f"{len(done.timed)} rows are kept, marked as partial" if done.timed else "no row was timed yet"
        raise Interrupted(f"interrupted; {kept}", received)
    for line in done.audit_failures:
        note(f"audit: {line}")
    if done.failures:
        raise ProviderError(f"{len(done.failures)} rows could not be measured, first: {done.failures[0]}")
    if incomparable is not None:
        raise incomparable
    if done.audit_failures:
        raise CheckFailed(f"{len(done.audit_failures)} audits failed, first: {done.audit_failures[0]}")
    if comparison is not None:
        assert compare is not None
        _check(comparison, compare, max_regression, max_drop)


def _check(comparison: "Comparison", compare: Path, max_regression: float, max_drop: float | None) -> None:
    """Raise CheckFailed where a row is slower or less accurate beyond its bound, and ModelError where ``max_drop`` was
    asked for and there is nothing to compare."""
    found = []
    if slower := comparison.regressions:
        worst = slower[0]
        found.append(
            f"{len(slower)} rows are slower than in {compare} by more than {max_regression:g}%, "
            f"worst: {worst.row.title}: {worst.ratio:.2f}x ({worst.interval.low:.2f}–{worst.interval.high:.2f})"
        )
    if lost := comparison.accuracy_regressions:
        first = lost[0]
        found.append(
            f"{printable(first.title)}: expected at most {first.max_drop_points:g} points of accuracy lost since "
            f"{printable(str(compare))}, found {first.answers.drop_points:.2f} ({first.answers.overall.in_words})"
        )
    if found:
        raise CheckFailed("; ".join(found))
    if max_drop is not None and (comparison.not_compared or not comparison.accuracy):
        reason = comparison.not_compared or "neither has labelled faces; name them with --data"
        raise ModelError(f"--max-drop: expected answers to the same faces in {printable(str(compare))}: {reason}")


def _refuse_former_use(models: list[Path]) -> None:
    """``--json`` took a path once, which is now read as a model. Raises UsageError that names the new option."""
    for path in models:
        if path.suffix == ".json" or path == FORMER_STDOUT:
            instead = "leave out the -" if path == FORMER_STDOUT else f"to write it to a file: --json-file {path}"
            raise UsageError(f"--json: expected no file after it, because it prints the JSON, found {path}; {instead}")


def _request(
    *,
    quick: bool,
    models: list[Path] | None,
    checkpoints: list[Path] | None,
    data: str | None,
    class_map: Path | None,
    skip_bad: bool,
    split: str,
    faces: int,
    provider: str,
    batch_sizes: str | None,
    threads: str | None,
    runtimes: str | None,
    rounds: int | None,
    describe: list[str] | None,
    trust: bool,
    max_drop: float | None,
) -> "BenchmarkRequest":
    """The options as one request; ``quick`` changes the defaults and nothing that was named."""
    from fer_edge.benchmark.request import BenchmarkRequest
    from fer_edge.benchmark.timed_run import RunLength
    from fer_edge.runtime.cores import available_cores

    all_cores = tuple(sorted({1, available_cores()}))
    return BenchmarkRequest(
        models=tuple(models or ()),
        checkpoints=tuple(checkpoints or ()),
        data=data,
        class_map=class_map_in(class_map),
        skip_bad=skip_bad,
        split=split,
        num_faces=faces or (500 if quick else 0),
        provider=provider,
        batch_sizes=_numbers("--batch-sizes", batch_sizes) or ((1, 32) if quick else (1, 8, 32)),
        threads=_numbers("--threads", threads) or ((1,) if quick else all_cores),
        runtimes=tuple(runtimes.split(",")) if runtimes is not None else tuple(backends()),
        description=describe,
        trust=trust,
        rounds=rounds or (3 if quick else 5),
        cold_starts=2 if quick else 5,
        timed_run=RunLength(budget_s=0.1) if quick else RunLength(),
        photo_budget_s=0.05 if quick else 0.15,
        audit_budget_s=0.05 if quick else 0.1,
        max_drop_points=BenchmarkRequest.max_drop_points if max_drop is None else max_drop,
    )


def _numbers(option: str, text: str | None) -> tuple[int, ...]:
    """``1,8,32`` to (1, 8, 32); nothing for None. Raises UsageError."""
    if text is None:
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option}: expected whole numbers with commas between them, found {text!r}") from None


def _command_line() -> str:
    """How this command was called, for those who want to repeat it."""
    return f"{called()} {shlex.join(sys.argv[1:])}"


def _print(done: "Benchmark", comparison: "Comparison | None") -> None:
    from fer_edge.cli.benchmark_table import print_comparison, print_table

    print_table(done)
    if comparison is not None:
        print_comparison(comparison)
