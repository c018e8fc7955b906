"""Rows of ``score``: right answers, every kind of bad image, and what the files say about themselves."""

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scored_rows import rows_in

from fer_edge.errors import ImageError, MissingExtraError, UsageError

Run = Callable[..., Any]


def test_rows_are_what_the_classifier_answers(faces: Path, run: Run, tiny: str, tmp_path: Path) -> None:
    from fer_edge import Classifier
    from fer_edge.runtime.folder import images_in

    report = run(faces, workers=2)
    assert (report.rows, report.errors, report.rows_before) == (40, 0, 0)
    rows = rows_in(tmp_path / "results")
    paths = sorted(map(str, images_in(faces)))
    assert [row["path"] for row in rows] == paths
    classifier = Classifier.load(tiny, threads=1)
    for row, said in zip(rows, classifier.predict_many(paths), strict=True):
        assert row["label"] == said.label
        found = [row[label] for label in classifier.labels]
        np.testing.assert_allclose(found, list(said.probabilities.values()), atol=1e-6)
        assert row["confidence"] == max(found)
        assert row["error"] is None
    assert sum(report.labels.values()) == 40


def test_files_say_which_model_filled_them(faces: Path, run: Run, tiny: str, tmp_path: Path) -> None:
    import hashlib

    import pyarrow.parquet as pq

    import fer_edge
    from fer_edge.scoring import read_settings

    run(faces)
    part = min((tmp_path / "results").glob("*.parquet"))
    settings = read_settings(str(part))
    assert settings["model_sha256"] == hashlib.sha256(Path(tiny).read_bytes()).hexdigest()
    assert settings["fer_edge_version"] == fer_edge.__version__
    schema = pq.read_schema(part)
    assert schema.names == ["path", "label", "confidence", *settings["columns"], "error"]
    assert [str(schema.field(name).type) for name in ("path", "confidence", "error")] == ["string", "float", "string"]


