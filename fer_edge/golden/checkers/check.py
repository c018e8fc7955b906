"""Does this machine give a model's golden answers? Needs numpy, and onnxruntime or what runtime.py beside it runs.

    python check.py [MODEL] [PROVIDER, default CPUExecutionProvider] [--report FILE]
    python check.py --answers FILE     what an app answered, as JSON: needs numpy alone

Exit code 0 with one line of figures, or 1 with one line that names the first vector that differs and by how much; and
the mistake, or the two, where the answers are those of some that the kit knows. README.md has the form of FILE.
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
USAGE = "usage: check.py [MODEL] [PROVIDER] [--report FILE] | check.py --answers FILE"
EXPLAINED = 0.35  # distance from a mistake's answers over that from the right ones, or all in tolerance
PLAIN = 2  # tolerances: what lies between one and two may be the rounding of another resize


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


def softmax(logits: np.ndarray) -> Any:
    """Row by row."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def distances_of(mistake: dict, manifest: dict, answers: dict) -> Any:  # type: ignore[type-arg]
    """How far the answers are from those of one mistake; None where one of them is no number.

    Of each image whose answer differs from the right one: squared distances to the right answer and to the mistake's,
    the latter's largest over the limit, and whether the mistake changes that image's answer at all. ``missed``: images
    that the mistake changes and whose answers are right. Then what the labels alone say.
    """
    labels, allowed = manifest["model"]["labels"], manifest["tolerance"]
    limits = {"logits": allowed["max_logit_difference"], "probabilities": allowed["max_probability_difference"]}
    found_in: dict[str, Any] = {
        "says": mistake["says"],
        "places": [],
        "right": [],
        "wrong": [],
        "far": [],
        "changes": [],
    }
    found_in.update(images=0, numbers=0, missed=0, renamed=0, otherwise_named=0, missed_names=0)
    for vector in manifest["vectors"]:
        for image, one in enumerate(answers[vector["name"]]):
            found_in["images"] += 1
            # where a mistake changes nothing, its answers are the right ones
            wrong_logits = np.array(mistake["logits"].get(vector["name"], vector["logits"])[image], np.float64)
            wrong = {"logits": wrong_logits, "probabilities": softmax(wrong_logits)}
            for name in [name for name in limits if name in one][:1]:
                found_in["numbers"] += 1
                found, right = np.array(one[name], np.float64), np.array(vector[name][image], np.float64)
                if not np.isfinite(found).all():
                    return None
                changes = bool(np.abs(wrong[name] - right).max() > limits[name])
                if np.abs(found - right).max() > limits[name]:
                    found_in["places"].append(f"vector {vector['name']}, image {image}")
                    found_in["right"].append(float(((found - right) ** 2).sum()))
                    found_in["wrong"].append(float(((found - wrong[name]) ** 2).sum()))
                    found_in["far"].append(float(np.abs(found - wrong[name]).max()) / limits[name])
                    found_in["changes"].append(changes)
                else:
                    found_in["missed"] += changes
            second, first = np.sort(wrong["probabilities"])[-2:]
            if "label" in one and first - second > allowed["tie_margin"]:
                label, expected = labels[int(wrong["probabilities"].argmax())], vector["labels"][image]
                found_in["renamed"] += one["label"] == label != expected
                found_in["otherwise_named"] += one["label"] not in (label, expected)
                found_in["missed_names"] += one["label"] == expected != label
    return found_in


