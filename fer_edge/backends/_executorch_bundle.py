"""ExecuTorch's bundled program (.bpte): a program together with inputs and the answers that it must give to them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fer_edge.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fer_edge.backends.contract import Outputs

_RELATIVE = 1e-5
"""Beside the bound in absolute figures, which decides."""


def bundle(program: bytes, method: str, cases: "Sequence[tuple[NDArray[np.uint8], Outputs]]") -> bytes:
    """``program`` with test cases of its ``method``: an input, and the probabilities and logits that answer it."""
    from pathlib import Path

    import numpy as np
    import torch
    from executorch.devtools import BundledProgram
    from executorch.devtools.bundled_program.config import MethodTestCase, MethodTestSuite
    from executorch.devtools.bundled_program.serialize import serialize_from_bundled_program_to_flatbuffer

    from fer_edge.files import temporary_folder

    def tensor(values: "NDArray[np.generic]") -> torch.Tensor:
        return torch.from_numpy(np.array(values, order="C"))  # ExecuTorch refuses a stride of 0

    tests = [
        MethodTestCase((tensor(image),), (tensor(answer.probabilities), tensor(answer.logits)))
        for image, answer in cases
    ]
    with temporary_folder() as folder:
        path = Path(folder) / "program.pte"
        path.write_bytes(program)
        bundled = BundledProgram(None, [MethodTestSuite(method, tests)], pte_file_path=str(path))
        return bytes(serialize_from_bundled_program_to_flatbuffer(bundled))


def check_bundle(name: str, bundled: bytes, method: str, cases: int, allowed: float) -> None:
    """Let ExecuTorch run every case and compare. Raises ModelError for the first that differs by more."""
    from executorch.extension.pybindings import portable_lib

    module = portable_lib._load_bundled_program_from_buffer(bundled)
    for case in range(cases):
        try:
            module.verify_result_with_bundled_expected_output(method, case, _RELATIVE, allowed)
        except RuntimeError as error:
            raise ModelError(
                f"{name}: expected answers within {allowed:g} in {cases} cases, found others in case {case}: {error}"
            ) from error
