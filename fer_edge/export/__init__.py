"""From a checkpoint to model files that answer like it, in every format, and the proof of it.

Public names load when they are first used: most need torch and onnx.
"""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.export.exporter import Export, export_checkpoint
    from fer_edge.export.formats.registry import ModelFormat, all_formats, format_named, register
    from fer_edge.export.parity.against import AgainstRequest, ModelComparison, compare_models
    from fer_edge.export.parity.comparison import Parity, measure_parity
    from fer_edge.export.parity.verification import Verification, VerifyRequest, verify_model
    from fer_edge.export.request import ExportRequest

_MODULES = {
    "AgainstRequest": "parity.against",
    "ModelComparison": "parity.against",
    "compare_models": "parity.against",
    "Export": "exporter",
    "ExportRequest": "request",
    "ModelFormat": "formats.registry",
    "Parity": "parity.comparison",
    "Verification": "parity.verification",
    "VerifyRequest": "parity.verification",
    "export_checkpoint": "exporter",
    "format_named": "formats.registry",
    "all_formats": "formats.registry",
    "measure_parity": "parity.comparison",
    "register": "formats.registry",
    "verify_model": "parity.verification",
}
__all__ = [
    "AgainstRequest",
    "Export",
    "ExportRequest",
    "ModelComparison",
    "ModelFormat",
    "Parity",
    "Verification",
    "VerifyRequest",
    "all_formats",
    "compare_models",
    "export_checkpoint",
    "format_named",
    "measure_parity",
    "register",
    "verify_model",
]

__getattr__ = lazy_names(__name__, _MODULES)
