"""``data``: look at labelled faces, make synthetic ones, fetch FER-2013."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli import output
from fer_edge.cli.program import ProgramGroup, as_called
from fer_edge.cli.typed import ClassMapFile, Labels, Votes, class_map_in
from fer_edge.labels import AUTO
from fer_edge.text import listed, printable, shown_name

if TYPE_CHECKING:
    from fer_edge.data.inspection import Conflict, Inspection, VoteCounts

VOTES_FILE = "fer2013new.csv"
"""Where ``data fetch --votes`` writes by default."""

MAX_LISTED = 5
"""Blank and conflicting faces that are named in the text; ``--json`` names all."""

app = typer.Typer(cls=ProgramGroup, no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def _group() -> None:
    """Look at labelled faces, make synthetic ones, fetch FER-2013 and FER+'s votes.

    These layouts are read: `train/`, `validation/` (or `val/`, `valid/`) and `test/` with class folders in them; class
    folders alone (FER-2013's popular folder takes FER+'s votes with `--votes`); `fer2013.csv` (with `fer2013new.csv`
    for the votes), `icml_face_data.csv`, or `train.csv` with `test.csv`; FER+'s `FER2013Train/` and `FER2013Valid/`
    with `fer2013new.csv`; `sample` or `sample:N` for N synthetic faces.

    Example: `fer-edge data inspect --data fer2013`
    """


@app.command()
def inspect(
    data: Annotated[
        str | None, typer.Option(help="Folder or CSV of labelled faces, or 'sample'. [default: fer2013/ here]")
    ] = None,
    labels: Labels = AUTO,
    votes: Votes = None,
    class_map: ClassMapFile = None,
    skip_bad: Annotated[bool, typer.Option(help="Exit with 0 although some files or rows cannot be used.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    picture: Annotated[Path, typer.Option(help="Where the picture of a few faces goes (PNG).")] = Path("inspect.png"),
) -> None:
    """Take stock of labelled faces: counts, contrast, votes, blanks, duplicates, leaks, problems, and a picture.

    Nothing is changed. The exit code is 1 where files or rows cannot be used; they are listed, the rest is inspected.

    Example: `fer-edge data inspect --data fer2013 --votes fer2013new.csv --picture faces.png`
    """
    from fer_edge.data.contact_sheet import draw_contact_sheet
    from fer_edge.data.inspection import inspect_faces
    from fer_edge.data.load import load_faces
    from fer_edge.errors import DataError
    from fer_edge.files import write_atomically
    from fer_edge.own_files import OwnFiles

    own_files = OwnFiles("choose another with --picture")
    own_files.refuse_foreign([picture])
    faces = load_faces(
        data,
        labels=labels,
        votes=votes,
        class_map=class_map_in(class_map),
        skip_bad=True,
        allow_empty_classes=True,
    )
    findings = inspect_faces(faces)
    if json_output:
        output.result_json(findings.to_json())
    else:
        _print_findings(findings)
    sheet = draw_contact_sheet(faces)
    with own_files.writing(picture):
        write_atomically(picture, lambda stream: sheet.save(stream, "PNG"))
    output.wrote(picture)
    emptied = [problem for problem in findings.problems if problem.emptied is not None]
    if skip_bad and emptied:
        raise DataError(
            f"{findings.source}: expected faces of every class from train, found none of "
            f"{printable(', '.join(str(problem.emptied) for problem in emptied))}; mend these, or name the other "
            "classes with --labels (--skip-bad leaves out files and rows, never a class)"
        )
    if findings.problems and not skip_bad:
        raise DataError(
            f"{findings.source}: expected faces without problems, found {len(findings.problems)} (listed above); "
            "mend them, or add --skip-bad to go on without them"
        )


@app.command()
def sample(
    out: Annotated[Path, typer.Option(help="A new or empty folder.")] = Path("sample-faces"),
    count: Annotated[int, typer.Option(help="How many faces, in all splits together.")] = 2100,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other faces.")] = 0,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write synthetic faces as PNG files in split and class folders, to try any command without photos of people.

    Example: `fer-edge data sample --count 700 --out sample-faces`
    """
    from fer_edge.data.sample import write_sample

    written = write_sample(out, count, seed=seed)
    look = as_called(f"fer-edge data inspect --data {shlex.quote(str(out))}")
    if json_output:
        output.result_json({"folder": str(out), "faces": written, "seed": seed, "next": look})
    else:
        output.result(f"{written} synthetic faces; look at them with: {look}")
    output.wrote(out)


