"""In place of a runtime: check.py runs no model of the kit's format, and compares what your app answered."""

from pathlib import Path


class Runtime:
    """What check.py asks of a runtime."""

    def __init__(self, model: Path) -> None:
        raise NotImplementedError(
            "check.py runs no models of this format; let your app write its answers as JSON (README.md) and compare "
            "them: python check.py --answers FILE"
        )
