"""What was given in place of another thing is named, with the way out: every kind against every use."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_edge.data.load import load_faces
from fer_edge.errors import DataError, ImageError, ModelError
from fer_edge.runtime import file_kind
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.description import describe_model
from fer_edge.runtime.file_kind import CHECKPOINT, CLIP, FACES, IMAGE, MODEL, kind_of, known_kind, mistaken
from fer_edge.runtime.folder import images_named
from fer_edge.runtime.images import decode_image
from fer_edge.runtime.known_formats import (
    AVIF,
    GIMP,
    HDR,
    HEIC,
    HTML,
    ICON,
    JPEG_2000,
    JPEG_XL,
    PDF,
    PHOTOSHOP,
    QOI,
    RAW,
    SVG,
    TEXTURE,
)
from fer_edge.runtime.shipped import shipped_by_name

FIXTURES = Path(__file__).parent.parent / "fixtures"
USES = (MODEL, CHECKPOINT, FACES, IMAGE, CLIP)
MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"


def picture(suffix: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(stream, suffix)
    return stream.getvalue()


def archive(*names: str, data: bytes = b"x") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as writer:
        for name in names:
            writer.writestr(name, data)
    return stream.getvalue()


CONTENTS = {
    "weights.pth": (archive("a/data.pkl", "a/data/0"), file_kind.WEIGHTS),
    "net.torchscript": (archive("m/code/x.py", "m/data.pkl", "m/constants.pkl"), file_kind.EXPORTED),
    "net.pt2": (archive("m/archive_format", "m/models/model.json"), file_kind.EXPORTED),
    "best.pt": (archive("a/data.pkl", data=b"format fer_edge checkpoint"), file_kind.OWN_CHECKPOINT),
    "faces.zip": (archive("angry/1.png"), file_kind.ARCHIVE),
    "half.zip": (archive("angry/1.png")[:-30], file_kind.ARCHIVE),
    "faces.tar": (b"angry/1.png".ljust(257, b"\0") + b"ustar\0", file_kind.ARCHIVE),
    "faces.tar.zst": (b"\x28\xb5\x2f\xfd" + bytes(20), file_kind.ARCHIVE),
    "faces.tar.gz": (b"\x1f\x8b\x08\0\0", file_kind.ARCHIVE),
    "net-evidence.zip": (archive("manifest.json", "model/net.onnx"), file_kind.BUNDLE),
    "answers.json": (b'{\n  "kit": 1}', file_kind.JSON),
    "check.py": (b"# a program\n", file_kind.TEXT),
    "net.onnx": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n", file_kind.POINTER),
    "error.jpg": (b'{"error": "not found"}', file_kind.JSON),
    "net.json": (json.dumps({"format_version": 1, "name": "net"}).encode(), file_kind.METADATA),
    "face.png": (picture("PNG"), file_kind.PICTURE),
    "face.jpg": (picture("JPEG"), file_kind.PICTURE),
    "face.webp": (picture("WEBP"), file_kind.PICTURE),
    "face.gif": (picture("GIF"), file_kind.ANIMATION),
    "face.tiff": (picture("TIFF"), file_kind.PICTURE),
    "face.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", known_kind(HEIC)),
    "burst.heics": (b"\0\0\0\x18ftyphevx\0\0\0\0msf1hevx", known_kind(HEIC)),
    "face.avif": (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", known_kind(AVIF)),
    "face.jxl": (b"\xff\x0a" + bytes(20), known_kind(JPEG_XL)),
    "box.jxl": (b"\0\0\0\x0cJXL \r\n\x87\n", known_kind(JPEG_XL)),
    "face.psd": (b"8BPS\0\x01" + bytes(20), known_kind(PHOTOSHOP)),
    "face.j2k": (b"\xff\x4f\xff\x51" + bytes(20), known_kind(JPEG_2000)),
    "face.xcf": (b"gimp xcf v011\0" + bytes(20), known_kind(GIMP)),
    "face.exr": (b"\x76\x2f\x31\x01\x02" + bytes(20), known_kind(HDR)),
    "face.hdr": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", known_kind(HDR)),
    "face.qoi": (b"qoif" + bytes(20), known_kind(QOI)),
    "face.dds": (b"DDS \x7c\0\0\0" + bytes(20), known_kind(TEXTURE)),
    "face.icns": (b"icns" + bytes(20), known_kind(ICON)),
    "face.cr3": (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", known_kind(RAW)),
    "face.raf": (b"FUJIFILMCCD-RAW 0201", known_kind(RAW)),
    "face.nef": (picture("TIFF"), known_kind(RAW)),
    "face.pdf": (b"%PDF-1.7\n", known_kind(PDF)),
    "face.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", known_kind(SVG)),
    "login.html": (b"<!DOCTYPE html><title>Sign in</title>", known_kind(HTML)),
    "clip.mp4": (MP4, file_kind.VIDEO),
    "clip.mov": (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", file_kind.VIDEO),
    "old.mov": (b"\0\0\0\x08wide\0\0\0\0mdat", file_kind.VIDEO),
    "clip.webm": (b"\x1a\x45\xdf\xa3\x01\0\0\0", file_kind.VIDEO),
    "clip.avi": (b"RIFF\0\0\0\0AVI LIST", file_kind.VIDEO),
    "clip.mjpeg": (picture("JPEG"), file_kind.VIDEO),
    "clip.ts": (b"G" + b"\0" * 187 + b"G" + b"\0" * 187 + b"G", file_kind.VIDEO),
    "table.csv": (b"name,label\na.png,happy\n", file_kind.TABLE),
    "net.safetensors": ((12).to_bytes(8, "little") + b'{"a":{"b":1}', file_kind.FOREIGN),
    "net.h5": (b"\x89HDF\r\n\x1a\n", file_kind.FOREIGN),
    "net.lite": (b"\x1c\0\0\0TFL3", file_kind.FOREIGN),
}

KNOWN_BY_SUFFIX = (
    *("answers.json", "error.jpg", "check.py", "table.csv", "clip.mjpeg", "net.torchscript", "net.pt2", "face.nef"),
)


@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_is_known_by_its_content_under_any_name(tmp_path, name):
    content, kind = CONTENTS[name]
    suffix = Path(name).suffix if name in KNOWN_BY_SUFFIX else ""
    for path in (tmp_path / name, tmp_path / f"renamed{suffix}"):
        path.write_bytes(content)
        assert kind_of(path) is kind
        assert kind_of(path, content) is kind


@pytest.mark.parametrize("path", [*FIXTURES.glob("*.onnx"), *[one.path for one in shipped_by_name().values()]])
def test_models_are_known(path):
    assert kind_of(path) is file_kind.EXPORTED
    assert mistaken(path, MODEL) is None


def test_shipped_checkpoints_are_known():
    for one in shipped_by_name().values():
        assert kind_of(one.checkpoint) is file_kind.OWN_CHECKPOINT
        assert mistaken(one.checkpoint, CHECKPOINT) is None
        assert mistaken(one.path.with_suffix(".json"), CHECKPOINT).startswith("found the metadata of a model; ")


def test_folders_are_known_by_what_is_in_them(tmp_path):
    run, models, photos, empty = (tmp_path / name for name in ("run", "models", "photos", "empty"))
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.json").write_text("{}")
    for folder in (models, photos, empty):
        folder.mkdir()
    (models / "a.onnx").touch()
    (models / "a.json").touch()
    (photos / "a.JPG").touch()
    kinds = [kind_of(one) for one in (run, models, photos, empty)]
    assert kinds == [file_kind.RUN, file_kind.MODELS, file_kind.PHOTOS, None]
    assert mistaken(run, MODEL) == f"found a run folder; export it first: fer-edge export --checkpoint {run}"
    assert mistaken(models, MODEL) == f"found a folder of models; name one of them: {models / 'a.onnx'}"


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 damaged", b"RIFF\0\0\0\0WAVE", b"\x08\xff\xff"])
def test_nothing_is_said_of_what_is_not_known(tmp_path, content):
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    assert [mistaken(path, use) for use in USES] == [None] * len(USES)
    for name in ("nowhere", "a\0b", "n" * 5000):
        assert mistaken(name, MODEL) is None


def test_every_kind_has_a_way_out_wherever_it_does_not_fit():
    fits = {
        "a checkpoint": {CHECKPOINT},
        "PyTorch weights": {CHECKPOINT},
        "an exported model": {MODEL},
        "an image": {IMAGE},
        "a video": {CLIP},
        "a table": {FACES},
        "JSON": {FACES},
        "text": {FACES},
        "a run folder": {CHECKPOINT},
        "a folder of models": {FACES, IMAGE},
        "a folder of images": {FACES, IMAGE},
    }
    kinds = [one for one in vars(file_kind).values() if isinstance(one, file_kind.FileKind)]
    assert len(kinds) == 17
    for kind in kinds:
        fit = {CLIP, IMAGE} if kind is file_kind.ANIMATION else fits.get(kind.words, set())
        assert set(kind.way_out) == set(USES) - fit, kind.words
        for advice in kind.way_out.values():
            assert "{" not in advice.format(path="x")


def test_the_model_beside_metadata_is_named():
    path = FIXTURES / "tiny.json"
    assert mistaken(path, MODEL) == f"found the metadata of a model; name the model beside it: {FIXTURES / 'tiny.onnx'}"


def test_the_path_in_the_advice_can_be_typed_and_shown(tmp_path):
    path = tmp_path / "my clip\x1b.mp4"
    path.write_bytes(MP4)
    assert mistaken(path, IMAGE).endswith(f"fer-edge webcam '{tmp_path}/my clip\\x1b.mp4'")
    assert mistaken("<stdin>", IMAGE, MP4).endswith("fer-edge webcam FILE")


@pytest.mark.parametrize("name", ["half.pt", "half.pt2"])
def test_what_half_a_model_or_checkpoint_is_its_reader_says(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(archive("a/data.pkl")[:-30])
    assert kind_of(tmp_path / name) is None


NO_MODELS = [name for name, (_, kind) in CONTENTS.items() if MODEL in kind.way_out]
NO_IMAGES = ["clip.mp4", "best.pt", "net.torchscript", "table.csv", "net.json", "faces.zip"]
NO_FACES = [
    *("clip.mp4", "best.pt", "net.torchscript", "face.png", "net.json"),
    *("face.jxl", "face.psd", "face.nef", "face.pdf", "face.heic", "login.html"),
]


@pytest.mark.parametrize(
    ("read", "error", "expected", "name"),
    [
        *(
            (read, ModelError, "an exported model", name)
            for read in (Classifier.load, describe_model)
            for name in NO_MODELS
        ),
        *((decode_image, ImageError, "a JPEG, .* image", name) for name in NO_IMAGES),
        *((load_faces, DataError, "a folder of faces or a CSV file", name) for name in NO_FACES),
    ],
)
def test_readers_say_what_they_found(tmp_path, read, error, expected, name):
    content, kind = CONTENTS[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error, match=f"{name}: expected {expected}, found {kind.words}; ") as refused:
        read(path)
    assert "\n" not in str(refused.value)


def test_a_run_folder_holds_no_images_to_search(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.json").touch()
    Image.new("L", (9, 9)).save(tmp_path / "curves.png")
    with pytest.raises(ImageError, match="expected images, found a run folder; to judge the run: fer-edge evaluate"):
        list(images_named(str(tmp_path)))


def test_photos_without_classes_are_no_faces_to_train_on(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(picture("PNG"))
    with pytest.raises(DataError, match=r"found images with no class; sort them .*: fer-edge predict "):
        load_faces(tmp_path)
