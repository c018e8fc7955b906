"""Models of several files that were changed on purpose, by somebody who also wrote their checksums again."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from fer_edge.runtime.checksum import file_sha256


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
        shutil.copy(model.with_name(name), folder)
    for suffix, change in files.items():
        path = folder / f"{model.stem}{suffix}"
        before = path.read_bytes()
        path.write_bytes(change(before))
        assert path.read_bytes() != before, "nothing was changed"
    hashes = {name: file_sha256((folder / name).read_bytes()) for name in names}
    sidecar["file_sha256"] = sidecar["content_sha256"] = hashes[model.name]
    if "files" in sidecar:
        sidecar["files"] = hashes
    (folder / model.with_suffix(".json").name).write_text(json.dumps(sidecar), encoding="utf-8")
    return folder / model.name
