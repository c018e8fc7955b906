"""Parity with a checkpoint, and what other devices answered."""

import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from bundles import TINY, edited, edited_json, with_claim

from fer_edge.devices.matrix import Matrix, Row, as_json
from fer_edge.errors import ModelError
from fer_edge.evidence import AcceptRequest, BundleRequest, accept_bundle, parity, write_bundle
from fer_edge.evidence.devices import Value
from fer_edge.runtime.checksum import file_sha256

EXPORTED = Path(__file__).parent.parent.parent / "exported"


def found_in(bundle: Path, kind: str):
    return next(one for one in accept_bundle(AcceptRequest(bundle)).results if one.id == kind)


def matrix_of(sha256: str) -> Matrix:
    rows = (
        Row("arm", "a board", "passed", "ok", images=25, labels_changed=0, max_logit_difference=1e-7),
        Row("wasm", "a browser", "failed", "logits differ", images=25, max_logit_difference=3.0),
        Row("old", "onnxruntime 1.15", "not run", "not installed"),
    )
    return Matrix("tiny.onnx", sha256, "fp32", 1e-3, 0, "", None, rows, "a machine", "2026-01-01T00:00:00Z")


@pytest.fixture(scope="module")
def with_devices(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("devices")
    (folder / "tiny-devices.json").write_text(as_json(matrix_of(file_sha256(TINY.read_bytes()))))
    request = BundleRequest(TINY, folder / "d.zip", devices=folder / "tiny-devices.json")
    done = write_bundle(request)
    (claim,) = (one for one in done.claims if one.kind == "devices")
    assert claim.sentence == "The model gives its golden answers on 1 devices (arm); it failed on wasm."
    return done.path


def test_other_devices_are_never_passed_here(with_devices: Path) -> None:
    one = found_in(with_devices, "devices")
    assert one.outcome == "not checked"
    assert "verify MODEL --devices" in one.reason
    assert one.stated == "devices: 1 passed, 1 failed, 1 not run, logits within 1e-07"


def test_a_claim_that_contradicts_its_matrix_fails(with_devices: Path, tmp_path: Path) -> None:
    def more(claim: dict) -> None:
        claim["value"] |= {"passed": ["arm", "wasm"], "failed": []}
        claim["sentence"] = Value(**claim["value"]).sentence

    one = found_in(with_claim(with_devices, tmp_path / "1.zip", "devices", more), "devices")
    assert one.outcome == "failed"
    assert "it states devices: 2 passed" in one.reason

    def beyond(matrix: dict) -> None:
        matrix["rows"][0]["max_logit_difference"] = 5.0

    changed = edited(with_devices, tmp_path / "2.zip", lambda at: edited_json(at / "devices/tiny-devices.json", beyond))
    assert "passed of what is beyond its bound: arm" in found_in(changed, "devices").reason


def test_the_matrix_of_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(as_json(matrix_of("0" * 64)))
    with pytest.raises(ModelError, match=r"m\.json: expected the matrix of the model"):
        write_bundle(BundleRequest(TINY, tmp_path / "d.zip", devices=tmp_path / "m.json"))
    assert not (tmp_path / "d.zip").exists()


def claims_of(bundle: Path) -> list[dict]:
    with zipfile.ZipFile(bundle) as archive:
        return json.loads(archive.read("claims.json"))["claims"]


@pytest.fixture(scope="module")
def with_checkpoint(tmp_path_factory) -> Path:
    pytest.importorskip("torch", reason="parity needs torch")
    path = tmp_path_factory.mktemp("parity") / "p.zip"
    return write_bundle(BundleRequest(EXPORTED / "fer-tiny-int8.onnx", path, checkpoint=EXPORTED / "fer-tiny.pt")).path


def test_parity_is_measured_again(with_checkpoint: Path) -> None:
    one = found_in(with_checkpoint, "parity")
    assert one.outcome == "passed", one.reason
    assert one.figures["parity"]["passed"]
    assert one.stated == one.found


def test_without_torch_parity_is_not_checked(with_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("fer_edge.export.parity")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    one = found_in(with_checkpoint, "parity")
    assert one.outcome == "not checked"
    assert "torch" in one.reason
    assert "pip install" in one.reason


def test_a_changed_parity_is_found(with_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (claim,) = (one for one in claims_of(with_checkpoint) if one["kind"] == "parity")
    as_before = (parity.Value(**claim["value"]), {}, ())  # measuring takes seconds, and is tested above
    monkeypatch.setattr(parity, "_measured", lambda *_: as_before)

    def exact(folder: Path) -> None:
        """Claim, words and samples together: only measuring tells."""

        def claims(content: dict) -> None:
            (claim,) = (one for one in content["claims"] if one["kind"] == "parity")
            claim["value"]["max_probability_difference"] = 0.0
            claim["sentence"] = parity.Value(**claim["value"]).sentence

        edited_json(folder / "claims.json", claims)
        edited_json(
            folder / "samples" / "parity.json", lambda one: one["parity"].update(max_probability_difference=0.0)
        )

    one = found_in(edited(with_checkpoint, tmp_path / "1.zip", exact), "parity")
    assert one.outcome == "failed"
    assert "expected probabilities within 0 of the checkpoint's" in one.reason


def test_another_checkpoint_makes_no_bundle(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="parity needs torch")
    model = shutil.copy(EXPORTED / "fer-tiny-int8.onnx", tmp_path)
    with pytest.raises(
        ModelError, match=r"^model/fer-tiny-int8.onnx: expected the 8 classes of its checkpoint .*7 \(angry"
    ):
        write_bundle(BundleRequest(model, tmp_path / "p.zip", checkpoint=EXPORTED / "ferplus-resnet18.pt"))
    assert not (tmp_path / "p.zip").exists()
