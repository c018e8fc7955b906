"""Reads the files under test, and makes from a checkpoint the rivals that are not among them."""

from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.benchmark.rows import CHECKPOINT, ONNXRUNTIME, OPENVINO, PT2, TORCHSCRIPT, Subject, family_of
from fer_edge.errors import FerEdgeError, MissingExtraError, ModelError
from fer_edge.metadata import SUFFIXES, ModelMetadata
from fer_edge.runtime.checksum import file_sha256, verify_zip_checksum
from fer_edge.runtime.claims import check_format
from fer_edge.runtime.model_file import check_beside, is_archive, read_model, read_model_bytes

if TYPE_CHECKING:
    from fer_edge.benchmark.rivals import Rivals

Note = Callable[[str], None]

_RIVAL_FORMATS = {TORCHSCRIPT: ("torchscript", "fp32"), PT2: ("pt2", "fp32")}


def read_subject(path: Path, *, trust: bool = False) -> Subject:
    """An exported model of any format, checked. Nothing of it is run.

    Raises ModelError as read_model does, for a torchscript or pt2 file without ``trust``, and MissingExtraError for
    one where torch is not installed.
    """
    data = read_model_bytes(path)
    if not is_archive(data):
        model = read_model(path)
        return Subject.of_model(path, model.card, model.sha256)
    if path.suffix in (SUFFIXES["torchscript"], SUFFIXES["pt2"]):
        if not trust:
            raise ModelError(
                f"{path}: expected --trust with a {path.suffix[1:]} file, because loading one runs the code in it; "
                "add it if you trust where the file is from"
            )
        if find_spec("torch") is None:
            raise MissingExtraError("torch", "train")
        return Subject.of_model(path, read_archive(path, data), file_sha256(data))
    raise ModelError(f"{path}: expected a model file ({', '.join(SUFFIXES.values())}), found '{path.suffix}'")


def read_archive(path: Path, data: bytes) -> ModelMetadata:
    """The card of a torchscript or pt2 file, whose seal is checked and whose code is not run. Raises ModelError."""
    card = ModelMetadata.from_json(verify_zip_checksum(data, str(path)), where=str(path))
    check_format(path, card)
    check_beside(path, card, file_sha256(data))
    return card


def models_in(folder: Path) -> list[Path]:
    """The models of onnxruntime in ``folder``, by name. Raises ModelError when there is none."""
    suffixes = (SUFFIXES["onnx"], SUFFIXES["ort"])
    found = sorted(path for path in folder.glob("*") if path.suffix in suffixes)
    if not found:
        raise ModelError(
            f"{folder}: expected exported models (*.onnx), found none; name one, or make one with "
            "'python cli.py export --checkpoint runs/NAME'"
        )
    return found


def subjects_of_checkpoint(
    checkpoint: Path, given: Sequence[Subject], runtimes: Iterable[str], folder: Path, note: Note
) -> list[Subject]:
    """The checkpoint itself, and the files that ``runtimes`` need and ``given`` lacks, exported into ``folder``.

    onnxruntime and OpenVINO get an fp32 and an fp16 ONNX file; INT8 is a choice of its own and comes from 'export'.
    Needs torch. Raises CheckpointError.
    """
    from fer_edge.benchmark.rivals import Rivals

    rivals = Rivals(checkpoint)
    path, info = rivals.path, rivals.info
    family = family_of(info.architecture, info.settings, info.data_fingerprint, info.mean, info.std)
    own = Subject(
        name=rivals.name,
        path=path,
        file_format=CHECKPOINT,
        precision="fp32",
        architecture=info.architecture,
        family=family,
        image_size=info.image_size,
        seed=info.seed,
        is_raw=False,
        sha256=file_sha256(path.read_bytes()),
        file_bytes=path.stat().st_size,
        is_rival=True,
    )
    wanted = set(runtimes)
    have = {(one.file_format, one.precision) for one in given if one.family == family and not one.is_raw}
    missing = [_RIVAL_FORMATS[runtime] for runtime in (TORCHSCRIPT, PT2) if runtime in wanted]
    if wanted & {ONNXRUNTIME, OPENVINO}:
        missing.append(("onnx", "fp32"))
    if ONNXRUNTIME in wanted:
        missing.append(("onnx", "fp16"))
    exported = [_export(rivals, kind, folder, note) for kind in missing if kind not in have]
    return [own, *(one for one in exported if one is not None)]


def _export(rivals: "Rivals", kind: tuple[str, str], folder: Path, note: Note) -> Subject | None:
    """The checkpoint in another format and precision; None, and a note, where that cannot be made."""
    file_format, precision = kind
    note(f"exporting {rivals.path} as {file_format} {precision}, as a rival")
    path = folder / f"{rivals.name}-{precision}{SUFFIXES[file_format]}"
    try:
        path.write_bytes(rivals.file_bytes(file_format, precision, path.stem))
    except (FerEdgeError, RuntimeError) as error:
        note(f"no {file_format} {precision} row: {' '.join(str(error).split())[:200]}")
        return None
    data = path.read_bytes()
    card = read_archive(path, data) if is_archive(data) else read_model(path).card
    return Subject.of_model(path, card, file_sha256(data), is_rival=True)
