"""Who wrote a bundle: a signature that holds, another's, a changed file, none; and keys that are none."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from bundles import TINY, edited, with_claim

from fer_edge.errors import EvidenceError, MissingExtraError
from fer_edge.evidence import AcceptRequest, BundleRequest, accept_bundle, signature, write_bundle


def need() -> None:
    pytest.importorskip("model_signing", reason="model-signing is in the extra sign")


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> Path:
    """A folder with two pairs of keys: me and other."""
    need()
    from cryptography.hazmat.primitives import serialization as to
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    folder = tmp_path_factory.mktemp("keys")
    for name, key in (
        ("me", ec.generate_private_key(ec.SECP256R1())),
        ("other", ec.generate_private_key(ec.SECP384R1())),
        ("edwards", ed25519.Ed25519PrivateKey.generate()),
    ):
        (folder / f"{name}.pem").write_bytes(
            key.private_bytes(to.Encoding.PEM, to.PrivateFormat.PKCS8, to.NoEncryption())
        )
        (folder / f"{name}.pub").write_bytes(
            key.public_key().public_bytes(to.Encoding.PEM, to.PublicFormat.SubjectPublicKeyInfo)
        )
    return folder


@pytest.fixture(scope="module")
def signed(keys: Path) -> Path:
    return write_bundle(BundleRequest(TINY, keys / "signed.zip", sign_key=keys / "me.pem")).path


def found_in(bundle: Path, key: Path | None):
    done = accept_bundle(AcceptRequest(bundle, verify_key=key))
    return {one.id: one for one in done.results}


def test_a_signature_holds_for_its_key_alone(signed: Path, keys: Path) -> None:
    found = found_in(signed, keys / "me.pub")
    assert {name: one.outcome for name, one in found.items()} == dict.fromkeys(
        ("signature", "integrity", "golden"), "passed"
    )
    other = found_in(signed, keys / "other.pub")
    assert other["signature"].outcome == "failed"
    assert other["golden"].outcome == "not checked"
    assert "expected signature.json to be other.pub's of manifest.json" in other["signature"].reason


def test_without_a_key_it_is_not_checked(signed: Path, tiny_bundle: Path, keys: Path) -> None:
    one = found_in(signed, None)["signature"]
    assert (one.outcome, one.reason) == ("not checked", "no key was given; name the signer's with --verify-key")
    none = found_in(tiny_bundle, None)["signature"]
    assert (none.outcome, none.reason) == ("not checked", "the bundle is not signed")
    asked = found_in(tiny_bundle, keys / "me.pub")["signature"]
    assert asked.outcome == "failed"
    assert "expected a bundle signed by me.pub, found none" in asked.reason


def test_a_claim_changed_with_every_hash_breaks_the_signature(signed: Path, keys: Path, tmp_path: Path) -> None:
    forged = with_claim(signed, tmp_path / "f.zip", "golden", lambda claim: claim.update(reason="because"))
    assert found_in(forged, None)["golden"].outcome == "passed"  # nothing that is measured was changed
    assert found_in(forged, keys / "me.pub")["signature"].outcome == "failed"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"mediaType": "x"}', "[" * 50_000, '{"dsseEnvelope": null}'])
def test_a_spoilt_signature_is_one_line(content: str, signed: Path, keys: Path, tmp_path: Path) -> None:
    spoilt = edited(
        signed, tmp_path / "s.zip", lambda folder: (folder / "signature.json").write_text(content), hashes=False
    )
    one = found_in(spoilt, keys / "me.pub")["signature"]
    assert one.outcome == "failed"
    assert len(one.reason.splitlines()) == 1


def test_a_signature_moved_to_another_bundle_fails(signed: Path, tiny_bundle: Path, keys: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(signed) as archive:
        taken = archive.read("signature.json")
    moved = edited(tiny_bundle, tmp_path / "m.zip", lambda at: (at / "signature.json").write_bytes(taken))
    assert found_in(moved, keys / "me.pub")["signature"].outcome == "failed"


def test_keys_that_are_none_are_one_line_and_before_the_work(signed: Path, keys: Path, tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("hello")
    for key in (tmp_path / "text.pem", tmp_path / "none.pem", keys / "edwards.pem", keys / "me.pub"):
        with pytest.raises(EvidenceError, match=key.name) as error:
            write_bundle(BundleRequest(TINY, tmp_path / "b.zip", sign_key=key))
        assert len(str(error.value).splitlines()) == 1
    for key in (tmp_path / "text.pem", tmp_path / "none.pem", keys / "edwards.pub", keys / "me.pem"):
        with pytest.raises(EvidenceError, match=key.name):
            found_in(signed, key)
    assert not (tmp_path / "b.zip").exists()


def test_model_signings_own_program_takes_it(signed: Path, keys: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(signed) as archive:
        archive.extractall(tmp_path)
    assert json.loads((tmp_path / "signature.json").read_text())["dsseEnvelope"]
    command = ["verify", "key", "manifest.json", "--signature", "signature.json", "--public_key", keys / "me.pub"]
    done = subprocess.run(
        [sys.executable, "-m", "model_signing", *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_the_package_its_extra_is_named(tiny_bundle: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(signature, "find_spec", lambda _: None)
    for call in (
        lambda: write_bundle(BundleRequest(TINY, tmp_path / "b.zip", sign_key=tmp_path / "me.pem")),
        lambda: accept_bundle(AcceptRequest(tiny_bundle, verify_key=tmp_path / "me.pub")),
    ):
        with pytest.raises(
            MissingExtraError, match="expected the package 'model-signing', found none; run: pip install"
        ):
            call()
