"""Core ML's package of a network, by coremltools: an ML program that makes a classifier of a grey image."""

import json
import logging
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from fer_edge.export.graph.reference import PlanesToProbabilities

_SPECIFICATION, _WEIGHTS = "com.apple.CoreML/model.mlmodel", "com.apple.CoreML/weights"
_NAMESPACE = uuid.UUID("6f1d0b5e-5b7c-5a4e-9d0a-8d5f3f0f6c11")
"""Of the identifiers in the manifest, which coremltools draws at random."""
_QUANTISE = "compression::linear_quantize_weights"
_DATED = ("com.github.apple.coremltools.conversion_date",)


def package_of(
    module: "PlanesToProbabilities",
    size: int,
    precision: str,
    labels: "tuple[str, ...]",
    described: "Callable[[Any], None]" = lambda _: None,
) -> bytes:
    """The package of a module from grey values on; ``described`` is given its description. Raises ModelError."""
    from pathlib import Path

    from fer_edge.backends._quiet import quietly
    from fer_edge.backends.mil_torch import PROBABILITIES
    from fer_edge.errors import ModelError
    from fer_edge.export.graph.network import LOGITS
    from fer_edge.export.graph.preprocessing import IMAGE
    from fer_edge.folder_files import pack
    from fer_edge.text import printable

    with quietly(logging.ERROR):
        import coremltools
        import numpy as np
        import torch
        from coremltools.converters.mil import Builder

        Builder.name_count.clear()  # or constants are numbered on from what this process read before
        traced = torch.jit.trace(module, torch.zeros(1, 1, size, size))
        grey = coremltools.ImageType(
            name=IMAGE, shape=(1, 1, size, size), color_layout=coremltools.colorlayout.GRAYSCALE
        )
        # The operator that makes floats of 8-bit weights is of iOS 16.
        target = getattr(coremltools.target, "iOS16" if precision == "int8" else "iOS15")
        try:
            program = coremltools.convert(
                traced,
                convert_to="milinternal",
                inputs=[grey],
                outputs=[coremltools.TensorType(dtype=np.float32)] * 2,
                minimum_deployment_target=target,
                compute_precision=getattr(coremltools.precision, f"FLOAT{32 if precision == 'fp32' else 16}"),
                pass_pipeline=_weights_in_8_bits() if precision == "int8" else None,
            )
            # In two steps, because the names of the outputs, of which the first is to be the classifier's, are known
            # only now; and coremltools cannot make a classifier and 8 bits, or iOS 16 and float16, in one.
            main = program.functions["main"]
            probabilities, logits = (output.name for output in main.outputs)
            main.set_output_types(None)
            model = coremltools.convert(
                program,
                convert_to="mlprogram",
                source="milinternal",
                classifier_config=coremltools.ClassifierConfig(
                    list(labels), predicted_feature_name="label", predicted_probabilities_output=probabilities
                ),
                minimum_deployment_target=target,
                compute_precision=coremltools.precision.FLOAT32,  # as the program is already
                skip_model_load=True,
            )
        except Exception as error:  # coremltools raises what its passes happen to
            reason = printable(" ".join(str(error).split()))[-300:]
            raise ModelError(f"coremltools cannot convert it: {reason}") from error
        specification = model.get_spec()
        coremltools.utils.rename_feature(
            specification, specification.description.predictedProbabilitiesName, PROBABILITIES
        )
        coremltools.utils.rename_feature(specification, logits, LOGITS)
        for key in _DATED:
            specification.description.metadata.userDefined.pop(key, None)
        described(specification.description)
        weights = (Path(model.weights_dir) / "weight.bin").read_bytes()
    return pack(
        {
            "Manifest.json": _manifest(),
            f"Data/{_SPECIFICATION}": specification.SerializeToString(deterministic=True),
            f"Data/{_WEIGHTS}/weight.bin": weights,
        }
    )


def _weights_in_8_bits() -> Any:
    """Coremltools' passes, and last the one that makes weights of 2,048 values and more int8, with a scale for each
    channel; it leaves smaller ones."""
    import coremltools
    from coremltools.optimize import coreml

    way = coreml.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8", granularity="per_channel")
    passes = coremltools.PassPipeline.DEFAULT
    passes.append_pass(_QUANTISE)
    passes.set_options(_QUANTISE, {"config": coreml.OptimizationConfig(global_config=way)})
    return passes


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
