"""Folders that a command may write again: their manifest lists each file with its SHA-256, and only those ever go.

A manifest is a JSON file of the folder. Its ``files`` say what was written beside it, its ``content_sha256`` that
nobody changed it since: a file that merely has its name makes no folder ours. A file that was changed, that is not
listed, or that lies behind a link, is somebody else's: it is neither removed nor written over.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fer_edge import leftovers
from fer_edge.errors import StorageError
from fer_edge.files import contents, fill_folder, require_writable, storage_errors

_FILES, _CHECKSUM = "files", "content_sha256"


def with_files(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
    """``manifest`` with the entries that make its folder one that can be written again.

    ``files``: path below the folder, with slashes, to content; all but the manifest itself.
    """
    whole = {**manifest, _FILES: [file_entry(path, data) for path, data in files.items()]}
    return {**whole, _CHECKSUM: _checksum(whole)}


def file_entry(path: str, data: bytes) -> dict[str, Any]:
    """What a manifest says of one file."""
    return {"path": path, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@contextmanager
def replace_folder(out: Path, manifest: str, expected: str) -> Iterator[Path]:
    """Let the block fill a new folder, then put what is in it into ``out``, in place of what was written there before.

    ``manifest``: name of the file that holds ``with_files(...)``; the block writes it, too. ``expected``: what ``out``
    may hold, in words. Files of before that are no longer made are removed, what else ``out`` holds stays. Raises
    StorageError where ``out`` holds something and no such manifest, or where a new file's place is taken by what was
    not written here; then ``out`` is as it was.
    """
    earlier = earlier_files(out, manifest, expected)
    with fill_folder(out) as stage:
        yield stage
        made = {path.relative_to(stage).as_posix(): path for path in sorted(stage.rglob("*")) if path.is_file()}
        for name, path in made.items():
            if name != manifest:
                _refuse_taken(out, name, (earlier.get(name, ""), hashlib.sha256(path.read_bytes()).hexdigest()))
        leftovers.note_stale(stage, {name: sha256 for name, sha256 in earlier.items() if name not in made})


def earlier_files(out: Path, manifest: str, expected: str) -> dict[str, str]:
    """Path to SHA-256 of what was written to ``out`` before; none where it is new or empty. Raises StorageError, also
    where nothing could be written there."""
    with storage_errors(out):
        if not out.exists() or (out.is_dir() and not contents(out)):
            require_writable(out)
            return {}
        listed = _listed(out / manifest)
    if listed is None:
        raise StorageError(
            f"{out}: expected a new or empty folder, or {expected}, found something else there; "
            "choose another with --out"
        )
    require_writable(out)
    return listed


def _listed(manifest: Path) -> dict[str, str] | None:
    """What a manifest lists; None where it is missing, a link, not one of these or changed."""
    if manifest.is_symlink() or not manifest.is_file():
        return None
    try:
        whole = json.loads(manifest.read_bytes())
        checksum = whole.pop(_CHECKSUM)
        listed = {file["path"]: file["sha256"] for file in whole[_FILES]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if checksum != _checksum(whole):
        return None
    return listed if all(leftovers.is_below(path) for path in listed) else None


def _checksum(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _refuse_taken(out: Path, name: str, ours: tuple[str, str]) -> None:
    """Refuse to write the file ``name`` where something has its place whose SHA-256 is not among ``ours``."""
    place = out
    *folders, last = name.split("/")
    for folder in folders:
        place /= folder
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise _taken(place, "a link" if place.is_symlink() else "a file", "a folder of its own")
    place /= last
    if place.is_symlink():
        raise _taken(place, "a link", "a file of its own")
    if place.exists() and leftovers.sha256_of(place) not in ours:
        raise _taken(place, "another or a changed one", "no file, or the one that was written here before")


def _taken(place: Path, found: str, expected: str) -> StorageError:
    return StorageError(
        f"{place}: expected {expected}, found {found}, which is kept; move it away, or choose another folder with --out"
    )
