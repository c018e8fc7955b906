"""What a file or folder is that was given in place of another, for errors that say so and how to go on.

Known by its content, in which people err less than in names; the name decides only what has no mark of its own.
"""

import io
import os
import shlex
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fer_edge.runtime.known_formats import PHOTO_FORMATS, RAW, RAW_SUFFIXES, KnownFormat, known_format
from fer_edge.text import printable

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
"""Of the images that are read here."""

MODEL, CHECKPOINT, FACES, IMAGE, CLIP = "a model", "a checkpoint", "labelled faces", "an image", "a video to read"
"""What can be asked for."""
_HEAD_BYTES = 1024
_MAX_RECORD_BYTES = 2**24
"""Of the description of a checkpoint's tensors, in which its mark stands."""

EXPORT = "export it first: fer-edge export --checkpoint {path}"
_BEGIN = "name labelled faces with --data; to begin from it: --weights {path}"
_BEHIND = "name the run folder or checkpoint behind it; the model itself is judged by: fer-edge evaluate --model {path}"
_OTHER_CHECKPOINT = "name a run folder, a checkpoint, or a shipped one"
_OTHER_MODEL = "name an .onnx or .ort file, or a shipped model"
_CONVERT = "convert it to ONNX with the tools that it comes from"


@dataclass(frozen=True)
class FileKind:
    """A kind of file, in words, and what to do instead for each thing that it was taken for."""

    words: str
    way_out: Mapping[str, str]
    """By what was asked for; what is not in it, this kind is fit for."""


OWN_CHECKPOINT = FileKind(
    "a checkpoint",
    {
        MODEL: EXPORT,
        FACES: _BEGIN,
        IMAGE: f"name images; to use it as their model, {EXPORT}",
        CLIP: f"name a video; to use it as its model, {EXPORT}",
    },
)
WEIGHTS = FileKind(
    "PyTorch weights",
    {
        MODEL: "they lack their network; begin a run from them (fer-edge train --weights {path}) and export that",
        FACES: _BEGIN,
        IMAGE: "name images, and their model after --model",
        CLIP: "name a video, and its model after --model",
    },
)
EXPORTED = FileKind(
    "an exported model",
    {
        CHECKPOINT: _BEHIND,
        FACES: "name labelled faces with --data; a run begins from the checkpoint behind a model: --weights CHECKPOINT",
        IMAGE: "name images, and the model after --model",
        CLIP: "name a video, and the model after --model",
    },
)
METADATA = FileKind(
    "the metadata of a model",
    {
        MODEL: "name the model beside it",
        CHECKPOINT: _OTHER_CHECKPOINT,
        FACES: "name a folder or CSV of labelled faces",
        IMAGE: "name images, and the model after --model",
        CLIP: "name a video, and the model after --model",
    },
)
PICTURE = FileKind(
    "an image",
    {
        MODEL: "name the model; images go by themselves: fer-edge predict {path}",
        CHECKPOINT: _OTHER_CHECKPOINT,
        FACES: "name a folder with a folder of images for each class; to name the expressions in it: "
        "fer-edge predict {path}",
        CLIP: "images go by themselves: fer-edge predict {path}",
    },
)
ANIMATION = FileKind("an image", {use: way for use, way in PICTURE.way_out.items() if use != CLIP})
"""One that may move, and whose movement FFmpeg reads."""
VIDEO = FileKind(
    "a video",
    {
        MODEL: f"{_OTHER_MODEL}; videos go by themselves: fer-edge webcam {{path}}",
        CHECKPOINT: _OTHER_CHECKPOINT,
        FACES: "save faces of it as images, a folder for each class; to name the expressions in it: "
        "fer-edge webcam {path}",
        IMAGE: "videos are read by another command: fer-edge webcam {path}",
    },
)
TABLE = FileKind(
    "a table",
    {MODEL: _OTHER_MODEL, CHECKPOINT: _OTHER_CHECKPOINT, IMAGE: "name images; labelled faces in a CSV go after --data"}
    | {CLIP: "name a video; the table that is written goes after --csv"},
)
FOREIGN = FileKind(
    "a model of another library",
    {
        MODEL: _CONVERT,
        CHECKPOINT: _OTHER_CHECKPOINT,
        FACES: "name a folder or CSV of labelled faces",
        IMAGE: "name images, and an .onnx model after --model",
        CLIP: "name a video, and an .onnx model after --model",
    },
)
ARCHIVE = FileKind(
    "an archive",
    dict.fromkeys((MODEL, CHECKPOINT, IMAGE, CLIP), "unpack it and name what is in it")
    | {FACES: "unpack it and name the folder with --data"},
)
_ACCEPT = "its claims are measured again by: fer-edge accept {path}"
BUNDLE = FileKind(
    "a bundle",
    {
        MODEL: f"{_ACCEPT}; its model is in it: unpack it and name that",
        **dict.fromkeys((CHECKPOINT, FACES, IMAGE, CLIP), _ACCEPT),
    },
)
"""What ``bundle`` writes."""
POINTER = FileKind(
    "a Git LFS pointer",
    dict.fromkeys((MODEL, CHECKPOINT, FACES, IMAGE, CLIP), "fetch the file that it stands for: git lfs pull"),
)
_NO_TEXT = {MODEL: _OTHER_MODEL, CHECKPOINT: _OTHER_CHECKPOINT, IMAGE: "name images", CLIP: "name a video"}
JSON = FileKind("JSON", _NO_TEXT)
TEXT = FileKind("text", _NO_TEXT)
RUN = FileKind(
    "a run folder",
    {
        MODEL: EXPORT,
        FACES: _BEGIN,
        IMAGE: f"to judge the run: fer-edge evaluate --checkpoint {{path}}; to use it, {EXPORT}",
        CLIP: f"name a video; to use it as its model, {EXPORT}",
    },
)
MODELS = FileKind(
    "a folder of models",
    {MODEL: "name one of them", CHECKPOINT: _OTHER_CHECKPOINT, CLIP: "name a video, and a model after --model"},
)
PHOTOS = FileKind(
    "a folder of images",
    {MODEL: _OTHER_MODEL, CHECKPOINT: _OTHER_CHECKPOINT, CLIP: "images go by themselves: fer-edge predict {path}"},
)

