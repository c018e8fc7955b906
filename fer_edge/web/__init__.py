"""The browser page: written as a static folder, and served to this machine."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_edge.web.server import open_server
    from fer_edge.web.site import SiteFile, write_site

_LAZY = {
    "SiteFile": "fer_edge.web.site",
    "open_server": "fer_edge.web.server",
    "write_site": "fer_edge.web.site",
}
__all__ = [
    "SiteFile",
    "open_server",
    "write_site",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'fer_edge.web' has no attribute {name!r}")
