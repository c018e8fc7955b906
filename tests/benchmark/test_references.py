from pathlib import Path

from made_results import made_row

from fer_edge.benchmark.measure import Planned, reference_of, references_first
from fer_edge.benchmark.rows import Subject


def planned(runtime: str, precision: str, family: str = "net") -> Planned:
    subject = Subject(
        name="m",
        path=Path("m.onnx"),
        file_format="onnx",
        precision=precision,
        architecture="tiny",
        family=family,
        image_size=48,
        seed=0,
        is_raw=False,
        sha256="0" * 64,
        file_bytes=1,
        is_baseline=False,
    )
    return Planned(made_row(runtime, precision), subject)


def test_the_checkpoint_answers_before_all_that_are_to_agree_with_it():
    int8, eager, fp32 = planned("onnxruntime", "int8"), planned("torch-eager", "fp32"), planned("onnxruntime", "fp32")
    engines = [int8, eager, fp32]
    assert [reference_of(one, engines) for one in engines] == [eager, eager, eager]
    assert references_first(engines) == [eager, int8, fp32]


def test_without_a_checkpoint_fp32_is_the_reference_and_other_networks_have_their_own():
    int8, fp32 = planned("onnxruntime", "int8"), planned("onnxruntime", "fp32")
    stranger = planned("onnxruntime", "int8", family="another")
    engines = [int8, stranger, fp32]
    assert reference_of(stranger, engines) is None
    assert references_first(engines) == [fp32, int8, stranger]
