import os
import time
from pathlib import Path

from fer_edge.files import file_identity
from fer_edge.runtime.output_names import OutputNames


def names(*stems: str) -> list[str]:
    made = OutputNames(Path("nowhere"))
    return [made.path(stem, "faces.jpg").name for stem in stems]


def test_equal_names_are_told_apart_also_where_case_and_accents_count_for_nothing() -> None:
    found = names("a", "b", "a", "A", "a")
    assert found == ["a-faces.jpg", "b-faces.jpg", "a-faces-2.jpg", "A-faces-3.jpg", "a-faces-4.jpg"]
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert names(composed, decomposed) == [f"{composed}-faces.jpg", f"{decomposed}-faces-2.jpg"]


def test_a_numbered_name_is_never_one_that_another_image_has() -> None:
    found = names("a", "a", "a-faces", "a-faces-2", "a", "a-faces")
    assert len(set(found)) == len(found)


def test_a_name_too_long_for_a_file_is_cut_and_told_apart(tmp_path: Path) -> None:
    made = OutputNames(tmp_path)
    paths = [made.path(stem, "faces.jpg") for stem in ("x" * 251, "x" * 250, "\u65e5" * 84)]
    for path in paths:
        path.write_bytes(b"")
        assert len(os.fsencode(path.name)) <= 255
    assert len(list(tmp_path.iterdir())) == 3


def test_the_images_themselves_keep_their_names(tmp_path: Path) -> None:
    mine = tmp_path / "a-faces.jpg"
    mine.write_bytes(b"mine")
    assert OutputNames(tmp_path, {file_identity(mine)}).path("a", "faces.jpg").name == "a-faces-2.jpg"


def test_equal_names_take_time_that_grows_with_their_number() -> None:
    def seconds(count: int) -> float:
        start = time.perf_counter()
        assert len(set(names(*["a"] * count))) == count
        return time.perf_counter() - start

    seconds(100)
    assert seconds(16_000) < 16 * max(seconds(2_000), 0.01)
