"""Files that torch did not write, or not for a checkpoint: each is refused in one line, and none is run."""

import io
import os
import pickle
import struct
import zipfile
from collections import Counter

import pytest
import torch

from fer_edge.errors import CheckpointError
from fer_edge.training.torch_file import read_torch_file

CONTENT = {"weights": torch.arange(4.0), "plain": [1, 2.5, "text", None, True, {"a": (1, 2)}]}


def saved(content, **options):
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


WHOLE = saved(CONTENT)
ENTRIES = {
    entry.filename: zipfile.ZipFile(io.BytesIO(WHOLE)).read(entry)
    for entry in zipfile.ZipFile(io.BytesIO(WHOLE)).infolist()
}


def archive(entries, how=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as written:
        for name, value in entries.items():
            written.writestr(zipfile.ZipInfo(name), value, compress_type=how)
    return stream.getvalue()


def with_program(code):
    return archive(ENTRIES | {"archive/data.pkl": b"\x80\x02" + code + b"."})


def calls(module, name, argument="touch code-ran"):
    text = argument.encode()
    return b"c%s\n%s\n(X%s%stR" % (module.encode(), name.encode(), struct.pack("<I", len(text)), text)


class RunsCode:
    def __reduce__(self):
        return os.system, ("touch code-ran",)


REFUSED = {
    "code": saved(RunsCode()),
    "code in the old form": saved(RunsCode(), _use_new_zipfile_serialization=False),
    "os.system": with_program(calls("os", "system")),
    "eval": with_program(calls("builtins", "eval")),
    "a byte array of 8 GB": with_program(b"cbuiltins\nbytearray\n(\x8a\x05\0\0\0\0\x02tR"),
    "a memo place of 4e9": with_program(b"]r\xff\xff\xff\xff"),
    "an unknown opcode": with_program(b"\xff"),
    "an empty stack": with_program(b"0"),
    "a set": saved({"a": {1, 2}}),
    "a counter": saved(Counter("aab")),
    "a sparse tensor": saved(torch.eye(3).to_sparse()),
    "a meta tensor": saved(torch.zeros(3, device="meta")),
    "a quantised tensor": with_program(b"ctorch._utils\n_rebuild_qtensor\n"),
    "a complex tensor": saved(torch.zeros(3, dtype=torch.complex64)),
    "compressed entries": archive(ENTRIES, zipfile.ZIP_DEFLATED),
    "a storage that is not there": archive({k: v for k, v in ENTRIES.items() if k != "archive/data/0"}),
    "a storage that is cut short": archive(ENTRIES | {"archive/data/0": b"\0\0"}),
    "another byte order": archive(ENTRIES | {"archive/byteorder": b"big"}),
    "no pickle": archive({"archive/version": b"3"}),
    "half of it": WHOLE[: len(WHOLE) // 2],
    "nothing": b"",
    "text": b"hello\n" * 100,
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("before_zip", [False, True])
def test_more_than_plain_types_and_dense_tensors_is_refused_in_one_line(tmp_path, monkeypatch, kind, before_zip):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.pt").write_bytes(REFUSED[kind])
    with pytest.raises(CheckpointError, match=r"bad.pt: expected a checkpoint, found a damaged file or one that would"):
        read_torch_file(tmp_path / "bad.pt", before_zip=before_zip)
    assert not (tmp_path / "code-ran").exists()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    bomb = archive(ENTRIES | {"archive/data/0": bytes(2**24)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2**16
    (tmp_path / "bomb.pt").write_bytes(bomb)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(CheckpointError, match="damaged file"):
        read_torch_file(tmp_path / "bomb.pt", before_zip=True)


def test_entries_that_share_their_bytes_are_refused(tmp_path):
    """More than the file holds, without compression: entries of the directory that lead to one place."""
    whole = bytearray(WHOLE)
    first = whole.index(b"PK\x01\x02")
    name = b"archive/data/0"
    place = whole.index(name, first) - 46
    whole[place + 20 : place + 28] = struct.pack("<II", 2**30, 2**30)
    (tmp_path / "bad.pt").write_bytes(whole)
    with pytest.raises(CheckpointError, match="damaged file"):
        read_torch_file(tmp_path / "bad.pt")


@pytest.mark.parametrize("number", [-1, 1, 10**6])
@pytest.mark.parametrize("part", ["offset", "shape", "storage"])
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path, part, number):
    program = ENTRIES["archive/data.pkl"]
    ends = program.index(b"Q")  # after the storage: its offset, then the shape
    encoded = pickle.dumps(number, 2)[2:-1]
    if part == "offset":
        program = program[: ends + 1] + encoded + program[ends + 3 :]
    elif part == "shape":
        program = program[: ends + 3] + pickle.dumps(number + 4, 2)[2:-1] + program[ends + 5 :]
    else:
        place = program.rindex(b"K\x04t", 0, ends)
        program = program[:place] + encoded + program[place + 2 :]
    (tmp_path / "bad.pt").write_bytes(archive(ENTRIES | {"archive/data.pkl": program}))
    if part == "shape" and number == -1:  # three of the four numbers
        assert read_torch_file(tmp_path / "bad.pt")["weights"].tolist() == [0, 1, 2]
        return
    with pytest.raises(CheckpointError, match="damaged file"):
        read_torch_file(tmp_path / "bad.pt")


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")  # opened, it would wait for a writer
    for path in (tmp_path / "pipe.pt", tmp_path, tmp_path / "nothing.pt"):
        with pytest.raises(CheckpointError, match="expected a checkpoint, found no such file"):
            read_torch_file(path, before_zip=True)


@pytest.mark.parametrize("new", [False, True])
def test_what_torch_writes_is_read_as_it_was(tmp_path, new):
    state = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)).half().state_dict()
    (tmp_path / "state.pt").write_bytes(saved({**CONTENT, "state": state}, _use_new_zipfile_serialization=new))
    read = read_torch_file(tmp_path / "state.pt", before_zip=True)
    assert read["plain"] == CONTENT["plain"]
    assert torch.equal(read["weights"], CONTENT["weights"])
    assert all(torch.equal(read["state"][name], value) for name, value in state.items())
    if not new:
        with pytest.raises(CheckpointError, match="damaged file"):  # it has no checksums
            read_torch_file(tmp_path / "state.pt")
