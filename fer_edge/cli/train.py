"""``train``: begin a run, or go on with one."""

import shlex
from dataclasses import asdict, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from fer_edge.cli.output import is_main_process, note, result, result_json, wrote
from fer_edge.cli.typed import Labels, is_typed
from fer_edge.errors import UsageError
from fer_edge.labels import AUTO
from fer_edge.training.config import AugmentConfig, Heads, Optimizer, Precision, Stem, TrainConfig
from fer_edge.training.presets import preset_named, refuse_missing_presets

_DEFAULT = TrainConfig()
_AUGMENT = AugmentConfig()
_WITH_RESUME = {"resume", "data", "device", "json_output"}


def train(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Option(help="Folder or CSV of labelled faces, or 'sample' for synthetic ones. [default: fer2013/ here]"),
    ] = None,
    labels: Labels = AUTO,
    name: Annotated[str | None, typer.Option(help="Name of the run. [default: architecture and time]")] = None,
    runs: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    preset: Annotated[
        str | None,
        typer.Option(help="fer-resnet18 or another recipe: settings to begin with. Other options change them."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this run folder, with the settings it began with.")
    ] = None,
    drop_leaks: Annotated[
        bool, typer.Option(help="Leave out validation and test faces that are byte-identical to a training face.")
    ] = False,
    skip_bad: Annotated[bool, typer.Option(help="Go on without files and rows that cannot be read.")] = False,
    architecture: Annotated[
        str,
        typer.Option(
            help="resnet18, resnet10_half, vgg, inception, mobilenet_v3_small or tiny.", rich_help_panel="Model"
        ),
    ] = _DEFAULT.architecture,
    stem: Annotated[
        Stem,
        typer.Option(
            help="ResNet18's first layers: 7x7/2 + max-pool, without the pool, or 3x3/1.", rich_help_panel="Model"
        ),
    ] = _DEFAULT.stem,
    weights: Annotated[
        str,
        typer.Option(
            help="auto, imagenet, none, a torchvision state dict, or a run to begin from (several: their mean).",
            rich_help_panel="Model",
        ),
    ] = _DEFAULT.weights,
    heads: Annotated[
        Heads,
        typer.Option(help="What is learned, the main head first; votes need FER+'s.", rich_help_panel="Model"),
    ] = _DEFAULT.heads,
    second_head_weight: Annotated[
        float, typer.Option(help="Weight of the second head's loss.", rich_help_panel="Model")
    ] = _DEFAULT.second_head_weight,
    image_size: Annotated[
        int, typer.Option(help="Side of a face in pixels.", rich_help_panel="Model")
    ] = _DEFAULT.image_size,
    epochs: Annotated[int, typer.Option(help="Passes over the faces.", rich_help_panel="Training")] = _DEFAULT.epochs,
    progression: Annotated[
        str, typer.Option(help="Smaller faces first, e.g. 32:14,40:16 (SIDE:EPOCHS).", rich_help_panel="Training")
    ] = _DEFAULT.progression,
    batch_size: Annotated[
        int, typer.Option(help="Faces a step, over all processes.", rich_help_panel="Training")
    ] = _DEFAULT.batch_size,
    max_lr: Annotated[
        float, typer.Option(help="Peak of the one-cycle learning rate.", rich_help_panel="Training")
    ] = _DEFAULT.max_lr,
    warmup: Annotated[
        float, typer.Option(help="Part of the steps before the peak.", rich_help_panel="Training")
    ] = _DEFAULT.warmup,
    optimizer: Annotated[
        Optimizer, typer.Option(help="sgd has Nesterov momentum.", rich_help_panel="Training")
    ] = _DEFAULT.optimizer,
    weight_decay: Annotated[
        float, typer.Option(help="None on norms and biases.", rich_help_panel="Training")
    ] = _DEFAULT.weight_decay,
    clip_norm: Annotated[
        float, typer.Option(help="Clip the gradient's norm; 0 is off.", rich_help_panel="Training")
    ] = _DEFAULT.clip_norm,
    clip_value: Annotated[
        float, typer.Option(help="Clip each gradient element; 0 is off.", rich_help_panel="Training")
    ] = _DEFAULT.clip_value,
    label_smoothing: Annotated[
        float, typer.Option(help="Part of a target spread over all classes.", rich_help_panel="Training")
    ] = _DEFAULT.label_smoothing,
    ema_decay: Annotated[
        float, typer.Option(help="Moving average of the weights; 0 is off.", rich_help_panel="Training")
    ] = _DEFAULT.ema_decay,
    mixup: Annotated[
        float, typer.Option(help="Alpha of mixup; 0 is off.", rich_help_panel="Training")
    ] = _DEFAULT.mixup,
    teacher: Annotated[
        str, typer.Option(help="Runs or checkpoints to learn from as well, with commas.", rich_help_panel="Training")
    ] = _DEFAULT.teacher,
    distillation: Annotated[
        float, typer.Option(help="Weight of the teachers in the loss.", rich_help_panel="Training")
    ] = _DEFAULT.distillation,
    temperature: Annotated[
        float, typer.Option(help="Softens the teachers' answers.", rich_help_panel="Training")
    ] = _DEFAULT.temperature,
    class_weights: Annotated[
        bool, typer.Option(help="Let every class count alike in the loss.", rich_help_panel="Training")
    ] = _DEFAULT.class_weights,
    patience: Annotated[
        int, typer.Option(help="Stop after this many epochs without a better one; 0 never.", rich_help_panel="Training")
    ] = _DEFAULT.patience,
    seed: Annotated[int, typer.Option(help="Seeds everything drawn.", rich_help_panel="Training")] = _DEFAULT.seed,
    augment_strength: Annotated[
        float,
        typer.Option(help="Multiplies all variations below.", rich_help_panel="Augmentation (0 is off)"),
    ] = 1.0,
    crop: Annotated[
        int, typer.Option(help="Largest move of the crop, in pixels.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.crop,
    flip: Annotated[
        float, typer.Option(help="Probability of a horizontal flip.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.flip,
    rotation: Annotated[
        float, typer.Option(help="Largest rotation, in degrees.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.rotation,
    scale: Annotated[
        float, typer.Option(help="Largest relative change of size.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.scale,
    shift: Annotated[
        float, typer.Option(help="Largest shift, as a part of the width.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.shift,
    brightness: Annotated[
        float, typer.Option(help="Largest change of brightness.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.brightness,
    contrast: Annotated[
        float, typer.Option(help="Largest change of contrast.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.contrast,
    erasing: Annotated[
        float, typer.Option(help="Probability of an erased rectangle.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.erasing,
    erasing_area: Annotated[
        float, typer.Option(help="Largest part that is erased.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.erasing_area,
    equalise: Annotated[
        float, typer.Option(help="Probability of an equalised histogram.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.equalise,
    gamma: Annotated[
        float, typer.Option(help="Largest relative change of gamma.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.gamma,
    jpeg: Annotated[
        float, typer.Option(help="Probability of JPEG compression.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.jpeg,
    jpeg_quality: Annotated[
        int, typer.Option(help="Its lowest quality.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.jpeg_quality,
    resolution: Annotated[
        float, typer.Option(help="Probability of a lower resolution.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.resolution,
    resolution_side: Annotated[
        int, typer.Option(help="Its smallest side, in pixels.", rich_help_panel="Augmentation (0 is off)")
    ] = _AUGMENT.resolution_side,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel="Machine")
    ] = _DEFAULT.device,
    precision: Annotated[
        Precision,
        typer.Option(help="bf16 mixed precision or fp32; auto takes what is faster.", rich_help_panel="Machine"),
    ] = _DEFAULT.precision,
    channels_last: Annotated[
        bool, typer.Option(help="Activations in NHWC order.", rich_help_panel="Machine")
    ] = _DEFAULT.channels_last,
    threads: Annotated[
        int, typer.Option(help="CPU threads; 0 is torch's choice.", rich_help_panel="Machine")
    ] = _DEFAULT.threads,
    save_interval: Annotated[
        float, typer.Option(help="Seconds between checkpoints; 0 saves every step.", rich_help_panel="Machine")
    ] = _DEFAULT.save_interval,
    tensorboard: Annotated[
        bool, typer.Option(help="Also write a TensorBoard log.", rich_help_panel="Machine")
    ] = _DEFAULT.tensorboard,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a classifier under a one-cycle schedule and keep it in a run folder.

    `python cli.py train --data sample --architecture tiny` takes seconds; `python cli.py train` trains
    ResNet18 on fer2013/. Ctrl-C saves and says how to go on. Several GPUs or machines:
    `torchrun --standalone --nproc_per_node=2 cli.py train ...`. A longer recipe:
    `python cli.py train --data fer2013 --preset teacher --name teacher-0`.
    """
    if resume is not None:
        _refuse_settings(context)
    else:
        config = _config(context)

    from fer_edge.training.train import DataRequest
    from fer_edge.training.train import resume as resume_run
    from fer_edge.training.train import train as train_run

    if resume is not None:
        done = resume_run(resume, source=data, device=device if is_typed(context, "device") else None)
    else:
        # A preset's own name, so that the presets that begin from its run find it.
        name = name or preset or f"{config.architecture}-{datetime.now():%Y%m%d-%H%M%S}"
        done = train_run(config, DataRequest(data, skip_bad, drop_leaks, labels), runs / name)
    if not is_main_process():
        return
    history = done.history
    if json_output:
        summary = {**asdict(history), "folder": str(done.folder), "config": done.record.config.to_dict()}
        result_json({**summary, "machine": done.record.machine, "starting_weights": done.record.starting_weights})
    else:
        early = ", stopped early" if history.stopped_early else ""
        result(
            f"best validation accuracy {history.best_accuracy:.4f} "
            f"(epoch {history.best_epoch} of {len(history.rows)}{early})"
        )
    wrote(done.folder / "checkpoints" / "best.pt", done.folder / "curves.png")
    note(f"next: python cli.py evaluate --checkpoint {shlex.quote(str(done.folder))}")


def _config(context: typer.Context) -> TrainConfig:
    """The preset's settings, or the defaults, under those that were typed; parameters have the settings' own names."""
    preset, runs = context.params["preset"], context.params["runs"]
    base = preset_named(preset, runs) if preset is not None else _DEFAULT
    typed = {name: value for name, value in context.params.items() if is_typed(context, name)}
    augment = replace(base.augment, **_named_after(AugmentConfig, typed))
    strength = context.params["augment_strength"]
    config = replace(base, **_named_after(TrainConfig, typed), augment=augment.scaled(strength))
    refuse_missing_presets(config)
    return config


def _named_after(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    return {setting.name: values[setting.name] for setting in fields(kind) if setting.name in values}


def _refuse_settings(context: typer.Context) -> None:
    """A resumed run keeps its settings: anything else on the command line is a mistake to hear about."""
    for parameter in context.command.params:
        if parameter.name not in _WITH_RESUME and is_typed(context, parameter.name or ""):
            raise UsageError(f"--resume goes on with the settings the run began with; leave out {parameter.opts[0]}")
