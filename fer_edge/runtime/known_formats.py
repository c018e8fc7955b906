"""Formats of pictures that are known by their content and not read, or only with a plugin: what they are, what to do.

The marks are those of the formats' own specifications; none is taken from a file's name.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_HEAD_BYTES = 1024


@dataclass(frozen=True)
class KnownFormat:
    """A format that is recognised, in words, and how to go on."""

    words: str
    way_out: str
    opener: str = ""
    """Pillow's name of the decoder that reads it where it is installed."""

    def __str__(self) -> str:
        return f"found {self.words}; {self.way_out}"


_SAVE = "save it as a JPEG or PNG"
HEIC = KnownFormat("a HEIC photo", "pip install pillow-heif, or save it as a JPEG", "HEIF")
AVIF = KnownFormat("an AVIF image", f"upgrade Pillow to 11.3 or newer, or {_SAVE}", "AVIF")
JPEG_XL = KnownFormat("a JPEG XL image", f"{_SAVE} (djxl FILE out.png)")
RAW = KnownFormat("a camera's raw file", "develop it, or name the JPEG that the camera saved beside it")
PDF = KnownFormat("a PDF", "save the picture in it as a JPEG or PNG (pdfimages -all FILE out)")
SVG = KnownFormat("an SVG drawing", _SAVE)
HTML = KnownFormat("a web page", "save the picture itself, not the page around it")
BASE64 = KnownFormat("base64 text", "decode it first: base64.b64decode(text)")
DATA_URL = KnownFormat("a data: URL", "decode what follows its comma: base64.b64decode(text.partition(',')[2])")
JPEG_2000 = KnownFormat("a JPEG 2000 image", _SAVE)
PHOTOSHOP = KnownFormat("a Photoshop document", _SAVE)
GIMP = KnownFormat("a GIMP document", _SAVE)
HDR = KnownFormat("an HDR image", _SAVE)
QOI = KnownFormat("a QOI image", _SAVE)
TEXTURE = KnownFormat("a DDS texture", _SAVE)
DICOM = KnownFormat("a DICOM image", _SAVE)
ICON = KnownFormat("an icon", _SAVE)
PHOTO_FORMATS = (HEIC, AVIF, JPEG_XL, RAW, JPEG_2000)
"""Those that a camera or phone writes, or a person saves a photo as."""

RAW_SUFFIXES = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw"),
    *(".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
)
"""Of cameras' raw files, most of which begin as any TIFF does."""

_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), HEIC),
    **dict.fromkeys((b"avif", b"avis"), AVIF),
    b"crx ": RAW,
}
"""Major brands of files in boxes as MP4 has them (ISO/IEC 14496-12)."""
_STARTS = (
    (b"\xff\x0a", JPEG_XL),
    (b"\0\0\0\x0cJXL \r\n\x87\n", JPEG_XL),
    (b"\0\0\0\x0cjP  \r\n\x87\n", JPEG_2000),
    (b"FUJIFILMCCD-RAW", RAW),
    (b"IIRO", RAW),  # Olympus
    (b"IIRS", RAW),
    (b"MMOR", RAW),
    (b"IIU\0", RAW),  # Panasonic
    (b"8BPS", PHOTOSHOP),
    (b"\0\0\x01\0", ICON),
    (b"icns", ICON),
    (b"\xff\x4f\xff\x51", JPEG_2000),  # its code stream alone
    (b"gimp xcf ", GIMP),
    (b"\x76\x2f\x31\x01", HDR),  # OpenEXR
    (b"#?RADIANCE\n", HDR),
    (b"#?RGBE\n", HDR),
    (b"qoif", QOI),
    (b"DDS \x7c\0\0\0", TEXTURE),
)
_BASE64_STARTS = (b"/9j/", b"iVBORw0KGgo", b"R0lGOD", b"UklGR", b"Qk")
"""JPEG, PNG, GIF, WebP and BMP."""
_BASE64_TEXT = re.compile(rb"[A-Za-z0-9+/=\s]{16,}\Z")
_REDUCED, _DNG_VERSION = 254, 50706
"""TIFF's tags: NewSubfileType, whose first bit says that a page is a smaller copy of another, and DNGVersion."""


def known_format(data: bytes) -> KnownFormat | None:
    """The format of an image file's bytes that Pillow's own decoders did not take; None for an unknown one."""
    head = data[:_HEAD_BYTES]
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        others = {head[at : at + 4] for at in range(16, min(len(head), int.from_bytes(head[:4], "big")), 4)}
        return AVIF if brand == b"mif1" and b"avif" in others else _BRANDS.get(brand)
    found = next((known for start, known in _STARTS if head.startswith(start)), None)
    if found is not None:
        return found
    if head[128:132] == b"DICM":
        return DICOM
    if b"%PDF-" in head:
        return PDF
    return _text_format(head.removeprefix(b"\xef\xbb\xbf").lstrip())


def _text_format(text: bytes) -> KnownFormat | None:
    lower = text[:_HEAD_BYTES].lower()
    if lower.startswith(b"data:"):
        return DATA_URL
    if lower.startswith((b"<!doctype html", b"<html")):
        return HTML
    if lower.startswith(b"<svg") or (lower.startswith((b"<?xml", b"<!")) and b"<svg" in lower):
        return SVG
    return BASE64 if text.startswith(_BASE64_STARTS) and _BASE64_TEXT.match(text) else None


def is_raw_photo(image: "Image.Image") -> bool:
    """Whether what Pillow opened as a TIFF is a camera's file (DNG, NEF, ARW): its first picture is a thumbnail."""
    if image.format != "TIFF":
        return False
    tags = image.tag_v2  # type: ignore[attr-defined]  # of Pillow's TiffImageFile
    return _DNG_VERSION in tags or bool(int(tags.get(_REDUCED, 0)) & 1)


def can_open(known: KnownFormat) -> bool:
    """Whether a decoder for it is installed here."""
    from PIL import Image, features  # here: the command line knows the formats of files before it opens one

    if known is HEIC:
        with suppress(ImportError):
            import pillow_heif

            pillow_heif.register_heif_opener()
            return True
        return "HEIF" in Image.OPEN  # an app registered another plugin
    built_in = "avif" in features.modules and features.check("avif")  # an older Pillow warns of names it does not know
    return known is AVIF and (built_in or "AVIF" in Image.OPEN)
