"""What a run has saved of its training, checked against the run itself before anything of it is used.

Most of it follows from the settings and the number of steps taken: learning rate and momentum, the best epoch, the
steps behind the averaged weights. What a file says otherwise is wrong.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from fer_edge.errors import CheckpointError
from fer_edge.training.classifier import FacialExpressionClassifier
from fer_edge.training.config import TrainConfig
from fer_edge.training.history import Progress, is_better
from fer_edge.training.optimizer import build_optimizer, one_cycle
from fer_edge.training.plain_types import check_tensors, shown, typed
from fer_edge.training.random_states import check_random_states

_IN_ROWS = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "lr")
"""What the rows of all versions hold and what reads them needs."""
ALWAYS_THERE = {
    "optimizer": ("params", "lr", "weight_decay"),
    "schedule": ("total_steps", "last_epoch", "_step_count", "_last_lr"),
}
"""Of a group of weights and of the schedule: what every version of torch writes."""
_OF_A_CALL = ("_get_lr_called_within_step", "_is_initial")
"""Of a schedule's state: what it notes while it works."""


def checked_progress(values: Any, config: TrainConfig, num_steps: int | None = None) -> Progress:
    """How far a run under ``config``, of ``num_steps`` an epoch, has come. Raises CheckpointError, without a path."""
    progress = typed(values, Progress, required=tuple(Progress().__dict__))
    largest = 0 if progress.epoch == config.epochs else num_steps or math.inf
    if not (0 <= progress.epoch <= config.epochs and 0 <= progress.position <= largest):
        raise CheckpointError(
            f"progress: expected a step of {config.epochs} epochs, "
            f"found step {shown(progress.position)} after {shown(progress.epoch)}"
        )
    if len(progress.rows) != progress.epoch:
        raise CheckpointError(f"progress: expected {progress.epoch} rows of history, found {len(progress.rows)}")
    best_epoch = 0
    for number, row in enumerate(progress.rows, start=1):
        if row.get("epoch") != number or not all(math.isfinite(row.get(name, math.nan)) for name in _IN_ROWS):
            raise CheckpointError(f"progress: expected the history of epoch {number}, found something else")
        best_epoch = number if best_epoch == 0 or is_better(row, progress.rows[best_epoch - 1]) else best_epoch
    if (progress.best_epoch, progress.stale_epochs) != (best_epoch, progress.epoch - best_epoch):
        raise CheckpointError(f"progress: expected the best epoch {best_epoch}, found {shown(progress.best_epoch)}")
    if not (math.isfinite(progress.loss) and 0 <= progress.correct <= progress.count):
        raise CheckpointError("progress: expected the sums of an epoch, found others")
    return progress


def check_state(
    state: Mapping[str, Any],
    config: TrainConfig,
    classifier: FacialExpressionClassifier,
    optimizer: torch.optim.Optimizer,
    schedule: OneCycleLR,
) -> None:
    """Raises CheckpointError, without a path, where ``state`` is not of a run under ``config``.

    ``state`` is what ``Trainer.state`` gave; the others are new. Its optimizer's and schedule's options are completed
    in place where another version of torch wrote fewer.
    """
    num_steps = schedule.total_steps // config.epochs
    progress = checked_progress(state["progress"], config, num_steps)
    steps = progress.epoch * num_steps + progress.position
    wanted = classifier.state_dict()
    check_tensors(state["model"], wanted)
    if state["average"] is not None:
        check_tensors(state["average"]["weights"], wanted)
        if state["average"]["steps"] != steps:
            raise CheckpointError(f"average: expected one of {steps} steps, found {shown(state['average']['steps'])}")
    others = state.get("random_of_others", [])
    if not isinstance(others, list):
        raise CheckpointError(f"random_of_others: expected a list of states, found {shown(others)}")
    for states in (state["random"], *others):
        check_random_states(states)

    reached = min(steps, schedule.total_steps - 1)
    (learning_rate,), (momentum,) = one_cycle(config, schedule.total_steps, [reached])
    at = {"lr": learning_rate, "momentum": momentum}
    _check_groups(state["optimizer"], optimizer, at)
    _check_weights_state(state["optimizer"], optimizer, config, steps)
    reference = {
        "last_epoch": reached,
        "_step_count": reached + 1,
        "_last_lr": [at["lr"]] * len(optimizer.param_groups),
    }
    expected = {name: value for name, value in schedule.state_dict().items() if name not in _OF_A_CALL} | reference
    if not isinstance(state["schedule"], dict):
        raise CheckpointError(f"schedule: expected names and values, found {shown(state['schedule'])}")
    _complete(state["schedule"], expected, "schedule")


