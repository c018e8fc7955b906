import io
import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_edge.errors import ImageError
from fer_edge.runtime import images
from fer_edge.runtime.images import decode_image, face_pixels

RNG = np.random.default_rng(7)
PHOTO = Image.fromarray(RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8))
SMOOTH = PHOTO.resize((4, 3)).resize((90, 60), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_give_back_their_pixels(format: str) -> None:
    assert np.array_equal(decode_image(encoded(PHOTO, format)), np.asarray(PHOTO))


def test_webp_gives_back_its_pixels_when_lossless() -> None:
    assert np.array_equal(decode_image(encoded(PHOTO, "WEBP", lossless=True)), np.asarray(PHOTO))


@pytest.mark.parametrize("format", ["JPEG", "GIF"])
def test_lossy_formats_come_close(format: str) -> None:
    difference = np.abs(decode_image(encoded(SMOOTH, format)).astype(int) - np.asarray(SMOOTH).astype(int))
    assert difference.mean() < 10


def test_path_string_bytes_and_pil_image_agree(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    PHOTO.save(path)
    expected = np.asarray(PHOTO)
    for source in (
        path,
        str(path),
        path.read_bytes(),
        bytearray(path.read_bytes()),
        memoryview(path.read_bytes()),
        PHOTO,
    ):
        pixels = decode_image(source)
        assert pixels.dtype == np.uint8
        assert pixels.flags.writeable
        assert np.array_equal(pixels, expected)


def test_grey_images_keep_one_channel() -> None:
    grey = PHOTO.convert("L")
    assert decode_image(encoded(grey, "PNG")).shape == (20, 30, 1)
    assert np.array_equal(decode_image(encoded(grey, "PNG"))[:, :, 0], np.asarray(grey))


def test_one_bit_images_become_black_and_white() -> None:
    pixels = decode_image(encoded(PHOTO.convert("1"), "PNG"))
    assert pixels.shape == (20, 30, 1)
    assert set(np.unique(pixels)) == {0, 255}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(SMOOTH, "JPEG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.array_equal(decode_image(data), expected)
    assert decode_image(data).shape == ((60, 90, 3) if orientation < 5 else (90, 60, 3))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_image() -> None:
    data = encoded(SMOOTH, "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7f")
    assert decode_image(data).shape == (60, 90, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_on_white(mode: str) -> None:
    image = PHOTO.convert("L").convert(mode)
    image.putalpha(0)
    pixels = decode_image(encoded(image, "PNG"))
    assert pixels.shape == (20, 30, 1 if mode == "LA" else 3)
    assert (pixels == 255).all()


def test_half_transparent_black_becomes_mid_grey() -> None:
    assert decode_image(Image.new("RGBA", (4, 4), (0, 0, 0, 128)))[0, 0].tolist() == [127, 127, 127]


def test_transparent_palette_entry_lies_on_white() -> None:
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.paste(0, (0, 0, 4, 8))
    pixels = decode_image(encoded(palette, "GIF", transparency=1))
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert pixels[0, 7].tolist() == [255, 255, 255]


def test_palette_becomes_rgb() -> None:
    palette = PHOTO.quantize(16)
    assert np.array_equal(decode_image(encoded(palette, "PNG")), np.asarray(palette.convert("RGB")))


def test_cmyk_jpeg_becomes_rgb() -> None:
    pixels = decode_image(encoded(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG"))
    assert pixels.shape == (16, 16, 3)
    red, green, blue = pixels.reshape(-1, 3).mean(axis=0)
    assert red < 30
    assert green > 150
    assert blue > 150


RAMP = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.fromarray(RAMP), "PNG"),
        encoded(Image.fromarray(RAMP), "TIFF"),
        b"P5 4 1 65535\n" + RAMP.astype(">u2").tobytes(),  # by hand: Pillow 10.3 reads it and does not write it
    ],
    ids=["PNG", "TIFF", "PPM"],
)
def test_16_bit_grey_is_scaled_not_clipped(data: bytes) -> None:
    assert decode_image(data)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_16_bit_tiff_in_which_white_is_zero_is_no_negative() -> None:
    values = RNG.integers(0, 2**16, (6, 5), dtype=np.uint16)
    inverted = encoded(Image.fromarray(65535 - values), "TIFF", tiffinfo={262: 0})
    assert np.array_equal(decode_image(inverted), decode_image(encoded(Image.fromarray(values), "TIFF")))


def test_tiff_of_another_depth_is_refused() -> None:
    grey = RNG.integers(0, 256, (6, 5), dtype=np.int32)  # as 32-bit integers: their full scale would be a guess
    with pytest.raises(ImageError, match="expected a TIFF of 8 or 16 bits a value, found 32"):
        decode_image(encoded(Image.fromarray(grey), "TIFF"), name="deep.tif")


def test_transparent_level_of_16_bit_grey_lies_on_white() -> None:
    values = np.full((6, 5), 1000, np.uint16)
    values[2, 3] = 2000
    pixels = decode_image(encoded(Image.fromarray(values), "PNG", transparency=2000))
    assert pixels[2, 3, 0] == 255
    assert pixels[0, 0, 0] == 4


def test_a_jpeg_that_repeats_its_scans_is_refused_before_decoding() -> None:
    whole = encoded(SMOOTH, "JPEG", progressive=True)
    scan, end = whole.rindex(b"\xff\xda"), whole.rindex(b"\xff\xd9")
    with pytest.raises(ImageError, match="expected a JPEG of at most 64 scans, found more"):
        decode_image(whole[:end] + 70 * whole[scan:end] + whole[end:], name="long.jpg")


def test_scans_in_other_segments_of_a_jpeg_do_not_count() -> None:
    whole = encoded(SMOOTH, "JPEG", progressive=True)
    profile = 200 * b"\xff\xda\x00\x02"
    segment = b"\xff\xe7" + (len(profile) + 2).to_bytes(2, "big") + profile
    assert np.array_equal(decode_image(whole[:2] + segment + whole[2:]), decode_image(whole))


def test_float_images_use_zero_to_one_and_refuse_other_ranges() -> None:
    assert decode_image(Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32)))[0, :, 0].tolist() == [
        0,
        128,
        255,
    ]
    for values in ([[0.0, 200.0]], [[-1.0, 1.0]], [[0.0, float("nan")]]):
        with pytest.raises(ImageError, match="expected float32 values from 0 to 1, found"):
            decode_image(Image.fromarray(np.array(values, dtype=np.float32)))


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ((250, 0, 0), (0, 250, 0))]
    for format, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("PNG", {})):
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
        assert decode_image(data)[0, 0].tolist() == [250, 0, 0], format


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
def test_truncated_files_are_refused_by_name(format: str, tmp_path: Path) -> None:
    path = tmp_path / "cut.bin"
    data = encoded(SMOOTH, format)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError) as raised:
        decode_image(path)
    assert str(raised.value).startswith(f"{path}: expected ")
    assert "\n" not in str(raised.value)


