"""Leaked faces: those of a later split whose pixels are already in an earlier one.

FER-2013 was collected by a search engine, which found many photos more than once; 280 of its 3,589 PublicTest images
are byte-identical to a training image. Accuracy on these measures memory, so it is told with and without them.
"""

from dataclasses import replace

import numpy as np

from fer_edge.data.faces import FaceData, FaceSet
from fer_edge.data.splits import SPLITS


def leaked(data: FaceData, split: str, faces: FaceSet | None = None) -> np.ndarray:
    """Which faces of ``split`` have the same pixels as one in an earlier split (train, then validation): bool (N,).

    ``faces`` are some of the split's; without them, all.
    """
    earlier = [data.splits[name] for name in SPLITS[: SPLITS.index(split)]]
    known = {digest for others in earlier for digest in others.digests()}
    return np.array([digest in known for digest in (data.splits[split] if faces is None else faces).digests()], bool)


def without_leaks(data: FaceData) -> FaceData:
    """The same data with leaked faces left out of validation and test; train is kept whole."""
    return replace(
        data,
        validation=data.validation.take(~leaked(data, "validation")),
        test=data.test.take(~leaked(data, "test")),
    )
