"""Pictures of faces for the browser's tests, made from the page's own public-domain example and from drawn faces."""

from pathlib import Path

from PIL import Image, ImageOps

from fer_edge.data.sample import synthetic_face
from fer_edge.web.site import PAGE

EXAMPLE = PAGE / "example.jpg"
_EXIF_ORIENTATION = 0x0112


def portrait() -> Image.Image:
    """Head and shoulders of the example, 300x300."""
    with Image.open(EXAMPLE) as image:
        return image.convert("RGB").crop((70, 0, 370, 300))


def write_two_faces(path: Path) -> None:
    """Two faces of different size, on transparent ground, in a picture that is made smaller to be searched."""
    canvas = Image.new("RGBA", (1010, 605), (0, 0, 0, 0))
    canvas.paste(portrait(), (40, 200))
    canvas.paste(ImageOps.mirror(portrait()).resize((560, 560), Image.Resampling.BICUBIC), (400, 20))
    canvas.save(path)


def write_face_at_the_border(path: Path) -> None:
    """A face that reaches beyond the upper left corner, turned by 90 degrees and set upright by its EXIF."""
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = 6  # to be shown turned clockwise
    portrait().crop((112, 80, 300, 300)).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)


def write_cropped_face(path: Path) -> None:
    """A drawn face of the network's own size, as in a data set."""
    Image.fromarray(synthetic_face(3)).save(path)


def write_no_face(path: Path) -> None:
    """Grey from dark to light."""
    Image.linear_gradient("L").resize((400, 300)).save(path)


def write_camera(path: Path, frames: int = 30) -> None:
    """What a camera sees, 640x480: Chromium plays an .mjpeg, which is one JPEG after the other, again and again."""
    face = portrait().resize((360, 360), Image.Resampling.BICUBIC)
    with path.open("wb") as stream:
        for number in range(frames):
            frame = Image.new("RGB", (640, 480), (90, 110, 120))
            frame.paste(face, (80 + 4 * abs(number - frames // 2), 60))
            frame.save(stream, "JPEG", quality=90)


GROUP = (
    (60, 335, 150),
    (330, 350, 170),
    (640, 330, 160),
    (950, 355, 150),
    (190, 90, 140),
    (500, 75, 150),
    (830, 105, 140),
)
"""Left, top and side of seven portraits in two rows that do not stand straight."""


def write_group(path: Path) -> None:
    """Seven faces close together, as in a photo of a group."""
    canvas = Image.new("RGB", (1180, 640), (96, 112, 104))
    for index, (left, top, side) in enumerate(GROUP):
        face = portrait().crop((50, 10, 255, 215)).resize((side, side), Image.Resampling.BICUBIC)
        canvas.paste(ImageOps.mirror(face) if index % 2 else face, (left, top))
    canvas.save(path, quality=92)