def bomb() -> bytes:
    """A PNG of a kilobyte that claims 400 megapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def test_a_bad_image_is_a_row_with_an_error_and_stops_no_other(faces: Path, run: Run, tmp_path: Path) -> None:
    whole = min(faces.glob("*.jpg")).read_bytes()
    bad = {
        "truncated.jpg": whole[: len(whole) // 2],
        "no-image.jpg": b"hello",
        "empty.png": b"",
        "bomb.png": bomb(),
    }
    for name, data in bad.items():
        (faces / name).write_bytes(data)
    (faces / "dead-link.png").symlink_to(faces / "nowhere")
    (faces / "loop.png").symlink_to(faces / "loop.png")
    os.mkfifo(faces / "pipe.png")
    report = run(faces)
    rows = {Path(row["path"]).name: row for row in rows_in(tmp_path / "results")}
    wrong = {*bad, "dead-link.png", "loop.png", "pipe.png"}
    assert {name for name, row in rows.items() if row["error"]} == wrong
    assert report.errors == len(wrong)
    assert report.rows == len(rows) == 40 + len(wrong)
    for name in wrong:
        assert rows[name]["label"] is rows[name]["confidence"] is rows[name]["happy"] is None
        assert name in rows[name]["error"]
    assert "at most 89478485 pixels" in rows["bomb.png"]["error"]


def test_an_image_that_went_since_it_was_listed_is_a_row_with_an_error(tiny: str, drawn: list[Path]) -> None:
    from fer_edge.scoring.columns import schema_of
    from fer_edge.scoring.items import Item
    from fer_edge.scoring.request import ScoreRequest
    from fer_edge.scoring.run import _checked_model
    from fer_edge.scoring.scorer import Scorer

    model, labels, _ = _checked_model(ScoreRequest(source="", out="", model=tiny))
    items = [Item(str(path), str(path), "") for path in (*drawn[:3], drawn[0].with_name("gone.png"))]
    rows = Scorer(model, schema_of(labels, {})).table(items).to_pylist()
    assert [row["error"] is None for row in rows] == [True, True, True, False]
    assert "No such file" in rows[3]["error"]


def test_names_that_are_no_utf8_or_have_lines_are_told_apart(run: Run, drawn: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    names = [b"line\nbreak.png", b"caf\xe9.png", b"caf\\udce9.png", "café.png".encode(), b"-flag.png"]
    for name, source in zip(names, drawn, strict=False):
        os.link(source, os.fsencode(folder) + b"/" + name)
    report = run(folder)
    assert (report.rows, report.errors) == (5, 0)
    found = {row["path"].removeprefix(f"{folder}/") for row in rows_in(tmp_path / "results")}
    assert found == {"line\nbreak.png", "caf\\udce9.png", "caf\\\\udce9.png", "café.png", "-flag.png"}


def test_the_results_inside_the_input_and_links_to_folders_are_not_looked_at(
    faces: Path, run: Run, drawn: list[Path], tmp_path: Path
) -> None:
    (faces / "again").symlink_to(faces)
    (faces / "a" / "up.png").symlink_to(faces / "b")  # a folder, whatever its name
    (faces / ".hidden.png").write_bytes(b"")
    out = faces / "results"
    assert run(faces, out=str(out)).rows == 40
    os.link(drawn[0], out / "chart.png")
    assert run(faces, out=str(out)).rows == 40
    (out / "chart.png").unlink()
    assert len(rows_in(out)) == 40


def test_an_empty_folder_and_no_folder_are_refused_and_leave_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="expected images, found none"):
        run(tmp_path / "empty")
    with pytest.raises(ImageError, match="expected a folder of images or a Parquet file, found none"):
        run(tmp_path / "missing")
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(UsageError, match="fer-edge predict"):
        run(tmp_path / "note.txt")
    assert not (tmp_path / "results").exists()


def test_settings_that_cannot_be_are_refused(run: Run, faces: Path) -> None:
    for settings, told in (
        ({"workers": -1}, "expected workers from 0"),
        ({"rows": 0}, "expected rows from 1"),
        ({"batch_size": 0}, "expected batch size from 1"),
        ({"engine": "spark"}, "expected the engine local"),
        ({"address": "auto"}, "expected --engine ray"),
    ):
        with pytest.raises(UsageError, match=told):
            run(faces, **settings)


def test_a_missing_package_names_the_extra(run: Run, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    from fer_edge.scoring import request

    real = importlib.util.find_spec
    monkeypatch.setattr(request, "find_spec", lambda name: None if name == "pyarrow" else real(name))
    with pytest.raises(MissingExtraError, match=r"'pyarrow'.*fer-edge\[score\]"):
        run(faces)


def test_a_model_that_takes_prepared_faces_scores_too(run: Run, faces: Path, repository: Path) -> None:
    """Whatever a backend opens goes through the same contract."""
    from fer_edge import Classifier

    raw = repository / "tests" / "fixtures" / "tiny_raw.onnx"
    rows = rows_in(run(faces, model=str(raw)).out)
    said = Classifier.load(raw, threads=1).predict_many([row["path"] for row in rows])
    for row, one in zip(rows, said, strict=True):
        assert row["happy"] == pytest.approx(one.probabilities["happy"], abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        (["happy", "sad"], ["happy", "sad"]),
        (["path", "error", "Label"], ["probability of path", "probability of error", "probability of Label"]),
        (["Happy", "happy", "HAPPY"], ["Happy", "probability of happy", "probability of probability of HAPPY"]),
        (["a\nb", "p.q", "日本", "\ud800"], ["a\nb", "p.q", "日本", "\\ud800"]),
    ],
)
def test_columns_of_odd_labels_are_told_apart(labels: list[str], columns: list[str]) -> None:
    import pyarrow.parquet as pq

    from fer_edge.scoring.columns import SETTINGS_KEY, encoded, probability_names, schema_of, table_of

    assert probability_names(labels) == columns
    schema = schema_of(labels, {"labels": labels})
    row = np.full(len(labels), 1 / len(labels), np.float32)
    data, facts = encoded(table_of(["one", "two"], [row, "bad"], labels, schema), schema, "0" * 16)
    assert (facts.rows, facts.errors) == (2, 1)
    import io

    table = pq.read_table(io.BytesIO(data))
    assert table.column_names == ["path", "label", "confidence", *columns, "error"]
    assert json.loads(table.schema.metadata[SETTINGS_KEY])["labels"] == labels
