"""Sessions of graphs in memory, for those who build, take apart or profile one."""

import onnxruntime

from fer_edge.runtime.forks import kept_by_children
from fer_edge.runtime.session import session_options


def graph_session(
    graph: bytes,
    *,
    threads: int = 0,
    optimise: bool = True,
    full_precision: bool = False,
    profile_prefix: str | None = None,
) -> onnxruntime.InferenceSession:
    """A session on the CPU of a graph that is no model yet: it has no metadata.

    Without ``optimise`` every value between layers keeps its name. ``full_precision``: see
    ``session_options``. ``profile_prefix``: write a profile there.
    """
    options = session_options(threads, full_precision=full_precision)
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile_prefix
    return kept_by_children(onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"]))
