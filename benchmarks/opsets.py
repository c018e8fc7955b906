"""Which onnxruntime runs a file of which opset: each opset that --opset takes, in fp32, fp16 and INT8.

    python benchmarks/opsets.py --folder /tmp/onnxruntime

Networks that between them have every operator of all architectures are exported with random weights at each opset from
18 to the newest that onnx knows. Every onnxruntime release of benchmarks/onnxruntime_versions.py, installed as there,
is asked for the logits of a few faces; a file runs where they are those of the newest release. Each release also says
itself up to which IR version it reads, when handed IR version 99. The same is asked of raw models (faces to logits) of
the older opsets, 7 to 17, in each precision and network whose operators they have. Writes
benchmarks/results/opsets.json, from which the table in fer_edge/export/graph/versions.py follows (a test compares
them).
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from onnxruntime_versions import NUMPY_1, RELEASES, ROOT, installed

if TYPE_CHECKING:
    from torch import nn

POOLS = "pools"
NETWORKS = ("resnet10_half", "mobilenet_v3_small", POOLS)
"""Two architectures, and a network with the pools of the others, whose own files are up to 500 MB."""
PRECISIONS = ("fp32", "fp16", "int8")
NUM_FACES = 8
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "int8": 2e-2}
"""Of logits: another release may add in another order, in fp16 and INT8 one step of rounding further on."""
NEEDS_NUMPY_1 = (1, 18)
"""Up to this release wheels were built for numpy 1 alone."""
FIRST_OPSET = 18
RAW_OPSETS = range(7, FIRST_OPSET + 1)
"""Those of raw models; the last is what the older ones are compared with."""
RESULT = ROOT / "benchmarks" / "results" / "opsets.json"


def file_name(network: str, opset: int, precision: str, *, raw: bool = False) -> str:
    """Of an exported model."""
    return f"{network}-{'raw-' if raw else ''}opset{opset}-{precision}.onnx"


def build(name: str) -> "nn.Module":
    """One of NETWORKS or an architecture, grey faces (N, 1, 48, 48) to logits, in eval mode."""
    import torch
    from torch import nn

    from fer_edge.training.architectures import build_classifier

    torch.manual_seed(0)
    if name != POOLS:
        return build_classifier(name).eval()
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2, ceil_mode=True), nn.MaxPool2d(24)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(8 * 7 * 7, 7)).eval()


def export_all(folder: Path) -> list[int]:
    """Write every model that is not there yet, with faces.npy and raw.npy; gives the opsets that can be exported."""
    import onnx

    from fer_edge.data.sample import synthetic_faces
    from fer_edge.errors import ModelError
    from fer_edge.export.graph.model import assembled
    from fer_edge.export.graph.network import export_network
    from fer_edge.export.graph.reference import PixelsToProbabilities
    from fer_edge.export.quantization.calibration import calibrate, network_input
    from fer_edge.export.quantization.search import Recipe, quantise
    from fer_edge.export.quantization.targets import PORTABLE

    faces = synthetic_faces(range(NUM_FACES)).faces
    np.save(folder / "faces.npy", faces[..., np.newaxis])
    mean, std = 0.5, 0.25
    np.save(folder / "raw.npy", network_input(faces, mean, std))
    recipe = Recipe("MinMax", PORTABLE.activations[0], PORTABLE.reduce_range)
    opsets = []
    for opset in range(FIRST_OPSET, onnx.defs.onnx_opset_version() + 1):
        for name in NETWORKS:
            paths = {precision: folder / file_name(name, opset, precision) for precision in PRECISIONS}
            if all(path.exists() for path in paths.values()):
                continue
            reference = PixelsToProbabilities(build(name), faces.shape[1], mean, std)
            try:
                network = export_network(reference.classifier, reference.image_size, opset)
            except ModelError as error:
                print(f"opset {opset}: {error}", flush=True)
                break
            ranges = calibrate(network, network_input(faces, mean, std), "MinMax")
            networks = {"fp32": network, "fp16": network, "int8": quantise(network, ranges, recipe)}
            for precision, path in paths.items():
                onnx.save(assembled(networks[precision], reference, precision=precision, raw=False), path)
                for older in RAW_OPSETS if opset == FIRST_OPSET else ():
                    try:
                        raw = assembled(networks[precision], reference, precision=precision, raw=True, opset=older)
                    except ModelError as error:
                        print(f"{name}, {precision}: {error}", flush=True)
                    else:
                        onnx.save(raw, folder / file_name(name, older, precision, raw=True))
            print(f"exported {name} at opset {opset}", flush=True)
        else:
            opsets.append(opset)
    future = onnx.load(folder / file_name(NETWORKS[0], FIRST_OPSET, "fp32"))
    future.ir_version = 99
    onnx.save(future, folder / "future.onnx")
    return opsets


def operators_of_all(folder: Path) -> list[str]:
    """The operators of NETWORKS. Raises SystemExit where an architecture has another."""
    import onnx

    from fer_edge.export.graph.network import export_network
    from fer_edge.training.architectures import architecture_names

    files = [onnx.load(folder / file_name(name, FIRST_OPSET, "fp32")) for name in NETWORKS]
    known = {node.op_type for file in files for node in file.graph.node}
    for name in architecture_names():
        new = {node.op_type for node in export_network(build(name), 48, FIRST_OPSET).graph.node} - known
        if new:
            raise SystemExit(f"error: expected no operator but those of {', '.join(NETWORKS)}, found {new} in {name}")
    return sorted(known)


def answer(folder: Path) -> dict[str, Any]:
    """In the release's own process: logits, or why not, of every model, and the newest IR version."""
    import onnxruntime

    faces, raw = np.load(folder / "faces.npy"), np.load(folder / "raw.npy")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")  # without VNNI 8-bit sums would saturate

    def session(path: Path) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    logits, errors = {}, {}
    for path in sorted(folder.glob("*-opset*.onnx")):
        try:
            feed = {"faces": raw} if "-raw-" in path.name else {"image": faces}
            logits[path.name] = session(path).run(["logits"], feed)[0].tolist()
        except Exception as error:  # onnxruntime's exceptions share no base
            errors[path.name] = " ".join(str(error).split())[-200:]
    try:
        session(folder / "future.onnx")
        newest = 99
    except Exception as error:
        found = re.search(r"max supported IR version: (\d+)", str(error))
        newest = int(found[1]) if found else 0
    return {"ir_version": newest, "logits": logits, "errors": errors}


