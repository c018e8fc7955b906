"""What is wrong with a set of labelled faces: collected, then told in one report that names every place."""

from dataclasses import dataclass, field
from pathlib import Path

from fer_edge.errors import DataError
from fer_edge.text import printable


@dataclass(frozen=True)
class Problem:
    """One thing that keeps a face, a folder or a row from being used."""

    where: str
    """The path, or ``file.csv:LINE`` with the line as an editor counts it (the header is line 1)."""

    what: str
    """What was found there and, where it helps, what was expected."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass
class ProblemList:
    """Collects problems while a set is read, so that the user meets all of them at once."""

    source: str
    """What the user asked for, e.g. the folder behind ``--data``."""

    found: list[Problem] = field(default_factory=list)

    def add(self, where: str | Path, what: str) -> None:
        """Note that ``what`` is wrong at ``where``."""
        self.found.append(Problem(printable(where), what))

    def raise_if_any(self) -> None:
        """Raise one DataError that lists every problem and the next step; do nothing where there is none."""
        if self.found:
            raise DataError(f"{self.summary()}\n{self.next_step()}")

    def nothing_usable(self) -> DataError:
        """The error for a set of which nothing can be used, with every problem found on the way."""
        found = describe_problems(self.found) if self.found else "see 'fer-edge data --help' for what is read"
        return DataError(f"{self.source}: expected labelled faces, found none that can be used; {found}")

    def summary(self) -> str:
        """One line that counts, then every path and row, those with the same problem under one heading."""
        return f"{self.source}: {describe_problems(self.found)}"

    def next_step(self) -> str:
        """How to go on from a report."""
        return (
            "nothing was changed; mend these, or add --skip-bad to go on without them; "
            f"'fer-edge data inspect --data {self.source}' shows the rest"
        )


def describe_problems(problems: list[Problem] | tuple[Problem, ...]) -> str:
    """Text of all ``problems``, none left out: a count, then one line each, grouped by what is wrong."""
    groups: dict[str, list[str]] = {}
    for problem in problems:
        groups.setdefault(problem.what, []).append(problem.where)
    lines = ["1 problem" if len(problems) == 1 else f"{len(problems)} problems"]
    for what, places in groups.items():
        if len(places) == 1:
            lines.append(f"  {places[0]}: {what}")
        else:
            lines.append(f"  {what} ({len(places)}):")
            lines.extend(f"    {place}" for place in places)
    return "\n".join(lines)
