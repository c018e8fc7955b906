"""Models of several files that were changed on purpose, by somebody who also wrote their checksums again."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from fer_edge.folder_files import is_folder_model, read_folder, write_model
from fer_edge.runtime.checksum import file_sha256


def content_of(path: Path) -> bytes:
    """Of a file, or of a model that is a folder."""
    return read_folder(path, 2**31) if is_folder_model(path) else path.read_bytes()


def changed_copy(
    model: Path,
    folder: Path,
    files: Mapping[str, Callable[[bytes], bytes]],
    metadata: Mapping[str, object] | None = None,
) -> Path:
    """A copy in ``folder`` of the model, its sidecar and its further files, those of these suffixes changed, other
    ``metadata`` in the sidecar, and every SHA-256 right."""
    folder.mkdir(parents=True, exist_ok=True)
    sidecar = json.loads(model.with_suffix(".json").read_text(encoding="utf-8")) | dict(metadata or {})
    names = sidecar.get("files", {model.name: ""})
    for name in names:
        write_model(folder / name, content_of(model.with_name(name)))
    for suffix, change in files.items():
        path = folder / f"{model.stem}{suffix}"
        before = content_of(path)
        write_model(path, change(before))
        assert content_of(path) != before, "nothing was changed"
    hashes = {name: file_sha256(content_of(folder / name)) for name in names}
    sidecar["file_sha256"] = sidecar["content_sha256"] = hashes[model.name]
    if "files" in sidecar:
        sidecar["files"] = hashes
    (folder / model.with_suffix(".json").name).write_text(json.dumps(sidecar), encoding="utf-8")
    return folder / model.name
