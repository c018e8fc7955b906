from pathlib import Path

from made_results import made_row

from fer_edge.benchmark.plan import Planned, reference_of
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


def test_all_are_to_agree_with_their_checkpoint():
    int8, eager, fp32 = planned("onnxruntime", "int8"), planned("torch-eager", "fp32"), planned("onnxruntime", "fp32")
    engines = [int8, eager, fp32]
    assert [reference_of(one, engines) for one in engines] == [eager, eager, eager]


def test_without_a_checkpoint_fp32_is_the_reference_and_other_networks_have_their_own():
    int8, fp32 = planned("onnxruntime", "int8"), planned("onnxruntime", "fp32")
    stranger = planned("onnxruntime", "int8", family="another")
    engines = [int8, stranger, fp32]
    assert reference_of(stranger, engines) is None
    assert reference_of(int8, engines) is fp32
