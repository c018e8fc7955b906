"""What goes wrong on purpose: every error a user can mend, each with the exit code the command line gives it."""

from fer_edge.extras import install_command


class FerEdgeError(Exception):
    """An error the user can mend. Its text is one clear line: what was expected, what was found, what to do next."""

    exit_code = 1


class DataError(FerEdgeError):
    """Labelled faces that cannot be read as they are. Its text may list one path or row per line."""

    def __init__(self, message: str, *, without_labels: str | None = None) -> None:
        """``without_labels``: the same for a command that has no ``--labels``, where the text advises it."""
        super().__init__(message)
        self.without_labels = without_labels or message


class ImageError(FerEdgeError):
    """One image that cannot be opened; the text names it."""


class VideoError(FerEdgeError):
    """A camera, video file or window that cannot be used; the text names it."""


class CheckpointError(FerEdgeError):
    """A checkpoint or run folder that is missing, damaged, in use or of another kind."""


class ModelError(FerEdgeError):
    """An exported model that is missing, damaged, without a valid card, or of a kind that is refused."""


class ProviderError(FerEdgeError):
    """The execution provider that was asked for is not there; the text says which part is missing."""


class TrainingError(FerEdgeError):
    """Training that cannot go on, e.g. a loss that is not finite."""


class StorageError(FerEdgeError):
    """A file that cannot be written: disk full, read-only, no permission."""


class MissingExtraError(FerEdgeError):
    """A command that needs an optional extra which is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"expected the package '{package}', found none; run: {install_command(extra)}")


class WebError(FerEdgeError):
    """The browser page cannot be written or served: a part is missing or not the right one, or the port taken."""


class ServingError(FerEdgeError):
    """A server that cannot start: its port is taken, its address not this machine's, its token cannot be read."""


class EvidenceError(FerEdgeError):
    """A bundle of evidence that cannot be read: damaged, made to do harm, or of a newer version."""


class UsageError(FerEdgeError):
    """Options that do not go together: exit code 2, as for an unknown option."""

    exit_code = 2


class SettingError(UsageError, TrainingError):
    """A setting of training that cannot be: out of its range, or a name that nothing has."""


class SourceError(UsageError, DataError):
    """A name of labelled faces that cannot be, such as ``sample:3``."""


class ProviderNameError(UsageError, ProviderError):
    """A name that no execution provider has."""


class CheckFailed(FerEdgeError):
    """A check that ran and failed (parity, accuracy loss, speed): exit code 3, never a warning."""

    exit_code = 3


class Interrupted(FerEdgeError):
    """A signal stopped the work after what was done had been saved. ``exit_code`` is 128 + the signal's number."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
