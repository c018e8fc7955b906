"""Lets ``import torchvision`` work beside a torch that cannot load torchvision's C++ operators.

The torchvision wheel on the package index is a CUDA build. Beside a CPU-only torch its extension does not load, and the
import then stops with "operator torchvision::nms does not exist", because torchvision registers a meta implementation
for two operators that the extension should have declared. Only torchvision's Python parts are used here (model
definitions, their weights), so declaring the two schemas is enough. Import this module before torchvision.
"""

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _extension_loads() -> bool:
    """Whether torchvision's own C++ extension declares its operators in this environment."""
    import importlib.util
    from pathlib import Path

    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return False
    for folder in spec.submodule_search_locations:
        for extension in sorted(Path(folder).glob("_C*")):
            try:
                torch.ops.load_library(str(extension))
            except OSError:  # e.g. libcudart.so is not there: the case this module is for
                continue
            return hasattr(torch.ops.torchvision, "nms")
    return False


def _declare_missing() -> "torch.library.Library | None":
    if _extension_loads():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            library.define(operator + _SCHEMA)
    return library


_LIBRARY = _declare_missing()  # kept: dropping the Library object would take the declarations back
