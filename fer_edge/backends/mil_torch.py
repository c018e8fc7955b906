"""The MIL graph of a Core ML package, evaluated by torch. This is not Core ML, which runs on Apple's systems alone.

It says that the graph and its weights are right, not that Core ML is: that computes in float16 on the Neural Engine and
the GPU, and resizes images by itself.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fer_edge.backends._mil_program import MilProgram, read_package
from fer_edge.backends.contract import ModelBackend, Outputs
from fer_edge.backends.registry import BackendEntry, loads_on_cpu
from fer_edge.errors import ModelError
from fer_edge.text import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fer_edge.runtime.model_file import CheckedFile

NAME = "mil-torch"
METADATA_KEY = "fer_edge.metadata"
"""Of the package's user-defined metadata: ours, as JSON, without checksum."""
PROBABILITIES = "probabilities"
"""A dictionary from label to probability, as Core ML gives it."""
_GREYSCALE = 10
"""Of the specification's colour spaces."""


def _opened(model: "CheckedFile", threads: int) -> "MilTorch":
    """Read the package and its program. Raises ModelError for another, and for operators that are not known here."""
    from fer_edge.backends import _torch

    _torch.prepare_torch(threads, "cpu")
    return MilTorch(model)


class MilTorch(ModelBackend):
    """A program, run operator by operator, one face at a time."""

    def __init__(self, model: "CheckedFile") -> None:
        super().__init__(model.path, model.metadata, model.sha256)
        try:
            specification, operations = read_package(model.data, self.path)
            self._check_description(specification.description)
            self._program = MilProgram(operations, self.metadata.input.name)
            self._check_labels(operations)
        except ModelError:
            raise
        except Exception as error:  # protobuf, coremltools and struct raise many kinds for malformed bytes
            reason = printable(" ".join(str(error).split()))[:300]
            raise ModelError(f"{self.path}: expected a Core ML package, found another ({reason})") from error

    def _check_description(self, description: Any) -> None:
        """Refuse (ModelError) a package that takes or gives something else than the metadata say."""
        size = self.metadata.image_size
        taken = [(one.name, one.type.imageType) for one in description.input]
        images = [(name, image.width, image.height, image.colorSpace) for name, image in taken]
        names = {one.name for one in description.output}
        expected = {output.name for output in self.metadata.outputs}
        if images != [(self.metadata.input.name, size, size, _GREYSCALE)] or not expected <= names:
            wanted, found = ", ".join(sorted(expected)), printable(f"{images} and {', '.join(sorted(names))}")
            raise ModelError(
                f"{self.path}: expected a grey image {self.metadata.input.name} of {size}x{size} pixels and the "
                f"outputs {wanted}, found {found}"
            )
        if description.predictedProbabilitiesName != PROBABILITIES:
            raise ModelError(f"{self.path}: expected {PROBABILITIES} to be those of the labels; export it again")
        from fer_edge.metadata import NO_CHECKSUM

        stated = replace(self.metadata, content_sha256=NO_CHECKSUM, uncertainty=None)  # which the sidecar alone has
        if description.metadata.userDefined.get(METADATA_KEY) != stated.to_json():
            raise ModelError(
                f"{self.path}: expected the metadata in {self.path.stem}.json to be those in the package, found "
                "others; export it again"
            )

    def _check_labels(self, operations: list[Any]) -> None:
        found = [tuple(map(str, op.classes.val)) for op in operations if op.op_type == "classify"]
        if found != [self.metadata.labels]:
            raise ModelError(
                f"{self.path}: expected a classifier of the labels in the metadata, found "
                f"{printable(str(found))[:200]}; export it again"
            )

    def execute(self, feed: "NDArray[Any]") -> Any:
        """Every output by name, of one face after the other."""
        import numpy as np
        import torch

        found: dict[str, list[NDArray[np.float32]]] = {output.name: [] for output in self.metadata.outputs}
        with torch.inference_mode():
            for face in feed:
                for name, value in self._run(torch.tensor(face[..., 0], dtype=torch.float32)[None, None]).items():
                    found[name].append(value.float().numpy().reshape(-1))
        return {name: np.stack(rows) for name, rows in found.items()}

    def _run(self, image: Any) -> dict[str, Any]:
        try:
            values = self._program.run(image)
            return {PROBABILITIES: values[self._program.classified], "logits": values["logits"]}
        except (RuntimeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise ModelError(
                f"{self.path}: torch cannot evaluate its MIL graph: {printable(str(error))[:300]}"
            ) from error

    def download(self, answer: "Mapping[str, NDArray[np.float32]]") -> Outputs:
        """Probabilities and logits (N, C)."""
        return self.outputs_of(dict(answer))


BACKEND = BackendEntry(
    name=NAME,
    formats=("coreml",),
    load=loads_on_cpu(NAME, _opened),
    imports=("torch", "coremltools", "fer_edge.runtime.inference"),
    package="coremltools",
    extra="coreml",
    colour="#a0a0a0",
    start_seconds=6.0,
    process_bytes=700 * 2**20,
    stands_for="Core ML",
    splits_preprocessing=True,
)