def mistake_in(manifest: dict, answers: dict) -> str:  # type: ignore[type-arg]
    """What the answers that differ from the right ones are those of, to be added to a line; empty for an older kit.

    ``answers``: for each vector one {"logits", "probabilities", "label"} an image, of which any may be missing.
    """
    known = [distances_of(mistake, manifest, answers) for mistake in manifest.get("mistakes", ())]
    if not known or None in known:
        return ""
    right, images = known[0]["right"], range(len(known[0]["right"]))
    if not right:
        return label_mistake_in(known)

    def share(wrong: list, among: Any) -> float:  # type: ignore[type-arg]
        """Distance from a mistake's answers over that from the right ones, of some images together."""
        return float(np.sqrt(sum(wrong[at] for at in among) / sum(right[at] for at in among)))

    def best(candidates: list) -> Any:  # type: ignore[type-arg]
        return min(candidates, key=lambda one: one[0])[1:]  # of equal ones the first

    fitting = []
    for one in known:
        whole = share(one["wrong"], images)
        if whole <= EXPLAINED or (max(one["far"]) <= 1 and whole < 1):
            fitting.append((whole + 0.1 * one["missed"] / one["images"], one))
    if fitting:
        (first,) = best(fitting)
        # images that it leaves alone, and that differ plainly
        beyond = [at for at in images if not first["changes"][at] and first["far"][at] > PLAIN]
        if not beyond:
            return f"; your answers are {nearly(first['far'])}those of {first['says']}"
        others = [(share(one["wrong"], beyond), one) for one in known if share(one["wrong"], beyond) <= EXPLAINED]
        if not others:
            where = first["places"][beyond[0]]
            return f"; your answers are nearest to those of {first['says']}. Something else differs too, first {where}"
        (second,) = best(others)
    else:
        pairs = []
        for number, one in enumerate(known):
            for other in known[:number]:
                whole = share([min(two) for two in zip(one["wrong"], other["wrong"])], images)  # noqa: B905
                alone = [
                    {at for at in images if each["far"][at] <= 1 or each["wrong"][at] <= EXPLAINED**2 * right[at]}
                    for each in (one, other)
                ]
                # two that change the same images are one that is not known
                spared = [at for at in alone[0] if not other["changes"][at]]
                spared += [at for at in alone[1] if not one["changes"][at]]
                if whole <= EXPLAINED and spared and alone[0] - alone[1] and alone[1] - alone[0]:
                    missed = (one["missed"] + other["missed"]) / one["images"]
                    pairs.append((whole + 0.1 * missed, other, one))
        if not pairs:
            return f"; your answers are those of none of the {len(known)} mistakes that the kit knows"
        first, second = best(pairs)
    far = [min(two) for two in zip(first["far"], second["far"])]  # noqa: B905
    return f"; your answers are {nearly(far)}those of two mistakes: {first['says']}. And: {second['says']}"


def nearly(far: list) -> str:  # type: ignore[type-arg]
    """Within the limits of every image, or not."""
    return "" if max(far) <= 1 else "nearest to "


def label_mistake_in(known: list) -> str:  # type: ignore[type-arg]
    """As ``mistake_in``, where no number differs but labels do; those tell less."""
    fitting = [one for one in known if one["renamed"] > 1 and not one["otherwise_named"] and not one["missed_names"]]
    if len(fitting) == 1:
        return f"; your answers are those of {fitting[0]['says']}"
    if known[0]["numbers"]:
        return "; the numbers are right, the labels are not: each number has the name at its place in the kit's labels"
    return "; labels alone do not tell the mistake: write probabilities or logits, too"


def shown(value: Any) -> str:
    """What was found instead, in a few words of one line."""
    if isinstance(value, str):
        return '"' + "".join(sign if " " <= sign != "\x7f" else " " for sign in value)[:60] + '"'
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a number"


def numbers_in(values: Any, labels: list, where: str, name: str) -> list:  # type: ignore[type-arg]
    """A number for each class in the model's order, of a list or an object with the labels as keys. Raises Differs."""
    if isinstance(values, dict):
        for key in values:
            if key not in labels:
                raise Differs(f"{where}: expected the labels {', '.join(labels)} in {name}, found {shown(key)}")
        for label in labels:
            if label not in values:
                raise Differs(f"{where}: expected {len(labels)} {name}, found {len(values)}, none for {label}")
        values = [values[label] for label in labels]
    if not isinstance(values, list):
        raise Differs(f"{where}: expected {len(labels)} {name}, found {shown(values)}")
    if len(values) != len(labels):
        raise Differs(f"{where}: expected {len(labels)} {name}, found {len(values)}")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Differs(f"{where}: expected {name} that are numbers, found {shown(value)}")
        if not abs(value) < 1e30:
            raise Differs(f"{where}: expected {name} below 1e30, found a larger one")
    return values


def no_number(word: str) -> float:
    """NaN and infinities are not JSON, and not everywhere readable."""
    raise ValueError(f"{word}, which is no JSON")


