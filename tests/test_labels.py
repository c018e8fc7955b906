import pytest

from fer_edge.labels import (
    CSV_EXPRESSIONS,
    EXPRESSIONS,
    expression_named,
    label_of,
    label_of_csv_code,
)


def test_the_order_is_the_alphabetical_one_of_the_folders():
    assert EXPRESSIONS == ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
    assert list(EXPRESSIONS) == sorted(EXPRESSIONS)


@pytest.mark.parametrize(
    ("name", "expression"),
    [
        ("Anger", "angry"),
        ("DISGUSTED", "disgust"),
        ("fearful", "fear"),
        (" happiness ", "happy"),
        ("Sadness", "sad"),
        ("surprised", "surprise"),
        ("Neutral", "neutral"),
        ("contempt", None),
        ("", None),
        ("0", None),
    ],
)
def test_aliases_are_mapped_by_name_in_any_capitals(name, expression):
    assert expression_named(name) == expression


def test_the_numbers_of_the_csv_are_mapped_by_name_not_by_position():
    assert sorted(CSV_EXPRESSIONS) == list(EXPRESSIONS)
    assert [EXPRESSIONS[label_of_csv_code(code)] for code in range(7)] == list(CSV_EXPRESSIONS)
    assert label_of_csv_code(6) == label_of("neutral") == 4


@pytest.mark.parametrize("code", [-1, 7])
def test_a_number_that_is_no_class_is_refused(code):
    with pytest.raises(IndexError):
        label_of_csv_code(code)
