import json
import re
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest

from fer_edge.backends import open_model
from fer_edge.backends.contract import Outputs
from fer_edge.errors import ModelError
from fer_edge.evaluation.metrics import softmax
from fer_edge.export.card.tables import signed
from fer_edge.export.formats.onnx import onnx_bytes
from fer_edge.export.formats.torchscript import torchscript_bytes
from fer_edge.export.parity.comparison import measure_parity
from fer_edge.export.parity.figures import SQNR_CEILING_DB, slope_and_bias, sqnr_db
from fer_edge.export.parity.probes import make_probes
from fer_edge.export.parity.report import parity_markdown, parity_summary, plot_parity
from fer_edge.export.parity.tolerance import TOLERANCES
from fer_edge.metadata import METADATA_KEY, SUFFIXES, ModelMetadata


def card_of(model: onnx.ModelProto) -> ModelMetadata:
    return ModelMetadata.from_json({entry.key: entry.value for entry in model.metadata_props}[METADATA_KEY])


@pytest.fixture(scope="module")
def damaged(exported_tiny, tmp_path_factory, damage):
    """The exported model with one of its weights changed, sealed again as if nothing had happened."""
    model = onnx.load(exported_tiny)
    damage(model, by=1.0)
    path = tmp_path_factory.mktemp("damaged") / "damaged.onnx"
    path.write_bytes(onnx_bytes(model, card_of(model)))
    return path


def test_parity_holds_every_figure(exported_tiny, tiny_run):
    parity = measure_parity(
        tiny_run.reference,
        open_model(exported_tiny),
        tiny_run.faces.validation.faces,
        labelled=tiny_run.faces.validation,
        source="sample:420",
    )
    assert parity
    assert parity.failures == ()
    assert 0 < parity.max_probability_difference < 1e-4
    assert parity.top1_agreement == 1.0
    assert parity.sqnr_db > 80
    assert parity.accuracy is not None
    assert parity.accuracy.checkpoint == parity.accuracy.model > 0.3
    assert parity.accuracy.drop_points == 0
    assert json.loads(json.dumps(parity.to_dict(), allow_nan=False))["passed"] is True
    assert {row.batch for row in parity.rows} >= {1, 2, 5, 7, 8, 32, 64}


def test_parity_fails_when_one_weight_is_changed(damaged, tiny_run):
    parity = measure_parity(tiny_run.reference, open_model(damaged), tiny_run.faces.validation.faces)
    assert not parity
    assert any("expected probabilities within 0.0001" in failure for failure in parity.failures)
    assert "parity FAILED" in parity_summary(parity)


def test_loss_of_accuracy_fails_on_its_own(damaged, tiny_run):
    parity = measure_parity(
        tiny_run.reference,
        open_model(damaged),
        tiny_run.faces.validation.faces,
        labelled=tiny_run.faces.validation,
        max_drop_points=-101,
    )
    assert any("expected to lose at most -101 points of accuracy" in failure for failure in parity.failures)


def test_report_and_picture_tell_the_same(damaged, tiny_run, tmp_path):
    parity = measure_parity(tiny_run.reference, open_model(damaged), tiny_run.faces.validation.faces)
    text = parity_markdown(parity)
    assert text.startswith("# Parity of tiny-run")
    assert f"{parity.max_probability_difference:.3g}" in text
    assert text.count("\n| ") > len(parity.rows)
    plot_parity(parity, tmp_path / "parity.png")
    assert (tmp_path / "parity.png").read_bytes().startswith(b"\x89PNG")


def test_probes_cover_sizes_channels_and_modes(tiny_run):
    probes = make_probes(tiny_run.faces.train.faces)
    shapes = {probe.pixels().shape[1:] for probe in probes}
    assert {shape[2] for shape in shapes} == {1, 3, 4}
    assert len({shape[:2] for shape in shapes}) >= 8
    assert max(len(probe.files) for probe in probes) == 128
    assert {1280, 224, 1} <= {shape[1] for shape in shapes}
    again = make_probes(tiny_run.faces.train.faces)
    assert [probe.files for probe in probes] == [probe.files for probe in again]


def test_sqnr_is_in_decibels_and_finite():
    signal = np.ones((2, 7), np.float32)
    assert sqnr_db(signal, signal * 1.1) == pytest.approx(20, abs=1e-4)
    assert sqnr_db(signal, signal) == SQNR_CEILING_DB
    assert sqnr_db(signal, np.full_like(signal, np.nan)) == -SQNR_CEILING_DB
    assert sqnr_db(np.zeros_like(signal), signal) == -SQNR_CEILING_DB


def test_answers_that_are_not_numbers_fail(exported_tiny, tiny_run):
    backend = open_model(exported_tiny)
    execute = backend.execute
    backend.execute = lambda feed: {name: np.full_like(output, np.nan) for name, output in execute(feed).items()}
    parity = measure_parity(tiny_run.reference, backend, tiny_run.faces.train.faces[:5])
    assert not parity
    assert json.loads(json.dumps(parity.to_dict(), allow_nan=False))["max_probability_difference"] is None


def test_logits_are_judged_too(exported_tiny, tiny_run):
    backend = open_model(exported_tiny)
    execute = backend.execute

    def with_logits_times(factor):
        return lambda feed: {**execute(feed), "logits": factor * execute(feed)["logits"]}

    for factor in (-3, 1.01, np.float32("nan")):
        backend.execute = with_logits_times(factor)
        parity = measure_parity(tiny_run.reference, backend, tiny_run.faces.train.faces[:5])
        assert parity.max_probability_difference < 1e-4
        assert any("expected logits at least 80 dB above their difference from the" in one for one in parity.failures)
    assert any(
        "expected probabilities within 0.0001 of the softmax of the model's own" in one for one in parity.failures
    )
    backend.execute = execute
    assert measure_parity(tiny_run.reference, backend, tiny_run.faces.train.faces[:5])


