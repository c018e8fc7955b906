"""Golden vectors: a small kit with which an app in any language proves that it gives a model's own answers."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_edge.golden.kit import Kit, write_kit
    from fer_edge.golden.tolerance import GOLDEN_TOLERANCES, GoldenTolerance
    from fer_edge.golden.vectors import Vector, make_vectors

_LAZY = {
    "GOLDEN_TOLERANCES": "fer_edge.golden.tolerance",
    "GoldenTolerance": "fer_edge.golden.tolerance",
    "Kit": "fer_edge.golden.kit",
    "Vector": "fer_edge.golden.vectors",
    "make_vectors": "fer_edge.golden.vectors",
    "write_kit": "fer_edge.golden.kit",
}
__all__ = [
    "GOLDEN_TOLERANCES",
    "GoldenTolerance",
    "Kit",
    "Vector",
    "make_vectors",
    "write_kit",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'fer_edge.golden' has no attribute {name!r}")