def test_formats_outside_the_allow_list_are_refused() -> None:
    for format in ("ICO", "PDF", "EPS", "TGA"):
        with pytest.raises(
            ImageError,
            match=r"^upload: expected a JPEG, PNG, BMP, GIF, WEBP, TIFF, PPM image, found (other|an icon|a PDF)",
        ):
            decode_image(encoded(PHOTO, format), name="upload")


def test_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(ImageError, match=r"empty\.jpg: .* image, found no bytes"):
        decode_image(path)


def test_missing_file_folder_pipe_and_url_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nowhere\.jpg: cannot be opened: No such file"):
        decode_image(tmp_path / "nowhere.jpg")
    with pytest.raises(ImageError, match="expected an image file, found a folder"):
        decode_image(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageError, match="found a device, pipe or socket"):
        decode_image(tmp_path / "pipe")
    with pytest.raises(ImageError, match="expected a file, found a URL; download it"):
        decode_image("https://example.org/face.jpg")
    with pytest.raises(ImageError, match=r"^data:image/png;base64,A{38}: .*found a data: URL; decode what follows its"):
        decode_image("data:image/png;base64," + 1000 * "A")
    with pytest.raises(ImageError, match=r"^rtsp://\*\*\*@cam/1: expected a file, found a stream; .*fer-edge webcam"):
        decode_image("rtsp://me:secret@cam/1")
    with pytest.raises(ImageError, match="embedded null"):
        decode_image("face\0.jpg")


