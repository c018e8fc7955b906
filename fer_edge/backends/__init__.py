"""What runs a model file: one contract for all, one file each. ``open_model`` is the way in.

Public names load when they are first used; importing this package loads neither numpy nor a runtime.
"""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

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

__getattr__ = lazy_names(__name__, _MODULES)
