"""Does this machine give a model's golden answers? Needs onnxruntime and numpy, nothing else.

    python check.py [MODEL] [PROVIDER, default CPUExecutionProvider]

Exit code 0 with one line of figures, or 1 with one line that names the first vector that differs and by how much.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

KIT = Path(__file__).resolve().parent


class Differs(Exception):
    """What differs, in one line."""


def check(model: Path, provider: str) -> str:
    """Run every vector; return the line of figures or raise Differs."""
    manifest = json.loads((KIT / "manifest.json").read_text(encoding="utf-8"))
    of_model, allowed = manifest["model"], manifest["tolerance"]
    try:
        data = model.read_bytes()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(data, options, providers=[provider])
        labels = json.loads(session.get_modelmeta().custom_metadata_map["fer_edge.card"])["labels"]
    except Exception as error:
        raise Differs(f"{model}: cannot be loaded: {' '.join(str(error).split())[:300]}") from error
    if session.get_providers()[0] != provider:
        raise Differs(f"{model}: expected {provider}, found {session.get_providers()[0]}")
    sha256 = hashlib.sha256(data).hexdigest()
    other = "" if sha256 == of_model["sha256"] else f"; the file is not the kit's {of_model['file']}: SHA-256 {sha256}"

    limits = {"logits": allowed["max_logit_difference"], "probabilities": allowed["max_probability_difference"]}
    worst, images = {"logits": 0.0, "probabilities": 0.0}, 0
    for vector in manifest["vectors"]:
        where = f"vector {vector['name']}"
        feed = np.fromfile(KIT / vector["file"], np.dtype(of_model["dtype"]).newbyteorder("<"))
        try:
            values = session.run(of_model["outputs"], {of_model["input"]: feed.reshape(vector["shape"])})
        except Exception as error:
            raise Differs(f"{where}: cannot be run: {' '.join(str(error).split())[:300]}{other}") from error
        found = dict(zip(of_model["outputs"], values, strict=True))
        logits = found["logits"].astype(np.float64)
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = found.get("probabilities", exponents / exponents.sum(axis=1, keepdims=True))
        for name, got in (("logits", logits), ("probabilities", probabilities)):
            if got.shape != np.shape(vector[name]):
                raise Differs(f"{where}: expected {name} of shape {np.shape(vector[name])}, found {got.shape}{other}")
            difference = np.abs(got - np.array(vector[name])).max(axis=1)  # the largest of each image
            if not (difference <= limits[name]).all():  # written so that NaN fails
                image = int((~(difference <= limits[name])).argmax())
                raise Differs(
                    f"{where}, image {image}: {name} differ by {difference[image]:.3g}, allowed {limits[name]:g}{other}"
                )
            worst[name] = max(worst[name], float(difference.max()))
        for image, (row, expected) in enumerate(zip(probabilities, vector["labels"], strict=True)):
            second, first = np.sort(vector["probabilities"][image])[-2:]
            label = labels[int(np.argmax(row))]
            if label != expected and first - second > allowed["tie_margin"]:
                raise Differs(f"{where}, image {image}: expected {expected}, found {label}{other}")
            images += 1
    if labels != of_model["labels"]:
        raise Differs(f"{model}: expected the labels {of_model['labels']}, found {labels}{other}")
    if other:
        raise Differs(f"all vectors agree{other}")
    return (
        f"ok: {len(manifest['vectors'])} vectors, {images} images, onnxruntime {onnxruntime.__version__} {provider}: "
        + ", ".join(f"{name} within {worst[name]:.2g} (allowed {limits[name]:g})" for name in worst)
    )


def default_model() -> Path:
    """The kit's model, which is looked for in the kit and beside it."""
    name: str = json.loads((KIT / "manifest.json").read_text(encoding="utf-8"))["model"]["file"]
    return KIT / name if (KIT / name).exists() else KIT.parent / name


if __name__ == "__main__":
    try:
        chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else default_model()
        print(check(chosen, sys.argv[2] if len(sys.argv) > 2 else "CPUExecutionProvider"))
    except Differs as reason:
        sys.exit(f"FAILED: {reason}")
