import csv
import io

from made_results import made_benchmark, made_result, made_row

from fer_edge.benchmark.comparison import compare_benchmarks
from fer_edge.benchmark.report import to_csv, to_markdown

COLD = {"start": 100.0, "import": 200.0, "load": 50.0, "first_answer": 10.0}
INT8 = made_result(
    made_row(precision="int8"),
    1.0,
    accuracy=0.61,
    macro_f1=0.55,
    agreement=0.97,
    cold_starts_ms=[COLD],
    peak_memory_bytes=80_000_000,
    photos_ms={"decode": [0.2], "prepare": [0.1], "run": [1.0]},
)
FP32 = made_result(made_row(), 5.0, accuracy=0.612)


def test_csv_has_a_line_a_row_with_units_in_its_header_and_full_figures():
    lines = list(csv.DictReader(io.StringIO(to_csv(made_benchmark(INT8, FP32)))))
    assert len(lines) == 2
    assert float(lines[0]["p50_ms"]) == 1.0
    assert float(lines[0]["accuracy"]) == 0.61
    assert float(lines[0]["cold_start_total_ms"]) == 360.0
    assert lines[1]["agreement"] == ""


def test_markdown_says_what_it_measured_on_what_and_how():
    text = to_markdown(
        made_benchmark(INT8, FP32, notes=["noisy machine: x"], left_out=["y: z"]), [("A caption", "a.png")], None
    )
    for part in (
        "## Batch 1, 1 thread",
        "![A caption](a.png)",
        "* noisy machine: x",
        "* y: z",
        "Test CPU (avx2)",
        "9 faces",
    ):
        assert part in text
    row = next(line for line in text.splitlines() if line.startswith("| m     | onnxruntime | int8"))
    assert [cell.strip() for cell in row.split("|")[1:6]] == ["m", "onnxruntime", "int8", "1.00", "0.995–1.00"]
    assert "partial" not in text


def test_a_partial_benchmark_says_so_in_its_title():
    assert to_markdown(made_benchmark(INT8, is_partial=True), [], None).startswith(
        "# Benchmark (partial: it was interr"
    )


def test_the_ratios_are_in_the_markdown_too():
    new = made_benchmark(made_result(made_row(), 6.0))
    text = to_markdown(new, [], compare_benchmarks(new, made_benchmark(FP32), 10))
    assert "REGRESSION" in text
    assert "1.20" in text


def test_every_row_names_its_file():
    twins = made_benchmark(
        made_result(made_row(model="one"), 1.0, file="one.onnx"), made_result(made_row(model="two"), 2.0)
    )
    text = to_markdown(twins, [], None)
    table, files = text.split("## Files")
    assert "| one   | onnxruntime | fp32 |   1.00 |" in table
    assert "| two   | onnxruntime | fp32 |   2.00 |" in table
    assert "| one   | net     | one.onnx | 1,000,000 |" in files
    assert "## Where the intervals of neighbours overlap" not in text
    assert [line["file"] for line in csv.DictReader(io.StringIO(to_csv(twins)))] == ["one.onnx", ""]