def test_decompression_bomb_is_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    header = encoded(Image.new("1", (1, 1)), "BMP")
    bomb = header[:18] + (20_000).to_bytes(4, "little") * 2 + header[26:]
    with pytest.raises(ImageError, match="<bytes>: expected at most 89478485 pixels, found more"):
        decode_image(bomb)
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    for source in (PHOTO, np.asarray(PHOTO), encoded(PHOTO, "PNG")):
        with pytest.raises(ImageError, match="expected at most 100 pixels"):
            decode_image(source)


@pytest.mark.parametrize("size", [(80_000_000, 1), (1, 80_000_000), (65_536, 2)])
def test_a_side_that_the_model_could_not_take_is_refused_before_decoding(size: tuple[int, int]) -> None:
    width, height = size
    blank = Image.new("L", size)
    for source in (blank, np.zeros((height, width), np.uint8), encoded(blank, "PNG")):
        with pytest.raises(ImageError, match=f": expected sides of at most 65535 pixels, found {width}x{height}; make"):
            decode_image(source)
    assert decode_image(np.zeros((1, images.MAX_SIDE), np.uint8)).shape == (1, 65535, 1)


def test_wide_integers_in_memory_that_may_be_8_bit_are_refused() -> None:
    narrow = np.array([[0, 255]], dtype=np.uint16)
    for source in (narrow, narrow.astype(">u2"), Image.fromarray(narrow.astype(np.int32)), Image.fromarray(narrow)):
        with pytest.raises(ImageError, match=r"^<.*>: expected 16-bit values, found only 0-255: convert to uint8$"):
            decode_image(source)
    file = encoded(Image.fromarray(narrow), "PNG")  # a file says that it has 16 bits: dark it is
    assert decode_image(file)[0, :, 0].tolist() == [0, 1]
    with Image.open(io.BytesIO(file)) as opened:
        assert decode_image(opened)[0, :, 0].tolist() == [0, 1]


def test_arrays_of_either_byte_order_are_the_same_image() -> None:
    ramp = np.array([[0, 257, 32896, 65535]])
    for dtype in ("<u2", ">u2"):
        assert decode_image(ramp.astype(dtype))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_arrays_keep_their_values() -> None:
    grey = RNG.integers(0, 256, (5, 6), dtype=np.uint8)
    assert np.array_equal(decode_image(grey)[:, :, 0], grey)
    assert np.array_equal(decode_image(grey[:, :, np.newaxis])[:, :, 0], grey)
    assert np.array_equal(decode_image(np.asarray(PHOTO)[::-1]), np.asarray(PHOTO)[::-1])
    assert decode_image(np.array([[0, 65535]], dtype=np.uint16))[0, :, 0].tolist() == [0, 255]
    transparent = np.zeros((3, 3, 4), dtype=np.uint8)
    assert (decode_image(transparent) == 255).all()


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((3, 4, 2), np.uint8), r"found \(3, 4, 2\)"),
        (np.zeros((2, 3, 4, 3), np.uint8), r"found \(2, 3, 4, 3\)"),
        (np.zeros((0, 4), np.uint8), r"found \(0, 4\)"),
        (np.zeros((3, 4), np.float32), "found float32"),
        (np.zeros((3, 4), np.int64), "found int64"),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray, found: str) -> None:
    with pytest.raises(ImageError, match=f"^<ndarray>: expected an array .*{found}"):
        decode_image(array)


