"""Verify fails for another weight, other labels and other preprocessing in files that no other test damages.

The damaged files are made by the exporter itself, from the checkpoint with the damage in it: whole files with right
checksums, whose metadata are those of the sound checkpoint. What damage of their bytes does is in the tests of each
format.
"""

from dataclasses import replace

import pytest
import torch

from fer_edge.errors import MissingExtraError
from fer_edge.export import exporter
from fer_edge.export.every_format import searched_once
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.formats.registry import format_named, refuse_combination
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.parity.verification import VerifyRequest, verify_model
from fer_edge.export.request import ExportRequest

pytestmark = pytest.mark.slow  # each test exports and verifies

KINDS = [("torchscript", "fp32"), ("onnx", "fp32")]
ANSWERS = ("expected probabilities within", "the same class for at least", "SQNR")


def another_weight(reference: PixelsToProbabilities) -> PixelsToProbabilities:
    with torch.no_grad():
        reference.classifier.network[-1].weight[0, 0] += 5.0
    return reference


def other_preprocessing(reference: PixelsToProbabilities) -> PixelsToProbabilities:
    return PixelsToProbabilities(reference.classifier, reference.image_size, reference.mean + 0.2, reference.std).eval()


@pytest.fixture(scope="module")
def search():
    """One search of the 8 bits of each damage, for all formats that take them from the ONNX graph."""
    return {damage: searched_once() for damage in (another_weight, other_preprocessing, None)}


def exported(tiny_run, folder, file_format, precision, search):
    model_format = format_named(file_format)
    try:
        refuse_combination(model_format, precision, model_format.input_kinds[0])
    except MissingExtraError as error:
        pytest.skip(str(error))
    request = ExportRequest(tiny_run.folder, file_format=file_format, precision=precision, folder=folder)
    if precision == "int8":  # of 70 faces one is more than what may be lost
        request = replace(request, data="sample:420", max_drop_points=100.0)
    done = export_checkpoint(request, search=search)
    assert done.paths, done.failures
    return done.paths[0]


@pytest.mark.parametrize(("file_format", "precision"), KINDS)
@pytest.mark.parametrize("damage", [another_weight, other_preprocessing], ids=lambda one: one.__name__)
def test_another_weight_or_other_preprocessing_is_found(
    file_format, precision, damage, search, tiny_run, tmp_path, monkeypatch
):
    load = exporter.load_reference

    def damaged(checkpoint):
        reference, info = load(checkpoint)
        return damage(reference), info

    monkeypatch.setattr(exporter, "load_reference", damaged)
    model = exported(tiny_run, tmp_path, file_format, precision, search[damage])
    found = verify_model(VerifyRequest(model, tiny_run.folder, trust=True))
    assert not found.parity
    assert any(answer in failure for failure in found.parity.failures for answer in ANSWERS), found.parity.failures


@pytest.mark.parametrize("file_format", sorted({name for name, _ in KINDS}))
def test_other_labels_are_found(file_format, search, tiny_run, tmp_path, monkeypatch):
    describe = exporter.describe

    def with_other_labels(info, **given):
        found = describe(info, **given)
        return replace(found, labels=tuple(reversed(found.labels)))

    monkeypatch.setattr(exporter, "describe", with_other_labels)
    model = exported(tiny_run, tmp_path, file_format, "fp32", search[None])
    found = verify_model(VerifyRequest(model, tiny_run.folder, trust=True))
    assert any("expected labels ['angry'" in failure for failure in found.parity.failures), found.parity.failures
