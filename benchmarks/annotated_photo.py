"""The annotated photo of the README: a public-domain portrait from the scikit-image package, through ``predict``.

python benchmarks/annotated_photo.py
"""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tools"))
import photos  # noqa: E402  # a script of this repository, found through the line above

PICTURE = Path("benchmarks", "results", "annotated_photo.jpg")


def main() -> None:
    photo = photos.astronaut().relative_to(REPOSITORY)
    command = [sys.executable, "cli.py", "predict", str(photo), "--out", str(PICTURE)]
    sys.exit(subprocess.run(command, cwd=REPOSITORY).returncode)


if __name__ == "__main__":
    main()
