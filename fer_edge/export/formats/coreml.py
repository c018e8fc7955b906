"""Core ML's model package (.mlpackage, an ML program): for iOS and macOS. Converted here, run nowhere but on Apple's
systems."""

import json
import logging
import uuid
from typing import TYPE_CHECKING, Any

from fer_edge.export.formats.registry import ModelFormat, Source

if TYPE_CHECKING:
    from fer_edge.metadata import ModelMetadata

_SPECIFICATION, _WEIGHTS = "com.apple.CoreML/model.mlmodel", "com.apple.CoreML/weights"
_NAMESPACE = uuid.UUID("6f1d0b5e-5b7c-5a4e-9d0a-8d5f3f0f6c11")
"""Of the identifiers in the manifest, which coremltools draws at random."""
_DATED = ("com.github.apple.coremltools.conversion_date",)


def coreml_bytes(source: Source, metadata: "ModelMetadata") -> bytes:
    """The package, as ``folder_files.pack`` of its files. The same network gives the same bytes.

    Core ML takes an image and makes its grey values 0-255 of it; the program normalises them. Raises ModelError where
    coremltools cannot convert the network.
    """
    from pathlib import Path

    from fer_edge.backends._quiet import quietly
    from fer_edge.backends.mil_torch import METADATA_KEY, PROBABILITIES
    from fer_edge.errors import ModelError
    from fer_edge.folder_files import pack
    from fer_edge.metadata import NO_CHECKSUM
    from fer_edge.text import printable

    size = metadata.image_size
    with quietly(logging.ERROR):
        import coremltools
        import torch

        traced = torch.jit.trace(source.planes_module, torch.zeros(1, 1, size, size))
        grey = coremltools.ImageType(
            name=metadata.input.name, shape=(1, 1, size, size), color_layout=coremltools.colorlayout.GRAYSCALE
        )
        options: dict[str, Any] = {
            "inputs": [grey],
            "minimum_deployment_target": coremltools.target.iOS15,
            "compute_precision": getattr(coremltools.precision, f"FLOAT{16 if metadata.precision == 'fp16' else 32}"),
        }
        try:
            # Its names of outputs, of which the first is to be the classifier's, are known only when it has converted.
            program = coremltools.convert(traced, convert_to="milinternal", **options)
            probabilities, logits = (output.name for output in program.functions["main"].outputs)
            labels = coremltools.ClassifierConfig(
                list(metadata.labels),
                predicted_feature_name="label",
                predicted_probabilities_output=probabilities,
            )
            model = coremltools.convert(
                traced, convert_to="mlprogram", classifier_config=labels, skip_model_load=True, **options
            )
        except Exception as error:  # coremltools raises what its passes happen to
            reason = printable(" ".join(str(error).split()))[-300:]
            raise ModelError(f"{metadata.name}: coremltools cannot convert it: {reason}") from error
        specification = model.get_spec()
        coremltools.utils.rename_feature(
            specification, specification.description.predictedProbabilitiesName, PROBABILITIES
        )
        coremltools.utils.rename_feature(specification, logits, "logits")
        description = specification.description
        for key in _DATED:
            description.metadata.userDefined.pop(key, None)
        description.metadata.shortDescription = f"One face to {len(metadata.labels)} classes"
        description.metadata.license = metadata.license
        description.metadata.userDefined[METADATA_KEY] = metadata.with_checksum(NO_CHECKSUM).to_json()
        weights = (Path(model.weights_dir) / "weight.bin").read_bytes()
    return pack(
        {
            "Manifest.json": _manifest(),
            f"Data/{_SPECIFICATION}": specification.SerializeToString(deterministic=True),
            f"Data/{_WEIGHTS}/weight.bin": weights,
        }
    )


def _manifest() -> bytes:
    own = {
        _SPECIFICATION: ("model.mlmodel", "CoreML Model Specification"),
        _WEIGHTS: ("weights", "CoreML Model Weights"),
    }
    entries = {
        str(uuid.uuid5(_NAMESPACE, path)): {
            "author": "com.apple.CoreML",
            "description": description,
            "name": name,
            "path": path,
        }
        for path, (name, description) in own.items()
    }
    manifest = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": entries,
        "rootModelIdentifier": str(uuid.uuid5(_NAMESPACE, _SPECIFICATION)),
    }
    # As coremltools writes it, which does so again whenever it opens a package: the SHA-256 must stay.
    return (json.dumps(manifest, indent=4, sort_keys=True) + "\n").encode()


def _write(source: Source, metadata: "ModelMetadata") -> dict[str, bytes]:
    return {FORMAT.suffixes[0]: coreml_bytes(source, metadata)}


FORMAT = ModelFormat(
    name="coreml",
    summary="coreml (.mlpackage)",
    suffixes=(".mlpackage",),
    write=_write,
    precisions=("fp32", "fp16"),
    input_kinds=("faces",),
    channels=(1,),
    takes_one_face=True,
    writes_same_bytes=True,
    made_by="coremltools",
    made_by_extra="coreml",
    packages=("coremltools",),
    refused_options=("target", "opset", "fixed-shape"),
    refused_because="makes one package for every Apple processor, of one face a run",
    embeds_metadata=False,
    on_device="Core ML on iOS 15 or macOS 12 and later: not run here",
    untried="Core ML itself was not run: the package's MIL graph was evaluated by torch, on a system without Core ML.",
    note="Core ML itself is not run here, but on Apple's systems alone; torch evaluates the package's MIL graph",
)
