"""Writes a bundle: a model with what was measured of it, the samples behind each figure, and the SHA-256 of all."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from fer_edge.backends.registry import backends_for, format_of, open_model
from fer_edge.errors import EvidenceError, UsageError
from fer_edge.evidence import accuracy, devices, golden, integrity, latency, parity, runtime, signature
from fer_edge.evidence.archive import files_below, write_archive
from fer_edge.evidence.claims import CLAIMS, Claim, json_bytes, write_claims
from fer_edge.evidence.contents import Contents, Manifest, environment, write_manifest
from fer_edge.evidence.kinds import GivenFaces
from fer_edge.files import storage_errors, temporary_folder, write_atomically
from fer_edge.golden.kit import write_kit
from fer_edge.own_files import OwnFiles
from fer_edge.runtime.foreign import ForeignMetadata
from fer_edge.runtime.foreign_files import Description
from fer_edge.runtime.model_file import further_files
from fer_edge.runtime.shipped import model_path, shipped_named
from fer_edge.text import shown_name

ENDING = "-evidence.zip"
_MODEL, _AGAINST, _KIT, _SAMPLES, _CHECKPOINT = "model", "against", "kit", "samples", "checkpoint"


@dataclass(frozen=True)
class BundleRequest:
    """What to put into a bundle, and what to measure for it."""

    model: str | Path | None = None
    """A path, the name of a shipped model, or None for the default one."""
    out: Path | None = None
    """The archive; None: ``NAME-evidence.zip`` beside the model, of a shipped one in the working directory."""
    faces: GivenFaces | None = None
    """Labelled faces, for the claim of an accuracy."""
    split: Literal["validation", "test"] = "validation"
    against: str | Path | None = None
    """Another model, that the time of this one is compared with; it goes into the bundle."""
    checkpoint: Path | None = None
    """A checkpoint or run folder, that the answers are compared with; it goes into the bundle. Needs torch."""
    devices: Path | None = None
    """The JSON of ``verify --devices``."""
    sign_key: Path | None = None
    """A private elliptic key in PEM, that the manifest is signed with."""
    description: Description | None = None
    """How to feed another maker's model."""
    trust: bool = False


@dataclass(frozen=True)
class Bundle:
    """What was written."""

    path: Path
    manifest: Manifest
    claims: tuple[Claim, ...]
    size_bytes: int
    is_signed: bool = False
    left_out_files: Mapping[str, int] = field(default_factory=dict)
    """Files and rows of the data set that cannot be used, by kind (``fer_edge.data.left_out``)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "bundle": str(self.path),
            "bytes": self.size_bytes,
            "signed": self.is_signed,
            "manifest": msgspec.to_builtins(self.manifest),
            "claims": msgspec.to_builtins(list(self.claims)),
            "left_out_files": dict(self.left_out_files),
        }


def default_path(model: str | Path | None) -> Path:
    """Where the bundle of ``model`` goes when nobody says otherwise."""
    name = f"{model_path(model).stem}{ENDING}"
    return Path(name) if model is None or shipped_named(model) is not None else Path(model).parent / name


def write_bundle(request: BundleRequest, note: Callable[[str], None] = lambda _: None) -> Bundle:
    """Copy the model, measure the claims on the copy and write the archive: the same bytes for the same input on the
    same machine, unless something in it was timed.

    Raises ModelError for a model that is refused, DataError for faces that are, CheckFailed where a claim does not hold
    here, StorageError where the archive cannot be written or would replace a file that was not written here; then
    nothing is written.
    """
    path = request.out or default_path(request.model)
    if path.suffix != ".zip":
        raise UsageError(f"--out: expected the name of a .zip file, found {path.name}; name another")
    own_files = OwnFiles("choose another with --out")
    own_files.refuse_foreign([path])
    if request.sign_key is not None:
        signature.check_key(request.sign_key)
    model = model_path(request.model)
    if request.against is not None:
        for timed in (model, model_path(request.against)):
            _refuse_stand_in(timed)
    if request.checkpoint is not None:
        from fer_edge.training.checkpoint import checkpoint_path

        checkpoint_path(request.checkpoint)
    with temporary_folder("bundle-") as name:
        folder = Path(name)
        with storage_errors(folder):
            manifest, claims, left_out_files = _fill(folder, model, request, note)
            if request.sign_key is not None:
                signature.sign(folder, request.sign_key)
        with own_files.writing(path):
            write_atomically(path, lambda stream: write_archive(stream, folder))
    return Bundle(path, manifest, claims, path.stat().st_size, request.sign_key is not None, left_out_files)


def _refuse_stand_in(model: Path) -> None:
    """Raises UsageError for a model whose own runtime cannot be timed here: another's times would say nothing of it."""
    meant = backends_for(format_of(model))[0].stands_for
    if meant:
        raise UsageError(
            f"--against: expected models that their own runtime runs, found {model.name}, which {meant} runs; "
            "leave it out"
        )


