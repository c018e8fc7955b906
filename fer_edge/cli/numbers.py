"""Numbers that are none: NaN passes every bound of an option, because no comparison with it is true."""

import math
from typing import Any

from typer.core import TyperCommand

from fer_edge.cli.program import AsCalled
from fer_edge.errors import UsageError


class FiniteNumbers(AsCalled, TyperCommand):
    """A command that takes no NaN and no infinity. Raises UsageError that names the option."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """As typer does, and look at every number."""
        context = super().make_context(*args, **kwargs)
        for option in self.params:
            value = context.params.get(option.name or "")
            if isinstance(value, float) and not math.isfinite(value):
                raise UsageError(f"{option.opts[0]}: expected a number, found {value:g}")
        return context
