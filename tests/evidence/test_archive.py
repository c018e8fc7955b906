"""The archive of a bundle: the same for the same files, and never a way to write elsewhere or to fill a disk."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from fer_edge.errors import EvidenceError
from fer_edge.evidence import archive as module
from fer_edge.evidence.archive import extract, write_archive


def entry(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo("x")
    made.filename = name  # as it stands: the constructor mends some
    made.external_attr, made.create_system = mode << 16, 3
    return made


def made(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        for name, data in entries:
            archive.writestr(name, data, compression)
    return path


def test_what_goes_in_comes_out_and_gives_the_same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "model").mkdir(parents=True)
    (source / "model" / "b.onnx").write_bytes(bytes(range(256)) * 5000)
    (source / "a.json").write_text("{}")
    first, second = io.BytesIO(), io.BytesIO()
    write_archive(first, source)
    (source / "a.json").touch()  # its time is no part of it
    write_archive(second, source)
    assert first.getvalue() == second.getvalue()
    path, out = tmp_path / "one.zip", tmp_path / "out"
    path.write_bytes(first.getvalue())
    assert extract(path, out) == ["a.json", "model/b.onnx"]
    assert (out / "model" / "b.onnx").read_bytes() == bytes(range(256)) * 5000


@pytest.mark.parametrize(
    "name",
    [
        *("../out.txt", "a/../../out.txt", "/etc/passwd", "C:/out.txt", "C:out.txt", "a\\..\\out.txt", "./a", "a//b"),
        *("", "nul", "model/con.onnx", "a ", "a.", " a", "line\nbreak", "a/", "x" * 200, "a\x00.txt", "\x1b[2J"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(name: str, tmp_path: Path) -> None:
    path = made(tmp_path / "one.zip", (entry(name), b"x"), ("fine.txt", b"y"))
    with pytest.raises(EvidenceError, match=r"expected (names|files|a whole)") as error:
        extract(path, tmp_path / "out")
    assert len(str(error.value).splitlines()) == 1
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["one.zip"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([(entry("link", 0o120777), b"/etc/passwd")], "found a link, folder or device: link"),
        ([(entry("pipe", 0o010644), b"")], "found a link, folder or device: pipe"),
        ([("a.txt", b"1"), ("a.txt", b"2")], "expected each file once, found two called a.txt"),
        ([("a.txt", b"1"), ("A.TXT", b"2")], "expected each file once, found two called A.TXT"),
        ([("é", b"1"), ("e\u0301", b"2")], "expected each file once, found two"),
        ([("a", b"1"), ("a/b", b"2")], "found a file and a folder: a"),
    ],
)
def test_links_and_doubles_are_refused(entries, message: str, tmp_path: Path) -> None:
    path = made(tmp_path / "one.zip", *entries)
    with pytest.raises(EvidenceError, match=message):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bomb_is_refused_before_a_byte_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "one.zip", ("zeros", bytes(10**7)), compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    with pytest.raises(EvidenceError, match="found a compressed or encrypted one: zeros"):
        extract(path, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("read"))
        with pytest.raises(EvidenceError, match="compressed"):
            extract(path, tmp_path / "out")
    many = made(tmp_path / "many.zip", *((f"{number}", b"") for number in range(module.MAX_FILES + 1)))
    with pytest.raises(EvidenceError, match=f"expected at most {module.MAX_FILES} files, found {module.MAX_FILES + 1}"):
        extract(many, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """The whole directory points at one entry's bytes, so that a small file would unpack to a large one."""
    path = made(tmp_path / "one.zip", ("a", bytes(50_000)), *((f"b{number}", b"") for number in range(9)))
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02")
    while data[place : place + 4] == b"PK\x01\x02":
        data[place + 20 : place + 28] = struct.pack("<II", 50_000, 50_000)
        data[place + 42 : place + 46] = struct.pack("<I", 0)
        place += 46 + sum(struct.unpack("<HHH", data[place + 28 : place + 34]))
    path.write_bytes(data)
    with pytest.raises(EvidenceError, match="found 500,000; it is damaged or made to fill the disk"):
        extract(path, tmp_path / "out")


def test_every_truncation_is_one_line(tiny_bundle: Path, tmp_path: Path) -> None:
    data = tiny_bundle.read_bytes()
    path = tmp_path / "cut.zip"
    for number, size in enumerate((0, 1, 100, len(data) // 2, len(data) - 30, len(data) - 1)):
        path.write_bytes(data[:size])
        with pytest.raises(EvidenceError, match="expected a whole bundle, found a damaged file or none") as error:
            extract(path, tmp_path / f"out{number}")
        assert len(str(error.value).splitlines()) == 1


def test_what_is_no_bundle_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("hello")
    for path, message in (
        (tmp_path / "text.zip", "found a damaged file or none of these"),
        (tmp_path / "none.zip", "no such bundle"),
        (tmp_path, "found a folder or device"),
    ):
        with pytest.raises(EvidenceError, match=message):
            extract(path, tmp_path / "out")
