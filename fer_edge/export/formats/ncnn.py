"""ncnn: a net in text (.param), its weights (.bin) and its labels, for phones and boards. pnnx converts it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from fer_edge.export.formats.registry import ModelFormat, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from fer_edge.backends._ncnn_files import Layer
    from fer_edge.metadata import ModelMetadata

_SECONDS = 300
_PNNX_INPUT, _PNNX_OUTPUTS = "in0", {"out0": "probabilities", "out1": "logits"}
_WEIGHT = ".weight"
_SAME_VALUES = 1e-3
"""Largest difference over the largest value, of two layers that compute the same."""


def ncnn_files(source: Source, metadata: "ModelMetadata") -> dict[str, bytes]:
    """The net's text and weights, and its labels. Raises ModelError where pnnx cannot convert it.

    The net takes grey values 0-255 as floats, (1, S, S), which ``Mat::from_pixels`` makes of bytes; it normalises them.
    Layers and values are called after torch's modules.
    """
    import numpy as np

    from fer_edge.backends import _ncnn_files
    from fer_edge.backends.ncnn import LABELS, WEIGHTS, blobs, labels_text, opened
    from fer_edge.files import temporary_folder

    with temporary_folder() as name:
        folder = _converted(source, metadata, name)
        param, weights = ((folder / f"net.ncnn{suffix}").read_bytes() for suffix in (".param", ".bin"))
    layers = _ncnn_files.read_param(param, folder / "net.ncnn.param")
    _ncnn_files.read_shapes(layers, metadata.image_size, folder / "net.ncnn.param")
    size = metadata.image_size
    face = np.random.default_rng(0).integers(0, 256, (size, size), dtype=np.uint8)  # no two layers give the same to it
    names = [output for layer in layers[1:] if layer.kind != "Split" for output in layer.outputs]
    blob_names = _after_modules(blobs(opened(param, weights), face, names), source, face)
    weighted = _ncnn_files.read_weights(layers, weights, folder / "net.ncnn.bin")
    layer_names = _after_parameters(
        {name: found.values for name, found in weighted.items()}, source.module.classifier, size
    )
    if metadata.precision == "fp16":  # pnnx's own option takes weights below 6e-5 for zero
        weights = _ncnn_files.write_halved(layers, weighted)
    text = _ncnn_files.write_param(_renamed(layers, blob_names, layer_names, metadata.input.name))
    return {FORMAT.suffixes[0]: text, WEIGHTS: weights, LABELS: labels_text(metadata)}


def _converted(source: Source, metadata: "ModelMetadata", name: str) -> "Path":
    """The folder ``name`` with what pnnx writes beside the traced network that is put there. Raises ModelError."""
    import subprocess
    import warnings
    from pathlib import Path

    import pnnx
    import torch

    from fer_edge.errors import ModelError
    from fer_edge.text import printable

    folder, size = Path(name), metadata.image_size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's deprecation of its tracer, which is what pnnx reads
        torch.jit.trace(source.planes_module, torch.zeros(1, 1, size, size)).save(str(folder / "net.pt"))
    command = [pnnx.EXEC_PATH, "net.pt", f"inputshape=[1,1,{size},{size}]f32"]
    command.append("fp16=0")
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ModelError(f"{metadata.name}: pnnx cannot convert it: {printable(str(error))[-300:]}") from error
    if done.returncode != 0 or not (folder / "net.ncnn.bin").is_file():
        told = printable(" ".join((done.stderr or done.stdout).split()))[-300:]
        raise ModelError(f"{metadata.name}: pnnx cannot convert it (exit code {done.returncode}): {told}")
    return folder


def _after_modules(
    values: "Mapping[str, NDArray[np.float32]]", source: Source, face: "NDArray[np.uint8]"
) -> dict[str, str]:
    """Names of torch's modules by the net's values that are what these modules give for ``face``.

    By what they compute: pnnx merges modules, and calls what is left by numbers.
    """
    import numpy as np
    import torch

    from fer_edge.export.parity.divergence import outputs_of_modules

    prepared = source.module.prepared_faces(face[np.newaxis, ..., np.newaxis])
    of_modules = outputs_of_modules(source.module.classifier, torch.from_numpy(prepared))
    named: dict[str, str] = {}
    for blob, value in values.items():
        for name, (_, own) in of_modules.items():
            is_free = name not in named.values() and name not in _PNNX_OUTPUTS.values()
            if is_free and own.shape[1:] == value.shape and _are_alike(own[0], value):
                named[blob] = name
                break
    return named


def _after_parameters(
    weights: "Mapping[str, NDArray[np.floating]]", classifier: "nn.Module", image_size: int
) -> dict[str, str]:
    """Names of torch's parameters, without ``.weight``, by the net's layers that hold them, batch norm folded in."""
    from onnx import numpy_helper

    from fer_edge.export.graph.network import export_network

    tensors = export_network(classifier, image_size).graph.initializer
    own = {one.name.removesuffix(_WEIGHT): numpy_helper.to_array(one) for one in tensors if one.name.endswith(_WEIGHT)}
    named: dict[str, str] = {}
    for layer, found in weights.items():
        for name, value in own.items():
            is_free = name not in named.values() and value.size == found.size
            if is_free and _are_alike(value.reshape(found.shape), found):
                named[layer] = name
                break
    return named


def _are_alike(own: "NDArray[np.floating]", found: "NDArray[np.floating]") -> bool:
    import numpy as np

    largest = float(np.abs(own).max())
    return float(np.abs(own - found).max()) <= _SAME_VALUES * largest


def _renamed(
    layers: "Sequence[Layer]", blob_names: "Mapping[str, str]", layer_names: "Mapping[str, str]", image: str
) -> "list[Layer]":
    names = {**blob_names, _PNNX_INPUT: image, **_PNNX_OUTPUTS}
    return [
        replace(
            layer,
            name=layer_names.get(layer.name, layer.name),
            inputs=tuple(names.get(blob, blob) for blob in layer.inputs),
            outputs=tuple(names.get(blob, blob) for blob in layer.outputs),
        )
        for layer in layers
    ]


def _write(source: Source, metadata: "ModelMetadata") -> dict[str, bytes]:
    return ncnn_files(source, metadata)


FORMAT = ModelFormat(
    name="ncnn",
    summary="ncnn",
    suffixes=(".param", ".bin", ".labels.txt"),
    write=_write,
    precisions=("fp32", "fp16"),
    input_kinds=("faces",),
    takes_one_face=True,
    embeds_metadata=False,
    has_layer_names=True,
    writes_same_bytes=True,
    made_by="pnnx",
    made_by_extra="ncnn",
    packages=("ncnn", "pnnx"),
    refused_options=("target", "opset", "fixed-shape"),
    refused_because="makes one file for every processor, of one face a run",
    on_device="ncnn on Android, iOS and boards, CPU",
)
