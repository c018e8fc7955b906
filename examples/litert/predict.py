"""Names the expression in photos of one face each, by LiteRT alone: on a Raspberry Pi, a board or a PC.

pip install ai-edge-litert numpy pillow
python predict.py NAME.tflite face.jpg
"""

import hashlib
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps


class Expressions:
    """A .tflite model of fer_edge."""

    def __init__(self, path: str, threads: int = 1) -> None:
        data = Path(path).read_bytes()
        beside = Path(path).with_suffix(".json")
        if beside.exists() and json.loads(beside.read_bytes())["file_sha256"] != hashlib.sha256(data).hexdigest():
            sys.exit(f"{path}: another file than {beside.name} names; copy both again")
        with zipfile.ZipFile(path) as archive:  # at the end of the file
            self.labels = archive.read("labels.txt").decode().splitlines()
        self._run = Interpreter(model_content=data, num_threads=threads).get_signature_runner()
        self._size = int(self._run.get_input_details()["image"]["shape"][1])

    def probabilities(self, photo: Image.Image) -> np.ndarray:
        """Of one face, cropped to head and chin, in the order of ``labels``."""
        photo = ImageOps.exif_transpose(photo)
        if photo.has_transparency_data:  # on white, as on a page
            photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo.convert("RGBA")).convert("RGB")
        # Pillow's bilinear is antialiased; OpenCV's INTER_LINEAR is not, and costs accuracy.
        face = photo.convert("L").resize((self._size, self._size), Image.Resampling.BILINEAR)
        return self._run(image=np.asarray(face, np.uint8)[np.newaxis, :, :, np.newaxis])["probabilities"][0]


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    model = Expressions(sys.argv[1])
    for path in sys.argv[2:]:
        with Image.open(path) as photo:
            found = model.probabilities(photo)
        print(f"{path}: {model.labels[found.argmax()]} {found.max():.4f}")
