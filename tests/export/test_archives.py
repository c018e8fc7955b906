"""TorchScript and pt2 files that travel alone: what torch reads is what the checksum covers."""

import copy
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fer_edge.backends.registry import open_model
from fer_edge.errors import ModelError
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.formats.pt2 import pt2_bytes
from fer_edge.export.parity.file_comparison import SAME_BYTES
from fer_edge.export.parity.verification import VerifyRequest, verify_model
from fer_edge.export.request import ExportRequest

DIRECTORY = 0x10
"""MS-DOS's attribute of a folder: torch leaves the content of such an entry unread."""


@pytest.fixture(scope="module", params=["torchscript", "pt2"])
def archive(request, tiny_run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    path = export_checkpoint(ExportRequest(tiny_run.folder, file_format=request.param, folder=folder)).paths[0]
    path.with_suffix(".json").unlink()
    return path


def entries(data: bytes) -> list[int]:
    """Where each entry of the central directory begins (APPNOTE.TXT 4.3.12)."""
    end = data.rindex(b"PK\x05\x06")
    (count,), (place,) = struct.unpack("<H", data[end + 10 : end + 12]), struct.unpack("<I", data[end + 16 : end + 20])
    found = []
    for _ in range(count):
        found.append(place)
        place += 46 + sum(struct.unpack("<HHH", data[place + 28 : place + 34]))
    return found


def answers(path: Path) -> np.ndarray:
    backend = open_model(path, trust=True)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 61, 53, 3), dtype=np.uint8)
    return backend.run_feed(backend.prepare(pixels)).logits


def test_an_entry_marked_as_a_folder_changes_no_answer(archive: Path, tmp_path: Path) -> None:
    expected, data = answers(archive), archive.read_bytes()
    path = tmp_path / archive.name
    places = entries(data)
    assert len(places) > 5
    for place in places[:: max(1, len(places) // 6)]:
        marked = bytearray(data)
        marked[place + 38] ^= DIRECTORY
        path.write_bytes(marked)
        np.testing.assert_array_equal(answers(path), expected)


def test_flips_in_the_directory_are_refused_or_change_no_answer(archive: Path, tmp_path: Path) -> None:
    expected, data = answers(archive), archive.read_bytes()
    path = tmp_path / archive.name
    rng = np.random.default_rng(0)
    start = entries(data)[0]
    for _ in range(40):
        flipped = bytearray(data)
        flipped[int(rng.integers(start, len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            np.testing.assert_array_equal(answers(path), expected)
        except ModelError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017  # either is right


def test_they_name_no_folder_of_the_machine_that_wrote_them(archive: Path, repository: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        parts = [opened.read(entry) for entry in opened.infolist()]
    assert len(parts) > 5
    for folder in (repository, Path(torch.__file__).parents[1]):
        assert not any(str(folder).encode() in part for part in parts)


def test_a_pt2_is_compared_byte_by_byte(tiny_run, tmp_path: Path) -> None:
    path = export_checkpoint(ExportRequest(tiny_run.folder, name="m", file_format="pt2", folder=tmp_path)).paths[0]
    request = VerifyRequest(path, tiny_run.folder, trust=True)
    sound = verify_model(request)
    assert (sound.parity.failures, sound.graph) == ((), SAME_BYTES)
    changed = copy.deepcopy(tiny_run.reference)
    with torch.no_grad():
        next(changed.parameters()).view(-1)[3] *= 1 + 2**-20  # less than answers show
    metadata = open_model(path, trust=True).metadata
    path.write_bytes(pt2_bytes(changed, metadata))
    path.with_suffix(".json").unlink()
    (failure,) = verify_model(request).parity.failures
    assert "expected the .pt2 file that the checkpoint gives here, found another" in failure


def test_a_pt2_of_another_release_is_judged_by_its_answers_where_it_is_accepted(tiny_run, tmp_path: Path) -> None:
    """It may have written other bytes of the same checkpoint."""
    path = export_checkpoint(ExportRequest(tiny_run.folder, name="m", file_format="pt2", folder=tmp_path)).paths[0]
    metadata = open_model(path, trust=True).metadata
    older = replace(metadata, versions={**metadata.versions, "fer_edge": "0.0.1"})
    path.write_bytes(pt2_bytes(tiny_run.reference, older))
    path.with_suffix(".json").unlink()
    request = VerifyRequest(path, tiny_run.folder, trust=True)
    (failure,) = verify_model(request).parity.failures  # the release is the file's own word
    assert "found one that states fer_edge 0.0.1" in failure
    found = verify_model(replace(request, other_writer=True))
    assert found.parity.failures == ()
    assert found.graph.startswith("not compared: it states fer_edge 0.0.1, here is ")
