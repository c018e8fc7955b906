"""ExecuTorch's program in int8, quantised by PT2E: written again from the checkpoint and the ranges that are stated."""

import json

import numpy as np
import pytest
from damaged_files import changed_copy

from fer_edge.backends.registry import open_model
from fer_edge.errors import ModelError
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.parity.file_comparison import SAME_BYTES
from fer_edge.export.parity.verification import VerifyRequest, verify_model
from fer_edge.export.request import ExportRequest

pytest.importorskip("executorch", reason="needs pip install 'fer-edge[executorch]', 530 MB")

from fer_edge.export.formats._executorch_quantiser import RANGES, calibrate, quantised, ranges_in

pytestmark = pytest.mark.slow  # each verification writes the program again


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    done = export_checkpoint(
        ExportRequest(
            tiny_run.folder,
            file_format="executorch",
            precision="int8",
            data="sample:420",
            folder=tmp_path_factory.mktemp("executorch"),
        )
    )
    assert not done.failures
    return done


def verify(model, tiny_run):
    return verify_model(VerifyRequest(model, tiny_run.folder))


def test_int8_is_verified_byte_by_byte(exported, tiny_run):
    assert exported.paths[0].name == "tiny-run-int8-executorch.pte"
    assert exported.quantisation.bytes_int8 < exported.quantisation.bytes_fp32
    stated = exported.metadata.quantisation
    assert {trial["method"] for trial in stated["trials"]} == {"Histogram", "MinMax"}
    assert stated["kept_in_float"] == []
    assert not exported.metadata.may_saturate
    found = verify(exported.paths[0], tiny_run)
    assert found.parity, found.parity.failures
    assert found.graph == SAME_BYTES


def test_it_answers_within_the_steps_of_8_bits(exported, tiny_run):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 70, 60, 3), dtype=np.uint8)
    answer = open_model(exported.paths[0], threads=1).run(pixels)
    difference = np.abs(answer.probabilities - tiny_run.reference.answer(pixels)[0]).max()
    assert 1e-4 < difference < 0.25


def test_one_step_of_one_weight_is_found(exported, tiny_run, tmp_path):
    place = 3 * exported.paths[0].stat().st_size // 4 & ~3  # among the weights, which follow the graph

    def change(data: bytes) -> bytes:
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    found = verify(changed_copy(exported.paths[0], tmp_path, {".pte": change}), tiny_run)
    assert any(f"found another: the first difference is at byte {place}" in one for one in found.parity.failures)


def test_other_ranges_than_the_file_has_are_found(exported, tiny_run, tmp_path):
    stated = dict(exported.metadata.quantisation)
    (scale, zero), *others = stated[RANGES]
    stated[RANGES] = [[scale * 1.01, zero], *others]
    found = verify(changed_copy(exported.paths[0], tmp_path, {}, metadata={"quantisation": stated}), tiny_run)
    assert not found.parity
    assert found.graph != SAME_BYTES


@pytest.mark.parametrize("stated", [None, [], "x", [[1.0]], [[0.0, 1]], [[1.0, 200]], [[float("inf"), 0]], [{"a": 1}]])
def test_ranges_that_are_none_are_refused(stated):
    with pytest.raises(ModelError, match="expected scales and zero points as ranges in the metadata"):
        ranges_in(None if stated is None else {RANGES: stated}, "m")


def test_ranges_are_those_of_the_faces_and_as_many_as_the_network_wants(tiny_run):
    faces = tiny_run.faces.train.faces[:40]
    found = calibrate(tiny_run.reference, faces)
    (scale, zero), *_ = found["MinMax"]
    darkest, brightest = (-128 - zero) * scale, (127 - zero) * scale
    mean, std = tiny_run.reference.mean, tiny_run.reference.std
    np.testing.assert_allclose(
        [darkest, brightest], [(faces.min() / 255 - mean) / std, (faces.max() / 255 - mean) / std], atol=2 * scale
    )
    assert json.loads(json.dumps(found["Histogram"])) == [list(one) for one in found["Histogram"]]
    with pytest.raises(ModelError, match=r"expected \d+ ranges in the metadata"):
        quantised(tiny_run.reference, found["MinMax"][:-1])