def _check_groups(saved: Any, optimizer: torch.optim.Optimizer, at: Mapping[str, float]) -> None:
    """The options of each group: those of the new optimizer, with the learning rate and the momentum of this step."""
    if not isinstance(saved, dict) or saved.keys() != {"state", "param_groups"}:
        raise CheckpointError("optimizer: expected its state and param_groups, found something else")
    groups = optimizer.state_dict()["param_groups"]
    found = saved["param_groups"]
    if not isinstance(found, list) or len(found) != len(groups) or not all(isinstance(one, dict) for one in found):
        raise CheckpointError(f"optimizer: expected {len(groups)} groups of weights, found something else")
    for group, expected in zip(found, groups, strict=True):
        expected["lr"] = at["lr"]
        if "betas" in expected:
            expected["betas"] = (at["momentum"], *expected["betas"][1:])
        else:
            expected["momentum"] = at["momentum"]
        _complete(group, expected, "optimizer")


def _check_weights_state(
    saved: Mapping[str, Any], optimizer: torch.optim.Optimizer, config: TrainConfig, steps: int
) -> None:
    """What the optimizer keeps for each weight."""
    state = saved["state"]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    if not isinstance(state, dict) or state.keys() != (set(range(len(weights))) if steps else set()):
        raise CheckpointError(f"optimizer: expected the state of {len(weights) if steps else 0} weights, found others")
    kept = _kept_for_a_weight(config)
    for number, one in state.items():
        wanted = {name: weights[number] if is_alike else torch.zeros(()) for name, is_alike in kept.items()}
        check_tensors(one, wanted)
        if "step" in one and int(one["step"]) != steps:
            raise CheckpointError(f"optimizer: expected {steps} steps, found {int(one['step'])}")


def _kept_for_a_weight(config: TrainConfig) -> dict[str, bool]:
    """What the optimizer keeps for a weight after a step: by name, whether it has the weight's shape."""
    layer = nn.Linear(1, 1)
    optimizer = build_optimizer(layer, config)
    layer(torch.zeros(1, 1)).sum().backward()
    optimizer.step()
    return {name: value.ndim > 0 for name, value in optimizer.state[layer.weight].items()}


def _complete(saved: dict[Any, Any], expected: Mapping[str, Any], part: str) -> None:
    """Compare what both have, and give ``saved`` what it lacks; what else it has is of another version, and goes."""
    for name in ALWAYS_THERE[part]:
        if name not in saved:
            raise CheckpointError(f"{part}: expected '{name}', found none")
    for name, value in expected.items():
        if not _is_same(saved.setdefault(name, value), value):
            raise CheckpointError(f"{part}: expected {name} {shown(value)} at this step, found {shown(saved[name])}")
    for name in saved.keys() - expected.keys():
        del saved[name]


def _is_same(found: Any, expected: Any) -> bool:
    """Whether two plain values are equal, numbers within the rounding of another version of torch."""
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and found.keys() == expected.keys()
            and all(_is_same(found[name], value) for name, value in expected.items())
        )
    if isinstance(expected, list | tuple):
        return isinstance(found, list | tuple) and len(found) == len(expected) and all(map(_is_same, found, expected))
    if isinstance(expected, float) and type(found) in (int, float):
        return abs(found) < 2**53 and math.isclose(found, expected, rel_tol=1e-9)
    return type(found) is type(expected) and bool(found == expected)
