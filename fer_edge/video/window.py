"""A window that shows a video as it is analysed: Tk, which Python brings along, so that OpenCV is not needed for it."""

import numpy as np
from numpy.typing import NDArray

from fer_edge.errors import VideoError

_INSTEAD = "write the result to a file by --out result.mp4 or --csv table.csv, with --no-window"


class Window:
    """Shows pictures until it is closed (its button, q or Escape). Raises VideoError where there is no display."""

    def __init__(self, title: str) -> None:
        try:
            import tkinter
        except ImportError as error:
            raise VideoError(
                f"expected tkinter to show a window, found none; install it (on Debian: python3-tk), or {_INSTEAD}"
            ) from error
        try:
            self._root = tkinter.Tk(className="fer_edge")
        except tkinter.TclError as error:
            raise VideoError(f"expected a display to show the video on, found none ({error}); {_INSTEAD}") from error
        self._tkinter = tkinter
        self.is_open = True
        self._root.title(title)
        self._root.resizable(False, False)
        self._root.protocol("WM_DELETE_WINDOW", self._note_close)
        for key in ("<Escape>", "q"):
            self._root.bind(key, lambda _event: self._note_close())
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Show a picture uint8 RGB (H, W, 3), and take in what was pressed."""
        height, width = picture.shape[:2]
        data = b"P6 %d %d 255\n" % (width, height) + picture.tobytes()
        image = self._tkinter.PhotoImage(data=data, format="PPM")
        self._label.configure(image=image)
        self._image = image  # Tk itself does not keep it alive
        self._root.update()

    def close(self) -> None:
        """Take the window away."""
        self._root.destroy()

    def _note_close(self) -> None:
        self.is_open = False
