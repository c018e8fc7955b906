"""Tables as spreadsheets of other countries save them: every reader says what to do."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from fer_edge.data.ferplus import read_votes
from fer_edge.data.groups import read_groups
from fer_edge.data.load import load_faces
from fer_edge.data.problems import ProblemList
from fer_edge.errors import DataError

READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "fer2013.csv": ("emotion,pixels,Usage", load_faces),
    "people.csv": ("path,age", read_groups),
    "fer2013new.csv": ("Usage,Image name,neutral", lambda path: list(read_votes(path, ProblemList(path)))),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("saved", [(",", "utf-16"), (";", "utf-8"), ("\t", "utf-8"), ("\t", "utf-16")])
def test_a_table_that_was_saved_in_another_way_says_how_to_save_it(
    name: str, saved: Iterable[str], tmp_path: Path
) -> None:
    heading, read = READERS[name]
    separator, encoding = saved
    path = tmp_path / name
    path.write_bytes(f"{heading}\n1,2,3\n".replace(",", separator).encode(encoding))
    with pytest.raises(DataError, match="save it as UTF-8 with commas between columns"):
        read(path)


@pytest.mark.parametrize("name", READERS)
def test_another_table_is_not_told_to_be_saved_otherwise(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("width,height;or so\n1,2\n")
    with pytest.raises(DataError) as refused:
        READERS[name][1](path)
    assert "save it" not in str(refused.value)