@app.command()
def fetch(
    out: Annotated[
        Path | None,
        typer.Option(
            help="A new or empty folder; with --votes, the file. [default: fer2013; with --votes, fer2013new.csv]"
        ),
    ] = None,
    votes: Annotated[
        bool, typer.Option("--votes", help="Get FER+'s votes (1.6 MB, from Microsoft's repository) instead of faces.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Get FER-2013 from Kaggle (60 MB; needs the extra 'fetch' and, at Kaggle's discretion, an account), or its votes.

    Example: `fer-edge data fetch --out fer2013`, then `fer-edge data fetch --votes`
    """
    if votes:
        from fer_edge.data.fetch_votes import SHA256, fetch_votes
        from fer_edge.leftovers import sha256_of
        from fer_edge.own_files import OwnFiles

        table, own_files = out or Path(VOTES_FILE), OwnFiles("choose another with --out")
        if sha256_of(table) == SHA256:
            own_files.accept(table)
        with own_files.writing(table):
            fetch_votes(table)
        join = as_called(f"fer-edge data inspect --data fer2013 --votes {shlex.quote(str(table))}")
        if json_output:
            output.result_json({"file": str(table), "sha256": SHA256, "next": join})
        else:
            output.result(f"FER+'s votes are in {shown_name(table)}; join them with: {join}")
        output.wrote(table)
        return
    from fer_edge.data.kaggle import fetch_fer2013

    fetched = fetch_fer2013(out or Path("fer2013"))
    look = as_called(f"fer-edge data inspect --data {shlex.quote(str(fetched))}")
    if json_output:
        output.result_json({"folder": str(fetched), "next": look})
    else:
        output.result(f"FER-2013 is in {fetched}; look at it with: {look}")
    output.wrote(fetched)


def _print_findings(findings: "Inspection") -> None:
    from fer_edge.data.problems import describe_problems

    output.result(f"{printable(findings.source)}: {findings.total:,} faces\nlayout: {findings.layout}\n")
    _print_counts(findings)
    if all(name.isdecimal() for name in findings.labels):
        output.result(
            f"classes called by numbers: {printable(listed(findings.labels, 8))}; --class-map says what they mean, of "
            "known data sets by name: raf-db (1 to 7), affectnet (0 to 7), affectnet-7 (0 to 6)"
        )
    output.result("classes without a face: " + _missing(findings.missing))
    if findings.num_without_label:
        output.result(f"faces with votes and no label: {findings.num_without_label:,}")
    output.result(f"pixels / 255: mean {findings.mean:.4f}, standard deviation {findings.std:.4f}")
    changes = findings.contrast.findings
    output.result("contrast: " + (" and ".join(changes) if changes else "nothing found that was done to it"))
    if changes:
        output.result(f"  {as_called(findings.contrast.advice)}")
    if findings.votes is not None:
        _print_votes(findings.votes)
    elif findings.can_have_votes:
        output.result(
            "votes: none, but the file names are those of the popular folder of FER-2013: "
            f"'{as_called('fer-edge data fetch --votes')}' gets FER+'s, --votes {VOTES_FILE} joins them"
        )
    _print_some("blank faces (all pixels equal)", list(findings.blank))
    output.result("duplicates inside a split: " + _numbers(findings.duplicates))
    output.result("leaked from an earlier split (--drop-leaks leaves them out): " + _numbers(findings.leaked))
    _print_some("groups of equal faces with different labels", [_group_line(each) for each in findings.conflicts])
    output.result(f"fingerprint: {findings.fingerprint}")
    if findings.problems:
        output.result(f"\n{describe_problems(findings.problems)}")


def _print_votes(votes: "VoteCounts") -> None:
    output.result(
        f"votes: {votes.num_faces:,} faces with {votes.num_votes:.1f} annotators each; on average "
        f"{votes.agreement:.1%} of them agree on the most chosen answer"
    )
    output.result(
        f"  an emotion that more than half chose: {votes.num_majority:,}; two or more equally often the most chosen: "
        f"{votes.num_ties:,}; mostly unknown: {votes.num_unknown:,}; mostly not a face: {votes.num_not_a_face:,}"
    )


def _print_counts(findings: "Inspection") -> None:
    from rich.table import Table
    from rich.text import Text

    from fer_edge.cli.tables import result_table

    counts, names = findings.counts, findings.labels
    table = Table("class", show_footer=True)
    table.columns[0].footer = "all"
    columns = {**counts, "all": {name: sum(numbers[name] for numbers in counts.values()) for name in names}}
    for split, numbers in columns.items():
        table.add_column(split, footer=f"{sum(numbers.values()):,}", justify="right")
    for name in names:  # as Text: a name may look like markup
        table.add_row(Text(printable(name)), *(f"{numbers[name]:,}" for numbers in columns.values()))
    result_table(table)


def _missing(missing: dict[str, tuple[str, ...]]) -> str:
    return "; ".join(f"{split}: {', '.join(names)}" for split, names in missing.items() if names) or "none"


def _group_line(conflict: "Conflict") -> str:
    faces = [f"{source} ({name})" for source, name in zip(conflict.sources, conflict.classes, strict=True)]
    more = f" = {len(faces) - MAX_LISTED} more" if len(faces) > MAX_LISTED else ""
    return " = ".join(faces[:MAX_LISTED]) + more


def _print_some(what: str, lines: list[str]) -> None:
    output.result(f"{what}: {len(lines)}")
    for line in lines[:MAX_LISTED]:
        output.result(f"  {line}")
    if len(lines) > MAX_LISTED:
        output.result(f"  and {len(lines) - MAX_LISTED} more (all with --json)")


def _numbers(by_split: dict[str, int]) -> str:
    return ", ".join(f"{split} {number:,}" for split, number in by_split.items())
