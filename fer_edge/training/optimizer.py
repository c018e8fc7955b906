"""The optimizer, its one-cycle schedule and the moving average of weights, built from the settings."""

import copy
import itertools
import warnings
from collections.abc import Iterable

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from fer_edge.training.config import TrainConfig

MOMENTUM = 0.9
MOMENTUM_RANGE = (0.85, 0.95)
"""Momentum runs against the learning rate (Smith 2018), from the higher value to the lower one at the peak and back."""


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Two parameter groups: matrices and kernels decay; norms, biases and other vectors do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer that ``config`` names, over ``decay_groups``."""
    groups = decay_groups(model, config.weight_decay)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.max_lr, momentum=MOMENTUM, nesterov=True)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=config.max_lr)


def build_schedule(optimizer: torch.optim.Optimizer, config: TrainConfig, num_steps: int) -> OneCycleLR:
    """PyTorch's OneCycleLR over ``num_steps`` optimizer steps (Smith and Topin 2017)."""
    # OneCycleLR divides by zero when exactly one step rises; a run as short as that begins near its peak instead.
    warmup = config.warmup if config.warmup * num_steps > 1 else 0.5 / num_steps
    return OneCycleLR(
        optimizer,
        max_lr=config.max_lr,
        total_steps=num_steps,
        pct_start=warmup,
        base_momentum=MOMENTUM_RANGE[0],
        max_momentum=MOMENTUM_RANGE[1],
    )


def momentum_of(optimizer: torch.optim.Optimizer) -> float:
    """The momentum in force: sgd's own, or Adam's first beta."""
    group = optimizer.param_groups[0]
    return float(group["momentum"] if "momentum" in group else group["betas"][0])


def one_cycle(
    config: TrainConfig, num_steps: int, steps: Iterable[int] | None = None
) -> tuple[list[float], list[float]]:
    """Learning rate and momentum of every step, or of ``steps`` (from 0) alone: what ``build_schedule`` will do.

    The schedule is a formula of the step, so that one far on costs no more than the first.
    """
    optimizer = build_optimizer(nn.Linear(1, 1), config)
    schedule = build_schedule(optimizer, config, num_steps)
    learning_rates, momenta = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, that this is not how to follow a schedule
        for step in range(num_steps) if steps is None else steps:
            schedule.last_epoch = step
            learning_rates.append(float(schedule.get_lr()[0]))
            momenta.append(momentum_of(optimizer))
    return learning_rates, momenta


class AveragedWeights:
    """An exponential moving average of a model's weights and buffers.

    The decay rises from 0.1 to ``decay`` as (1 + n) / (10 + n), so that a short run does not keep its first weights.
    torch's AveragedModel counts its steps on the device, which the CPU would wait for at every step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(model)
        self.decay = decay
        self.n_averaged = 0
        """Steps behind the average; the first one copies."""

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards the weights of ``model``; batch norm's step counters are copied."""
        pairs = list(zip(_tensors_of(self.module), _tensors_of(model), strict=True))
        weight = 1.0 - min(self.decay, (1 + self.n_averaged) / (10 + self.n_averaged))
        lerped = [pair for pair in pairs if pair[0].is_floating_point() and self.n_averaged > 0]
        copied = [pair for pair in pairs if not (pair[0].is_floating_point() and self.n_averaged > 0)]
        if lerped:
            torch._foreach_lerp_([pair[0] for pair in lerped], [pair[1] for pair in lerped], weight)
        if copied:
            torch._foreach_copy_([pair[0] for pair in copied], [pair[1] for pair in copied])
        self.n_averaged += 1


def _tensors_of(model: nn.Module) -> list[torch.Tensor]:
    return [tensor.detach() for tensor in itertools.chain(model.parameters(), model.buffers())]
