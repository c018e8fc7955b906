"""Formats that users have and this project does not read are named by their content, with a way out."""

import base64
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin, features

from fer_edge.errors import ImageError
from fer_edge.runtime.images import decode_image

PIXELS = np.full((48, 64, 3), 90, dtype=np.uint8)


def box(brand: bytes, *others: bytes) -> bytes:
    content = b"ftyp" + brand + b"\0\0\0\0" + b"".join(others)
    return (len(content) + 4).to_bytes(4, "big") + content + b"\0" * 64


def saved(name: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, name, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (box(b"crx "), "a camera's raw file; develop it"),
        (b"FUJIFILMCCD-RAW 0201", "a camera's raw file"),
        (b"IIRO\x08\0\0\0", "a camera's raw file"),
        (b"IIU\0\x18\0\0\0", "a camera's raw file"),
        (b"\xff\x0a" + b"\x10" * 30, "a JPEG XL image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image; save it as a JPEG or PNG"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
        (b"8BPS\0\x01", "a Photoshop document"),
        (b"\0" * 128 + b"DICM", "a DICOM image"),
        (b"%PDF-1.7\n", "a PDF; save the picture in it"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- by hand -->\n<svg/>', "an SVG drawing"),
        (b"\n<!DOCTYPE html><html>", "a web page; save the picture itself"),
        (base64.b64encode(saved("JPEG")), "base64 text; decode it first"),
        (base64.encodebytes(saved("PNG")), "base64 text; decode it first"),
        (b"data:image/png;base64," + base64.b64encode(saved("PNG")), "a data: URL; decode what follows"),
    ],
)
def test_what_is_not_read_is_named_with_a_way_out(data: bytes, found: str, tmp_path: Path) -> None:
    path = tmp_path / "face.jpg"  # the name lies
    path.write_bytes(data)
    with pytest.raises(ImageError) as raised:
        decode_image(path)
    assert f"found {found}" in str(raised.value)
    assert str(raised.value).startswith(f"{path}: expected a JPEG, ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("data", [b"/9j/ but then words: no base64!", b"<?xml version='1.0'?><rows/>", b"\0" * 200])
def test_what_only_looks_alike_is_not_named(data: bytes) -> None:
    with pytest.raises(ImageError, match="found other bytes"):
        decode_image(data)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_opens_where_pillow_reads_it() -> None:
    assert np.abs(decode_image(saved("AVIF")).astype(int) - PIXELS).max() <= 4
    with pytest.raises(ImageError, match=r"expected a whole image, found a damaged one \(an AVIF image\)"):
        decode_image(box(b"avif", b"mif1"))


def test_avif_without_a_decoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.features.check", lambda _name: False)
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    for data in (box(b"avif", b"mif1"), box(b"mif1", b"avif", b"miaf")):
        with pytest.raises(ImageError, match="found an AVIF image; upgrade Pillow"):
            decode_image(data)


def test_an_older_pillow_is_not_asked_for_what_it_warns_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "modules", {})
    monkeypatch.setattr(features, "check", lambda name: pytest.fail(f"asked for {name}"))
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    with pytest.raises(ImageError, match="found an AVIF image; upgrade Pillow"):
        decode_image(box(b"avif", b"mif1"))


def test_heic_opens_with_a_registered_plugin_and_says_which_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # not installed
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    photo = box(b"heic", b"mif1")
    with pytest.raises(ImageError, match="found a HEIC photo; pip install pillow-heif, or save it as a JPEG"):
        decode_image(photo)

    def opened(stream: io.BytesIO, _name: object) -> Image.Image:
        return Image.open(io.BytesIO(saved("PNG")))

    monkeypatch.setitem(Image.OPEN, "HEIF", (opened, lambda head: head[8:12] == b"heic"))
    assert (decode_image(photo) == PIXELS).all()


@pytest.mark.parametrize(("tag", "value"), [(254, 1), (50706, b"\x01\x04\0\0")])
def test_the_thumbnail_of_a_raw_file_is_not_taken_for_the_photo(tag: int, value: int | bytes) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[tag] = value
    if tag == 50706:
        tags.tagtype[tag] = 1
    with pytest.raises(ImageError, match="found a camera's raw file; develop it"):
        decode_image(saved("TIFF", tiffinfo=tags))
    assert (decode_image(saved("TIFF")) == PIXELS).all()
