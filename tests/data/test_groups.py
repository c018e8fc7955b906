"""Tables of groups: which face a row means, and what is refused."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from fer_edge.data.groups import MAX_GROUPS, GroupTable, groups_of, read_groups
from fer_edge.errors import DataError

SOURCES = ("/data/train/happy/1.png", "/data/train/sad/1.png", "/data/train/sad/2.png", "votes.csv:17")


def table(folder: Path, text: str) -> Path:
    path = folder / "groups.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def groups(path: Path, sources: Sequence[str] = SOURCES) -> GroupTable:
    return groups_of(read_groups(path), sources)


def test_rows_find_faces_by_the_ends_of_their_paths(tmp_path):
    text = (
        "\ufeffpath,age, light \r\n2.png,30-39,dark\r\nhappy/1.png,,bright\r\n/data/train/sad/1.png,30-39,\r\n"
        "another/7.png,20-29,x\r\n"
    )
    read = groups(table(tmp_path, text), SOURCES)
    assert {column.name: column.values for column in read.columns} == {
        "age": ("", "30-39", "30-39", ""),
        "light": ("bright", "", "dark", ""),
    }
    assert read.columns[0].groups == ["30-39"]
    assert read.num_without_row == 1


def test_other_kinds_of_paths(tmp_path):
    read = groups(table(tmp_path, "path,g\n.\\sad\\2.png,a\nvotes.csv:17,b\n"), SOURCES)
    assert read.columns[0].values == ("", "", "a", "b")


def test_a_row_again_counts_once_and_a_contradiction_is_refused(tmp_path):
    assert groups(table(tmp_path, "path,g\n2.png,a\nsad/2.png,a\n"), SOURCES).num_without_row == 3
    with pytest.raises(DataError, match=r"line 3: expected one row a face, found another of .*sad/2\.png in line 2"):
        groups(table(tmp_path, "path,g\n2.png,a\nsad/2.png,b\n"), SOURCES)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("path,g\n1.png,a\n", r"line 2: expected a path of one face, found 2 that end in 1\.png; write more"),
        ("path,g\n7.png,a\n", r"expected paths of faces that are evaluated, such as .*happy/1\.png, found none of 4"),
        ("path,g\n,a\n", "line 2: expected a path, found none"),
        ("path\n2.png\n", "a column 'path' and one or more of groups, each with a name of its own; found path"),
        ("file,g\n2.png,a\n", "each with a name of its own; found file, g"),
        ("path,g,g\n2.png,a,b\n", "each with a name of its own; found path, g, g"),
        ("path,g\n2.png\n", "line 2: expected 2 columns as in the heading"),
        ("path,g\n2.png,a,b\n", "line 2: expected 2 columns as in the heading"),
        ('path,g\n2.png,"a\n', "and one or more of groups, found "),
        ("", "each with a name of its own; found nothing"),
    ],
)
def test_what_is_no_table_of_groups_is_one_line(tmp_path, text, found):
    with pytest.raises(DataError, match=found) as error:
        groups(table(tmp_path, text), SOURCES)
    assert "\n" not in str(error.value)


def test_bytes_that_are_no_text_a_missing_file_and_a_folder_are_one_line(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_bytes(b"path,g\n2.png,\xff\n")
    with pytest.raises(DataError, match="found bytes that are not UTF-8"):
        read_groups(path)
    with pytest.raises(DataError, match="found no file"):
        read_groups(tmp_path / "none.csv")
    with pytest.raises(DataError, match="directory"):
        read_groups(tmp_path)


def test_a_column_of_figures_is_refused_with_what_to_do(tmp_path):
    sources = [f"{number}.png" for number in range(MAX_GROUPS + 1)]
    rows = "".join(f"{name},{number}\n" for number, name in enumerate(sources))
    with pytest.raises(DataError, match=r"at most 20 groups in the column age, found 21 .*; put its values into range"):
        groups(table(tmp_path, "path,age\n" + rows), sources)


def test_faces_of_one_file_name_in_many_folders_are_found_at_once(tmp_path):
    """As data sets of one folder a person have them: looking at each of them for each row took minutes."""
    count = 20_000
    text = "path,light\n" + "".join(f"{number}/face.png,{number % 2}\n" for number in range(count))
    (tmp_path / "groups.csv").write_text(text)
    start = time.process_time()
    found = groups_of(read_groups(tmp_path / "groups.csv"), [f"/people/{number}/face.png" for number in range(count)])
    assert found.num_without_row == 0
    assert found.columns[0].values == tuple(str(number % 2) for number in range(count))
    assert time.process_time() - start < 5
