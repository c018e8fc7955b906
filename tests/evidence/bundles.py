"""Bundles of the small model, and ways to change them."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer_edge.evidence.archive import write_archive
from fer_edge.evidence.contents import MANIFEST, file_entry

FIXTURES = Path(__file__).parent.parent / "fixtures"
TINY = FIXTURES / "tiny.onnx"
FACES = "sample:210"


def edited_json(path: Path, edit: Callable[[Any], object]) -> None:
    content = json.loads(path.read_bytes())
    edit(content)
    path.write_text(json.dumps(content))


def edited(bundle: Path, out: Path, edit: Callable[[Path], object], *, hashes: bool = True) -> Path:
    """``bundle`` after ``edit`` changed its folder, with every SHA-256 written again, as a forger would do."""
    folder = out.with_suffix("")
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    edit(folder)
    if hashes:

        def again(manifest: Any) -> None:
            for entry in manifest["files"]:
                found = file_entry(folder, entry["path"])
                entry |= {"bytes": found.bytes, "sha256": found.sha256}

        edited_json(folder / MANIFEST, again)
    with out.open("wb") as stream:
        write_archive(stream, folder)
    return out


def with_claim(bundle: Path, out: Path, kind: str, edit: Callable[[Any], object]) -> Path:
    """``bundle`` with one claim changed and every SHA-256 written again."""

    def change(folder: Path) -> None:
        def one(content: Any) -> None:
            edit(next(claim for claim in content["claims"] if claim["kind"] == kind))

        edited_json(folder / "claims.json", one)

    return edited(bundle, out, change)
