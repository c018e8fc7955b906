import math
from dataclasses import replace
from pathlib import Path

import pytest

from fer_edge.backends import backends
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.benchmark.rows import Subject, Wanted, family_of, rows_of
from fer_edge.benchmark.timed_run import RunLength
from fer_edge.errors import UsageError
from fer_edge.runtime.model_file import read_model

ROOT = Path(__file__).resolve().parents[2]
FP32 = Subject("net", Path("net.onnx"), "onnx", "fp32", "resnet18", "family", 48, 0, False, "0" * 64, 10, False)
BF16_CPU = frozenset({"avx512_bf16"})


def ways(subject: Subject, **wanted) -> list[tuple[str, str]]:
    plain = Wanted(**{"runtimes": tuple(backends()), "provider": "cpu", "batch_sizes": (1,), "threads": (1,), **wanted})
    return [(row.runtime, row.precision) for row in rows_of(subject, plain)]


def test_a_row_for_every_batch_size_and_number_of_threads():
    wanted = Wanted(("onnxruntime",), "cpu", (1, 8), (1, 2))
    assert [(row.batch, row.threads) for row in rows_of(FP32, wanted)] == [(1, 1), (8, 1), (1, 2), (8, 2)]


def test_openvino_runs_an_fp32_file_in_bf16_too_where_the_processor_can():
    assert ways(FP32) == [("onnxruntime", "fp32"), ("openvino", "fp32")]
    assert ways(FP32, cpu_flags=BF16_CPU)[1:] == [("openvino", "fp32"), ("openvino", "bf16")]


def test_openvino_has_an_int8_row_and_none_for_fp16_or_cuda():
    assert ways(replace(FP32, precision="int8"), cpu_flags=BF16_CPU)[1:] == [("openvino", "int8")]
    assert ways(replace(FP32, precision="fp16"), cpu_flags=BF16_CPU) == [("onnxruntime", "fp16")]
    assert ways(FP32, provider="cuda") == [("onnxruntime", "fp32")]


def test_a_checkpoint_runs_eagerly_and_compiled_and_torch_files_as_what_they_are():
    assert ways(replace(FP32, file_format="checkpoint")) == [("torch-compile", "fp32"), ("torch-eager", "fp32")]
    assert ways(replace(FP32, file_format="pt2")) == [("pt2", "fp32")]
    assert ways(replace(FP32, file_format="torchscript"), runtimes=("pt2",)) == []


def test_a_raw_or_ort_file_is_told_apart_from_a_plain_one():
    wanted = Wanted(("onnxruntime",), "cpu", (1,), (1,))
    labels = [
        rows_of(one, wanted)[0].label for one in (FP32, replace(FP32, is_raw=True), replace(FP32, file_format="ort"))
    ]
    assert labels == ["onnxruntime", "onnxruntime (raw)", "onnxruntime (ort)"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_sizes": (0, 1)}, "--batch-sizes: expected different numbers from 1 to 4096, such as 1,8, found 0,1"),
        ({"threads": (2, 2)}, "--threads: expected different numbers from 1 to 256, such as 1,8, found 2,2"),
        ({"threads": ()}, "--threads: expected different numbers from 1 to 256, such as 1,8, found none"),
        ({"max_drop_points": math.nan}, "--max-drop: expected a number from 0 on, found nan"),
        ({"max_drop_points": math.inf}, "--max-drop: expected a number from 0 on, found inf"),
        ({"rounds": 0}, "--rounds: expected a number from 1 on, found 0"),
        ({"photo_budget_s": math.nan}, "photo_budget_s: expected a number from 0 on, found nan"),
        ({"timed_run": RunLength(budget_s=math.inf)}, "timed_run.budget_s: expected a number from 0 on, found inf"),
        ({"runtimes": ("tflite",)}, "--runtimes: expected some of .*onnxruntime, .*, found tflite"),
    ],
)
def test_what_cannot_be_measured_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        BenchmarkRequest(**settings)


def _family(path: Path) -> str:
    metadata = read_model(path).metadata
    return Subject.of_model(path, metadata, "0" * 64, num_bytes=1).family


def test_networks_of_one_data_set_with_other_labels_are_not_compared():
    exported = ROOT / "exported"
    assert _family(exported / "fer-resnet18-int8.onnx") != _family(exported / "ferplus-resnet18-int8.onnx")


@pytest.mark.parametrize("changed", [{"labels": ("happy", "sad")}, {"seed": 1}])
def test_a_family_is_one_training_run(changed):
    own = {"labels": ("a", "b"), "fingerprint": "0", "seed": 0, "mean": 0.5, "std": 0.25}
    assert family_of("tiny", {}, **own) == family_of("tiny", (), **own)
    assert family_of("tiny", {}, **own) != family_of("tiny", {}, **own | changed)
