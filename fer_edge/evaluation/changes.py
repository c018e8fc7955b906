"""What changed between two models on the same faces: accuracy, classes and single faces, and what of it is chance."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge import __version__
from fer_edge.errors import DataError
from fer_edge.evaluation.evaluation import OTHER_FOLDER, Evaluation
from fer_edge.evaluation.intervals import chance_in_words, holm, mcnemar
from fer_edge.files import write_text
from fer_edge.own_files import OwnFiles
from fer_edge.text import printable, table_cell, without_surrogates


@dataclass(frozen=True)
class Change:
    """Of all faces, or of those of one class. Ratios are fractions of one."""

    name: str
    num_faces: int
    old: float
    """The fraction that the old model is right on; of one class that is its recall."""
    new: float
    only_old_right: int
    only_new_right: int
    p_value: float
    """McNemar's exact test; of classes raised by Holm's method, because one of many is below 5 % by chance."""

    @property
    def points(self) -> float:
        """Percentage points gained; negative where some were lost."""
        return 100 * (self.only_new_right - self.only_old_right) / self.num_faces

    @property
    def in_words(self) -> str:
        """Whether it is more than chance."""
        if self.only_old_right == self.only_new_right == 0:
            return "unchanged"
        return chance_in_words(self.p_value)


_FIGURES = tuple(one.name for one in fields(Change))


@dataclass(frozen=True)
class ChangedFace:
    """A face that the two answer differently."""

    source: str
    label: str
    old: str
    new: str


@dataclass(frozen=True)
class AnswerChanges:
    """How a new model's answers to N faces differ from an old one's."""

    overall: Change
    classes: tuple[Change, ...]
    """Of each class that has faces."""
    without_faces: tuple[str, ...]
    """The other classes: nothing can be said of them."""
    faces: tuple[ChangedFace, ...]
    """Every face whose answer changed: those that were right and are wrong first."""

    @property
    def drop_points(self) -> float:
        """Percentage points of accuracy that were lost; negative where some were gained."""
        one = self.overall
        return 100 * (one.only_old_right - one.only_new_right) / one.num_faces  # exact, unlike that of two fractions

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "drop_points": self.drop_points,
            "overall": asdict(self.overall),
            "classes": [
                *(asdict(one) for one in self.classes),
                *({**dict.fromkeys(_FIGURES), "name": name, "num_faces": 0} for name in self.without_faces),
            ],
            "changed_faces": [asdict(face) for face in self.faces],
        }

    def tables(self, most_faces: int, where: str) -> list[str]:
        """Lines of Markdown: accuracy of all faces and by class, then the first faces whose answer changed.

        ``where`` has those beyond ``most_faces``.
        """
        lines = [
            "| faces | number | old | new | points | only the old is right | only the new is right | p |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *(
                f"| {table_cell(one.name)} | {one.num_faces:,} | {one.old:.1%} | {one.new:.1%} | {one.points:+.1f} | "
                f"{one.only_old_right} | {one.only_new_right} | {one.p_value:.2g} |"
                for one in (self.overall, *self.classes)
            ),
            *(f"| {table_cell(name)} | 0 |{' – |' * 6}" for name in self.without_faces),
            "",
            "p: McNemar's exact test; of the classes raised by Holm's method.",
        ]
        if self.faces:
            lines += ["", "| face | label | old answer | new answer |", "| --- | --- | --- | --- |"]
            lines += [
                f"| {' | '.join(map(table_cell, (Path(face.source).name, face.label, face.old, face.new)))} |"
                for face in self.faces[:most_faces]
            ]
            if len(self.faces) > most_faces:
                lines += ["", f"And {len(self.faces) - most_faces:,} more, in {where}."]
        return lines


@dataclass(frozen=True)
class Changes(AnswerChanges):
    """How a new model differs from an old one on one split."""

    new: Evaluation
    old: Evaluation
    num_left_out: int
    """Faces that only one of the two was asked about."""

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "old": str(self.old.subject.path),
            "new": str(self.new.subject.path),
            "num_left_out": self.num_left_out,
            "calibration_error": {"old": self.old.metrics.calibration_error, "new": self.new.metrics.calibration_error},
            **super().to_dict(),
        }

    def to_markdown(self, most_faces: int = 40) -> str:
        """The table, and the first faces whose answer changed."""
        new, old = (printable(str(one.subject.path)) for one in (self.new, self.old))
        lines = [
            f"# {new} against {old}",
            "",
            f"{self.overall.num_faces:,} faces of {self.new.split} of {printable(Path(self.new.data_source).name)}; "
            f"{len(self.faces):,} answers changed; {self.new.machine}; fer_edge {__version__}.",
            "",
            *self.tables(most_faces, "the JSON file"),
        ]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> list[Path]:
        """Write the figures as JSON and the table into ``folder``; gives their paths. Raises StorageError."""
        figures, table = written = change_paths(folder, self.new.split)
        with OwnFiles(OTHER_FOLDER).writing(*written):
            write_text(figures, json.dumps(without_surrogates(self.to_dict()), indent=2) + "\n")
            write_text(table, self.to_markdown())
        return written


def change_paths(folder: Path, split: str) -> list[Path]:
    """Every file that ``Changes.write`` writes."""
    return [folder / f"changes-{split}{end}" for end in (".json", ".md")]


def compare_evaluations(new: Evaluation, old: Evaluation) -> Changes:
    """Compare two evaluations face by face, by where each face is from.

    Faces that one of them left out (it has not their class) are left out and counted. Raises DataError where the two
    have no face in common, or call a face by labels that differ.
    """
    # The same faces may have been named once by a relative path and once by an absolute one.
    before, now = ([Path(source).absolute() for source in one.faces.sources] for one in (old, new))
    places = {source: place for place, source in enumerate(before)}
    pairs = [(mine, places[source]) for mine, source in enumerate(now) if source in places]
    if not pairs:
        raise DataError(
            f"{printable(str(new.subject.path))} and {printable(str(old.subject.path))}: expected faces that both have "
            "classes for, found none; compare models of the same expressions"
        )
    mine, theirs = (np.array(one) for one in zip(*pairs, strict=True))
    names = np.array(new.subject.labels.names, object)
    truth = names[new.faces.labels[mine]]
    old_names = _names_in(new, old)
    former = old_names[old.faces.labels[theirs]]
    if (truth != former).any():
        first = int(np.argmax(truth != former))
        raise DataError(
            f"{printable(new.faces.sources[mine[first]])}: expected one label for both models, found "
            f"{printable(str(former[first]))} and {printable(str(truth[first]))}; compare models of the same label set"
        )
    answers = names[new.probabilities[mine].argmax(axis=1)]
    answered = old_names[old.probabilities[theirs].argmax(axis=1)]
    found = compare_answers(
        truth, answered, answers, new.subject.labels.names, [new.faces.sources[place] for place in mine]
    )
    return Changes(
        overall=found.overall,
        classes=found.classes,
        without_faces=found.without_faces,
        faces=found.faces,
        new=new,
        old=old,
        num_left_out=len(new.faces) + len(old.faces) - 2 * len(pairs),
    )


def _names_in(new: Evaluation, old: Evaluation) -> np.ndarray:
    """The names of the old model's classes, as the new one calls them where it knows them as aliases (anger, angry)."""
    known = new.subject.labels
    return np.array([known.resolve(name) or name for name in old.subject.labels.names], object)


