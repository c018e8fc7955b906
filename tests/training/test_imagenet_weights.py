import hashlib
import http.server
import shutil
import threading
from dataclasses import replace
from functools import partial

import pytest
import torch

from fer_edge.data.load import load_faces
from fer_edge.data.sample import write_sample
from fer_edge.errors import CheckpointError, TrainingError
from fer_edge.training.architectures import architecture_named
from fer_edge.training.architectures.torchvision_models import models
from fer_edge.training.checkpoint import load_classifier, save_checkpoint
from fer_edge.training.preparation import DataRequest, build_for_training
from fer_edge.training.runs import resume, train
from fer_edge.training.weights import starting_weights


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty torch hub cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    return tmp_path / "hub" / "hub" / "checkpoints"


@pytest.fixture
def server(tmp_path):
    """A stand-in for torchvision's download server: serves a folder, whose address and path it gives."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}", folder
        running.shutdown()


def serve_weights(folder, *, damaged=False):
    torch.manual_seed(0)
    path = folder / "weights.pth"
    torch.save(models.mobilenet_v3_small(weights=None).state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    if damaged:
        path.write_bytes(path.read_bytes() + b"x")
    return path.rename(folder / f"mobilenet-{digest}.pth").name


def test_weights_are_downloaded_once_and_then_come_from_the_cache(hub, server):
    address, folder = server
    name = serve_weights(folder)
    architecture = replace(architecture_named("mobilenet_v3_small"), weights_url=f"{address}/{name}")
    first = starting_weights("auto", architecture)
    (folder / name).unlink()
    second = starting_weights("imagenet", architecture)
    assert first.description == second.description == f"ImageNet weights from {hub / name}"
    assert all(torch.equal(first.state[key], second.state[key]) for key in first.state)


def test_auto_goes_on_from_scratch_and_says_why(hub):
    architecture = replace(architecture_named("resnet18"), weights_url="http://127.0.0.1:9/resnet18-00000000.pth")
    start = starting_weights("auto", architecture)
    assert start.state is None
    assert start.description.startswith("from scratch: ImageNet weights were not to be had")
    assert "127.0.0.1:9" in start.description
    assert "\n" not in start.description


def test_imagenet_is_an_error_that_says_how_to_go_on(hub):
    architecture = replace(architecture_named("resnet18"), weights_url="http://127.0.0.1:9/resnet18-00000000.pth")
    with pytest.raises(TrainingError, match=r"could not be downloaded.*--weights FILE.*--weights none"):
        starting_weights("imagenet", architecture)


def test_a_damaged_download_is_not_kept(hub, server):
    address, folder = server
    name = serve_weights(folder, damaged=True)
    architecture = replace(architecture_named("mobilenet_v3_small"), weights_url=f"{address}/{name}")
    with pytest.raises(TrainingError, match="expected the SHA-256 in its name, found another"):
        starting_weights("imagenet", architecture)
    assert not hub.exists() or list(hub.iterdir()) == []


def test_a_silent_server_is_given_up_after_the_time_out(hub):
    import socket
    import time

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/resnet18-00000000.pth"
        architecture = replace(architecture_named("resnet18"), weights_url=url)
        started = time.monotonic()
        start = starting_weights("auto", architecture, timeout_s=0.2)
    assert start.state is None
    assert time.monotonic() - started < 5


def test_none_starts_from_scratch_without_asking_anyone():
    assert starting_weights("none", architecture_named("resnet18")).state is None


def test_a_file_of_the_users_own_is_taken(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "mine.pth"
    torch.save(models.mobilenet_v3_small(weights=None).state_dict(), path)
    start = starting_weights(str(path), architecture_named("mobilenet_v3_small"))
    assert start.description.startswith(f"from {path}: ")
    assert start.state.keys() == models.mobilenet_v3_small(weights=None).state_dict().keys()


class Malicious:
    def __reduce__(self):
        return (print, ("code ran",))


@pytest.mark.parametrize("content", ["missing", "text", "list", "code", "numbers"])
def test_a_file_that_is_no_state_dict_is_refused_and_runs_nothing(tmp_path, content, capsys):
    path = tmp_path / "weights.pth"
    if content == "text":
        path.write_text("hello")
    elif content == "list":
        torch.save([1, 2], path)
    elif content == "numbers":
        torch.save({0: torch.zeros(1)}, path)
    elif content == "code":
        torch.save(Malicious(), path)
    with pytest.raises(TrainingError, match=r"weights.pth"):
        starting_weights(str(path), architecture_named("resnet18"))
    assert "code ran" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_config):
    """A finished run of the tiny network."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(tiny_config, DataRequest("sample:210"), folder, quiet=True)
    return folder


@pytest.mark.parametrize("named", ["run", "checkpoint"])
def test_training_begins_from_the_trained_weights_of_a_run(drawn, tiny_config, finished, named):
    path = finished if named == "run" else finished / "checkpoints" / "best.pt"
    classifier, record = build_for_training(replace(tiny_config, weights=str(path)), drawn)
    expected = load_classifier(finished)[0].state_dict()
    assert classifier.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in classifier.state_dict().items())
    assert record.starting_weights == f"from {path} (tiny)"


def test_training_begins_from_the_mean_of_several_runs(drawn, tiny_config, finished, tmp_path):
    train(replace(tiny_config, weights=str(finished)), DataRequest("sample:210"), tmp_path, quiet=True)
    classifier, record = build_for_training(replace(tiny_config, weights=f"{finished}, {tmp_path}"), drawn)
    first, second = (load_classifier(run)[0].state_dict() for run in (finished, tmp_path))
    for name, value in classifier.state_dict().items():
        expected = (first[name] + second[name]) / 2 if value.is_floating_point() else first[name] + second[name]
        assert torch.allclose(value, expected)
    assert not torch.equal(first["network.0.weight"], second["network.0.weight"])
    assert record.starting_weights == f"from the mean of {finished}, {tmp_path} (tiny)"


