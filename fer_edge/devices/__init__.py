"""A model's answers on devices that are not here: emulated processors, WebAssembly, other versions of onnxruntime.

Public names load when they are first used.
"""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.devices.farm import LabelledFaces, run_devices
    from fer_edge.devices.matrix import Matrix, Row, merged, read_matrix
    from fer_edge.devices.targets import DEVICES, Device

_MODULES = {
    "DEVICES": "targets",
    "Device": "targets",
    "LabelledFaces": "farm",
    "Matrix": "matrix",
    "Row": "matrix",
    "merged": "matrix",
    "read_matrix": "matrix",
    "run_devices": "farm",
}
__all__ = ["DEVICES", "Device", "LabelledFaces", "Matrix", "Row", "merged", "read_matrix", "run_devices"]

__getattr__ = lazy_names(__name__, _MODULES)