def _fill(
    folder: Path, model: Path, request: BundleRequest, note: Callable[[str], None]
) -> tuple[Manifest, tuple[Claim, ...], Mapping[str, int]]:
    """Everything that the archive holds, in ``folder``; and what was left out of the faces."""
    copy = copy_model(model, folder / _MODEL, trust=request.trust, description=request.description)
    note(f"model {shown_name(model)}")  # once it was opened: an error says which file it means
    note("making its golden kit")
    kit = write_kit(copy, folder / _KIT, trust=request.trust)
    (folder / _SAMPLES).mkdir()
    backend = open_model(copy, threads=1, trust=request.trust)
    facts: dict[str, Any] = {
        "model": f"{_MODEL}/{copy.name}",
        "model_sha256": kit.manifest["model"]["sha256"],
        "kit": _KIT,
        "environment": environment(),
        "data": {"training": backend.metadata.training_data.fingerprint},
    }
    if request.against is not None:
        other = model_path(request.against)
        facts["against"] = f"{_AGAINST}/{copy_model(other, folder / _AGAINST, trust=request.trust).name}"
    if request.checkpoint is not None:
        facts["checkpoint"] = _copy_checkpoint(request.checkpoint, folder)
    # So that claims are measured as they are checked: on what the archive will hold.
    contents = Contents(folder, write_manifest(folder, facts), request.trust)
    claims: list[Claim] = []
    left_out_files: Mapping[str, int] = {}

    def keep(measured: tuple[Claim, bytes]) -> Claim:
        claim, samples = measured
        assert claim.samples is not None
        (folder / claim.samples).write_bytes(samples)
        claims.append(claim)
        return claim

    keep(golden.measure(contents))
    if request.faces is not None:
        note(f"evaluating on {request.faces.source}")
        measured, samples, left_out_files = accuracy.measure(contents, request.faces, request.split)
        claim = keep((measured, samples))
        facts["data"]["evaluation"] = claim.value["data_fingerprint"]
    if request.against is not None:
        note(f"timing {copy.name} and {Path(facts['against']).name} in turns")
        keep(latency.measure(contents))
    if request.checkpoint is not None:
        note("comparing it with its checkpoint")
        keep(parity.measure(contents))
    if request.devices is not None:
        matrix = folder / devices.FOLDER / request.devices.name
        claims.append(_with_matrix(request.devices, matrix, facts["model_sha256"]))
    if (unrun := runtime.measure(contents)) is not None:
        claims.append(unrun)
    num_files = len(files_below(folder)) - 1  # but for the manifest, which lists the claims, too
    told = (integrity.measure(facts["model_sha256"], num_files), *claims)
    (folder / CLAIMS).write_bytes(write_claims(told))
    return write_manifest(folder, facts), told, left_out_files


def _copy_checkpoint(checkpoint: Path, folder: Path) -> str:
    """Copy the checkpoint file that ``checkpoint`` means; its path in the bundle. Raises CheckpointError."""
    from fer_edge.training.checkpoint import checkpoint_path

    file = checkpoint_path(checkpoint)
    (folder / _CHECKPOINT).mkdir()
    shutil.copyfile(file, folder / _CHECKPOINT / file.name)
    return f"{_CHECKPOINT}/{file.name}"


def _with_matrix(given: Path, matrix: Path, model_sha256: str) -> Claim:
    """The claim of a matrix of devices, copied to ``matrix``. Raises ModelError where it is none, or another's."""
    devices.measure(given, model_sha256)  # told by the name that was given
    matrix.parent.mkdir()
    shutil.copyfile(given, matrix)
    return devices.measure(matrix, model_sha256)


def copy_model(model: Path, folder: Path, *, trust: bool, description: Description | None = None) -> Path:
    """Copy a model with its further files, metadata and card into the new ``folder``, where it can be opened without
    more being said; gives its path there. Raises ModelError where it is refused."""
    backend = open_model(model, threads=1, trust=trust, description=description)
    folder.mkdir()
    copy = folder / model.name
    for path in (model, *further_files(model), model.with_suffix(".json"), model.with_suffix(".md")):
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        elif path.is_file():
            shutil.copyfile(path, folder / path.name)
    if isinstance(backend.metadata, ForeignMetadata):
        said = asdict(backend.metadata.description)
        described = {key: value for key, value in said.items() if value and key != "source"}
        copy.with_suffix(".json").write_bytes(json_bytes(described))
    if open_model(copy, threads=1, trust=trust).sha256 != backend.sha256:
        raise EvidenceError(f"{model}: expected the same file twice, found it changed meanwhile; try again")
    return copy
