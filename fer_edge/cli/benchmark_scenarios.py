"""``benchmark --scenario``: the models as they will be used."""

from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.cli.output import note, result, wrote
from fer_edge.errors import CheckFailed, Interrupted, ProviderError

if TYPE_CHECKING:
    from fer_edge.benchmark.request import BenchmarkRequest


def measure_scenarios(
    request: "BenchmarkRequest",
    scenarios: tuple[str, ...],
    bound_ms: float,
    minutes: float,
    out: Path,
    *,
    quick: bool,
    as_json: bool,
) -> None:
    """Measure, print, write. Raises CheckFailed, ProviderError and Interrupted after that."""
    from fer_edge.backends.registry import backend_named
    from fer_edge.benchmark.output import OTHER_NAME
    from fer_edge.benchmark.progress import Reporter
    from fer_edge.benchmark.scenario_report import (
        audits_in_words,
        length_in_words,
        scenario_paths,
        to_table,
        write_scenarios,
    )
    from fer_edge.benchmark.scenario_run import ScenarioSettings, run_scenarios
    from fer_edge.cli.output import result_json
    from fer_edge.own_files import OwnFiles
    from fer_edge.runtime.providers import choose_provider
    from fer_edge.training.signals import StopSignals

    length = {"queries": 662, "min_s": 0.5, "max_s": 10.0, "audit_budget_s": 0.05} if quick else {}
    settings = ScenarioSettings(scenarios, bound_ms, minutes, **length)  # type: ignore[arg-type]  # by name
    choose_provider(request.provider)
    OwnFiles(OTHER_NAME).refuse_foreign(scenario_paths(out))
    entries = [backend_named(name) for name in request.runtimes]
    runtimes = tuple(one.name for one in entries if request.provider in one.providers and one.is_installed)
    with StopSignals() as signals, Reporter() as reporter:
        found = run_scenarios(request, settings, runtimes, reporter, lambda: signals.received is not None)
    if not found["rows"]:
        raise Interrupted("interrupted; nothing was written", signals.received or 2)
    if as_json:
        result_json(found)
    else:
        for text in (to_table(found), length_in_words(found["settings"]), audits_in_words(found)):
            result(f"{text}\n")
    wrote(*write_scenarios(found, out, note))
    if found["is_partial"]:
        raise Interrupted("interrupted; what was measured is kept", signals.received or 2)
    if failures := found["failures"]:
        raise ProviderError(f"{len(failures)} rows could not be measured, first: {failures[0]}")
    if failures := found["audit_failures"]:
        raise CheckFailed(f"{len(failures)} audits failed, first: {failures[0]}")
