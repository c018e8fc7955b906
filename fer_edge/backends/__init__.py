"""What runs a model file: one contract for all, one file each. ``open_model`` is the way in.

Public names load when they are first used; importing this package loads neither numpy nor a runtime.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_edge.backends.contract import Backend, ModelBackend, Outputs
    from fer_edge.backends.evaluation import evaluate_model
    from fer_edge.backends.registry import BackendEntry, backend_named, backends, open_model, register

_MODULES = {
    "Backend": "contract",
    "BackendEntry": "registry",
    "ModelBackend": "contract",
    "Outputs": "contract",
    "backend_named": "registry",
    "backends": "registry",
    "evaluate_model": "evaluation",
    "open_model": "registry",
    "register": "registry",
}
__all__ = [
    "Backend",
    "BackendEntry",
    "ModelBackend",
    "Outputs",
    "backend_named",
    "backends",
    "evaluate_model",
    "open_model",
    "register",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