_TORCH_MODEL_SUFFIXES = (".torchscript", ".pt2")
_MODEL_SUFFIXES = (".onnx", ".ort", *_TORCH_MODEL_SUFFIXES)
_TEXT_SUFFIXES = (
    *(".txt", ".md", ".rst", ".py", ".js", ".mjs", ".cpp", ".hpp", ".cs", ".html", ".css", ".log"),
    *(".yaml", ".yml", ".toml", ".ini", ".pbtxt"),
)
_WEIGHTS_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin")
_STARTS: tuple[tuple[bytes, FileKind], ...] = (
    (b"version https://git-lfs.github.com/spec/", POINTER),
    (b"\xff\xd8\xff", PICTURE),
    (b"\x89PNG\r\n", PICTURE),
    (b"GIF8", ANIMATION),
    (b"II*\0", PICTURE),
    (b"MM\0*", PICTURE),
    (b"\x1a\x45\xdf\xa3", VIDEO),  # Matroska and WebM
    (b"FLV\x01", VIDEO),
    (b"\0\0\x01\xba", VIDEO),  # MPEG program stream
    (b"\0\0\x01\xb3", VIDEO),
    (b"\x89HDF\r\n", FOREIGN),  # Keras
    (b"\x1f\x8b", ARCHIVE),  # gzip
    (b"BZh", ARCHIVE),
    (b"\xfd7zXZ\0", ARCHIVE),
    (b"\x28\xb5\x2f\xfd", ARCHIVE),  # zstandard
    (b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    (b"Rar!", ARCHIVE),
)
_FOURTH_TO_EIGHTH = {
    b"ORTM": EXPORTED,
    b"TFL3": FOREIGN,  # TensorFlow Lite
    b"moov": VIDEO,  # QuickTime of before it had a brand
    b"mdat": VIDEO,
    b"wide": VIDEO,
}
_RIFF = {b"WEBP": PICTURE, b"AVI ": VIDEO}
_ONNX_FIELDS = frozenset((0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72))
"""Tags that follow the version with which an ONNX file begins."""
_TS_PACKET = 188
_TAR_MARK, _TAR_MARK_AT = b"ustar", 257


def mistaken(path: str | Path, wanted: str, data: bytes | None = None) -> str | None:
    """``found a checkpoint; export it first: ...`` for a file or folder that is not what is ``wanted``.

    None for one that is, that cannot be read, or that nothing is known about. ``data``: its bytes, if they were read.
    """
    path = Path(path)
    kind = kind_of(path, data)
    if kind is None or wanted not in kind.way_out:
        return None
    there = os.path.exists(path)  # noqa: PTH110  # Path's own raises for names that are too long
    advice = kind.way_out[wanted].format(path=shlex.quote(printable(path)) if there else "FILE")
    return f"found {kind.words}; {advice}{_neighbours(path, kind) if wanted == MODEL else ''}"


def kind_of(path: Path, data: bytes | None = None) -> FileKind | None:
    """What kind of file or folder lies at ``path``; None where it is unknown or cannot be read."""
    try:
        if data is None and path.is_dir():
            return _kind_of_folder(path)
        if data is None:
            if not path.is_file():  # of a pipe the end may never come
                return None
            with path.open("rb") as stream:
                data = stream.read(_HEAD_BYTES)
            whole: Path | io.BytesIO = path
        else:
            whole = io.BytesIO(data)
        suffix = path.suffix.lower()
        if data.startswith(b"PK\x03\x04"):
            return _kind_of_zip(whole, suffix)
        return _kind_of_head(data[:_HEAD_BYTES], suffix)
    except (OSError, ValueError):  # ValueError: a null byte in the name
        return None


def _kind_of_folder(path: Path) -> FileKind | None:
    names = [entry.name for entry in path.iterdir()]
    if "checkpoints" in names and "config.json" in names:
        return RUN
    if _with_suffix(names, _MODEL_SUFFIXES):
        return MODELS
    return PHOTOS if _with_suffix(names, IMAGE_SUFFIXES) else None


def _kind_of_zip(whole: Path | io.BytesIO, suffix: str) -> FileKind | None:
    try:
        with zipfile.ZipFile(whole) as archive:
            entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
            if suffix in _TORCH_MODEL_SUFFIXES:
                return EXPORTED
            if entries.keys() & {"archive_format", "constants.pkl"} or any(one.startswith("code/") for one in entries):
                return EXPORTED  # pt2 and TorchScript
            if "manifest.json" in archive.namelist() and suffix not in _WEIGHTS_SUFFIXES:
                return BUNDLE
            record = entries.get("data.pkl")
            if record is None:
                return None if suffix in _WEIGHTS_SUFFIXES else ARCHIVE
            if record.compress_type != zipfile.ZIP_STORED or record.file_size > _MAX_RECORD_BYTES:
                return WEIGHTS  # or a bomb, which is not to be unpacked
            return OWN_CHECKPOINT if b"fer_edge checkpoint" in archive.read(record) else WEIGHTS
    except Exception:  # a damaged archive raises many kinds; of a model or weights whoever reads it says so
        return None if suffix in (*_MODEL_SUFFIXES, *_WEIGHTS_SUFFIXES) else ARCHIVE


def _kind_of_head(head: bytes, suffix: str) -> FileKind | None:
    known = known_format(head)
    if head[4:8] == b"ftyp":
        return VIDEO if known is None else known_kind(known)
    if head.startswith(b"\xff\xd8\xff") and suffix in (".mjpeg", ".mjpg"):
        return VIDEO  # JPEGs one after the other
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    found = next((kind for start, kind in _STARTS if head.startswith(start)), _FOURTH_TO_EIGHTH.get(head[4:8]))
    if found is PICTURE and suffix in RAW_SUFFIXES:
        return known_kind(RAW)
    if found is not None:
        return found
    if head[:1] == head[_TS_PACKET : _TS_PACKET + 1] == head[2 * _TS_PACKET : 2 * _TS_PACKET + 1] == b"G":
        return VIDEO  # MPEG transport stream
    if head.startswith(_TAR_MARK, _TAR_MARK_AT):
        return ARCHIVE
    if len(head) > 2 and head[0] == 8 and head[1] < 32 and head[2] in _ONNX_FIELDS:
        return EXPORTED
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 2**32:
        return FOREIGN  # safetensors
    if head.lstrip().startswith(b"{") and b'"format_version"' in head:
        return METADATA
    if suffix in (".csv", ".tsv"):
        return TABLE
    if known is not None:
        return known_kind(known)
    if suffix in (".json", ".jsonl", *IMAGE_SUFFIXES) and head.lstrip()[:1] in (b"{", b"["):
        return JSON
    return TEXT if suffix in _TEXT_SUFFIXES and b"\0" not in head and head.strip() else None


def is_unread_photo(path: Path) -> bool:
    """Whether it is a photo of a format that is recognised and not read, or only with a plugin: HEIC, AVIF, RAW, ..."""
    return kind_of(path) in [known_kind(one) for one in PHOTO_FORMATS]


@cache
def known_kind(known: KnownFormat) -> FileKind:
    """The kind of the files of a format that is recognised and not read, or only with a plugin."""
    return FileKind(
        known.words,
        {
            MODEL: _OTHER_MODEL,
            CHECKPOINT: _OTHER_CHECKPOINT,
            FACES: "name a folder with a folder of images (JPEG, PNG) for each class",
            IMAGE: known.way_out,
            CLIP: "name a video",
        },
    )


def _neighbours(path: Path, kind: FileKind) -> str:
    """Models that may be meant: those in the folder, or the one that the metadata are of."""
    if kind is MODELS:
        names = _with_suffix(sorted(entry.name for entry in path.iterdir()), _MODEL_SUFFIXES)
        shown = ", ".join(printable(path / name) for name in names[:3])
        return f": {shown}{' ...' if len(names) > 3 else ''}"
    if kind is METADATA:
        beside = (path.with_suffix(suffix) for suffix in _MODEL_SUFFIXES)
        found = next((one for one in beside if one.is_file()), None)
        return f": {printable(found)}" if found else ""
    return ""


def _with_suffix(names: Iterable[str], suffixes: tuple[str, ...]) -> list[str]:
    return [name for name in names if name.lower().endswith(suffixes)]
