"""The pictures that ``predict`` writes: annotated images, and crops of their faces."""

import glob
import hashlib
import os
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.errors import ImageError, StorageError, UsageError
from fer_edge.files import file_identity, require_writable
from fer_edge.leftovers import sha256_of
from fer_edge.own_files import OwnFiles
from fer_edge.text import shown_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fer_edge.runtime.crops import Framing
    from fer_edge.runtime.photos import PhotoOutcome

STDIN = "<stdin>"
"""What an image from standard input is called."""


class Pictures:
    """Where annotated pictures go: the file that was named, or one file for each image in a folder."""

    def __init__(self, out: Path, arguments: list[str], sources: list[str]) -> None:
        from fer_edge.runtime.annotation import PICTURE_FORMATS
        from fer_edge.runtime.output_names import OutputNames

        self._out = out
        # os.path: Path's own raise for names that are too long.
        self._is_folder = os.path.isdir(out) or not out.suffix  # noqa: PTH112
        self.written: list[Path] = []
        self._own_files = OwnFiles("choose another with --out")
        self._images = _identities(sources)
        if self._is_folder:
            require_writable(out)
            self._names = OutputNames(out, self._images)
            self._planned: dict[str, deque[Path]] = {}
            for source in sources:
                is_stdin = source == STDIN  # what image that is shows when it was read
                path = self._new_path(source) if is_stdin else self._free_path(source, _made_of(source))
                self._planned.setdefault(source, deque()).append(path)
            self._own_files.refuse_foreign(path for paths in self._planned.values() for path in paths)
            return
        if out.suffix.lower() not in PICTURE_FORMATS:
            raise UsageError(f"--out {out}: expected a folder or a name that ends in {', '.join(PICTURE_FORMATS)}")
        argument = arguments[0]
        may_be_several = os.path.isdir(argument) or (  # noqa: PTH112
            glob.has_magic(argument) and not os.path.exists(argument)  # noqa: PTH110
        )
        if len(arguments) > 1 or may_be_several:
            raise UsageError(f"--out {out}: expected a folder, because there may be several images, found a file")
        self._refuse_image(out)
        self._own_files.refuse_foreign([out])
        self._before = sha256_of(out)

    def write(self, outcome: "PhotoOutcome") -> "PhotoOutcome":
        """Draw one image's faces and write the picture; what became of the image then. Raises StorageError."""
        if outcome.photo is None or outcome.pixels is None:
            return outcome
        from fer_edge.runtime.annotation import annotate, write_picture

        picture = annotate(outcome.pixels, outcome.photo.faces)
        made_of = _made_of(outcome.source, outcome.pixels)
        try:
            with self._own_files.alone_in(self._out if self._is_folder else self._out.parent):
                path = self._path(outcome.source, made_of)
                with self._own_files.writing(path, source=made_of):
                    write_picture(path, picture)
        except ImageError as error:
            return replace(outcome, photo=None, error=error)
        self.written.append(path)
        return outcome

    def _path(self, source: str, made_of: str) -> Path:
        if not self._is_folder:
            if sha256_of(self._out) != self._before and self._own_files.source_of(self._out) != made_of:
                raise StorageError(
                    f"{shown_name(self._out)}: expected it as it was when this command began, found that another wrote "
                    "it meanwhile, which is kept; choose another with --out"
                )
            return self._out
        planned = self._planned.get(source)  # none: an image that came since
        path = planned.popleft() if planned else self._free_path(source, made_of)
        if self._own_files.source_of(path) not in ("", made_of):  # another command wrote it since
            return self._free_path(source, made_of)
        return path

    def _new_path(self, source: str) -> Path:
        return self._names.path(_stem(source), "faces.jpg")

    def _free_path(self, source: str, made_of: str) -> Path:
        """The first name that no picture of another image has."""
        while True:
            path = self._new_path(source)
            if self._own_files.source_of(path) in ("", made_of):
                return path

    def _refuse_image(self, path: Path) -> None:
        if file_identity(path) in self._images:
            raise UsageError(f"--out {path}: expected another file than the image itself; choose another name")


class Crops:
    """Writes what the model saw of each face into a folder, under names that nothing else has."""

    def __init__(self, folder: Path, sources: list[str], framing: "Framing") -> None:
        from fer_edge.runtime.output_names import OutputNames

        if os.path.lexists(folder) and not folder.is_dir():
            raise UsageError(f"--save-crops {folder}: expected a folder, or a name that is free, found a file")
        require_writable(folder)
        self.written: list[Path] = []
        self._folder = folder
        self._framing = framing
        self._own_files = OwnFiles("choose another with --save-crops")
        self._names = OutputNames(folder, _identities(sources))

    def write(self, outcome: "PhotoOutcome") -> None:
        """Write the faces of one image, each under a name of its own. Raises StorageError."""
        if outcome.photo is None or outcome.pixels is None:
            return
        from fer_edge.runtime.annotation import write_picture
        from fer_edge.runtime.results import face_crops

        made_of = _made_of(outcome.source, outcome.pixels)
        for crop in face_crops(outcome.pixels, outcome.photo.faces, self._framing):
            with self._own_files.alone_in(self._folder):
                path = self._free_path(outcome.source, made_of)
                with self._own_files.writing(path, source=made_of):
                    write_picture(path, crop)
            self.written.append(path)

    def _free_path(self, source: str, made_of: str) -> Path:
        """The first name that neither another image's crop has nor somebody else's file."""
        while True:
            path = self._names.path(_stem(source), "face.png")
            if self._own_files.source_of(path) in ("", made_of) and not self._own_files.is_foreign(path):
                return path


def _identities(sources: list[str]) -> set[tuple[int, int] | str]:
    """Of the images' own files, which nothing is written over."""
    return {file_identity(source) for source in sources if source != STDIN}


def _made_of(source: str, pixels: "NDArray[np.uint8] | None" = None) -> str:
    """Tells images apart across runs: by their place, and what came by standard input by its ``pixels``."""
    if source != STDIN:
        return hashlib.sha256(os.fsencode(os.path.realpath(source))).hexdigest()[:16]
    return "" if pixels is None else hashlib.sha256(pixels.tobytes()).hexdigest()[:16]


def _stem(source: str) -> str:
    """What the names of an image's files begin with."""
    return "stdin" if source == STDIN else Path(source).stem
