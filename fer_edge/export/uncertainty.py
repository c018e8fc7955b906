"""Calibrates a model file on its own answers, and puts what was found into its metadata. Needs no torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.backends.evaluation import answers_of, faces_for
from fer_edge.backends.registry import open_model
from fer_edge.data.class_map import ClassMap
from fer_edge.data.faces import NO_LABEL, FaceData, FaceSet
from fer_edge.data.leaks import leaked
from fer_edge.data.relabel import relabelled
from fer_edge.errors import DataError, ModelError
from fer_edge.evaluation.uncertainty import COVERAGE, fit_uncertainty
from fer_edge.export.card.contract import contract_table
from fer_edge.export.card.uncertainty import with_uncertainty
from fer_edge.extras import install_command
from fer_edge.files import staging_folder, storage_errors, sync_folder, write_bytes, write_text
from fer_edge.metadata import METADATA_KEY, NO_CHECKSUM, ModelMetadata, certainty_outputs, sidecar_json
from fer_edge.runtime.checksum import file_sha256
from fer_edge.runtime.foreign import ForeignMetadata
from fer_edge.runtime.model_file import CheckedFile, read_any, read_model
from fer_edge.runtime.shipped import model_path
from fer_edge.uncertainty import Uncertainty

VALIDATION, ALL = "validation", "all"


@dataclass(frozen=True)
class LeftOut:
    """Faces that could have had a part and had none."""

    leaked: int
    """Byte-identical to a training face: the model knows their labels by heart."""
    repeated: int
    """Byte-identical to another one, which is taken."""
    without_label: int
    files: Mapping[str, int] = field(default_factory=dict)
    """Files and rows that cannot be used, by kind."""


def calibrate_model(
    model: str | Path,
    *,
    source: str | None = None,
    labels: str | None = None,
    votes: str | Path | None = None,
    class_map: ClassMap | None = None,
    split: str = VALIDATION,
    skip_bad: bool = False,
    coverage: float = COVERAGE,
    seed: int = 0,
    provider: str = "cpu",
    trust: bool = False,
) -> tuple[Uncertainty, LeftOut]:
    """Fit the uncertainty of ``model``, of any format, on its answers to faces that it was not trained on.

    ``source``, ``labels``, ``votes``, ``class_map`` and ``skip_bad`` say which faces, as for ``evaluate_model``;
    ``split`` is ``validation``, or ``all`` for a folder of faces that are all new to the model; ``seed`` draws their
    parts. Raises ModelError, ProviderError, DataError, CheckFailed (see ``fit_uncertainty``).
    """
    model = model_path(model)
    backend = open_model(model, threads=0, provider=provider, trust=trust)
    metadata = backend.metadata
    if isinstance(metadata, ForeignMetadata):
        raise ModelError(f"{model}: expected a model with metadata of its own to keep what is found, found another's")
    data = faces_for(metadata, source, labels=labels, skip_bad=skip_bad, votes=votes, class_map=class_map)
    faces, left_out = new_faces(relabelled(data, metadata.label_set), data, split, metadata)
    fitted = fit_uncertainty(
        answers_of(backend, faces.faces) if len(faces) else np.zeros((0, len(metadata.labels))),
        faces.labels,
        metadata.labels,
        data={"source": Path(data.source).name, "fingerprint": data.fingerprint(), "split": split},
        seed=seed,
        coverage=coverage,
    )
    return fitted, left_out


def new_faces(data: FaceData, original: FaceData, split: str, metadata: ModelMetadata) -> tuple[FaceSet, LeftOut]:
    """Labelled faces that are not in the training faces, each once."""
    if split == ALL:
        if original.fingerprint() == metadata.training_data.fingerprint:
            raise DataError(f"{data.source}: expected faces that are new to the model, found those it was trained on")
        sets = [faces for faces in data.splits.values() if len(faces)]
        faces = FaceSet(
            np.concatenate([one.faces for one in sets]),
            np.concatenate([one.labels for one in sets]),
            tuple(name for one in sets for name in one.sources),
        )
        is_leaked = np.zeros(len(faces), bool)
    else:
        original.split(split)  # refuses an empty one
        faces = data.splits[split]
        is_leaked = leaked(original, split, faces)
    has_label = faces.labels != NO_LABEL
    is_first = np.zeros(len(faces), np.bool_)
    is_first[list({digest: at for at, digest in reversed(list(enumerate(faces.digests())))}.values())] = True
    left_out = LeftOut(
        leaked=int((is_leaked & has_label).sum()),
        repeated=int((~is_first & ~is_leaked & has_label).sum()),
        without_label=int((~has_label).sum()),
        files=data.left_out,
    )
    return faces.take(has_label & is_first & ~is_leaked), left_out


def write_uncertainty(model: str | Path, uncertainty: Uncertainty, *, sidecar_only: bool = False) -> tuple[Path, ...]:
    """Put it into the metadata of ``model``, in place of what was there; gives the paths that were written.

    An ``.onnx`` gets it inside, with the outputs ``certainty_outputs``; the checksum and those beside it are filled in
    again, the network and its weights stay. The files of other formats keep every byte, as an ``.onnx`` does with
    ``sidecar_only``: ``NAME.json`` has it alone, bound to the file by its SHA-256. A card ``NAME.md`` that was exported
    gets a section. Files are whole or unchanged. Raises ModelError, also without the package onnx, and StorageError.
    """
    path = model_path(model)
    found = read_any(path, trust=True)
    if path.is_symlink():
        raise ModelError(f"{path}: expected the model's own file to calibrate, found a link; name {path.resolve()}")
    metadata = replace(found.metadata, uncertainty=uncertainty)
    is_onnx = found.model is not None and found.model.onnx is not None
    if is_onnx and not sidecar_only:
        return _write_inside(path, found, metadata, uncertainty)
    if is_onnx and _states_uncertainty(found):
        raise ModelError(
            f"{path}: expected a file that is calibrated in its sidecar, or not at all, found its calibration inside; "
            "leave out --sidecar, which would contradict it"
        )
    beside, for_people = path.with_suffix(".json"), path.with_suffix(".md")
    further = {key: value for key, value in _sidecar(beside).items() if key == "files"}
    text = json.dumps({**json.loads(sidecar_json(metadata, found.sha256)), **further}, indent=2) + "\n"
    card = _card(for_people, found.sha256)
    if card:
        write_text(for_people, with_uncertainty(card, uncertainty))
    write_text(beside, text)
    return (beside, for_people) if card else (beside,)


def _write_inside(
    path: Path, found: CheckedFile, metadata: ModelMetadata, uncertainty: Uncertainty
) -> tuple[Path, ...]:
    metadata = replace(
        metadata,
        outputs=(*metadata.answers, *certainty_outputs(metadata.answers[0].shape[0], len(metadata.labels))),
        content_sha256=NO_CHECKSUM,
    )
    data = _calibrated_bytes(path, found.data, metadata, uncertainty)
    beside, for_people = path.with_suffix(".json"), path.with_suffix(".md")
    sha256 = file_sha256(data)
    with storage_errors(path), staging_folder(path.parent) as stage:
        (stage / path.name).write_bytes(data)
        written = read_model(stage / path.name, trust=True).metadata  # its checksum and all that it states, once more
        targets = []
        if card := _card(for_people, found.sha256):
            for old, new in (
                (found.sha256, sha256),
                (found.metadata.content_sha256, written.content_sha256),
                (f"{len(found.data)} bytes", f"{len(data)} bytes"),
                (contract_table(found.metadata), contract_table(written)),
            ):
                card = card.replace(old, new)
            write_text(stage / for_people.name, with_uncertainty(card, uncertainty))
            targets.append(for_people)
        if beside.exists():
            write_text(stage / beside.name, sidecar_json(written, sha256))
            targets.append(beside)
        write_bytes(stage / path.name, data)
        for target in (*targets, path):
            (stage / target.name).replace(target)
        sync_folder(path.parent)
    return (path, *reversed(targets))


def _calibrated_bytes(path: Path, data: bytes, metadata: ModelMetadata, uncertainty: Uncertainty) -> bytes:
    try:
        import onnx
    except ImportError as error:
        raise ModelError(
            f"{path}: expected the package onnx, which writes the certainty's outputs into the graph, found none; run: "
            f"{install_command('onnx')}, or keep the calibration beside the file with --sidecar"
        ) from error
    from fer_edge.export.formats.onnx import onnx_bytes
    from fer_edge.export.graph.certainty import with_certainty, without_certainty

    return onnx_bytes(with_certainty(without_certainty(onnx.load_from_string(data)), uncertainty), metadata)


def _states_uncertainty(found: CheckedFile) -> bool:
    """Whether the file itself holds a calibration."""
    assert found.model is not None
    assert found.model.onnx is not None
    return ModelMetadata.from_json(dict(found.model.onnx.metadata)[METADATA_KEY]).uncertainty is not None


def _sidecar(beside: Path) -> dict[str, Any]:
    """What it states, which was checked; nothing where there is none."""
    if not beside.exists():
        return {}
    with storage_errors(beside):
        return dict(json.loads(beside.read_bytes()))


def _card(path: Path, sha256: str) -> str:
    """The text of an exported card of that very file; empty for another, which is left alone."""
    if path.is_symlink() or not path.is_file():
        return ""
    with storage_errors(path):
        text = path.read_bytes().decode("utf-8", "replace")
    return text if sha256 in text else ""
