"""The files of a matrix: JSON, Markdown and a picture."""

from collections.abc import Callable
from pathlib import Path

from fer_edge.devices.matrix import Matrix, as_json
from fer_edge.errors import MissingExtraError
from fer_edge.files import write_text
from fer_edge.own_files import OwnFiles


def output_paths(folder: Path, name: str) -> list[Path]:
    """Every file that ``write_matrix`` may write: JSON, Markdown, then the picture."""
    return [folder / f"{name}{suffix}" for suffix in (".json", ".md", ".png")]


def write_matrix(
    matrix: Matrix, folder: Path, name: str, own_files: OwnFiles, note: Callable[[str], None]
) -> list[Path]:
    """Write ``NAME.json``, ``NAME.md`` and ``NAME.png`` into ``folder``; their paths.

    Without matplotlib there is no picture, and ``note`` hears so. Raises StorageError, also where one would replace a
    file that is not among ``own_files``.
    """
    figures, table, picture = paths = output_paths(folder, name)
    with own_files.writing(*paths):
        write_text(figures, as_json(matrix))
        write_text(table, matrix.markdown())
        try:
            from fer_edge.devices.plot import plot_matrix

            plot_matrix(matrix, picture)
        except MissingExtraError as missing:
            note(f"no picture: {missing}")
            return [figures, table]
    return paths
