"""ncnn on the CPU, in float32: what phones and boards with Tencent's runtime run.

ncnn halves values where the processor computes in float16 (ARM from v8.2 on) unless it is told not to; here it is, so
that the answers are those of the file on every processor.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.backends import _ncnn_files
from fer_edge.backends.contract import ModelBackend, Outputs, Weights
from fer_edge.backends.registry import BackendEntry, loads_on_cpu
from fer_edge.errors import ModelError
from fer_edge.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from fer_edge.metadata import ModelMetadata
    from fer_edge.runtime.model_file import CheckedFile

NAME = "ncnn"
WEIGHTS, LABELS = ".bin", ".labels.txt"
"""Ends of the names of a model's further files."""
_HALVING = (
    *("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"),
    *("use_bf16_packed", "use_bf16_storage", "use_vulkan_compute"),
)


def labels_text(metadata: "ModelMetadata") -> bytes:
    """One label a line, for apps without a reader of JSON."""
    return ("\n".join(metadata.labels) + "\n").encode()


def opened(param: bytes, weights: bytes, threads: int = 0) -> Any:
    """An ``ncnn.Net`` of these bytes, in float32. Raises ModelError where ncnn cannot load them."""
    import ncnn

    from fer_edge.files import temporary_folder

    net = ncnn.Net()
    for option in _HALVING:
        setattr(net.opt, option, False)
    # Its own choice, a thread a core, waits actively: 16 times slower where another process has the cores.
    net.opt.num_threads = threads or 1
    # Its loader from memory keeps no copy of the weights, and Python frees them. So from files that only we can write.
    with temporary_folder() as folder:
        files = {Path(folder) / "net.param": param, Path(folder) / "net.bin": weights}
        for path, data in files.items():
            path.write_bytes(data)
        text, binary = map(str, files)
        if net.load_param(text) != 0 or net.load_model(binary) != 0:
            raise ModelError(f"{NAME} cannot load it")
    return net


def blobs(net: Any, face: "NDArray[np.uint8]", names: "Collection[str]") -> "dict[str, NDArray[np.float32]]":
    """Values by their names for one grey face uint8 (S, S). Raises ModelError where there is none."""
    import ncnn
    import numpy as np

    height, width = face.shape
    extractor = net.create_extractor()
    extractor.set_light_mode(False)  # it would free what was read, which may be asked for again
    pixels = ncnn.Mat.from_pixels(np.ascontiguousarray(face), ncnn.Mat.PixelType.PIXEL_GRAY, width, height)
    extractor.input(_ncnn_input(net), pixels)
    found = {}
    for name in names:
        status, value = extractor.extract(name)
        if status != 0:
            raise ModelError(f"{NAME} cannot run it as far as {printable(name)}")
        found[name] = np.array(value, np.float32)  # a copy: the net's own memory is used again
    return found


def _ncnn_input(net: Any) -> str:
    return str(net.input_names()[0])


class Ncnn(ModelBackend):
    """A loaded net, which runs one face at a time."""

    def __init__(self, model: "CheckedFile", threads: int) -> None:
        super().__init__(model.path, model.metadata, model.sha256)
        self._layers = _ncnn_files.read_param(model.data, self.path)
        self._check_contract(model.other(LABELS))
        beside = self.path.with_suffix(WEIGHTS)
        self._weights = _ncnn_files.read_weights(self._layers, model.other(WEIGHTS), beside)
        try:
            self._net = opened(model.data, model.other(WEIGHTS), threads)
        except ModelError as error:
            raise ModelError(f"{self.path}: {error}; export it again") from error

    def _check_contract(self, labels: bytes) -> None:
        """Refuse (ModelError) a net whose input, outputs or labels are others than the metadata's."""
        shapes = _ncnn_files.read_shapes(self._layers, self.metadata.image_size, self.path)
        classes = (len(self.metadata.labels),)
        expected = {output.name: classes for output in self.metadata.outputs}
        found = {name: shapes.get(name) for name in expected}
        taken = self._layers[0].outputs[0]
        if found != expected or taken != self.metadata.input.name:
            raise ModelError(
                f"{self.path}: expected the input {self.metadata.input.name} and the outputs {expected}, as the "
                f"metadata say, found {printable(taken)} and {found}; export it again"
            )
        if labels != labels_text(self.metadata):
            raise ModelError(
                f"{self.path}: expected the labels of the metadata in {self.path.stem}{LABELS}, found others; "
                "export it again"
            )

    def execute(self, feed: "NDArray[Any]") -> Any:
        """Every output by name, of one face after the other."""
        return self._values(feed, [output.name for output in self.metadata.outputs])

    def _values(self, feed: "NDArray[Any]", names: "Collection[str]") -> "dict[str, NDArray[np.float32]]":
        import numpy as np

        faces = [blobs(self._net, face[..., 0], names) for face in feed]
        return {name: np.stack([values[name] for values in faces]) for name in names}

    def download(self, answer: "Mapping[str, NDArray[np.float32]]") -> Outputs:
        """Probabilities and logits (N, C)."""
        return self.outputs_of(dict(answer))

    def layer_values(self, feed: "NDArray[Any]", names: "Collection[str]") -> "Mapping[str, NDArray[np.float32]]":
        """Values by the names of torch's modules, which the export gave to the net's blobs."""
        known = {output for layer in self._layers for output in layer.outputs}
        return self._values(feed, [name for name in names if name in known])

    def weights(self) -> "Mapping[str, Weights]":
        """Every convolution's and matrix product's, by the name of torch's parameter."""
        found = {}
        for name, (values, bias) in self._weights.items():
            found[f"{name}.weight"] = Weights(values)
            if bias is not None:
                found[f"{name}.bias"] = Weights(bias)
        return found


BACKEND = BackendEntry(
    name=NAME,
    formats=(NAME,),
    load=loads_on_cpu(NAME, Ncnn),
    imports=("ncnn", "fer_edge.runtime.inference"),
    package="ncnn",
    extra="ncnn",
    colour="#2f7f8c",
    splits_preprocessing=True,
)