def read_answers(file: Path, manifest: dict) -> dict:  # type: ignore[type-arg]
    """What an app wrote, for each vector one object an image. Raises Differs, in one line."""
    labels, vectors = manifest["model"]["labels"], manifest["vectors"]
    try:
        raw = json.loads(file.read_text(encoding="utf-8-sig"), parse_constant=no_number)
    except OSError as error:
        raise Differs(f"{file}: cannot be read") from error
    except (ValueError, RecursionError) as error:
        raise Differs(f"{file}: expected JSON, found something else: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(raw, dict):
        raise Differs(f"{file}: expected an object with an entry for each vector, found {shown(raw)}")
    names = [vector["name"] for vector in vectors]
    for key in raw:
        if key not in names:
            raise Differs(f"{file}: expected the kit's vectors, found {shown(key)}")
    missing = [name for name in names if name not in raw]
    if missing:
        raise Differs(f"{file}: expected all {len(names)} vectors, found {len(raw)}, none for {missing[0]}")
    answers: dict[str, list] = {}  # type: ignore[type-arg]
    for vector in vectors:
        where, given = f"{file}: vector {vector['name']}", raw[vector["name"]]
        given = given if isinstance(given, list) else [given]
        if len(given) != len(vector["labels"]):
            raise Differs(f"{where}: expected a list of {len(vector['labels'])} answers, found {len(given)}")
        answers[vector["name"]] = rows = []
        for image, one in enumerate(given):
            where = f"{file}: vector {vector['name']}, image {image}"
            if not isinstance(one, dict):
                raise Differs(f"{where}: expected an object with label, probabilities or logits, found {shown(one)}")
            if not {"label", "probabilities", "logits"} & set(one):
                raise Differs(f"{where}: expected label, probabilities or logits, found none of them")
            row = {
                name: numbers_in(one[name], labels, where, name) for name in ("logits", "probabilities") if name in one
            }
            if "label" in one:
                if one["label"] not in labels:
                    found = shown(one["label"])
                    raise Differs(f"{where}: expected one of the labels {', '.join(labels)}, found {found}")
                row["label"] = one["label"]
            rows.append(row)
    return answers


def check_answers(kit: Path, file: Path) -> str:
    """Compare what an app answered. Returns the line of figures, or raises Differs."""
    manifest = json.loads((kit / "manifest.json").read_text(encoding="utf-8"))
    answers, allowed = read_answers(file, manifest), manifest["tolerance"]
    limits = {"logits": allowed["max_logit_difference"], "probabilities": allowed["max_probability_difference"]}
    worst: dict[str, float] = {}
    images, problem = 0, ""
    for vector in manifest["vectors"]:
        for image, one in enumerate(answers[vector["name"]]):
            where = f"vector {vector['name']}, image {image}"
            images += 1
            for name in (name for name in limits if name in one):
                difference = float(np.abs(np.array(one[name]) - np.array(vector[name][image])).max())
                worst[name] = max(worst.get(name, 0.0), difference)
                if not difference <= limits[name]:
                    problem = problem or f"{where}: {name} differ by {difference:.3g}, allowed {limits[name]:g}"
            second, first = np.sort(vector["probabilities"][image])[-2:]
            expected = vector["labels"][image]
            if one.get("label", expected) != expected and first - second > allowed["tie_margin"]:
                problem = problem or f"{where}: expected {expected}, found {one['label']}"
    if problem:
        raise Differs(problem + mistake_in(manifest, answers))
    figures = [f"{name} within {worst[name]:.2g} (allowed {limits[name]:g})" for name in worst]
    return f"ok: {len(answers)} vectors, {images} images, answers of {file.name}: " + ", ".join(
        figures or ["labels agree"]
    )


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
    given: dict[str, list] = {}  # type: ignore[type-arg]
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
        probabilities = found.get("probabilities", softmax(logits))
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
        given[vector["name"]] = [
            {"logits": row, "label": labels[best]}
            for row, best in zip(logits, answers[vector["name"]])  # noqa: B905
        ]
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
        raise Differs(problems[0] + mistake_in(manifest, given))
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
    if "--answers" in arguments:
        if len(arguments) != 2 or arguments[0] != "--answers":
            print(USAGE, file=sys.stderr)
            return 2
        try:
            print(check_answers(KIT, Path(arguments[1])))
            return 0
        except Differs as reason:
            print(f"FAILED: {reason}", file=sys.stderr)
            return 1
    report_file = None
    if "--report" in arguments:
        at = arguments.index("--report")
        if at + 1 == len(arguments):
            print(USAGE, file=sys.stderr)
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
