"""Every claim is measured again; one that was changed, its SHA-256 with it, is found; the rest is never passed."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from bundles import FACES, FIXTURES, TINY, edited, edited_json, with_claim

from fer_edge.backends.registry import BackendEntry
from fer_edge.errors import EvidenceError, MissingExtraError
from fer_edge.evidence import Acceptance, AcceptRequest, BundleRequest, accept_bundle, write_bundle
from fer_edge.evidence.contents import file_entry
from fer_edge.evidence.kinds import GivenFaces


def accepted(bundle: Path, faces: str | None = FACES, **options: bool) -> Acceptance:
    return accept_bundle(AcceptRequest(bundle, None if faces is None else GivenFaces(faces), **options))


def outcomes(done: Acceptance) -> dict[str, str]:
    """Of every claim; that nobody signed is a row of its own."""
    assert done.results[0].id == "signature"
    assert done.results[0].outcome == "not checked"
    return {one.id: one.outcome for one in done.results[1:]}


def reasons(done: Acceptance) -> dict[str, str]:
    return {one.id: one.reason for one in done.results}


def test_every_claim_is_measured_again(tiny_bundle: Path) -> None:
    done = accepted(tiny_bundle)
    assert done
    assert outcomes(done) == {"integrity": "passed", "golden": "passed", "accuracy": "passed"}
    accuracy = next(one for one in done.results if one.id == "accuracy")
    assert accuracy.figures["changed"] == 0
    assert accuracy.figures["faces"] == 35
    golden = next(one for one in done.results if one.id == "golden")
    assert golden.figures["images"] == 26
    assert 0 <= golden.figures["max_logit_difference"] < 1e-5
    json.dumps(done.to_dict(), allow_nan=False)


def test_the_same_input_gives_the_same_bytes(tiny_bundle: Path, tmp_path: Path) -> None:
    again = write_bundle(BundleRequest(TINY, tmp_path / "again.zip", GivenFaces(FACES))).path
    assert again.read_bytes() == tiny_bundle.read_bytes()


def test_what_cannot_be_checked_is_not_passed(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcomes(accepted(tiny_bundle, None))["accuracy"] == "not checked"
    assert "name them with --data" in reasons(accepted(tiny_bundle, None))["accuracy"]
    other = accepted(tiny_bundle, "sample:70")
    (accuracy,) = (one for one in other.results if one.id == "accuracy")
    assert accuracy.outcome == "not checked"
    assert accuracy.reason == "other faces than the claim's"
    assert accuracy.found.endswith(" faces")
    assert other

    def missing(_: BackendEntry) -> None:
        raise MissingExtraError("openvino", "openvino")

    monkeypatch.setattr(BackendEntry, "require", missing)
    done = accepted(tiny_bundle)
    assert outcomes(done) == {"integrity": "passed", "golden": "not checked", "accuracy": "not checked"}
    assert "expected the package 'openvino', found none; run: pip install" in reasons(done)["golden"]


def test_a_model_that_runs_code_is_not_opened_without_trust(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "fer_edge.evidence.contents.backends_for",
        lambda _: [
            BackendEntry(name="torch", formats=("onnx",), load=lambda *_, **__: pytest.fail("opened"), runs_code=True)
        ],
    )
    done = accepted(tiny_bundle)
    assert outcomes(done) == {"integrity": "passed", "golden": "not checked", "accuracy": "not checked"}
    assert "add --trust if you trust where it is from" in reasons(done)["golden"]


def test_a_changed_missing_or_added_file_fails(tiny_bundle: Path, tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        with (folder / "model" / "tiny.onnx").open("ab") as stream:
            stream.write(b"x")

    for number, (edit, message) in enumerate(
        (
            (change, "model/tiny.onnx was changed"),
            (lambda folder: (folder / "model" / "tiny.json").unlink(), "model/tiny.json is missing"),
            (lambda folder: (folder / "more.txt").touch(), "more.txt is not listed"),
        )
    ):
        done = accepted(edited(tiny_bundle, tmp_path / f"{number}.zip", edit, hashes=False))
        assert outcomes(done) == {"integrity": "failed", "golden": "not checked", "accuracy": "not checked"}
        assert reasons(done)["integrity"] == message
        assert done.failure_text() == f"integrity: {message}"


def accuracy_of(claim: dict, right: int) -> None:
    """A claim that says ``right`` with words that fit."""
    from fer_edge.evidence.accuracy import Value

    claim["value"] |= {"right": right, "accuracy": right / claim["value"]["faces"]}
    claim["sentence"] = Value(**claim["value"]).sentence


@pytest.mark.parametrize(
    ("kind", "edit", "message"),
    [
        ("accuracy", lambda claim: accuracy_of(claim, 35), "it states 35 of 35 (100.00%), and its samples "),
        ("accuracy", lambda claim: claim["allowed"].update(points=100.0), "bounds of at most points 4.28571"),
        ("accuracy", lambda claim: claim["allowed"].clear(), "bounds of at most points 4.28571, changed 2"),
        ("accuracy", lambda claim: claim.update(sentence="Always right."), "its sentence is not what its figures say"),
        ("golden", lambda claim: claim["value"].update(max_logit_difference=0.5), "and its samples logits within"),
        ("golden", lambda claim: claim["allowed"].update(logits=9.0), "bounds of at most logits 0.001"),
        ("golden", lambda claim: claim.update(sentence="Exact."), "its sentence is not what its figures say"),
        ("integrity", lambda claim: claim["value"].update(model="0" * 64), "expected the model 000000000000"),
        ("integrity", lambda claim: claim["value"].update(files=3), "expected 3 files, found "),
    ],
)
def test_a_claim_changed_with_its_hash_is_found_without_faces_too(
    kind: str, edit, message: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    done = accepted(with_claim(tiny_bundle, tmp_path / "one.zip", kind, edit), None)
    assert outcomes(done)[kind] == "failed"
    assert message in reasons(done)[kind]


def test_a_claim_without_samples_is_never_passed(tiny_bundle: Path, tmp_path: Path) -> None:
    for kind in ("golden", "accuracy"):
        changed = with_claim(tiny_bundle, tmp_path / f"{kind}.zip", kind, lambda claim: claim.update(samples=None))
        with pytest.raises(EvidenceError, match="expected '' among its files, found no such one"):
            accepted(changed)
        empty = edited(
            tiny_bundle,
            tmp_path / f"{kind}-empty.zip",
            lambda folder, kind=kind: edited_json(folder / "samples" / f"{kind}.json", lambda one: one["rows"].clear()),
        )
        done = accepted(empty)
        assert outcomes(done)[kind] == "failed"
        assert "samples" in reasons(done)[kind]


def test_a_listed_file_that_lies_elsewhere_is_not_read(tiny_bundle: Path, tmp_path: Path) -> None:
    """Its name is in the manifest alone, with its right hash; the archive could not hold it."""
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    for number, name in enumerate(("../secret.json", str(secret))):

        def add(folder: Path, name: str = name) -> None:
            sha256 = hashlib.sha256(secret.read_bytes()).hexdigest()

            def change(manifest: dict) -> None:
                manifest["files"].append({"path": name, "bytes": 2, "sha256": sha256})
                (entry,) = (one for one in manifest["files"] if one["path"] == "claims.json")
                found = file_entry(folder, "claims.json")
                entry |= {"bytes": found.bytes, "sha256": found.sha256}

            def claims(content: dict) -> None:
                content["claims"][1]["samples"] = name

            edited_json(folder / "claims.json", claims)
            edited_json(folder / "manifest.json", change)

        done = accepted(edited(tiny_bundle, tmp_path / f"{number}.zip", add, hashes=False))
        assert outcomes(done) == {"integrity": "failed", "golden": "not checked", "accuracy": "not checked"}
        assert reasons(done)["integrity"].startswith(f"{name} is missing, expected ")  # and another number of files


def test_samples_and_accuracy_changed_together_are_found_on_the_faces(tiny_bundle: Path, tmp_path: Path) -> None:
    def lift(folder: Path) -> None:
        def all_right(samples: dict) -> None:
            samples["rows"] = [[face, label, label, confidence] for face, label, _, confidence in samples["rows"]]

        def claims(content: dict) -> None:
            accuracy_of(next(one for one in content["claims"] if one["kind"] == "accuracy"), 35)

        edited_json(folder / "samples" / "accuracy.json", all_right)
        edited_json(folder / "claims.json", claims)

    forged = edited(tiny_bundle, tmp_path / "forged.zip", lift)
    assert outcomes(accepted(forged, None))["accuracy"] == "not checked"
    done = accepted(forged)
    assert outcomes(done) == {"integrity": "passed", "golden": "passed", "accuracy": "failed"}
    assert "expected a difference in points of at most" in reasons(done)["accuracy"]
    assert "expected a number of changed answers of at most 2" in reasons(done)["accuracy"]


def test_another_model_in_its_place_fails_its_golden_vectors(tiny_bundle: Path, tmp_path: Path) -> None:
    """All hashes are right: only running the vectors tells."""
    other = write_bundle(BundleRequest(write_worse(tmp_path / "tiny.onnx"), tmp_path / "other.zip"))

    def swap(folder: Path) -> None:
        shutil.copy(tmp_path / "tiny.onnx", folder / "model" / "tiny.onnx")
        (folder / "model" / "tiny.json").write_bytes(b"")
        (folder / "model" / "tiny.json").unlink()

        def without(manifest: dict) -> None:
            manifest["files"] = [one for one in manifest["files"] if one["path"] != "model/tiny.json"]
            manifest["model_sha256"] = other.manifest.model_sha256

        def claims(content: dict) -> None:
            (integrity,) = (one for one in content["claims"] if one["kind"] == "integrity")
            integrity["value"] |= {"model": other.manifest.model_sha256, "files": integrity["value"]["files"] - 1}
            from fer_edge.evidence.integrity import Value

            integrity["sentence"] = Value(**integrity["value"]).sentence

        def kit(content: dict) -> None:
            content["model"]["sha256"] = other.manifest.model_sha256

        edited_json(folder / "manifest.json", without)
        edited_json(folder / "claims.json", claims)
        edited_json(folder / "kit" / "manifest.json", kit)

    done = accepted(edited(tiny_bundle, tmp_path / "swapped.zip", swap))
    assert outcomes(done)["integrity"] == "passed"
    assert outcomes(done)["golden"] == "failed"
    assert "logits differ by" in reasons(done)["golden"]


def write_worse(path: Path) -> Path:
    """The small model with one class's logit lifted, and metadata that are right."""
    import onnx

    from fer_edge.metadata import METADATA_KEY, ModelMetadata
    from fer_edge.runtime.checksum import add_checksum

    graph = onnx.load(TINY)
    node = next(node for node in graph.graph.node if "logits" in node.output)
    bias = next(one for one in graph.graph.initializer if one.name == node.input[-1])
    values = onnx.numpy_helper.to_array(bias).copy()
    values[3] += 5
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    (entry,) = (one for one in graph.metadata_props if one.key == METADATA_KEY)
    assert ModelMetadata.from_json(entry.value, where="test")
    path.write_bytes(add_checksum(graph.SerializeToString()))
    return path


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        ("manifest.json", lambda one: one.update(schema="fer_edge evidence bundle 2"), "a newer fer_edge wrote it"),
        ("manifest.json", lambda one: one.update(schema="zip"), "expected 'fer_edge evidence bundle 1', found 'zip'"),
        ("manifest.json", lambda one: one.pop("kit"), "expected what 'bundle' writes"),
        ("manifest.json", lambda one: one["files"].append(one["files"][0]), "found one twice"),
        ("manifest.json", lambda one: one.update(kit="../../etc"), "'../../etc"),
        ("manifest.json", lambda one: one.update(model="model/none.onnx"), "'model/none.onnx' among its files"),
        ("claims.json", lambda one: one.update(schema="fer_edge evidence claims 7"), "expected version 1, found 7"),
        ("claims.json", lambda one: one["claims"][1].update(kind="magic"), "found 'magic'; a newer fer_edge may know"),
        ("claims.json", lambda one: one["claims"][1].update(value={}), "claims.json: golden: expected the figures"),
        ("claims.json", lambda one: one["claims"][1].update(samples="../x"), "'../x' among its files"),
        ("claims.json", lambda one: one["claims"].append(one["claims"][0]), "each with an id of its own"),
        ("claims.json", lambda one: one["claims"].pop(0), "expected one claim of the kind integrity"),
        ("kit/manifest.json", lambda one: one["vectors"][0].update(shape=[10**9, 10**9]), "expected an array of"),
        ("kit/manifest.json", lambda one: one["vectors"][0].update(file="../claims.json"), "among its files"),
        ("kit/manifest.json", lambda one: one.update(kit="another"), "expected 'fer_edge golden vectors 1'"),
    ],
)
def test_malformed_bundles_are_one_line(file: str, edit, message: str, tiny_bundle: Path, tmp_path: Path) -> None:
    changed = edited(tiny_bundle, tmp_path / "one.zip", lambda folder: edited_json(folder / file, edit))
    with pytest.raises(EvidenceError) as error:
        accepted(changed)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_no_manifest_and_no_json(tiny_bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(EvidenceError, match=r"expected a bundle with manifest\.json, found none"):
        accepted(tmp_path / "other.zip")

    def spoil(folder: Path) -> None:
        (folder / "claims.json").write_text("[" * 100_000)

    with pytest.raises(EvidenceError, match="expected what 'bundle' writes"):
        accepted(edited(tiny_bundle, tmp_path / "one.zip", spoil))


def test_a_raw_model_and_another_makers_model(tmp_path: Path) -> None:
    raw = write_bundle(BundleRequest(FIXTURES / "tiny_raw.onnx", tmp_path / "raw.zip")).path
    assert outcomes(accepted(raw, None)) == {"integrity": "passed", "golden": "passed"}
    onnx = pytest.importorskip("onnx", reason="another maker's model is made with onnx")
    graph = onnx.load(FIXTURES / "tiny_raw.onnx")
    del graph.metadata_props[:]
    onnx.save(graph, tmp_path / "foreign.onnx")
    said = ["labels=a,b,c,d,e,f,g", "channels=1", "layout=NCHW", "size=48"]
    foreign = write_bundle(BundleRequest(tmp_path / "foreign.onnx", tmp_path / "f.zip", description=said)).path
    done = accepted(foreign, None)
    assert outcomes(done) == {"integrity": "passed", "golden": "passed"}
    assert not (tmp_path / "foreign.json").exists()  # the description went into the bundle alone


def test_answers_that_are_no_numbers_fail(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fer_edge.backends.contract import Outputs
    from fer_edge.backends.onnxruntime import OnnxRuntime

    real = OnnxRuntime.run_feed
    monkeypatch.setattr(
        OnnxRuntime, "run_feed", lambda self, feed: Outputs(*(one * np.nan for one in real(self, feed)))
    )
    done = accepted(tiny_bundle, None)
    assert outcomes(done)["golden"] == "failed"
    json.dumps(done.to_dict(), allow_nan=False)
