"""The optimizer, its one-cycle schedule and the moving average of weights, built from the settings."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel

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


def one_cycle(config: TrainConfig, num_steps: int) -> tuple[list[float], list[float]]:
    """Learning rate and momentum of every step, for the picture: what ``build_schedule`` will do."""
    optimizer = build_optimizer(nn.Linear(1, 1), config)
    schedule = build_schedule(optimizer, config, num_steps)
    learning_rates, momenta = [], []
    for step in range(num_steps):
        learning_rates.append(float(optimizer.param_groups[0]["lr"]))
        momenta.append(momentum_of(optimizer))
        optimizer.step()
        if step + 1 < num_steps:
            schedule.step()
    return learning_rates, momenta


def average_weights(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of weights and buffers.

    The decay rises from 0.1 to ``decay`` as (1 + n) / (10 + n), so that a short run does not keep its first weights.
    """

    @torch.no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], num_averaged: Tensor | int) -> None:
        steps = int(num_averaged)
        weight = 1.0 - min(decay, (1 + steps) / (10 + steps))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(list(averaged), list(current), weight)
        else:  # batch norm's step counters
            torch._foreach_copy_(list(averaged), list(current))

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
