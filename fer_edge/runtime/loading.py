"""A model in an onnxruntime session: read, checked, opened, and opened again by another process."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import onnxruntime

from fer_edge.errors import ModelError, ProviderError
from fer_edge.runtime.foreign_files import Description
from fer_edge.runtime.forks import OwnSession
from fer_edge.runtime.model_file import ModelFile, read_model
from fer_edge.runtime.providers import ProviderChoice, choose_provider
from fer_edge.runtime.session import open_session
from fer_edge.runtime.shipped import model_path


class ModelOrigin(NamedTuple):
    """Where a model was read and how it was opened, for another process to do the same."""

    path: Path
    """Absolute: another process may have another working directory."""
    sha256: str
    """Of the file that was read: another process must not answer by another model."""
    provider: str
    threads: int
    trust: bool
    description: Description | None
    max_risk: float | None = None
    """As it was asked for; None: the default."""

    def check(self, sha256: str) -> None:
        """Refuse (ModelError) another file than the one that was read."""
        if sha256 != self.sha256:
            raise ModelError(
                f"{self.path}: expected the file that was loaded, found that it has changed; load the model again"
            )


class LoadedSession(NamedTuple):
    """A model in an onnxruntime session, and what runs it."""

    session: OwnSession
    model: ModelFile
    origin: ModelOrigin
    provider: str
    provider_note: str
    cuda_node_share: float | None


def load_session(
    path: str | Path | None = None,
    *,
    provider: str = "cpu",
    threads: int = 0,
    trust: bool = False,
    description: Description | None = None,
) -> LoadedSession:
    """Read, check and open a model; arguments and errors are those of ``Classifier.load``."""
    choice = choose_provider(provider)
    model = read_model(model_path(path), trust=trust, description=description)
    try:
        session, cuda_node_share = open_session(model, choice, threads=threads)
    except ProviderError as error:
        if provider != "auto" or choice.name == "cpu":
            raise
        choice = ProviderChoice("cpu", f"auto chose cpu; {error}")
        session, cuda_node_share = open_session(model, choice, threads=threads)
    if isinstance(description, str | Path):
        description = Path(description).absolute()
    origin = ModelOrigin(model.path.absolute(), model.sha256, provider, threads, trust, description)
    own = OwnSession(partial(_open_again, origin, choice), session)
    return LoadedSession(own, model, origin, choice.name, choice.note, cuda_node_share)


def _open_again(origin: ModelOrigin, choice: ProviderChoice) -> onnxruntime.InferenceSession:
    if choice.name == "cuda":
        raise ProviderError(
            f"{origin.path}: expected a process of its own for CUDA, found one forked from a process that uses it, "
            "which CUDA does not support; load the model after forking, or start processes by 'spawn'"
        )
    model = read_model(origin.path, trust=origin.trust, description=origin.description)
    origin.check(model.sha256)
    return open_session(model, choice, threads=origin.threads)[0]
