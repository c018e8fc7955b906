"""Gets FER-2013 from Kaggle with kagglehub, the optional extra ``fetch``."""

import contextlib
import shutil
import sys
from pathlib import Path

from fer_edge.data.folders import refuse_filled
from fer_edge.errors import DataError, MissingExtraError
from fer_edge.files import fill_folder

DATASET = "msambare/fer2013"
PAGE = f"https://www.kaggle.com/datasets/{DATASET}"


def fetch_fer2013(out: Path) -> Path:
    """Download FER-2013 and copy it to the folder ``out``, which must be new or empty; returns ``out``.

    Raises MissingExtraError without kagglehub, StorageError where ``out`` holds something or cannot be written, and
    DataError, which says how to go on by hand, when the download fails for whatever reason.
    """
    refuse_filled(out)
    try:
        import kagglehub
    except ImportError as error:
        raise MissingExtraError("kagglehub", "fetch") from error
    try:
        with contextlib.redirect_stdout(sys.stderr):  # kagglehub reports its progress there
            downloaded = Path(kagglehub.dataset_download(DATASET))
    except Exception as error:  # no network, no account, no disk: each library below kagglehub has errors of its own
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"expected FER-2013 from Kaggle, the download failed ({reason}); download it by hand from {PAGE}, "
            f"unpack it to {out}/ and name that with --data {out}, or try everything with --data sample"
        ) from error

    with fill_folder(out) as stage:  # renamed at the end: an interrupted copy never looks like the data set
        shutil.copytree(downloaded, stage, dirs_exist_ok=True)
    return out
