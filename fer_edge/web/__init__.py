"""The browser page: written as a static folder, and served to this machine."""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.web.server import open_server
    from fer_edge.web.site import SiteFile, write_site

_MODULES = {
    "SiteFile": "site",
    "open_server": "server",
    "write_site": "site",
}
__all__ = [
    "SiteFile",
    "open_server",
    "write_site",
]

__getattr__ = lazy_names(__name__, _MODULES)
