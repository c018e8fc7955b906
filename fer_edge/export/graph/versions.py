"""Which onnxruntime runs a file: computed from the opset and IR version that are read back from it."""

from typing import NamedTuple

import onnx

from fer_edge.errors import ModelError

OPSET = 18
"""The first opset whose Resize has ``antialias``, and the last whose Resize onnxruntime's GPU providers still take."""


class Release(NamedTuple):
    """One onnxruntime release and the newest file that it runs."""

    version: str
    opset: int
    ir_version: int


RELEASES = (
    Release("1.15", 18, 9),
    Release("1.16", 19, 9),
    Release("1.17", 20, 9),
    Release("1.18", 21, 10),
    Release("1.21", 22, 10),
    Release("1.23", 22, 11),
    Release("1.24", 25, 13),
    Release("1.25", 26, 13),
    Release("1.32", 27, 14),
)
"""The releases at which either limit rose, oldest first, as benchmarks/results/opsets.json has it: up to this opset the
files that this package exports ran there, in fp32, fp16 and INT8 (measured on 1.15.0 to 1.32.0). What a release says of
itself is not enough: 1.15 reads opset 19 and lacks its operators, 1.23 lacks the INT8 ones of opset 23, and 1.32 those
of 28. Before 1.15 there is no antialiased Resize, which every graph from pixels needs; raw models of the older opsets 7
to 17 ran on all of them."""


class Versions(NamedTuple):
    """What a file was written for."""

    opset: int
    ir_version: int

    @property
    def oldest_onnxruntime(self) -> str:
        """The oldest onnxruntime release that runs this opset, in any precision, and IR version.

        Raises ModelError if none does.
        """
        for release in RELEASES:
            if self.opset <= release.opset and self.ir_version <= release.ir_version:
                return release.version
        newest = RELEASES[-1]
        raise ModelError(
            f"expected at most opset {newest.opset} and IR version {newest.ir_version} (onnxruntime {newest.version}), "
            f"found opset {self.opset} and IR version {self.ir_version}; export with --opset {OPSET}"
        )


def read_versions(model: onnx.ModelProto) -> Versions:
    """The opset of the standard operators and the IR version that ``model`` declares. Raises ModelError without one."""
    opsets = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if len(opsets) != 1:
        raise ModelError(f"expected one opset of the standard operators, found {opsets}")
    return Versions(opset=opsets[0], ir_version=model.ir_version)


def smallest_ir_version(opset: int) -> int:
    """The IR version that came with ``opset``: older runtimes load a file the smaller it is."""
    return onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
