"""What to deploy: latency, throughput, memory and accuracy of models and baselines, measured side by side.

Public names load when they are first used.
"""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.benchmark.comparison import Comparison, compare_benchmarks
    from fer_edge.benchmark.recommendation import recommend
    from fer_edge.benchmark.request import BenchmarkRequest
    from fer_edge.benchmark.results import Benchmark, RowResult
    from fer_edge.benchmark.run import run_benchmark

_MODULES = {
    "Benchmark": "results",
    "BenchmarkRequest": "request",
    "Comparison": "comparison",
    "RowResult": "results",
    "compare_benchmarks": "comparison",
    "recommend": "recommendation",
    "run_benchmark": "run",
}
__all__ = [
    "Benchmark",
    "BenchmarkRequest",
    "Comparison",
    "RowResult",
    "compare_benchmarks",
    "recommend",
    "run_benchmark",
]

__getattr__ = lazy_names(__name__, _MODULES)
