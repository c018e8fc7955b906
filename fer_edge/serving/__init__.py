"""Models behind servers: repositories for those that there are.

Public names load when they are first used.
"""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.serving.kserve import Resources, inference_service
    from fer_edge.serving.triton import TritonModel, WrittenModel, write_repository
    from fer_edge.serving.triton_settings import ServingSettings, measure, settings_of_benchmark

_MODULES = {
    "Resources": "kserve",
    "ServingSettings": "triton_settings",
    "TritonModel": "triton",
    "WrittenModel": "triton",
    "inference_service": "kserve",
    "measure": "triton_settings",
    "settings_of_benchmark": "triton_settings",
    "write_repository": "triton",
}
__all__ = [
    "Resources",
    "ServingSettings",
    "TritonModel",
    "WrittenModel",
    "inference_service",
    "measure",
    "settings_of_benchmark",
    "write_repository",
]

__getattr__ = lazy_names(__name__, _MODULES)
