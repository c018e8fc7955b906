"""Puts a model that passed its checks under its name: the file, its card as JSON, and its card for people."""

import re
from pathlib import Path

from fer_edge.card import SUFFIXES, ModelCard, beside_json, card_beside
from fer_edge.errors import ModelError
from fer_edge.export.candidate import Candidate
from fer_edge.export.int8 import QuantisationReport
from fer_edge.export.model_card import model_card_markdown
from fer_edge.export.parity import Parity
from fer_edge.files import make_folder, write_bytes, write_text
from fer_edge.training.checkpoint import BEST, LAST

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def default_name(checkpoint: Path, file_format: str, precision: str, raw: bool) -> str:
    """The run's name, with what sets this file apart from the plain ONNX model, e.g. ``NAME-int8``.

    Every model has a name of its own, because the cards beside two files of one name would be the same file.
    """
    run = checkpoint.resolve()
    if run.name in (BEST, LAST):
        run = run.parent.parent if run.parent.name == "checkpoints" else run.parent
    parts = [run.stem if run.suffix == ".pt" else run.name]
    parts += [precision] if precision != "fp32" else []
    parts += ["raw"] if raw else []
    parts += [file_format] if file_format != "onnx" else []
    return "-".join(parts)


def model_path(folder: Path, name: str, file_format: str) -> Path:
    """Where a model of this name goes. Raises ModelError for a name that is no plain file name, or that is taken by a
    model of another format."""
    if not _NAME.fullmatch(name):
        raise ModelError(f"--name: expected letters, digits, '.', '_' and '-', found {name!r}")
    path = folder / f"{name}{SUFFIXES[file_format]}"
    beside = path.with_suffix(".json")
    if beside.is_file():
        card, _ = card_beside(beside.read_bytes(), where=str(beside))
        if card.format != file_format and beside.with_suffix(SUFFIXES[card.format]).is_file():
            raise ModelError(
                f"{beside}: expected to be free for {path.name}, found the card of {name}{SUFFIXES[card.format]}; "
                f"choose another --name"
            )
    return path


def publish(
    path: Path,
    data: bytes,
    candidate: Candidate,
    parity: Parity,
    quantisation: QuantisationReport | None = None,
) -> tuple[Path, Path, Path]:
    """Write the model, ``NAME.json`` and ``NAME.md``, each atomically, and return their paths. Raises StorageError.

    Between the first two renames an older ``NAME.json`` names another hash, so a reader refuses the pair: safe.
    """
    card: ModelCard = candidate.card
    make_folder(path.parent)
    beside, for_people = path.with_suffix(".json"), path.with_suffix(".md")
    write_bytes(path, data)
    write_text(beside, beside_json(card, candidate.sha256))
    write_text(for_people, model_card_markdown(card, path.name, len(data), candidate.sha256, parity, quantisation))
    return path, beside, for_people
