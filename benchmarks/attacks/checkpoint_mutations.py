"""Malformed checkpoints, weights files and run folders, all from one seed: what ``checkpoints.py`` feeds to readers."""

import copy
import io
import os
import pickle
import pickletools
import random
import shutil
import sqlite3
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

Path_ = tuple[Any, ...]
GONE = object()
"""In place of a value: its key is removed."""

WRONG_VALUES: dict[str, Any] = {
    "gone": GONE,
    "None": None,
    "text": "48",
    "NaN": float("nan"),
    "infinite": float("inf"),
    "negative": -1,
    "huge": 1_000_000_000,
    "integer of 600 digits": 10**600,
    "float": 2.5,
    "list": [[1], {}],
    "dict": {"a": [None]},
    "tuple": ((1, 2), 3),
    "set": {1, 2},
    "bytes": b"\xff",
    "tensor": torch.zeros(2, 2),
    "lone surrogate": "\ud800",
    "null byte": "\0",
}


class RunsCode:
    """Pickled, a call of os.system that leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def saved(content: Any, **options: Any) -> bytes:
    """What torch writes for ``content``."""
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def _containers(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    if isinstance(value, dict):
        for key in value:
            yield (*path, key)
            yield from _containers(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(min(len(value), 2)):
            yield (*path, index)
            yield from _containers(value[index], (*path, index))


def changed(content: Any, path: Path_, value: Any) -> Any:
    """A copy of ``content`` with ``value`` at ``path``."""
    whole = copy.deepcopy(content)
    holder = whole
    for step in path[:-1]:
        holder = holder[step]
    if value is GONE:
        del holder[path[-1]]
    else:
        holder[path[-1]] = copy.deepcopy(value)
    return whole


def content_mutations(content: dict[str, Any], draw: random.Random, number: int) -> Iterator[tuple[str, bytes]]:
    """``number`` values of a checkpoint removed or replaced, and then those that are wrong in a way of their own."""
    places = list(_containers(content))
    top = [path for path in places if len(path) <= 2 and path[0] != "model"]
    chosen = [(path, "gone") for path in top]
    while len(chosen) < number:
        chosen.append((draw.choice(places), draw.choice(list(WRONG_VALUES))))
    for path, kind in dict.fromkeys(chosen):
        named = "/".join(map(str, path))
        yield f"{named}: {kind}", saved(changed(content, path, WRONG_VALUES[kind]))
    for named, path, value in _own_ways(content):
        holder = content
        for step in path[:-1]:
            holder = holder.get(step) if isinstance(holder, dict) else holder[step]
            if holder is None or holder == []:
                break
        else:
            yield f"{'/'.join(map(str, path))}: {named}", saved(changed(content, path, value))


def _own_ways(content: dict[str, Any]) -> Iterator[tuple[str, Path_, Any]]:
    record = ("record",)
    names = list(content["record"]["heads"][0]["label_set"]["names"])
    in_names = (*record, "heads", 0, "label_set", "names")
    yield "reversed", in_names, names[::-1]
    yield "twice the same", in_names, [names[0]] * len(names)
    yield "one fewer", in_names, names[:-1]
    yield "numbers", in_names, list(range(len(names)))
    yield "with a line break", in_names, ["a\nb", *names[1:]]
    yield "no heads", (*record, "heads"), []
    yield "two heads of one name", (*record, "heads"), content["record"]["heads"] * 2
    for size in (10**9, 0, -48, 48.5, "48", True):
        yield repr(size), (*record, "config", "image_size"), size
    for setting, value in (("epochs", 10**15), ("batch_size", 10**15), ("seed", -1), ("architecture", "../tiny")):
        yield repr(value), (*record, "config", setting), value
    yield "another architecture", (*record, "config", "architecture"), "resnet18"
    yield "unknown setting", (*record, "config", "colour"), 1
    for std in (0, 0.0, -1.0, float("nan"), float("inf"), 1e-300, 1e300, "0.2"):
        yield repr(std), (*record, "std"), std
    for mean in (float("nan"), float("-inf"), 1e9, None):
        yield repr(mean), (*record, "mean"), mean
    for text in (3, b"/data", ["a"], None):
        yield repr(text), (*record, "data_source"), text
    yield "no label set", (*record, "data_labels"), "a"
    yield "NaN accuracy", (*record, "metrics"), {"loss": 1.0, "accuracy": float("nan")}
    yield "fingerprints of another kind", (*record, "training_fingerprints"), {"pond": "a"}
    name = next(iter(content["model"]))
    weight = content["model"][name]
    for part in (("model",), ("average", "weights")):
        yield "NaN weight", (*part, name), weight * float("nan")
        yield "infinite weight", (*part, name), weight / 0
        yield "complex", (*part, name), weight.to(torch.complex64)
        yield "integers", (*part, name), weight.to(torch.int32)
        yield "another shape", (*part, name), weight[:1]
        yield "one number for all", (*part, name), torch.zeros(()).expand(weight.shape)
        yield "sparse", (*part, name), weight.to_sparse()
        yield "meta", (*part, name), weight.to("meta")
        yield "quantised", (*part, name), torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)
        yield "a list", (*part, name), weight.tolist()
        yield "an entry too many", (*part, "more"), weight
        yield "name of a number", (*part, 7), weight
    if "optimizer" not in content:
        return
    group = ("optimizer", "param_groups", 0)
    for option, value in (("lr", float("nan")), ("lr", -1.0), ("momentum", 5), ("nesterov", "no"), ("params", [])):
        yield repr(value), (*group, option), value
    yield "parameters in another order", (*group, "params"), content["optimizer"]["param_groups"][0]["params"][::-1]
    momentum = content["optimizer"]["state"].get(0, {}).get("momentum_buffer")
    if momentum is not None:
        for named, value in (("NaN", momentum * float("nan")), ("shape", momentum[:1]), ("float64", momentum.double())):
            yield named, ("optimizer", "state", 0, "momentum_buffer"), value
    for key, value in (("total_steps", 10**12), ("last_epoch", 1), ("last_epoch", 10**9), ("step", "text")):
        yield repr(value), ("schedule", key), value
    progress = content["progress"]
    for key, value in (("position", 10**9), ("epoch", 10**9), ("best_epoch", 99), ("best_epoch", -1), ("rows", [{}])):
        yield repr(value), ("progress", key), value
    yield "epochs that were not trained", ("progress", "rows"), progress["rows"] * 3
    yield "another stale count", ("progress", "stale_epochs"), 77
    state = content["random"]["torch"]
    for value in (state[:10], state.float(), torch.full_like(state, 255), state.tolist()):
        yield f"{type(value).__name__} of {len(value)}", ("random", "torch"), value
    for kind in ("numpy", "python"):
        for text in ("", "[]", "{", "[" * 5000, '[3, [1, 2], "x"]', "NaN"):
            yield repr(text[:20]), ("random", kind), text


def archive_mutations(whole: bytes, draw: random.Random, mark: Path, number: int) -> Iterator[tuple[str, bytes]]:
    """Damage to the archive of a torch file, and pickles in it that a checkpoint never has."""
    for _ in range(number):
        yield (f"truncated at {(end := draw.randrange(len(whole)))}", whole[:end])
    for _ in range(number):
        damaged, place = bytearray(whole), draw.randrange(len(whole))
        damaged[place] ^= 1 << draw.randrange(8)
        yield f"bit flipped in byte {place}", bytes(damaged)
    yield "empty", b""
    yield "text", b"hello\n" * 100
    yield "zeros", bytes(10_000)
    yield "a zip without entries", _zip({})
    entries = _entries(whole)
    data = next(name for name in entries if name.endswith("/data/0"))
    program = next(name for name in entries if name.endswith("/data.pkl"))
    yield "compressed", _zip(entries, zipfile.ZIP_DEFLATED)
    yield "zip bomb of 1 GB", _bomb(entries, data, 2**30)
    yield "no pickle", _zip({name: value for name, value in entries.items() if name != program})
    yield "no storage", _zip({name: value for name, value in entries.items() if name != data})
    yield "storage cut short", _zip(entries | {data: entries[data][:4]})
    yield "another byte order", _zip({**entries, program.replace("data.pkl", "byteorder"): b"big"})
    yield "two entries of one name", _zip(entries, more=[(data, bytes(len(entries[data])))])
    for kind, code in _programs(entries[program], mark):
        yield f"pickle: {kind}", _zip(entries | {program: code})
    for kind, content in (
        ("code by reduce", {"format": "fer_edge checkpoint", "version": 1, "model": RunsCode(mark)}),
        ("counter", Counter("aab")),
        ("set", {1, 2}),
        ("numpy array", np.zeros(3)),
        ("a class", OrderedDict),
        ("a tensor alone", torch.zeros(3)),
        ("a list", [torch.zeros(3)]),
        ("nothing", {}),
    ):
        yield f"content: {kind}", saved(content)
        yield f"content before torch 1.6: {kind}", saved(content, _use_new_zipfile_serialization=False)
    old = saved({"a": torch.zeros(4)}, _use_new_zipfile_serialization=False)
    yield "before torch 1.6, storage that claims 64 GB", old.replace(b"K\x04N", b"\x8a\x05\0\0\0\0\x04N")
    yield "before torch 1.6, cut short", old[:-8]


def _entries(whole: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zip(entries: dict[str, bytes], how: int = zipfile.ZIP_STORED, more: Any = ()) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, value in [*entries.items(), *more]:
            archive._didModify = True  # type: ignore[attr-defined]
            archive.NameToInfo.pop(name, None)  # so that a name twice raises no warning
            archive.writestr(zipfile.ZipInfo(name), value, compress_type=how)
    return stream.getvalue()


def _bomb(entries: dict[str, bytes], name: str, size: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, value in entries.items():
            if entry != name:
                archive.writestr(zipfile.ZipInfo(entry), value)
        with archive.open(zipfile.ZipInfo(name), "w") as bomb:
            for _ in range(size // 2**20):
                bomb.write(bytes(2**20))
    return stream.getvalue()


def _programs(whole: bytes, mark: Path) -> Iterator[tuple[str, bytes]]:
    """Pickles by hand: protocol 2, then one value."""
    begin, end = b"\x80\x02", b"."
    call = b"c%s\n%s\n(X%s%stR"
    command = f"touch {mark}".encode()
    for module, name in ((b"os", b"system"), (b"posix", b"system"), (b"builtins", b"eval"), (b"torch", b"load")):
        yield (
            f"global {module.decode()}.{name.decode()}",
            begin + call % (module, name, struct.pack("<I", len(command)), command) + end,
        )
    yield "a byte array of 8 GB", begin + b"cbuiltins\nbytearray\n(\x8a\x05\0\0\0\0\x02tR" + end
    yield "nested 100,000 deep", begin + b"]" * 100_000 + b"a" * 99_999 + end
    yield "itself in itself", begin + b"}q\0X\x01\0\0\0ah\0s" + end
    doubled = b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(60))
    yield "2^60 values", begin + b"]q\0" + doubled + end
    yield "a memo place of 4e9", begin + b"]r\xff\xff\xff\xff" + end
    yield "nothing on the stack", begin + b"0" + end
    yield "an unknown opcode", begin + b"\xff" + end
    yield "an extension", begin + b"\x82\x01" + end
    for kind, old, new in (
        ("a stride beyond the storage", "stride", 10**6),
        ("an offset beyond the storage", "offset", 10**6),
        ("a negative offset", "offset", -1),
        ("a shape of 2^40", "shape", 2**40),
        ("a storage of more than its bytes", "numel", 10**6),
        ("a negative shape", "shape", -1),
    ):
        yield kind, _first_tensor(whole, old, new)


def _first_tensor(whole: bytes, part: str, number: int) -> bytes:
    """The pickle with another number in the first tensor: after its storage come offset, shape and stride."""
    opcodes = list(pickletools.genops(whole))
    at = next(index for index, (opcode, _, _) in enumerate(opcodes) if opcode.name == "BINPERSID")
    if part == "numel":
        steps = [index for index in range(at) if opcodes[index][0].name.startswith("BININT")][-1:]
    else:
        numbers = [index for index in range(at, at + 40) if opcodes[index][0].name.startswith("BININT")]
        tuples = [index for index in range(at, at + 40) if opcodes[index][0].name.startswith("TUPLE")]
        steps = {"offset": numbers[:1], "shape": numbers[1:2], "stride": [n for n in numbers if n > tuples[0]][:1]}[
            part
        ]
    start, stop = opcodes[steps[0]][2], opcodes[steps[0] + 1][2]
    encoded = pickle.dumps(number, 2)[2:-1]
    assert start is not None
    return whole[:start] + encoded + whole[stop:]


FolderChange = Callable[[Path], None]


def folder_mutations(other: Path, draw: random.Random) -> Iterator[tuple[str, FolderChange]]:
    """Damage to a run folder, best.pt of another run (``other``) among it."""

    def damage(name: str) -> FolderChange:
        def change(folder: Path) -> None:
            file = folder / name
            whole = bytearray(file.read_bytes())
            whole[len(whole) // 2 + draw.randrange(100)] ^= 16
            file.write_bytes(whole)

        return change

    def written(name: str, content: bytes) -> FolderChange:
        return lambda folder: (folder / name).unlink(missing_ok=True) or _write(folder / name, content)

    best, last, config = "checkpoints/best.pt", "checkpoints/last.pt", "config.json"
    for name in (best, last):
        yield f"{name} is missing", lambda folder, name=name: (folder / name).unlink()
        yield f"{name} is damaged", damage(name)
        yield f"{name} is empty", written(name, b"")
        yield f"{name} is a folder", lambda folder, name=name: (folder / name).unlink() or (folder / name).mkdir()
        yield f"{name} is another run's", lambda folder, name=name: _copy(other / name, folder / name)
    yield "best.pt is a copy of last.pt", lambda folder: _copy(folder / last, folder / best)
    yield "last.pt is a copy of best.pt", lambda folder: _copy(folder / best, folder / last)
    yield "no checkpoints", lambda folder: shutil.rmtree(folder / "checkpoints")
    yield (
        "checkpoints is a file",
        lambda folder: shutil.rmtree(folder / "checkpoints") or _write(folder / "checkpoints", b""),
    )
    for kind, text in (("empty", b""), ("a list", b"[]"), ("no Unicode", b"\xff\xfe"), ("deep", b"[" * 100_000)):
        yield (
            f"before the first step, config.json is {kind}",
            lambda folder, text=text: _not_begun(folder) or _write(folder / config, text),
        )


def begun_mutations(written: dict[str, Any], draw: random.Random, number: int) -> Iterator[tuple[str, Any]]:
    """Values of a config.json (JSON's own types alone) removed or replaced."""
    kinds = [kind for kind, value in WRONG_VALUES.items() if not isinstance(value, bytes | set | tuple | torch.Tensor)]
    places = list(_containers(written))
    for _ in range(number):
        path, kind = draw.choice(places), draw.choice(kinds)
        yield f"config.json {'/'.join(map(str, path))}: {kind}", changed(written, path, WRONG_VALUES[kind])


def make_not_begun(folder: Path) -> None:
    """Leave what a start leaves that was killed before its first checkpoint."""
    _not_begun(folder)


def _not_begun(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints")
    for name in ("history.csv", "history.jsonl"):
        (folder / name).unlink()


def _copy(source: Path, target: Path) -> None:
    shutil.copy(source, target)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


STUDY_CHANGES = {
    "identity is no JSON": "UPDATE study_user_attributes SET value_json = '{'",
    "identity is a list": "UPDATE study_user_attributes SET value_json = '[1]'",
    "identity is deep": f"UPDATE study_user_attributes SET value_json = '{'[' * 100_000}'",
    "no identity": "DELETE FROM study_user_attributes",
    "state of no kind": "UPDATE trials SET state = 'DONE'",
    "state is a number": "UPDATE trials SET state = 7",
    "number twice": "UPDATE trials SET number = 0",
    "number is text": "UPDATE trials SET number = 'one'",
    "times are text": "UPDATE trials SET datetime_start = 'soon'",
    "no times": "UPDATE trials SET datetime_start = NULL, datetime_complete = NULL",
    "value is text": "UPDATE trial_values SET value = 'high'",
    "value is infinite": "UPDATE trial_values SET value_type = 'INF_POS', value = NULL",
    "value is of no type": "UPDATE trial_values SET value_type = 'NAN'",
    "no values": "DELETE FROM trial_values",
    "value beyond 1": "UPDATE trial_values SET value = 70",
    "distribution is no JSON": "UPDATE trial_params SET distribution_json = '{'",
    "distribution of no kind": """UPDATE trial_params SET distribution_json = '{"name": "os", "attributes": {}}'""",
    "parameter is text": "UPDATE trial_params SET param_value = 'x'",
    "parameter outside": "UPDATE trial_params SET param_value = 1e9",
    "parameter of another name": "UPDATE trial_params SET param_name = 'colour' WHERE param_name = 'max_lr'",
    "no parameters": "DELETE FROM trial_params",
    "a running trial": "UPDATE trials SET state = 'RUNNING'",
    "direction of no kind": "UPDATE study_directions SET direction = 'UP'",
    "lower values are better": "UPDATE study_directions SET direction = 'MINIMIZE'",
    "no direction": "DELETE FROM study_directions",
    "another version": "UPDATE version_info SET schema_version = 99",
    "no version": "DELETE FROM version_info",
    "no table of trials": "DROP TABLE trials",
}
"""What to do to a file of searches, as SQL."""


def change_study(path: Path, statement: str) -> None:
    """Run ``statement`` on the SQLite file at ``path``."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute(statement)
    connection.commit()
    connection.close()
