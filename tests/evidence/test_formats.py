"""Bundles of models of every format: made, accepted, and refused where one of a model's files is another."""

import sys
from pathlib import Path

import pytest
from bundles import FACES, edited, edited_json

from fer_edge.backends.registry import backends_for
from fer_edge.errors import UsageError
from fer_edge.evidence import Acceptance, AcceptRequest, BundleRequest, accept_bundle, write_bundle
from fer_edge.evidence.kinds import GivenFaces

pytest.importorskip("torch")

FORMATS = ("openvino", "litert", "ncnn", "executorch", "coreml", "pt2")
TRUSTED = ("pt2",)


@pytest.fixture(scope="module", params=FORMATS)
def made(request, repository, tmp_path_factory) -> tuple[str, Path, Path]:
    """The format, a model of it, and its bundle."""
    from fer_edge.export.exporter import export_checkpoint
    from fer_edge.export.request import ExportRequest

    entry = backends_for(request.param)[0]
    if not entry.is_installed:
        pytest.skip(f"{entry.package} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    checkpoint = repository / "exported" / "fer-tiny.pt"
    model = export_checkpoint(ExportRequest(checkpoint, file_format=request.param, folder=folder)).paths[0]
    bundle = write_bundle(
        BundleRequest(model, folder / "evidence.zip", GivenFaces(FACES), trust=request.param in TRUSTED)
    )
    return request.param, model, bundle.path


def accepted(file_format: str, bundle: Path, *, trust: bool = True) -> Acceptance:
    return accept_bundle(AcceptRequest(bundle, GivenFaces(FACES), trust=trust and file_format in TRUSTED))


def outcomes(done: Acceptance) -> dict[str, str]:
    return {one.id: one.outcome for one in done.results if one.id != "signature"}


def reasons(done: Acceptance) -> dict[str, str]:
    return {one.id: one.reason for one in done.results}


def test_every_claim_is_measured_again_and_a_runtime_that_is_not_here_is_told(made) -> None:
    file_format, model, bundle = made
    done = accepted(file_format, bundle)
    expected = {"integrity": "passed", "golden": "passed", "accuracy": "passed"}
    if file_format == "coreml":
        expected["runtime"] = "not checked"
        assert (
            reasons(done)["runtime"]
            == "Core ML is not here; what passed is the model's graph as mil-torch evaluates it"
        )
    assert outcomes(done) == expected, reasons(done)
    listed = {entry.path for entry in done.manifest.files}
    files = {"openvino": (".xml", ".bin"), "ncnn": (".param", ".bin", ".labels.txt")}.get(file_format, ())
    assert listed >= {f"model/{model.stem}{ending}" for ending in files}


def test_another_file_of_the_model_fails_though_every_hash_fits(made, tmp_path: Path) -> None:
    file_format, model, bundle = made

    def change(folder: Path) -> None:
        inside = folder / "model"
        weights = {"coreml": "**/weight.bin", "openvino": "*.bin", "ncnn": "*.bin"}.get(file_format, f"*{model.suffix}")
        (path,) = inside.glob(weights)
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 64] = bytes(255 - value for value in data[middle : middle + 64])
        path.write_bytes(data)

    done = accepted(file_format, edited(bundle, tmp_path / "other.zip", change))
    found = outcomes(done)
    assert (found["integrity"], found["golden"]) == ("passed", "failed"), reasons(done)
    assert not done
    assert "\n" not in reasons(done)["golden"]


@pytest.mark.parametrize("made", TRUSTED, indirect=True)
def test_code_is_not_run_without_trust(made) -> None:
    file_format, _, bundle = made
    found = accepted(file_format, bundle, trust=False)
    assert outcomes(found) == {"integrity": "passed", "golden": "not checked", "accuracy": "not checked"}
    assert "add --trust" in reasons(found)["golden"]


@pytest.mark.parametrize("made", [name for name in FORMATS if name not in TRUSTED], indirect=True)
def test_without_its_runtime_nothing_of_a_model_is_passed(made, monkeypatch: pytest.MonkeyPatch) -> None:
    file_format, _, bundle = made
    package = backends_for(file_format)[0].package
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("fer_edge.backends.registry.find_spec", lambda name: None)
    found = accepted(file_format, bundle)
    assert {outcomes(found)[kind] for kind in ("golden", "accuracy")} == {"not checked"}
    assert f"expected the package '{package}', found none" in reasons(found)["golden"]


@pytest.mark.parametrize("made", ["coreml"], indirect=True)
def test_what_stands_for_core_ml_is_told_whatever_a_bundle_says(made, tmp_path: Path) -> None:
    file_format, model, bundle = made

    def without(folder: Path) -> None:
        def change(content: dict) -> None:
            content["claims"] = [claim for claim in content["claims"] if claim["kind"] != "runtime"]

        edited_json(folder / "claims.json", change)

    found = accepted(file_format, edited(bundle, tmp_path / "without.zip", without))
    assert outcomes(found)["runtime"] == "not checked"

    def boast(folder: Path) -> None:
        def change(content: dict) -> None:
            (claim,) = (claim for claim in content["claims"] if claim["kind"] == "runtime")
            claim["sentence"] = "Core ML was run."

        edited_json(folder / "claims.json", change)

    found = accepted(file_format, edited(bundle, tmp_path / "boast.zip", boast))
    assert outcomes(found)["runtime"] == "failed"
    for request in (BundleRequest(model, against="fer-tiny"), BundleRequest("fer-tiny", against=model)):
        with pytest.raises(
            UsageError, match="--against: expected models that their own runtime runs, found fer-tiny-coreml"
        ):
            write_bundle(request)
