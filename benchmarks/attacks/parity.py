"""Plant faults in exported models one at a time, with a right checksum each, and ask ``verify`` about every one.

    python benchmarks/attacks/parity.py --output benchmarks/results/attacks/parity.json

Writes a Markdown table beside the JSON. Exits with 3 where a sound model was refused. A fault that is missed does not:
docs/verification.md says which those are and why.
"""

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from faults import AN_OLDER_ONNXRUNTIME, ANYWHERE, IN_8_BITS, LIES, as_ort, changed, coarse_activations

from fer_edge.errors import FerEdgeError
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.parity import comparison, file_comparison, verification
from fer_edge.export.parity.probes import Probe
from fer_edge.export.parity.verification import VerifyRequest, verify_model
from fer_edge.export.request import ExportRequest
from fer_edge.training.hardware import describe_machine

Attack = tuple[str, str, str, bytes | None]
"""What is attacked, the fault's name, the file's suffix, and the file: None where onnxruntime makes none of it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=Path("exported/fer-tiny.pt"))
    parser.add_argument("--int8", type=Path, default=Path("exported/fer-tiny-int8.onnx"))
    parser.add_argument("--data", help="faces for verify; without, it takes synthetic ones")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    began = time.monotonic()
    rows = []
    keep_the_checkpoints_side()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done = export_checkpoint(ExportRequest(options.checkpoint, name="sound", folder=folder))
        models = {"fp32": onnx.load(done.paths[0]), "int8": onnx.load(options.int8)}
        for of, fault, suffix, data in attacks(models):
            path = folder / f"attacked{suffix}"
            if data is None:
                found = "refused: onnxruntime makes no such file of it"
            else:
                path.write_bytes(data)
                found = answer(VerifyRequest(path, options.checkpoint, data=options.data))
            rows.append({"of": of, "fault": fault, "found": found})
            print(f"{of}: {fault}: {found or ('passed' if fault == SOUND else 'MISSED')}", flush=True)
    report = {
        "machine": describe_machine(),
        "checkpoint": options.checkpoint.name,
        "data": options.data is not None,
        "seconds": round(time.monotonic() - began),
        "runs": rows,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    options.output.with_suffix(".md").write_text(to_markdown(report))
    if any(row["found"] for row in rows if row["fault"] == SOUND):
        raise SystemExit(3)


SOUND = "none"


def keep_the_checkpoints_side() -> None:
    """What verify computes of the checkpoint is the same for every fault: its graph, the probes, and its answers."""
    file_comparison.export_network = cache(file_comparison.export_network)
    verification.load_reference = cache(verification.load_reference)
    probes = comparison.make_probes

    @cache
    def probes_of(shape: tuple[int, ...], faces: bytes) -> tuple[Probe, ...]:
        return probes(np.frombuffer(faces, np.uint8).reshape(shape))

    comparison.make_probes = lambda faces: probes_of(faces.shape, faces.tobytes())
    kept, answer_anew = {}, PixelsToProbabilities.answer

    def answer_once(reference: PixelsToProbabilities, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        key = (pixels.shape, hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).digest())
        if key not in kept:
            kept[key] = answer_anew(reference, pixels)
        return kept[key]

    PixelsToProbabilities.answer = answer_once


def attacks(models: dict[str, onnx.ModelProto]) -> Iterator[Attack]:
    """Every file, the sound ones first: they must pass."""
    of_precision = {"fp32": ANYWHERE, "int8": ANYWHERE | IN_8_BITS | {"coarse activations": coarse_activations}}
    for precision, faults in of_precision.items():
        for suffix, write in ((".onnx", bytes), (".ort", as_ort)):
            of = f"graph, {precision} {suffix}"
            yield of, SOUND, suffix, write(changed(models[precision]))
            for name, fault in faults.items():
                yield of, name, suffix, write(changed(models[precision], fault))
    for precision, model in models.items():
        for name, lie in LIES.items():
            yield f"metadata, {precision} .onnx", name, ".onnx", changed(model, lie=lie)
            if name != AN_OLDER_ONNXRUNTIME:  # as_ort states the one here, whatever was stated
                yield f"metadata, {precision} .ort", name, ".ort", as_ort(changed(model, lie=lie))


def answer(request: VerifyRequest, verify: Callable[..., object] = verify_model) -> str:
    """The first thing that ``verify`` found wrong, in short, or nothing."""
    try:
        failures = verify(request).parity.failures
    except FerEdgeError as error:
        return f"refused: {str(error).partition(': ')[2]}"
    return failures[0] if failures else ""


def to_markdown(report: dict) -> str:
    """How many faults of each kind were found, and those that were not."""
    lines = [
        "# Faults planted in exported models, and what `verify` said",
        "",
        f"`benchmarks/attacks/parity.py` on {report['machine']}: {report['checkpoint']}, "
        f"{'given' if report['data'] else 'synthetic'} faces, {report['seconds']} s.",
        "",
        "| planted in | faults | found | missed |",
        "| --- | ---: | ---: | --- |",
    ]
    for of in dict.fromkeys(row["of"] for row in report["runs"]):
        planted = [row for row in report["runs"] if row["of"] == of and row["fault"] != SOUND]
        missed = [row["fault"] for row in planted if not row["found"]]
        lines.append(f"| {of} | {len(planted)} | {len(planted) - len(missed)} | {', '.join(missed) or 'none'} |")
    sound = [row for row in report["runs"] if row["fault"] == SOUND]
    lines += ["", f"Sound models that passed: {sum(not row['found'] for row in sound)} of {len(sound)}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
