"""Golden vectors: a small kit with which an app in any language proves that it gives a model's own answers."""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.golden.kit import Kit, write_kit
    from fer_edge.golden.tolerance import GOLDEN_TOLERANCES, GoldenTolerance
    from fer_edge.golden.vectors import Vector, make_vectors

_MODULES = {
    "GOLDEN_TOLERANCES": "tolerance",
    "GoldenTolerance": "tolerance",
    "Kit": "kit",
    "Vector": "vectors",
    "make_vectors": "vectors",
    "write_kit": "kit",
}
__all__ = [
    "GOLDEN_TOLERANCES",
    "GoldenTolerance",
    "Kit",
    "Vector",
    "make_vectors",
    "write_kit",
]

__getattr__ = lazy_names(__name__, _MODULES)