def ask(folder: Path, release: str) -> dict[str, Any]:
    """What a release answers. Raises CalledProcessError where it crashes."""
    paths = [installed(folder, "onnxruntime", release)]
    if tuple(map(int, release.split(".")[:2])) <= NEEDS_NUMPY_1:
        paths.append(installed(folder, "numpy", NUMPY_1))
    done = subprocess.run(
        [sys.executable, __file__, "--answer", "--folder", str(folder)],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def judge(found: Mapping[str, Any], reference: Mapping[str, Any], opsets: list[int]) -> dict[str, Any]:
    """Of one release: the largest difference of logits by opset and precision, or the first reason against it."""
    differences: dict[str, dict[str, float | str]] = {}
    for opset in opsets:
        differences[str(opset)] = row = {}
        for precision in PRECISIONS:
            names = [file_name(network, opset, precision) for network in NETWORKS]
            errors = [f"{name}: {found['errors'][name]}" for name in names if name in found["errors"]]
            row[precision] = (
                errors[0]
                if errors
                else max(
                    float(np.abs(np.array(found["logits"][name]) - np.array(reference["logits"][name])).max())
                    for name in names
                )
            )
    return {
        "ir_version": found["ir_version"],
        "logit_difference": differences,
        "raw_logit_difference": judge_raw(found, reference),
    }


def judge_raw(found: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, dict[str, float | str]]:
    """Of one release and raw models: the largest difference from the newest release's logits at FIRST_OPSET, over the
    networks that there are of the opset and precision, or the first reason against it."""
    differences: dict[str, dict[str, float | str]] = {}
    for opset in RAW_OPSETS:
        differences[str(opset)] = row = {}
        for precision in PRECISIONS:
            values: list[float | str] = []
            for network in NETWORKS:
                name = file_name(network, opset, precision, raw=True)
                if name in found["errors"]:
                    values.insert(0, f"{name}: {found['errors'][name]}")
                elif name in found["logits"]:
                    expected = reference["logits"][file_name(network, FIRST_OPSET, precision, raw=True)]
                    values.append(float(np.abs(np.array(found["logits"][name]) - np.array(expected)).max()))
            if values:
                numbers = [value for value in values if not isinstance(value, str)]
                row[precision] = values[0] if isinstance(values[0], str) else max(numbers)
    return differences


def limits(result: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """(minor release, newest opset, newest IR version) wherever either rose, oldest first.

    A minor release counts for what each of its measured releases runs: every opset up to that one, in all precisions.
    """
    minors: dict[str, list[Mapping[str, Any]]] = {}
    for release, row in result["releases"].items():
        minors.setdefault(".".join(release.split(".")[:2]), []).append(row)
    found: list[tuple[str, int, int]] = []
    for minor, rows in minors.items():
        newest = FIRST_OPSET - 1
        while str(newest + 1) in rows[0]["logit_difference"] and all(
            runs(row["logit_difference"][str(newest + 1)]) for row in rows
        ):
            newest += 1
        limit = (newest, min(int(row["ir_version"]) for row in rows))
        if newest >= FIRST_OPSET and (not found or limit != found[-1][1:]):
            found.append((minor, *limit))
    return found


def runs(by_precision: Mapping[str, float | str]) -> bool:
    """Whether a release runs an opset in every precision, with the answers of the newest."""
    return all(
        not isinstance(value, str) and value <= TOLERANCE[precision] for precision, value in by_precision.items()
    )


def main() -> None:
    """Export, ask every release, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where releases are installed, 2 GB")
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--answer", action="store_true", help="in the process of one release")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    if arguments.answer:
        print(json.dumps(answer(folder)))
        return
    folder.mkdir(parents=True, exist_ok=True)
    # Calibration runs the graph, so this process needs a release that reads the newest opset.
    sys.path[:0] = [str(installed(folder, "onnxruntime", RELEASES[-1])), str(ROOT)]
    opsets = export_all(folder)
    operators = operators_of_all(folder)
    found = {}
    for release in RELEASES:
        found[release] = ask(folder, release)
        print(
            f"onnxruntime {release}: {len(found[release]['errors'])} of {len(found[release]['logits'])} refused",
            flush=True,
        )
    result = {
        "networks": NETWORKS,
        "operators": operators,
        "reference": RELEASES[-1],
        "tolerance": TOLERANCE,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "releases": {release: judge(row, found[RELEASES[-1]], opsets) for release, row in found.items()},
    }
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for minor, opset, ir_version in limits(result):
        print(f"from onnxruntime {minor}: opset {opset}, IR version {ir_version}")


if __name__ == "__main__":
    main()