def compare_answers(
    truth: np.ndarray, old: np.ndarray, new: np.ndarray, names: Sequence[str], sources: Sequence[str]
) -> AnswerChanges:
    """Compare two models' answers to the same N faces: what is right, and both answers, each names (N,) of classes.

    ``names``: the classes, in the order to show; ``sources``: where each face is from, N texts.
    """
    right, was_right = new == truth, old == truth
    masks = {name: truth == name for name in names}
    per_class = [_change(name, right[mask], was_right[mask]) for name, mask in masks.items() if mask.any()]
    raised = holm([one.p_value for one in per_class])
    # What was lost first, then what was gained, then one mistake for another.
    order = sorted(np.flatnonzero(new != old).tolist(), key=lambda place: (not was_right[place], not right[place]))
    return AnswerChanges(
        overall=_change("all", right, was_right),
        classes=tuple(replace(one, p_value=p_value) for one, p_value in zip(per_class, raised, strict=True)),
        without_faces=tuple(name for name, mask in masks.items() if not mask.any()),
        faces=tuple(
            ChangedFace(sources[place], str(truth[place]), str(old[place]), str(new[place])) for place in order
        ),
    )


def _change(name: str, right: np.ndarray, was_right: np.ndarray) -> Change:
    lost, gained = int((was_right & ~right).sum()), int((right & ~was_right).sum())
    return Change(name, len(right), float(was_right.mean()), float(right.mean()), lost, gained, mcnemar(lost, gained))
