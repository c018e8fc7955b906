"""The input as a stream: the same chunks in every run, whatever came or went, and a bounded listing."""

import os
from pathlib import Path

import pytest

from fer_edge.scoring import local_images as module
from fer_edge.scoring.items import Chunk, Item, chunks
from fer_edge.scoring.local_images import PassedOver, local_images


def items(count: int) -> list[Item]:
    return [Item(f"/faces/{number:06d}.png", "", "1 2") for number in range(count)]


def digests(found: list[Item], rows: int = 100) -> set[str]:
    return {chunk.digest for chunk in chunks(found, rows)}


def test_chunks_hold_every_image_once_and_about_so_many() -> None:
    given = items(5000)
    found: list[Chunk] = list(chunks(given, 100))
    assert [item for chunk in found for item in chunk.items] == given
    assert [chunk.number for chunk in found] == list(range(len(found)))
    assert all(50 <= len(chunk.items) <= 150 for chunk in found[:-1])
    assert len({chunk.digest for chunk in found}) == len(found)


def test_images_that_a_table_names_again_are_chunks_of_their_own() -> None:
    found = list(chunks(items(1) * 1000, 100))
    assert len({chunk.digest for chunk in found}) == len(found) > 5
    assert [chunk.digest for chunk in chunks(items(1) * 1000, 100)] == [chunk.digest for chunk in found]


@pytest.mark.parametrize("place", [0, 2500, 4999])
def test_one_image_more_less_or_changed_leaves_nearly_all_chunks_as_they_are(place: int) -> None:
    given = items(5000)
    before = digests(given)
    inserted = [*given[:place], Item("/faces/another.png", "", "1 2"), *given[place:]]
    changed = [*given[:place], given[place]._replace(stamp="1 3"), *given[place + 1 :]]
    for other in (inserted, given[:place] + given[place + 1 :], changed):
        assert 1 <= len(digests(other) - before) <= 6


def test_a_large_folder_is_listed_in_windows(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [item.name for item in local_images(str(faces), None, PassedOver())]
    assert len(whole) == 40
    for window in (1, 3, 14):
        monkeypatch.setattr(module, "WINDOW", window)
        assert [item.name for item in local_images(str(faces), None, PassedOver())] == whole


def test_a_folder_that_cannot_be_listed_is_counted(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("/a"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(module.os, "scandir", refuse)
    unreadable = PassedOver()
    assert 0 < len(list(local_images(str(faces), None, unreadable))) < 40
    assert unreadable.count >= 1
    assert "Permission denied" in str(unreadable.first)


@pytest.mark.parametrize("window", [3, 2**17])
def test_files_that_are_no_images_are_counted_once(faces: Path, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(module, "WINDOW", window)
    for name in ("film.mp4", "film2.MP4", "photo.nef", "LICENSE", "Thumbs.db", ".hidden", "results.json"):
        (faces / name).write_bytes(b"x")
    passed = PassedOver()
    assert len(list(local_images(str(faces), None, passed))) == 40
    assert passed.files == {".mp4": 2, ".nef": 1, "other": 1}