def test_other_types_are_refused() -> None:
    with pytest.raises(ImageError, match=r"^<int>: expected a path, bytes, an open file, a PIL .* array, found int"):
        decode_image(7)  # type: ignore[arg-type]  # the wrong type is the point


def test_face_of_the_right_size_is_unchanged() -> None:
    face = RNG.integers(0, 256, (48, 48), dtype=np.uint8)
    assert np.array_equal(face_pixels(face), face)
    assert np.array_equal(face_pixels(face[:, :, np.newaxis]), face)
    assert np.array_equal(face_pixels(np.repeat(face[:, :, np.newaxis], 3, axis=2)), face)


def test_face_is_pillows_grey_and_bilinear() -> None:
    expected = np.asarray(SMOOTH.convert("L").resize((48, 48), Image.Resampling.BILINEAR))
    assert np.array_equal(face_pixels(decode_image(SMOOTH)), expected)
    assert face_pixels(decode_image(SMOOTH), size=64).shape == (64, 64)


def test_alpha_is_dropped_from_a_face() -> None:
    pixels = np.asarray(SMOOTH)
    with_alpha = np.dstack([pixels, np.zeros(pixels.shape[:2], np.uint8)])
    assert np.array_equal(face_pixels(with_alpha), face_pixels(pixels))


def _commented(count: int) -> bytes:
    return b"P2 8 8 255\n" + b"#a\n" * count + b"9 " * 64


def _commented_colours(count: int) -> bytes:
    return b"P3 8 8 255\n" + b"9 #\n" * 192 + b"#\n" * count


def _exif(count: int) -> bytes:
    whole = io.BytesIO()
    Image.new("L", (16, 16), 90).save(whole, "JPEG")
    return whole.getvalue()[:2] + b"\xff\xe1\0\x10Exif\0\0II*\0\x08\0\0\0" * count + whole.getvalue()[2:]


@pytest.mark.parametrize(
    ("made", "count", "answer"),
    [(_commented, 600_000, (8, 8, 1)), (_commented_colours, 600_000, (8, 8, 3)), (_exif, 200_000, "blocks of Exif")],
)
def test_what_a_decoder_copies_again_for_each_of_its_parts_is_no_hang(made, count: int, answer) -> None:
    start = time.process_time()
    if isinstance(answer, str):
        with pytest.raises(ImageError, match=answer):
            decode_image(made(count))
        assert decode_image(made(200)).shape == (16, 16, 1)
    else:
        assert decode_image(made(count)).shape == answer
    assert time.process_time() - start < 3


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_transparent_level_of_few_bits_lies_on_white(bits: int) -> None:
    """Written by hand: Pillow writes no grey PNG of 2 or 4 bits. Each row shows the levels 0, 1, 0, 1 ..."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    row = {1: b"\x55", 2: b"\x11\x11", 4: b"\x01\x01\x01\x01"}[bits]
    header = struct.pack(">IIBBBBB", 8, 8, bits, 0, 0, 0, 0)
    for transparent, levels in ((0, [255, 255 // (2**bits - 1)]), (1, [0, 255])):
        chunks = (
            (b"IHDR", header),
            (b"tRNS", struct.pack(">H", transparent)),
            (b"IDAT", zlib.compress(8 * (b"\0" + row))),
        )
        data = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, content) for name, content in (*chunks, (b"IEND", b"")))
        assert decode_image(data)[0, :4, 0].tolist() == levels * 2


def test_an_empty_path_is_told_as_such() -> None:
    with pytest.raises(ImageError, match=r"^'': expected the path of an image, found an empty text$"):
        decode_image("")
