"""What tests of several rooms share."""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

# Tests run side by side: one thread each keeps them from slowing each other tenfold. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parent.parent

PHOTOS = Path(__file__).parent / ".photos"
"""Where downloaded photos stay from one run of the tests to the next; git ignores it."""

ASTRONAUT = "skimage/data/astronaut.png"
ASTRONAUT_SHA256 = "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"

PARTY_FACES = {f"package/demo/sample{number}.jpg": faces for number, faces in enumerate((3, 3, 3, 4, 5, 4), start=1)}
"""How many faces a person counts in each photo."""


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def astronaut() -> Path:
    """NASA's portrait of Eileen Collins (public domain), 512x512, one smiling face; from the scikit-image package."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    photo = _members([*pip, "scikit-image>=0.22"], "*.whl", [ASTRONAUT])[0]
    assert hashlib.sha256(photo.read_bytes()).hexdigest() == ASTRONAUT_SHA256
    return photo


@pytest.fixture(scope="session")
def party_photos() -> dict[Path, int]:
    """The sample photos (1920 pixels wide) of the npm package @vladmandic/face-api, each with its number of faces."""
    photos = _members(["npm", "pack", "--silent", "@vladmandic/face-api@1.7.15"], "*.tgz", list(PARTY_FACES))
    return dict(zip(photos, PARTY_FACES.values(), strict=True))


def _members(download: list[str], package: str, members: list[str]) -> list[Path]:
    """Files of a package that ``download`` brings into its working directory; the test is skipped where it cannot."""
    photos = [PHOTOS / Path(member).name for member in members]
    if all(photo.exists() for photo in photos):
        return photos
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(download, cwd=folder, check=True, capture_output=True, timeout=120)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"real photos cannot be downloaded: {' '.join(download)}: {error}")
        PHOTOS.mkdir(exist_ok=True)
        (archive,) = Path(folder).glob(package)
        for member, photo in zip(members, photos, strict=True):
            partial = photo.with_name(f"{photo.name}.{os.getpid()}")  # another test process may be doing the same
            partial.write_bytes(_member(archive, member))
            partial.replace(photo)
    return photos


def _member(archive: Path, member: str) -> bytes:
    if archive.suffix == ".whl":
        return zipfile.ZipFile(archive).read(member)
    with tarfile.open(archive) as files:
        stream = files.extractfile(member)
        assert stream is not None, member
        return stream.read()
