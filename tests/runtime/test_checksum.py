import io
import random
import re
import warnings
import zipfile
from pathlib import Path

import pytest

from fer_edge.errors import ModelError
from fer_edge.metadata import NO_CHECKSUM
from fer_edge.runtime.checksum import add_checksum, content_hash_of_zip, verify_checksum, verify_zip_checksum

SEALED = add_checksum(b"weights\0" * 50 + b'{"content_sha256": "' + NO_CHECKSUM.encode() + b'"}' + b"graph" * 50)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def archive(card_digits: str, *, weights: bytes = b"weights", top: str = "model", identity: bytes = b"1") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as writer:
        writer.writestr(f"{top}/extra/fer_edge.card", f'{{"content_sha256": "{card_digits}"}}')
        writer.writestr(f"{top}/data/0", weights)
        writer.writestr(f"{top}/.data/serialization_id", identity)
    return stream.getvalue()


def test_sealed_bytes_verify_and_sealing_again_changes_nothing() -> None:
    verify_checksum(SEALED, "m")
    assert NO_CHECKSUM.encode() not in SEALED
    assert add_checksum(SEALED) == SEALED


def test_every_single_bit_of_a_small_file_counts() -> None:
    unnoticed = []
    for bit in range(len(SEALED) * 8):
        try:
            verify_checksum(flipped(SEALED, bit), "m")
        except ModelError:
            continue
        unnoticed.append(bit)
    assert unnoticed == []


def test_random_bit_flips_of_a_real_model_are_all_refused(tiny_model: Path) -> None:
    data = tiny_model.read_bytes()
    for bit in random.Random(1).sample(range(len(data) * 8), 600):
        with pytest.raises(ModelError, match=r"expected (the content hash|one entry of metadata)"):
            verify_checksum(flipped(data, bit), "m")


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0", lambda data: data[::-1]])
def test_lost_and_added_bytes_are_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(ModelError, match=r"^m: expected"):
        verify_checksum(change(SEALED), "m")


@pytest.mark.parametrize(("data", "found"), [(b"no card at all", "none"), (SEALED + SEALED, "2"), (b"", "none")])
def test_files_without_one_card_are_refused(data: bytes, found: str) -> None:
    for check in (verify_checksum, add_checksum):
        with pytest.raises(ModelError, match=f"m: expected one entry of metadata with its content hash, found {found}"):
            check(data, "m")


def test_unsealed_file_is_refused() -> None:
    with pytest.raises(ModelError, match=r"expected the content hash 000000000000\.\.\., found"):
        verify_checksum(b'{"content_sha256": "' + NO_CHECKSUM.encode() + b'"}', "m")


def test_archive_verifies_whatever_its_top_folder_and_identity() -> None:
    digest = content_hash_of_zip(archive(NO_CHECKSUM))
    for data in (archive(digest), archive(digest, top="renamed"), archive(digest, identity=b"2")):
        assert re.search(digest.encode(), verify_zip_checksum(data, "m"))


def test_changed_archive_is_refused() -> None:
    digest = content_hash_of_zip(archive(NO_CHECKSUM))
    with pytest.raises(ModelError, match=r"m: expected the content hash"):
        verify_zip_checksum(archive(digest, weights=b"Weights"), "m")
    with pytest.raises(ModelError, match="m: expected an intact archive, found a damaged one"):
        verify_zip_checksum(archive(digest)[:-30], "m")
    content = archive(digest).replace(b"weights", b"Weights")
    with pytest.raises(ModelError, match="m: expected an intact archive, found a damaged one"):
        verify_zip_checksum(content, "m")


def test_archive_without_a_card_is_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as writer:
        writer.writestr("model/data/0", b"weights")
    with pytest.raises(ModelError, match="m: expected one entry of metadata with its content hash, found none"):
        verify_zip_checksum(stream.getvalue(), "m")


def test_two_entries_of_one_name_are_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as writer, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the name is there already
        writer.writestr("model/weights", b"right")
        writer.writestr("model/weights", b"wrong")
    with pytest.raises(ModelError, match="two entries of one name"):
        content_hash_of_zip(stream.getvalue(), "m")
