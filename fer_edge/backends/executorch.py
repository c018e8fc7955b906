"""ExecuTorch's own runtime, with XNNPACK: what phones and boards run, on this CPU."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.backends._quiet import quietly
from fer_edge.backends.contract import ModelBackend, Outputs
from fer_edge.backends.registry import BackendEntry, loads_on_cpu
from fer_edge.errors import ModelError
from fer_edge.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fer_edge.metadata import ModelMetadata
    from fer_edge.runtime.model_file import CheckedFile

NAME = "executorch"

_IDENTIFIER = b"ET12"  # the flatbuffer's file identifier, at byte 4
_HEADER = b"eh00"  # then the length of a header, and of what follows it
_HEADER_AT, _HEADER_BYTES = 8, 32
_METHOD = "forward"
_UINT8, _FLOAT32 = 0, 6
"""Of ExecuTorch's ScalarType."""


def constant_methods(metadata: "ModelMetadata") -> "dict[str, Any]":
    """What a program says of itself, by the names of its methods that only return a constant."""
    return {
        "labels": list(metadata.labels),
        "image_size": metadata.image_size,
        "max_side": metadata.input.max_side,
    }


class ExecuTorch(ModelBackend):
    """A loaded method, which runs one RGB image at a time."""

    def __init__(self, model: "CheckedFile", threads: int) -> None:
        super().__init__(model.path, model.metadata, model.sha256)
        _check_header(model.path, model.data)
        with quietly():
            self._load(model.data, threads)

    def _load(self, data: bytes, threads: int) -> None:
        from executorch.runtime import Runtime, Verification

        try:
            if threads:
                from executorch.extension.pybindings import portable_lib

                portable_lib._unsafe_reset_threadpool(threads)  # unsafe while a method runs elsewhere
            # From the very bytes that were checked; the runtime checks the flatbuffer's offsets.
            program = Runtime.get().load_program(data, verification=Verification.InternalConsistency)
            self._program: Any = program  # it owns what the method runs: without it the process crashes
            self._check_constants(program)
            self._method: Any = program.load_method(_METHOD)
            self._check_tensors(self._method.metadata)
        except (RuntimeError, KeyError, IndexError) as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> ModelError:
        return ModelError(f"{self.path}: {NAME} cannot run it: {printable(' '.join(str(error).split()))[-300:]}")

    def _check_constants(self, program: Any) -> None:
        """Refuse (ModelError) a program whose labels or sizes are others than the metadata's."""
        for name, expected in constant_methods(self.metadata).items():
            has_it = name in program.method_names
            found = program.load_method(name).execute(()) if has_it else "none"
            if found != (expected if isinstance(expected, list) else [expected]):
                raise ModelError(
                    f"{self.path}: expected {name} {printable(str(expected))} in the program, as the metadata say, "
                    f"found {printable(str(found))[:200]}; export it again"
                )

    def _check_tensors(self, meta: Any) -> None:
        """Refuse (ModelError) a method that takes or gives something else than the metadata say."""
        taken, classes = self.metadata.input, len(self.metadata.labels)
        found = [(meta.input_tensor_meta(index), "input") for index in range(meta.num_inputs())]
        found += [(meta.output_tensor_meta(index), "output") for index in range(meta.num_outputs())]
        tensors = [(kind, tuple(tensor.sizes()), tensor.dtype()) for tensor, kind in found]
        largest = (1, taken.max_side, taken.max_side, *taken.channels)
        expected = [("input", largest, _UINT8), *[("output", (1, classes), _FLOAT32)] * 2]
        if tensors != expected:
            raise ModelError(f"{self.path}: expected a program of {expected}, found {tensors}; export it again")

    def prepare(self, pixels: "NDArray[np.uint8]") -> Any:
        """The pixels as RGB; of images larger than the program takes the faces that it would resize them to."""
        import numpy as np

        from fer_edge.runtime.images import face_pixels

        largest = self.metadata.input.max_side
        if largest is not None and max(pixels.shape[1:3]) > largest:
            faces = np.stack([face_pixels(image, self.metadata.image_size) for image in pixels])
            pixels = faces[..., np.newaxis]
        return np.ascontiguousarray(super().prepare(pixels))

    def execute(self, feed: "NDArray[Any]") -> Any:
        """Every output by name, of one image after the other."""
        import numpy as np
        import torch

        from fer_edge.runtime.inference import run_in_fixed_batches

        names = [output.name for output in self.metadata.outputs]

        def run(image: "NDArray[Any]") -> "dict[str, NDArray[np.float32]]":
            with_memory = np.require(image, requirements=["C", "W"])  # torch wants it writable; ExecuTorch reads it
            answer = self._method.execute((torch.from_numpy(with_memory),))
            return {name: value.numpy() for name, value in zip(names, answer, strict=True)}

        try:
            return run_in_fixed_batches(run, feed, self.metadata)
        except RuntimeError as error:
            raise self._refused(error) from error

    def download(self, answer: "Mapping[str, NDArray[np.float32]]") -> Outputs:
        """Probabilities and logits (N, C)."""
        return self.outputs_of(dict(answer))


def logits_of(data: bytes, faces: "NDArray[np.uint8]") -> "NDArray[np.float32]":
    """Logits (N, C) of a program that was written by this very process, for grey ``faces`` (N, S, S)."""
    import numpy as np
    import torch

    with quietly():
        from executorch.runtime import Runtime

        program = Runtime.get().load_program(data)
        method = program.load_method(_METHOD)
        images = torch.from_numpy(np.repeat(faces[..., np.newaxis], 3, axis=3))
        return np.concatenate([method.execute((image[None],))[1].numpy() for image in images])


def _bundle(data: bytes, cases: "Sequence[tuple[NDArray[np.uint8], Outputs]]", allowed: float) -> bytes:
    """ExecuTorch's bundled program, which it was asked to check. Raises ModelError."""
    with quietly():
        from fer_edge.backends._executorch_bundle import bundle, check_bundle

        bundled = bundle(data, _METHOD, cases)
        check_bundle("the bundled program", bundled, _METHOD, len(cases), allowed)
        return bundled


def _check_header(path: Path, data: bytes) -> None:
    """Refuse (ModelError) what is no whole program, before the runtime reads it."""
    start = _HEADER_AT + _HEADER_BYTES
    if data[4:8] != _IDENTIFIER or data[8:12] != _HEADER or len(data) < start:
        raise ModelError(f"{path}: expected an ExecuTorch program ({_IDENTIFIER.decode()}), found another file")
    graph, segments_at, segments = (
        int.from_bytes(data[place : place + 8], "little")
        for place in (_HEADER_AT + 8, _HEADER_AT + 16, _HEADER_AT + 24)
    )
    root = int.from_bytes(data[:4], "little")
    if not start <= root < graph <= segments_at or segments_at + segments != len(data):
        raise ModelError(
            f"{path}: expected a program of {graph} and segments of {segments} bytes from {segments_at} on, as its "
            f"header says, found a file of {len(data)} bytes; export it again"
        )


BACKEND = BackendEntry(
    name=NAME,
    formats=(NAME,),
    load=loads_on_cpu(NAME, ExecuTorch),
    imports=("torch", "executorch.runtime", "fer_edge.runtime.inference"),
    package="executorch",
    extra="executorch",
    colour="#b8502e",
    bundle=_bundle,
    bundle_suffix=".bpte",
    start_seconds=4.0,
    process_bytes=600 * 2**20,
)
