"""Which layouts of a TIFF Pillow reads right: it decodes some of the others into other pixels, without a word.

Found by writing every combination of the tags below from known samples and reading it back
(tests/runtime/test_tiff_layouts.py). Pillow takes signed samples as unsigned ones, the bytes of planes of 16 bits for
interleaved ones, a plane of alpha beside grey or a palette for full transparency, and planes whose bits are reversed as
they are; it takes subsampled chroma for complete where it is not compressed, a palette of 8-bit colours for black,
and the black and white of video for those of pictures; of strips that contradict RowsPerStrip it takes the wrong ones.
"""

from PIL import TiffImagePlugin

_BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES, _PLANES, _FORMAT, _SUBSAMPLING = (
    258,
    259,
    262,
    266,
    277,
    284,
    339,
    530,
)
_HEIGHT, _STRIPS, _ROWS, _COLOURS, _BLACK_AND_WHITE = 257, 273, 278, 320, 532
_UNSIGNED, _FLOAT = 1, 3
_UNCOMPRESSED, _SEPARATE, _REVERSED, _YCBCR = 1, 2, 2, 6
_WHITE_IS_ZERO = 0
_WHOLE_RANGE = (0, 255, 128, 255, 128, 255)
_MODES_IN_PLANES = frozenset(("L", "P", "RGB", "RGBA", "RGBX", "CMYK"))


def fault(image: TiffImagePlugin.TiffImageFile) -> str | None:
    """Why this image would be read wrongly, as ``expected …, found …; next``; None for a layout that is read right."""
    tags = image.tag_v2
    bits = set(tags.get(_BITS, (1,)))
    if image.mode.startswith("I") and bits != {16}:  # read into integers as wide, and their full scale would be a guess
        return f"expected a TIFF of 8 or 16 bits a value, found {min(bits)}; save it with 8 or 16"
    formats = set(tags.get(_FORMAT, (_UNSIGNED,)))
    if not formats <= {_UNSIGNED, _FLOAT}:
        found = "signed" if 2 in formats else f"sample format {sorted(formats)}"
        return f"expected a TIFF of unsigned or float values, found {found}; save it with unsigned ones"
    if tags.get(_SAMPLES, 1) > 1 and tags.get(_PLANES, 1) == _SEPARATE:
        reverses = tags.get(_FILL_ORDER, 1) == _REVERSED
        if bits != {8} or reverses or image.mode not in _MODES_IN_PLANES:
            depth = f"{max(bits)} bits" + (", reversed" if reverses else "")
            return (
                f"expected a TIFF whose channels are interleaved, found separate planes ({image.mode}, {depth}); "
                "save it with PlanarConfiguration 1"
            )
    is_raw = tags.get(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED
    if tags.get(_PHOTOMETRIC) == _YCBCR and is_raw and set(tags.get(_SUBSAMPLING, (2, 2))) != {1}:
        return "expected a TIFF of complete or compressed YCbCr, found subsampled chroma; save it as RGB"
    if tags.get(_PHOTOMETRIC) == _YCBCR and tuple(tags.get(_BLACK_AND_WHITE, _WHOLE_RANGE)) != _WHOLE_RANGE:
        return "expected a TIFF of YCbCr from 0 to 255, found another ReferenceBlackWhite; save it as RGB"
    if image.mode in ("P", "PA") and 0 < max(tags.get(_COLOURS, (0,))) < 256:
        return "expected a TIFF whose palette has colours of 16 bits, found 8 bits; save it again"
    height = tags.get(_HEIGHT, image.height)  # as it is stored: the image's own is that of the upright one
    strips, rows = tags.get(_STRIPS, ()), tags.get(_ROWS, height)
    if is_raw and strips and tags.get(_PLANES, 1) != _SEPARATE and len(strips) != -(-height // max(rows, 1)):
        return f"expected a TIFF of strips of {rows} rows, found {len(strips)} for {height}; save it again"
    return None


def is_inverted(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Whether 0 is white: with 8 bits and fewer Pillow has put that right, with 16 it has not."""
    return bool(image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)
