import os
from pathlib import Path

import pytest
from PIL import Image

from fer_edge.errors import ImageError
from fer_edge.runtime.folder import count_images, images_in, images_named


@pytest.fixture
def unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one image, and of a folder that cannot be read; by hand, as root may read anything."""
    (tmp_path / "secret").mkdir()
    for name in ("a.png", "secret/b.png"):
        Image.new("L", (8, 8)).save(tmp_path / name)
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name.startswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    return tmp_path


@pytest.mark.parametrize("read", [images_in, lambda folder: images_named(str(folder))])
def test_a_folder_that_cannot_be_read_is_named_behind_the_other_images(unreadable: Path, read) -> None:
    found = read(unreadable)
    assert next(found) == unreadable / "a.png"
    with pytest.raises(ImageError, match=r"secret: expected a folder that can be read, found: Permission denied"):
        next(found)
    assert count_images(unreadable) == 1


def test_every_folder_that_cannot_be_read_is_named(unreadable: Path) -> None:
    (unreadable / "secret-2").mkdir()
    with pytest.raises(ImageError, match=r"secret, .*secret-2: expected folders that can be read, found: Permission"):
        list(images_in(unreadable))


def test_a_folder_of_which_nothing_can_be_read_is_not_called_empty(unreadable: Path) -> None:
    (unreadable / "a.png").unlink()
    with pytest.raises(ImageError, match="found: Permission denied"):
        count_images(unreadable)
