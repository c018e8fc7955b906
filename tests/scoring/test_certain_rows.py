"""Columns of certainty, which rows of a calibrated model have: as ``Classifier`` says them, in every engine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from calibrated_model import calibrated_copy
from scored_rows import rows_in

from fer_edge.errors import ModelError, UsageError

Run = Callable[..., Any]

CERTAINTY = ("is_certain", "candidates", "calibrated_confidence")


@pytest.fixture(scope="module")
def model(tiny: str, drawn: list[Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    return calibrated_copy(Path(tiny), drawn, tmp_path_factory.mktemp("calibrated"))


def test_rows_of_a_calibrated_model_say_what_is_certain(faces: Path, run: Run, model: str) -> None:
    import pyarrow.parquet as pq

    from fer_edge import Classifier
    from fer_edge.scoring import read_settings

    (faces / "text.png").write_text("hello")
    report = run(faces, model=model, max_risk=0.15)
    rows = rows_in(report.out)
    part = min(Path(report.out).glob("*.parquet"))
    schema = pq.read_schema(part)
    assert schema.names[-4:] == [*CERTAINTY, "error"]
    assert [str(schema.field(name).type) for name in CERTAINTY] == ["bool", "list<element: string>", "float"]
    assert read_settings(str(part))["certainty"]["max_risk"] == 0.1  # the loosest that was tried and keeps 0.15

    scored = [row for row in rows if row["error"] is None]
    (bad,) = [row for row in rows if row["error"]]
    assert [bad[name] for name in CERTAINTY] == [None, None, None]
    said = list(Classifier.load(model, threads=1, max_risk=0.15).predict_many([row["path"] for row in scored]))
    assert [row["is_certain"] for row in scored] == [one.is_certain for one in said]
    assert [tuple(row["candidates"]) for row in scored] == [one.candidates for one in said]
    for row, one in zip(scored, said, strict=True):
        assert row["calibrated_confidence"] == pytest.approx(one.calibrated_confidence, abs=1e-6)
    assert 0 < report.uncertain == sum(not one.is_certain for one in said) < len(said)
    assert report.as_dict()["uncertain"] == report.uncertain


def test_certain_only_leaves_out_what_an_uncertain_answer_says(
    faces: Path, run: Run, model: str, tmp_path: Path
) -> None:
    whole = {row["path"]: row for row in rows_in(run(faces, model=model, out=str(tmp_path / "whole")).out)}
    report = run(faces, model=model, certain_only=True)
    rows = rows_in(report.out)
    assert len(rows) == 40
    for row in rows:
        if row["is_certain"]:
            assert row == whole[row["path"]]
        else:
            assert {name for name, value in row.items() if value is not None} == {"path", "is_certain"}
    assert (report.errors, report.uncertain) == (0, sum(not row["is_certain"] for row in rows))
    assert sum(report.labels.values()) == 40 - report.uncertain > 0
    again = run(faces, model=model, certain_only=True)
    assert (again.rows_before, again.uncertain) == (40, report.uncertain)
    with pytest.raises(UsageError, match=r"begun with, certain only true, found certain only false;"):
        run(faces, model=model)
    with pytest.raises(UsageError, match=r"begun with, max risk 0\.1, found max risk 0\.2;"):
        run(faces, model=model, certain_only=True, max_risk=0.2)


def test_a_risk_is_refused_for_a_model_that_was_not_calibrated(
    faces: Path, run: Run, model: str, tmp_path: Path
) -> None:
    for settings in ({"certain_only": True}, {"max_risk": 0.1}):
        with pytest.raises(ModelError, match="fer-edge calibrate"):
            run(faces, **settings)
    with pytest.raises(UsageError, match="max-risk: expected one of"):
        run(faces, model=model, max_risk=0.01)
    assert not (tmp_path / "results").exists()
    report = run(faces)
    assert report.uncertain is None
    assert "is_certain" not in rows_in(report.out)[0]


def test_rows_are_the_same_whoever_scores_which_piece(drawn: list[Path], model: str) -> None:
    """A worker of the pool scores a piece, an actor of Ray a whole chunk: batches never hold images of two pieces."""
    import pyarrow as pa

    from fer_edge.scoring.columns import schema_of
    from fer_edge.scoring.items import Chunk, Item, pieces
    from fer_edge.scoring.request import ScoreRequest
    from fer_edge.scoring.run import _checked_model
    from fer_edge.scoring.scorer import Scorer

    settings, labels, _ = _checked_model(ScoreRequest(source="", out="", model=model, batch_size=7))
    scorer = Scorer(settings, schema_of(labels, {}, is_calibrated=True))
    items = [Item(f"{number}", str(drawn[number * number % 12]), "") for number in range(600)]
    cut = pieces(Chunk(0, "0" * 16, items), settings.piece_rows)
    assert [len(piece.items) for piece in cut] == [259, 259, 82]
    assert all(len(piece.items) % 7 == 0 for piece in cut[:-1])
    whole = scorer.table(items)
    assert pa.concat_tables([scorer.table(piece.items) for piece in reversed(cut)][::-1]).equals(whole)
