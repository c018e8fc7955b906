"""Models behind servers: repositories for those that there are, and a server for where there is none.

Public names load when they are first used.
"""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.serving.app import make_app
    from fer_edge.serving.kserve import Resources, inference_service
    from fer_edge.serving.model import ServedModel
    from fer_edge.serving.server import Server, open_server
    from fer_edge.serving.settings import ServerSettings
    from fer_edge.serving.triton import TritonModel, WrittenModel, write_repository
    from fer_edge.serving.triton_settings import TritonSettings, measure_settings, settings_of_benchmark

_MODULES = {
    "Resources": "kserve",
    "ServedModel": "model",
    "Server": "server",
    "ServerSettings": "settings",
    "TritonSettings": "triton_settings",
    "TritonModel": "triton",
    "WrittenModel": "triton",
    "inference_service": "kserve",
    "make_app": "app",
    "measure_settings": "triton_settings",
    "open_server": "server",
    "settings_of_benchmark": "triton_settings",
    "write_repository": "triton",
}
__all__ = [
    "Resources",
    "ServedModel",
    "Server",
    "ServerSettings",
    "TritonModel",
    "TritonSettings",
    "WrittenModel",
    "inference_service",
    "make_app",
    "measure_settings",
    "open_server",
    "settings_of_benchmark",
    "write_repository",
]

__getattr__ = lazy_names(__name__, _MODULES)
