"""Options from settings: names, types, defaults, help and choices are those of a training run's config."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, fields, replace
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from fer_edge.cli.named import complete_weights
from fer_edge.cli.output import note
from fer_edge.cli.typed import is_typed
from fer_edge.training.architectures import FORMER_NAMES
from fer_edge.training.config import GROUPS, AugmentConfig, TrainConfig

Command = TypeVar("Command", bound=Callable[..., None])


def with_settings(
    leave_out: Collection[str] = (), defaults: Mapping[str, Any] | None = None
) -> Callable[[Command], Command]:
    """Give a command that takes ``**settings`` an option for each setting of a run, but for those in ``leave_out``.

    ``defaults`` replaces the settings' own.
    """

    def add(command: Command) -> Command:
        own = inspect.signature(command).parameters.values()
        options = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in own
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        for kind in (TrainConfig, AugmentConfig):
            options += [
                _option(one, kind, defaults or {}) for name, one in _fields(kind).items() if name not in leave_out
            ]
        # Both are what typer asks for. Its help has the groups in the order of their first options.
        command.__signature__ = inspect.Signature(sorted(options, key=_place))  # type: ignore[attr-defined]
        annotations = {name: hint for name, hint in command.__annotations__.items() if name != "settings"}
        command.__annotations__ = annotations | {option.name: option.annotation for option in options}
        return command

    return add


def config_from(context: typer.Context, base: TrainConfig, *, is_preset: bool = False) -> TrainConfig:
    """``base`` with the settings that were typed. Raises TrainingError for one out of range.

    Unless ``base`` is a preset, weights that were named bring the network that they are of.
    """
    typed = {name: value for name, value in context.params.items() if is_typed(context, name)}
    former = typed.get("architecture")
    if former in FORMER_NAMES:
        note(f"--architecture {former} is now called {FORMER_NAMES[former]}, as in torchvision")
    if "weights" in typed and not is_preset:
        base = replace(base, **_of_weights(typed))
    changed = [{name: typed[name] for name in _fields(kind) if name in typed} for kind in (TrainConfig, AugmentConfig)]
    return replace(base, **changed[0], augment=replace(base.augment, **changed[1]))


def _of_weights(typed: Mapping[str, Any]) -> dict[str, Any]:
    from fer_edge.training.weights import KEYWORDS, settings_behind

    if typed["weights"] in KEYWORDS:
        return {}
    found = {name: value for name, value in settings_behind(typed["weights"]).items() if name not in typed}
    if "architecture" in found:
        note(f"--weights {typed['weights']}: trains its network, {found['architecture']}")
    return found


def _fields(kind: type) -> dict[str, Field[Any]]:
    return {one.name: one for one in fields(kind) if "help" in one.metadata}


def _place(parameter: inspect.Parameter) -> int:
    options = getattr(parameter.annotation, "__metadata__", ())
    groups = [one.rich_help_panel for one in options if one.rich_help_panel in GROUPS]
    return 1 + GROUPS.index(groups[0]) if groups else 0


def _option(one: Field[Any], kind: type, defaults: Mapping[str, Any]) -> inspect.Parameter:
    text, choices = one.metadata["help"], one.metadata["choices"]
    if choices is not None:
        text += f" One of {', '.join(choices())}."
    completes = complete_weights if one.name == "weights" else choices
    option = typer.Option(help=text, rich_help_panel=one.metadata["group"], autocompletion=completes)
    return inspect.Parameter(
        one.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=defaults.get(one.name, one.default),
        annotation=Annotated[get_type_hints(kind)[one.name], option],
    )
