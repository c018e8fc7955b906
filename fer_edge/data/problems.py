"""What is wrong with a set of labelled faces: collected, then told in one report that names every place."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fer_edge.errors import DataError
from fer_edge.labels import LabelSet, option_text
from fer_edge.text import printable


@dataclass(frozen=True)
class Problem:
    """One thing that keeps a face, a folder or a row from being used."""

    where: str
    """The path, or ``file.csv:LINE`` with the line as an editor counts it (the header is line 1)."""

    what: str
    """What was found there and, where it helps, what was expected."""

    emptied: str | None = None
    """The class that train is left without, for which ``--skip-bad`` does not help."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass
class ProblemList:
    """Collects problems while a set is read, so that the user meets all of them at once."""

    source: str
    """What the user asked for, e.g. the folder behind ``--data``."""

    found: list[Problem] = field(default_factory=list)

    def add(self, where: str | Path, what: str, *, emptied: str | None = None) -> None:
        """Note that ``what`` is wrong at ``where``, so that train has nothing of the class ``emptied``, if any."""
        self.found.append(Problem(printable(where), what, emptied))

    def add_emptied(self, classes: Iterable[str]) -> None:
        """Note the ``classes`` that train has nothing of, but for those that are noted already."""
        noted = {problem.emptied for problem in self.found}
        for name in classes:
            if name not in noted:
                self.add(self.source, f"no face of class {name} from train that can be used", emptied=name)

    def raise_if_any(self, labels: LabelSet, *, skip_bad: bool = False) -> None:
        """Raise one DataError that lists every problem and the next step; do nothing where there is none.

        Under ``skip_bad`` files and rows are left out, never a class of ``labels``: only those are problems.
        """
        emptied = {problem.emptied for problem in self.found} - {None}
        listed = [problem for problem in self.found if problem.emptied is not None] if skip_bad else self.found
        if not listed:
            return
        others = shlex.quote(option_text([name for name in labels.names if name not in emptied]))
        head = f"{self.source}: {describe_problems(listed)}\nnothing was changed; mend these, or"
        rest = f"; 'fer-edge data inspect --data {self.source}' shows the rest"
        if not emptied:
            raise DataError(f"{head} add --skip-bad to go on without them{rest}")
        head = f"{head}, where they are class folders, take those classes out of every split"
        rest = f" (--skip-bad leaves out files and rows, never a class){rest}"
        raise DataError(
            f"{head} and name the others with --labels {printable(others)}{rest}", without_labels=f"{head}{rest}"
        )

    def nothing_usable(self) -> DataError:
        """The error for a set of which nothing can be used, with every problem found on the way."""
        found = describe_problems(self.found) if self.found else "see 'fer-edge data --help' for what is read"
        return DataError(f"{self.source}: expected labelled faces, found none that can be used; {found}")


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
