"""The random generators of a process: seeded, saved with a run, and put back."""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from fer_edge.errors import CheckpointError


def seed_everything(seed: int) -> None:
    """Seed every random generator that code in this process may draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # libraries may draw from the global generator
    random.seed(seed)


def seed_of_rank(seed: int, epoch: int, position: int, rank: int) -> None:
    """Seed every generator for process ``rank`` from step ``position`` of ``epoch`` on: for processes of another number
    than those that came so far, whose states are nobody's. Like no other rank's or step's."""
    seed_everything(int(np.random.SeedSequence([seed, epoch, position, rank]).generate_state(1)[0]))


def random_states() -> dict[str, Any]:
    """The state of every random generator that code in this process may draw from, as tensors and plain types."""
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002  # libraries may draw from the global generator
    assert isinstance(numpy_state, dict)
    numpy_state["state"]["key"] = numpy_state["state"]["key"].tolist()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": json.dumps(numpy_state),
        "python": json.dumps(random.getstate()),
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Put every generator where ``random_states`` found it; CUDA's only when as many GPUs are here as then."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
    np.random.set_state(_numpy_state(states))  # noqa: NPY002  # see random_states
    random.setstate(_python_state(states))


def check_random_states(states: Any) -> None:
    """Raises CheckpointError where ``states`` is nothing that ``random_states`` gave: tried on other generators."""
    try:
        torch.Generator().set_state(states["torch"])
        cuda: Sequence[Any] = states["cuda"]
        if type(cuda) is not list or any(one.dtype != torch.uint8 or one.ndim != 1 for one in cuda):
            raise TypeError("cuda: expected a list of states")
        np.random.RandomState().set_state(_numpy_state(states))
        random.Random().setstate(_python_state(states))
    except Exception as error:  # each of the four libraries raises kinds of its own
        raise CheckpointError("expected the states of the random generators, found others") from error


def _numpy_state(states: Mapping[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(states["numpy"])
    state["state"]["key"] = np.array(state["state"]["key"], np.uint32)
    return state


def _python_state(states: Mapping[str, Any]) -> tuple[Any, ...]:
    version, internal, gauss = json.loads(states["python"])
    return version, tuple(internal), gauss