def test_what_cannot_be_compared_does_not_pass(exported_tiny, tiny_run):
    backend = open_model(exported_tiny)
    for channels, shown in (((7,), "7"), ((), "none")):
        backend.metadata = replace(backend.metadata, input=replace(backend.metadata.input, channels=channels))
        with pytest.raises(ModelError, match=f"tiny-run: expected a model of 1 or 3 channels .* found {shown}; export"):
            measure_parity(tiny_run.reference, backend, tiny_run.faces.train.faces[:5])


def test_every_tolerance_has_its_reason():
    assert set(TOLERANCES) == {"fp32", "fp16", "int8"}
    assert TOLERANCES["fp32"].max_probability_difference == 1e-4
    assert TOLERANCES["fp32"].tie_margin == 1e-3
    assert all(tolerance.reason for tolerance in TOLERANCES.values())


def test_files_that_run_code_need_trust(tiny_run, exported_tiny, tmp_path):
    card = replace(card_of(onnx.load(exported_tiny)), format="torchscript")
    path = tmp_path / "model.torchscript"
    path.write_bytes(torchscript_bytes(tiny_run.reference, card))
    with pytest.raises(ModelError, match="expected --trust with a torchscript file, because loading one runs the code"):
        open_model(path)
    assert open_model(path, trust=True).metadata.name == "tiny-run"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(bytes(damaged))
    with pytest.raises(ModelError, match=r"model\.torchscript: expected"):
        open_model(path, trust=True)


def test_a_model_with_external_data_is_refused(exported_tiny, tmp_path):
    model = onnx.load(exported_tiny)
    onnx.save_model(model, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(ModelError, match="expected one self-contained file, found external data"):
        open_model(tmp_path / "m.onnx")


def test_a_card_beside_that_belongs_to_another_file_is_refused(exported_tiny, damaged, tmp_path):
    shutil.copy(damaged, tmp_path / "tiny-run.onnx")
    shutil.copy(exported_tiny.with_suffix(".json"), tmp_path / "tiny-run.json")
    with pytest.raises(ModelError, match="expected the SHA-256"):
        open_model(tmp_path / "tiny-run.onnx")


def test_a_name_of_no_known_format_is_refused(tmp_path):
    with pytest.raises(
        ModelError, match=rf"expected a model file \({re.escape(', '.join(SUFFIXES.values()))}\), found '\.h5'"
    ):
        open_model(tmp_path / "model.h5")


def test_no_change_has_no_sign():
    assert [signed(value) for value in (-0.0, 0.0, -0.004, 0.004, -0.25, 1.5)] == ["0.00"] * 4 + ["-0.25", "+1.50"]


class Changed:
    """A model whose logits are changed on the way out, under the wide tolerance of 8 bits."""

    def __init__(self, model, change):
        self._model, self._change = model, change
        self.metadata = replace(model.metadata, precision="int8")

    def __getattr__(self, name):
        return getattr(self._model, name)

    def run_feed(self, feed):
        logits = self._change(feed, self._model.run_feed(feed).logits)
        return Outputs(softmax(logits), logits)


def one_class_more(feed, logits):
    return logits + np.array([0.5, 0, 0, 0, 0, 0, 0], np.float32)


def nothing_for_one_colour(feed, logits):
    flat = feed.reshape(len(feed), -1)
    return np.where((flat.max(axis=1) == flat.min(axis=1))[:, None], np.float32(np.nan), logits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda feed, logits: logits, None),
        (lambda feed, logits: 0.9 * logits, "with a slope of 1 within 0.05, found 0.9"),
        (lambda feed, logits: 1.1 * logits, "with a slope of 1 within 0.05, found 1.1"),
        (
            one_class_more,
            "expected a mean difference of the logit of angry within 0.1 of",
        ),
        (
            nothing_for_one_colour,
            "one colour, black to white, 48x48, grey PNG, batch 1: expected numbers, found NaN or infinity",
        ),
    ],
)
def test_what_all_images_share_fails_though_each_answer_is_within_bounds(exported_tiny, tiny_run, change, message):
    model = Changed(open_model(exported_tiny), change)
    parity = measure_parity(tiny_run.reference, model, tiny_run.faces.validation.faces)
    assert bool(parity) == (message is None)
    assert message is None or any(message in failure for failure in parity.failures), parity.failures


def test_rounding_errors_of_a_network_that_learnt_nothing_have_no_slope():
    same = np.tile(np.array([0.1, -0.2, 0.05], np.float32), (20, 1))
    rounding = np.random.default_rng(0).normal(scale=1e-7, size=same.shape).astype(np.float32)
    slope, bias = slope_and_bias(same + rounding, same - 3 * rounding)
    assert slope == 1
    assert max(map(abs, bias)) < 1e-4


def test_slope_and_bias_are_those_that_were_put_in():
    logits = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    slope, bias = slope_and_bias(logits, 2 * logits)
    assert slope == pytest.approx(2)
    slope, bias = slope_and_bias(logits, logits + np.array([0, 1, -2], np.float32))
    assert slope == pytest.approx(1, abs=1e-6)
    assert np.array(bias) * logits.std() == pytest.approx([0, 1, -2], abs=1e-5)
