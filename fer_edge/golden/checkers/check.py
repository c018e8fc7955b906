"""Does this machine give a model's golden answers? Needs numpy, and onnxruntime or what runtime.py beside it runs.

    python check.py [MODEL] [PROVIDER, default CPUExecutionProvider] [--report FILE]

Exit code 0 with one line of figures, or 1 with one line that names the first vector that differs and by how much.
``--report`` also writes what was found, and on what machine, as JSON: send it to the model's maker, who adds it with
``fer_edge devices merge``.
"""

import hashlib
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

KIT = Path(__file__).resolve().parent
REPORT = "fer_edge device report 1"
TINY = 2.0**-126  # the smallest float32, in place of a probability of 0


class Differs(Exception):
    """What differs, in one line."""


class OnnxRuntime:
    """A model in onnxruntime. In a kit of another runtime, runtime.py has a class Runtime with the same names."""

    def __init__(self, model: Path, provider: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1  # sums in one order, and no more cores than one
        self.session = onnxruntime.InferenceSession(model.read_bytes(), options, providers=[provider])
        self.name, self.provider = f"onnxruntime {onnxruntime.__version__}", self.session.get_providers()[0]

    @property
    def labels(self) -> list:  # type: ignore[type-arg]
        """As the file says; kits of another maker's model, which does not say them, have them in the manifest."""
        found: list[str] = json.loads(self.session.get_modelmeta().custom_metadata_map["fer_edge.card"])["labels"]
        return found

    def run(self, name: str, feed: np.ndarray, outputs: list) -> list:  # type: ignore[type-arg]
        """The outputs, in that order, for the input called ``name``."""
        return list(self.session.run(outputs, {name: feed}))


def opened(model: Path, provider: str) -> Any:
    """The model in the kit's own runtime, or in onnxruntime."""
    if (KIT / "runtime.py").is_file():
        sys.path.insert(0, str(KIT))
        import runtime  # type: ignore[import-not-found]

        return runtime.Runtime(model)
    return OnnxRuntime(model, provider)


def others_of(model: Path, files: dict) -> str:  # type: ignore[type-arg]
    """What of the model's files is not the kit's, the first of them; empty where all are."""
    for name, expected in files.items():
        path = model.with_name(name) if name != next(iter(files)) else model
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != expected:
            return f"; the file is not the kit's {name}: SHA-256 {found}"
    return ""


def check(model: Path, provider: str, report: dict) -> str:  # type: ignore[type-arg]
    """Run every vector; fill the report; return the line of figures or raise Differs with the first difference."""
    manifest = json.loads((KIT / "manifest.json").read_text(encoding="utf-8"))
    of_model, allowed = manifest["model"], manifest["tolerance"]
    try:
        session = opened(model, provider)
        # "answer" is in kits of another maker's model, which does not say itself what its classes and output are
        labels = of_model["labels"] if "answer" in of_model else session.labels
        other = others_of(model, {of_model["file"]: of_model["sha256"], **of_model.get("files", {})})
    except Exception as error:
        raise Differs(f"{model}: cannot be loaded: {' '.join(str(error).split())[:300]}") from error
    if session.provider not in (provider, None):
        raise Differs(f"{model}: expected {provider}, found {session.provider}")
    report["model"] = {"file": of_model["file"], "sha256": hashlib.sha256(model.read_bytes()).hexdigest()}
    report["runtime"] = session.name

    limits = {"logits": allowed["max_logit_difference"], "probabilities": allowed["max_probability_difference"]}
    worst, images, changed, problems = {"logits": 0.0, "probabilities": 0.0}, 0, 0, []
    answers: dict[str, list[int]] = {}
    for vector in manifest["vectors"]:
        where = f"vector {vector['name']}"
        feed = np.fromfile(KIT / vector["file"], np.dtype(of_model["dtype"]).newbyteorder("<"))
        try:
            values = session.run(of_model["input"], feed.reshape(vector["shape"]), of_model["outputs"])
        except Exception as error:
            raise Differs(f"{where}: cannot be run: {' '.join(str(error).split())[:300]}{other}") from error
        found = dict(zip(of_model["outputs"], values))  # noqa: B905  # Python 3.9 has no strict=
        if "answer" in of_model:
            answer = values[0].astype(np.float64).reshape(len(vector["labels"]), -1)
            found = {"logits": answer}
            if of_model["answer"] != "logits":
                found = {"logits": np.log(np.maximum(answer, TINY)), "probabilities": answer}
        logits = found["logits"].astype(np.float64)
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = found.get("probabilities", exponents / exponents.sum(axis=1, keepdims=True))
        for name, got in (("logits", logits), ("probabilities", probabilities)):
            if got.shape != np.shape(vector[name]):
                raise Differs(f"{where}: expected {name} of shape {np.shape(vector[name])}, found {got.shape}{other}")
            difference = np.abs(got - np.array(vector[name])).max(axis=1)  # the largest of each image
            if not (difference <= limits[name]).all():  # written so that NaN fails
                image = int((~(difference <= limits[name])).argmax())
                problems.append(
                    f"{where}, image {image}: {name} differ by {difference[image]:.3g}, allowed {limits[name]:g}{other}"
                )
            worst[name] = max(worst[name], float(np.nan_to_num(difference, nan=np.inf).max()))
        answers[vector["name"]] = [int(np.argmax(row)) for row in probabilities]
        for image, expected in enumerate(vector["labels"]):
            second, first = np.sort(vector["probabilities"][image])[-2:]
            label = labels[answers[vector["name"]][image]]
            changed += label != expected
            if label != expected and first - second > allowed["tie_margin"]:
                problems.append(f"{where}, image {image}: expected {expected}, found {label}{other}")
            images += 1
    report.update(
        images=images,
        labels_changed=changed,
        max_logit_difference=worst["logits"] if np.isfinite(worst["logits"]) else None,
        max_probability_difference=worst["probabilities"] if np.isfinite(worst["probabilities"]) else None,
        answers=answers,
    )
    if problems:
        raise Differs(problems[0])
    if labels != of_model["labels"]:
        raise Differs(f"{model}: expected the labels {of_model['labels']}, found {labels}{other}")
    if other:
        raise Differs(f"all vectors agree{other}")
    runtime = " ".join(filter(None, (session.name, session.provider)))
    return f"ok: {len(manifest['vectors'])} vectors, {images} images, {runtime}: " + ", ".join(
        f"{name} within {worst[name]:.2g} (allowed {limits[name]:g})" for name in worst
    )


def processor() -> str:
    """The processor's name where the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name") and ":" in line]
    return names[0] if names else platform.processor() or platform.machine()


def default_model() -> Path:
    """The kit's model, which is looked for in the kit and beside it."""
    name: str = json.loads((KIT / "manifest.json").read_text(encoding="utf-8"))["model"]["file"]
    return KIT / name if (KIT / name).exists() else KIT.parent / name


def onnxruntime_version() -> Any:
    """Of the one that is installed; None where none is."""
    try:
        import onnxruntime
    except ImportError:
        return None
    return onnxruntime.__version__


def may_be_written(report_file: Path) -> bool:
    """Whether a report replaces no other file."""
    if not report_file.is_file():  # nothing, or a pipe
        return True
    try:
        return bool(json.loads(report_file.read_text(encoding="utf-8"))["report"] == REPORT)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def main(arguments: list[str]) -> int:
    """Check, and write the report where one is asked for."""
    report_file = None
    if "--report" in arguments:
        at = arguments.index("--report")
        if at + 1 == len(arguments):
            print("usage: check.py [MODEL] [PROVIDER] [--report FILE]", file=sys.stderr)
            return 2
        report_file = Path(arguments[at + 1])
        if not report_file.resolve().parent.is_dir():  # said before the work, not after
            print(f"{report_file}: expected a folder that exists, found none; choose another FILE", file=sys.stderr)
            return 2
        if not may_be_written(report_file):
            print(
                f"{report_file}: expected no file, or an earlier report, found another; choose another FILE",
                file=sys.stderr,
            )
            return 2
        arguments = arguments[:at] + arguments[at + 2 :]
    provider = arguments[1] if len(arguments) > 1 else "CPUExecutionProvider"
    report = {
        "report": REPORT,
        "machine": platform.machine(),
        "processor": processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime_version(),
        "provider": provider,
    }
    try:
        report["reason"] = check(Path(arguments[0]) if arguments else default_model(), provider, report)
        report["passed"] = True
        print(report["reason"])
    except Differs as reason:
        report["reason"], report["passed"] = str(reason), False
        print(f"FAILED: {reason}", file=sys.stderr)
    if report_file is not None:
        report_file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