def test_only_runs_of_this_project_have_a_mean(finished, tmp_path):
    other = tmp_path / "weights.pth"
    torch.save(models.mobilenet_v3_small(weights=None).state_dict(), other)
    with pytest.raises(TrainingError, match=r"where several are named, found .*weights\.pth; name it alone"):
        starting_weights(f"{finished},{other}", architecture_named("tiny"))


def test_one_run_of_another_network_among_several_is_named(drawn, tiny_config, finished, tmp_path):
    classifier, record = build_for_training(replace(tiny_config, architecture="resnet10_half"), drawn)
    path = tmp_path / "half.pt"
    save_checkpoint(path, {"record": record.to_dict(), "model": classifier.state_dict()})
    with pytest.raises(TrainingError, match=r"--weights .*half.pt: expected a trained tiny, found resnet10_half"):
        build_for_training(replace(tiny_config, weights=f"{finished},{path}"), drawn)


def test_trained_weights_of_another_network_are_refused(drawn, tiny_config, finished):
    config = replace(tiny_config, weights=str(finished), architecture="resnet10_half")
    with pytest.raises(TrainingError, match=r"expected a trained resnet10_half, found tiny; train that network"):
        build_for_training(config, drawn)


def test_trained_weights_of_another_stem_are_refused_though_they_would_fit(drawn, tiny_config, tmp_path):
    config = replace(tiny_config, architecture="resnet18", stem="no_pool")
    classifier, record = build_for_training(config, drawn)
    path = tmp_path / "weights.pt"
    save_checkpoint(path, {"record": record.to_dict(), "model": classifier.state_dict()})
    other = replace(config, stem="imagenet", weights=str(path))
    with pytest.raises(TrainingError, match=r"expected a trained resnet18 \(stem imagenet\), found .*\(stem no_pool\)"):
        build_for_training(other, drawn)


def test_weights_that_have_seen_the_validation_faces_are_refused(tiny_config, finished):
    other = replace(load_faces("sample:210", seed=1), validation_from_train=True)
    with pytest.raises(TrainingError, match=r"validation faces of its run.*take its --seed 0 and --image-size 48"):
        build_for_training(replace(tiny_config, weights=str(finished), seed=1), other)


@pytest.fixture(scope="module")
def drawn_validation(tiny_config, tmp_path_factory):
    """A folder without validation faces, one of whose test faces is a training face, and a run on it with seed 0."""
    folder = tmp_path_factory.mktemp("data") / "faces"
    write_sample(folder, 210, seed=5)
    shutil.rmtree(folder / "validation")
    face = next((folder / "train").rglob("*.png"))
    shutil.copy(face, folder / "test" / face.parent.name / "leak.png")
    train(replace(tiny_config, epochs=1), DataRequest(str(folder)), folder.parent / "run", quiet=True)
    return folder, folder.parent / "run"


@pytest.mark.parametrize("how", ["in place", "linked", "copied"])
def test_weights_are_refused_wherever_the_faces_are_that_they_have_seen(tiny_config, drawn_validation, tmp_path, how):
    folder, run = drawn_validation
    if how == "linked":
        (tmp_path / "link").symlink_to(folder)
    if how == "copied":
        shutil.copytree(folder, tmp_path / "copy")
    named = {"in place": folder, "linked": tmp_path / "link", "copied": tmp_path / "copy"}[how]
    config = replace(tiny_config, weights=str(run), seed=1)
    with pytest.raises(TrainingError, match=r"validation faces of its run.*take its --seed 0 and --image-size 48"):
        build_for_training(config, DataRequest(str(named)).load(config))


def test_weights_go_on_with_the_same_validation_faces_whatever_is_left_out_of_test(tiny_config, drawn_validation):
    folder, run = drawn_validation
    config = replace(tiny_config, weights=str(run))
    data = DataRequest(str(folder), drop_leaks=True).load(config)
    assert data.fingerprint() != DataRequest(str(folder)).load(config).fingerprint()
    build_for_training(config, data)


def test_weights_go_on_at_another_size_and_seed_where_the_archive_has_its_own_validation_faces(tiny_config, finished):
    larger = load_faces("sample:210", size=64)
    config = replace(tiny_config, weights=str(finished), image_size=64, seed=1)
    _, record = build_for_training(config, larger)
    assert record.starting_weights == f"from {finished} (tiny)"


def test_a_name_that_no_file_can_have_is_a_missing_file():
    with pytest.raises(TrainingError, match="a file or a run folder, found no file 'aaa"):
        starting_weights("a" * 300, architecture_named("tiny"))


def test_a_folder_without_a_run_is_refused_as_weights(tmp_path):
    with pytest.raises(CheckpointError, match=r"expected a run folder with checkpoints/best.pt, found none"):
        starting_weights(str(tmp_path), architecture_named("tiny"))


def test_a_phase_too_small_for_the_network_is_refused_before_training(drawn, tiny_config):
    config = replace(tiny_config, architecture="vgg11_bn", progression="16:1")
    with pytest.raises(TrainingError, match="--progression: expected a size that vgg11_bn can take, found 16"):
        build_for_training(config, drawn)


def test_a_run_does_not_go_on_from_weights_alone(tiny_config, tmp_path):
    train(tiny_config, DataRequest("sample:210"), tmp_path, quiet=True)
    folder = tmp_path / "checkpoints"
    (folder / "last.pt").write_bytes((folder / "best.pt").read_bytes())
    with pytest.raises(CheckpointError, match=r"found one of weights alone; begin a new run from them with --weights"):
        resume(tmp_path)
