from made_results import made_result, made_row

from fer_edge.benchmark.recommendation import recommend, ties, width_notes


def test_neighbours_whose_intervals_overlap_are_said_not_to_differ():
    close = [made_result(made_row("openvino"), 1.0), made_result(made_row(), 1.005), made_result(made_row("pt2"), 2.0)]
    assert ties(close) == ["no significant difference at batch 1, 1 thread between openvino fp32 and onnxruntime fp32"]


def test_rows_of_different_settings_are_not_called_equal():
    assert ties([made_result(made_row(), 1.0), made_result(made_row(threads=2), 1.0)]) == []


def test_wide_intervals_and_few_runs_are_said():
    notes = width_notes([made_result(made_row(), 1.0, spread=0.5), made_result(made_row("pt2"), 1.0)])
    assert notes[0].startswith("noisy figures: the 95% interval of the median is wider than 10% of it in 1 of 2 rows")
    assert notes[1].startswith(
        "n too small: runs that a percentile needs at 99% confidence: p90 64 (2 rows have fewer)"
    )


ROWS = [
    made_result(made_row("torch-eager"), 10.0, accuracy=0.65, file_bytes=45_000_000),
    made_result(made_row(), 5.0, accuracy=0.65, file_bytes=45_000_000),
    made_result(made_row(precision="int8"), 1.0, accuracy=0.648, file_bytes=11_000_000),
    made_result(made_row(precision="int8", batch=32), 16.0, accuracy=0.648, file_bytes=11_000_000),
    made_result(made_row(precision="int8", network="tiny", model="tiny"), 0.1, accuracy=0.5, file_bytes=100_000),
]


def test_the_best_rows_are_those_that_are_accurate_enough():
    latency, throughput, size = recommend(ROWS, 0.5)
    assert latency.startswith("latency: m onnxruntime int8, batch 1, 1 thread: 1 ms an image at p50; accuracy 64.80%")
    assert "10.0x faster than torch-eager fp32; 5.0x faster than onnxruntime fp32" in latency
    assert latency.endswith("(within 0.5 points of the best accuracy, 65.00%)")
    assert throughput.startswith("throughput: m onnxruntime int8, batch 32, 1 thread: 2000 images/s")
    assert "4.1x smaller than onnxruntime fp32" in size


def test_a_tighter_bound_leaves_the_lossy_rows_out_and_a_wide_one_lets_all_in():
    assert "m onnxruntime fp32" in recommend(ROWS, 0.1)[0]
    assert "tiny onnxruntime int8" in recommend(ROWS, 20)[0]


def test_two_files_of_one_network_are_named_where_they_do_not_differ_and_where_one_is_faster():
    one, two = (made_row(precision="int8", model=name) for name in ("fer-int8", "ferplus-int8"))
    rows = [made_result(one, 1.0, accuracy=0.6), made_result(two, 1.001, accuracy=0.6)]
    rows += [made_result(made_row(model=name), speed, accuracy=0.6) for name, speed in (("slow", 6.0), ("fer", 5.0))]
    assert ties(rows)[0].endswith(" between fer-int8 onnxruntime int8 and ferplus-int8 onnxruntime int8")
    latency = recommend(rows, 0.5)[0]
    assert latency.startswith("latency: fer-int8 onnxruntime int8, batch 1, 1 thread: ")
    assert "5.0x faster than fer onnxruntime fp32; no significant difference to ferplus-int8 onnxruntime" in latency


def test_a_file_is_not_called_faster_than_another_that_runs_alike():
    rows = [made_result(made_row(model=name), speed, accuracy=0.6) for name, speed in (("one", 1.0), ("two", 1.2))]
    assert "faster" not in recommend(rows, 0.5)[0]


def test_a_model_that_is_wrong_at_one_batch_size_is_not_recommended_for_it():
    rows = [made_result(made_row(batch=1), 1.0, accuracy=0.086), made_result(made_row(batch=8), 4.0, accuracy=0.6857)]
    latency, throughput, _ = recommend(rows, 0.5)
    assert latency.startswith("latency: no row to choose from")
    assert throughput.startswith("throughput: m onnxruntime fp32, batch 8")


def test_a_tie_is_said_beside_the_recommendation():
    rows = [made_result(made_row(), 1.0, accuracy=0.6), made_result(made_row("openvino"), 1.001, accuracy=0.6)]
    assert "no significant difference to m openvino fp32, batch 1, 1 thread" in recommend(rows, 0.5)[0]


def test_without_labelled_faces_the_recommendation_says_that_accuracy_is_unknown():
    line = recommend([made_result(made_row(), 1.0)], 0.5)[0]
    assert line.endswith("(accuracy was not measured: no labelled faces; name some by --data)")


def test_no_row_of_batch_one_is_no_recommendation_for_latency():
    assert recommend([made_result(made_row(batch=8), 1.0)], 0.5)[0].startswith("latency: no row to choose from")
    assert recommend([], 0.5) == []


def test_accuracies_on_different_classes_are_not_held_against_each_other():
    """89 % right of eight classes, by votes, is no better than 72 % of seven."""
    seven, eight = [f"c{place}" for place in range(7)], [f"d{place}" for place in range(8)]
    rows = [
        made_result(made_row(), 2.0, accuracy=0.72, labels=seven),
        made_result(made_row(model="small"), 1.0, accuracy=0.718, labels=seven),
        made_result(made_row(model="of-votes"), 1.5, accuracy=0.89, labels=eight),
    ]
    lines = recommend(rows, 0.5)
    assert [line.partition(":")[0] for line in lines] == [
        f"{count} classes ({first}0, {first}1, {first}2 and {count - 3} more), {goal}"
        for count, first in ((7, "c"), (8, "d"))
        for goal in ("latency", "throughput", "size")
    ]
    assert "small onnxruntime fp32" in lines[0]
    assert "best accuracy, 72.00%" in lines[0]
    assert "of-votes" in lines[3]
