"""onnxruntime-web's files, which the page serves beside itself: 14 MB that no wheel carries, taken from npm.

Every file is pinned by its SHA-256, so it does not matter where it comes from: a folder that is named, the checkout's
``web/node_modules``, this user's cache, or npm, asked once for the one package.
"""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO

from fer_edge.errors import WebError
from fer_edge.files import make_folder, temporary_folder, write_bytes
from fer_edge.runtime.checksum import file_sha256

VERSION = "1.30.0"
"""Also in web/package-lock.json, whose types check the page's sources (a test keeps the two equal)."""

WASM, WEBGPU = "wasm", "webgpu"

FILES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        WASM: {
            "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
            "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
            "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
        },
        WEBGPU: {
            "ort.webgpu.min.mjs": "3dffff71811bc13a3a3d9591c57ca5ee5735b8f5f3eaf789510b02bb040ae3a0",
            "ort-wasm-simd-threaded.asyncify.mjs": "3d1c85995364bb643302fc6fd877a0c3ba5ae72401815e0f24828a53d9191e28",
            "ort-wasm-simd-threaded.asyncify.wasm": "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da",
        },
    }
)
"""Provider to the files that it needs (``dist/NAME`` in the package), each with its SHA-256."""

_TARBALL = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
_NPM_TIMEOUT_S = 600
_CHECKOUT = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "onnxruntime-web" / "dist"


def runtime_files(providers: Iterable[str], folder: Path | None = None) -> dict[str, bytes]:
    """The bytes of every file that ``providers`` need, by name.

    ``folder``: an unpacked onnxruntime-web of VERSION; without it the checkout's, the cache's, or npm's is taken.
    Raises WebError where there is none, or a file is not the one that is pinned; StorageError when the cache is full.
    """
    pinned = {name: sha256 for provider in providers for name, sha256 in FILES[provider].items()}
    if folder is not None:
        place = folder / "dist" if (folder / "dist").is_dir() else folder
        if not _has(place, pinned):
            raise WebError(
                f"{folder}: expected onnxruntime-web {VERSION} unpacked ({', '.join(pinned)}), found no such files; "
                f"unpack {_TARBALL} and name its folder"
            )
        return _read(place, pinned)
    if _has(_CHECKOUT, pinned) and _version_of(_CHECKOUT) == VERSION:
        return _read(_CHECKOUT, pinned)
    if not _has(cache_folder(), pinned):
        _fetch_into(cache_folder(), pinned)
    return _read(cache_folder(), pinned)


def cache_folder() -> Path:
    """Where files from npm are kept: below XDG_CACHE_HOME, or ~/.cache."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "fer-edge" / f"onnxruntime-web-{VERSION}"


def _has(folder: Path, names: Iterable[str]) -> bool:
    return all((folder / name).is_file() for name in names)


def _version_of(dist: Path) -> str:
    return str(json.loads((dist.parent / "package.json").read_bytes())["version"])


def _read(folder: Path, pinned: Mapping[str, str]) -> dict[str, bytes]:
    return {name: _checked((folder / name).read_bytes(), folder / name, sha256) for name, sha256 in pinned.items()}


def _checked(data: bytes, where: Path | str, sha256: str) -> bytes:
    found = file_sha256(data)
    if found != sha256:
        raise WebError(
            f"{where}: expected the SHA-256 {sha256[:12]}... of onnxruntime-web {VERSION}, found {found[:12]}...; "
            f"take that version from {_TARBALL}"
        )
    return data


def _fetch_into(folder: Path, pinned: Mapping[str, str]) -> None:
    """Have npm download the package, and keep the files that are needed."""
    npm = shutil.which("npm")
    if npm is None:
        raise WebError(
            f"onnxruntime-web {VERSION}: expected npm, which fetches it once, found none; install Node.js from "
            f"https://nodejs.org, or unpack {_TARBALL} and name its folder by --onnxruntime-web"
        )
    with temporary_folder() as temporary:
        package = f"onnxruntime-web@{VERSION}"
        command = [npm, "pack", package, "--pack-destination", temporary, "--ignore-scripts", "--silent"]
        try:
            done = subprocess.run(
                command, cwd=temporary, capture_output=True, encoding="utf-8", errors="replace", timeout=_NPM_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise WebError(f"npm pack {package}: expected a download, found: {error}; try again") from error
        tarballs = list(Path(temporary).glob("*.tgz"))
        if done.returncode != 0 or not tarballs:
            reason = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no reason given")
            raise WebError(
                f"npm pack {package}: expected a download, found: {reason}; connect this machine to the npm registry, "
                f"or unpack {_TARBALL} elsewhere and name its folder by --onnxruntime-web"
            )
        make_folder(folder)
        with tarfile.open(tarballs[0]) as tarball:
            for name, sha256 in pinned.items():
                member: IO[bytes] | None = tarball.extractfile(f"package/dist/{name}")
                data = member.read() if member is not None else b""
                write_bytes(folder / name, _checked(data, f"{package}: dist/{name}", sha256))
