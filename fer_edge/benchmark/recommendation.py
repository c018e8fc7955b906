"""What the figures say: which rows do not differ, whether to trust them, and what to deploy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fer_edge.benchmark.early_stopping import N_TOO_SMALL, min_queries
from fer_edge.benchmark.results import RowResult, by_setting
from fer_edge.benchmark.rows import EAGER, ONNXRUNTIME
from fer_edge.benchmark.statistics import MEDIAN, PERCENTILES
from fer_edge.text import listed

WIDE_INTERVAL = 0.1
"""Width of a median's interval, over the median, from which on it is called wide."""


@dataclass(frozen=True)
class _Goal:
    """What to be best at."""

    name: str
    better: Callable[[RowResult], tuple[float, ...]]
    """Sorts the best first."""
    figure: Callable[[RowResult], str]


_GOALS = (
    _Goal("latency", lambda one: (one.p50_ms,), lambda one: f"{one.p50_ms:.3g} ms an image at p50"),
    _Goal("throughput", lambda one: (-one.images_per_s,), lambda one: f"{one.images_per_s:.0f} images/s"),
    _Goal("size", lambda one: (one.file_bytes, one.p50_ms), lambda one: f"{one.file_bytes / 1e6:.1f} MB"),
)


def ties(results: Sequence[RowResult]) -> list[str]:
    """A line for each batch size and number of threads at which neighbours by latency have intervals that overlap."""
    found = []
    for (batch, threads), group in by_setting(results).items():
        several = len({one.row.model for one in group}) > 1
        pairs = [
            f"{_short(faster, several)} and {_short(slower, several)}"
            for faster, slower in pairwise(group)
            if faster.interval_ms.overlaps(slower.interval_ms)
        ]
        if pairs:
            where = f"batch {batch}, {threads} thread{'s' if threads > 1 else ''}"
            found.append(f"no significant difference at {where} between {'; '.join(pairs)}")
    return found


def _short(one: RowResult, with_model: bool) -> str:
    return f"{one.row.model + ' ' if with_model else ''}{one.row.label} {one.row.precision}"


def width_notes(results: Sequence[RowResult]) -> list[str]:
    """What the samples themselves say against the figures."""
    found = []
    wide = [one for one in results if one.interval_ms.relative_width(one.p50_ms) > WIDE_INTERVAL]
    if wide:
        found.append(
            f"noisy figures: the 95% interval of the median is wider than {WIDE_INTERVAL:.0%} of it in {len(wide)} of "
            f"{len(results)} rows"
        )
    few = {one: sum(row.num_runs < min_queries(one) for row in results) for one in PERCENTILES if one != MEDIAN}
    lacking = [f"p{one} {min_queries(one)} ({count} rows have fewer)" for one, count in few.items() if count]
    if lacking:
        found.append(f"{N_TOO_SMALL}: runs that a percentile needs at 99% confidence: {'; '.join(lacking)}")
    return found


def recommend(results: Sequence[RowResult], max_drop_points: float) -> list[str]:
    """One line each for latency (of batch 1), throughput and size: the best row that is accurate enough, and why.

    Of models with different classes each set has its own: being right about eight classes is another task than about
    seven, so that accuracies cannot be held against each other.
    """
    groups: dict[tuple[str, ...], list[RowResult]] = {}
    for one in results:
        groups.setdefault(tuple(one.labels), []).append(one)
    if len(groups) < 2:
        return _of_one_task(results, max_drop_points)
    return [
        f"{len(labels)} classes ({listed(labels, 3)}), {line}"
        for labels, group in groups.items()
        for line in _of_one_task(group, max_drop_points)
    ]


def _of_one_task(results: Sequence[RowResult], max_drop_points: float) -> list[str]:
    if not results:
        return []
    judged = [one for one in results if one.accuracy is not None]
    eligible, bound = list(results), "accuracy was not measured: no labelled faces; name some by --data"
    if judged:
        best = max(one.accuracy or 0.0 for one in judged)
        eligible = [one for one in judged if 100 * (best - (one.accuracy or 0.0)) <= max_drop_points]
        bound = f"within {max_drop_points:g} points of the best accuracy, {best:.2%}"
    lines = []
    for goal in _GOALS:
        rows = [one for one in eligible if goal.name != "latency" or one.row.batch == 1]
        if not rows:
            lines.append(f"{goal.name}: no row to choose from ({bound})")
            continue
        chosen = min(rows, key=goal.better)
        reasons = [goal.figure(chosen), *_reasons(goal, chosen, results, rows)]
        lines.append(f"{goal.name}: {chosen.row.title}: {'; '.join(reasons)} ({bound})")
    return lines


def _reasons(goal: _Goal, chosen: RowResult, results: Sequence[RowResult], rows: Sequence[RowResult]) -> list[str]:
    reasons = []
    if chosen.accuracy is not None:
        reasons.append(f"accuracy {chosen.accuracy:.2%}")
    for baseline in _baselines(chosen, results):
        name = _short(baseline, baseline.row.model != chosen.row.model)
        if goal.name == "size":
            reasons.append(f"{baseline.file_bytes / chosen.file_bytes:.1f}x smaller than {name}")
        else:
            ratio = baseline.p50_ms / chosen.p50_ms
            word = "faster" if ratio >= 1 else "the speed"
            reasons.append(f"{ratio:.1f}x {word}{' than' if ratio >= 1 else ' of'} {name}")
    if goal.name == "size":
        return reasons
    others = sorted((one for one in rows if one is not chosen), key=goal.better)
    if others and _rates_overlap(chosen, others[0]):
        reasons.append(f"no significant difference to {others[0].row.title}")
    return reasons


def _rates_overlap(one: RowResult, other: RowResult) -> bool:
    """Whether the intervals of two throughputs overlap, at whatever batch sizes."""
    lows = [each.row.batch / each.interval_ms.high for each in (one, other)]
    highs = [each.row.batch / each.interval_ms.low for each in (one, other)]
    return max(lows) <= min(highs)


def _baselines(chosen: RowResult, results: Sequence[RowResult]) -> list[RowResult]:
    """Eager PyTorch and fp32 onnxruntime at the same network, provider, batch size and number of threads.

    Of several files in one of them the fastest; none for a row that is itself of that runtime and precision.
    """
    here = (chosen.row.network, chosen.row.provider, chosen.row.batch, chosen.row.threads)
    alike = [
        one
        for one in results
        if (one.row.network, one.row.provider, one.row.batch, one.row.threads) == here and not one.row.form
    ]
    kinds = [(runtime, "fp32") for runtime in (EAGER, ONNXRUNTIME)]
    groups = [
        [one for one in alike if (one.row.runtime, one.row.precision) == kind]
        for kind in kinds
        if kind != (chosen.row.runtime, chosen.row.precision)
    ]
    return [min(group, key=lambda one: one.p50_ms) for group in groups if group]
