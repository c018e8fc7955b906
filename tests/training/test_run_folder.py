import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from fer_edge.data.sample import write_sample
from fer_edge.errors import CheckpointError, StorageError, TrainingError
from fer_edge.training.checkpoint import load_classifier, read_checkpoint
from fer_edge.training.classifier import EpochMeans
from fer_edge.training.evaluate import evaluate_checkpoint
from fer_edge.training.preparation import DataRequest, build_for_training
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.runs import resume, train
from fer_edge.training.trainer import Trainer

TINY = Path(__file__).parents[1] / "fixtures" / "tiny.onnx"


def test_a_second_run_into_one_folder_is_refused_until_the_first_lets_go(tmp_path):
    folder = tmp_path / "run"
    with RunFolder(folder), pytest.raises(CheckpointError, match="found another run training in it"):
        RunFolder(folder).__enter__()
    with RunFolder(folder):
        pass


def _hold(folder: Path, ready) -> None:
    with RunFolder(folder):
        ready.set()
        signal.pause()


def test_a_killed_process_lets_go_of_its_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(tmp_path / "run", ready), daemon=True)
    holder.start()
    try:
        assert ready.wait(20)
        with pytest.raises(CheckpointError, match="found another run"):
            RunFolder(tmp_path / "run").__enter__()
    finally:
        holder.kill()
        holder.join()
    with RunFolder(tmp_path / "run"):
        pass


def test_leftovers_of_a_killed_write_are_swept_and_nothing_else(tmp_path):
    checkpoints = tmp_path / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    leftover, own = checkpoints / ".fer-edge-abc.part", checkpoints / "notes.part"
    leftover.write_bytes(b"half")
    own.write_bytes(b"mine")
    with RunFolder(tmp_path / "run"):
        assert not leftover.exists()
        assert own.exists()


def test_a_finished_run_is_not_trained_over(tmp_path, tiny_config):
    config = replace(tiny_config, epochs=1)
    train(config, DataRequest("sample:140"), tmp_path / "run", quiet=True)
    before = (tmp_path / "run" / "checkpoints" / "best.pt").read_bytes()
    with pytest.raises(CheckpointError, match=r"found one; go on with it: .*--resume .*or choose another --name"):
        train(config, DataRequest("sample:140"), tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "checkpoints" / "best.pt").read_bytes() == before


@pytest.mark.parametrize("gone", [["last.pt"], ["last.pt", "best.pt"]])
def test_a_run_without_its_last_checkpoint_is_neither_trained_over_nor_begun_anew(tmp_path, tiny_config, gone):
    train(replace(tiny_config, epochs=1), DataRequest("sample:140"), tmp_path / "run", quiet=True)
    for name in gone:
        (tmp_path / "run" / "checkpoints" / name).unlink()
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match="expected a folder without a run, found one"):
        train(tiny_config, DataRequest("sample:140"), tmp_path / "run", quiet=True)
    with pytest.raises(CheckpointError, match=r"last.pt: expected a checkpoint to go on from, found none beside"):
        resume(tmp_path / "run", quiet=True)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_going_on_without_the_best_weights_is_refused(tmp_path, tiny_config):
    train(replace(tiny_config, epochs=1), DataRequest("sample:140"), tmp_path / "run", quiet=True)
    (tmp_path / "run" / "checkpoints" / "best.pt").unlink()
    with pytest.raises(CheckpointError, match=r"best.pt: expected the weights of the best epoch so far, found no such"):
        resume(tmp_path / "run", quiet=True)


def test_going_on_with_the_faces_in_another_order_is_refused(tmp_path, tiny_config):
    write_sample(tmp_path / "faces", 84, seed=5)
    train(replace(tiny_config, epochs=1), DataRequest(str(tmp_path / "faces")), tmp_path / "run", quiet=True)
    folder = next(path for path in (tmp_path / "faces" / "train").iterdir() if path.is_dir())
    files = sorted(folder.iterdir())
    for number, path in enumerate(reversed(files)):
        path.rename(folder / f"new-{number:03}.png")
    with pytest.raises(CheckpointError, match="expected the faces in the order in which the run began"):
        resume(tmp_path / "run", quiet=True)
    assert evaluate_checkpoint(tmp_path / "run", device="cpu").is_training_data_set  # which has no order


def test_a_folder_with_a_name_no_terminal_can_show_is_found_again(tmp_path, tiny_config):
    faces = tmp_path / "fa\u3000ces\n"
    write_sample(faces, 84, seed=5)
    train(replace(tiny_config, epochs=1), DataRequest(str(faces)), tmp_path / "run", quiet=True)
    assert evaluate_checkpoint(tmp_path / "run", device="cpu").data_source.endswith("fa\\u3000ces\\n")
    assert len(resume(tmp_path / "run", quiet=True).history.rows) == 1


def test_a_run_leaves_settings_history_and_pictures(tmp_path, tiny_config):
    import csv
    import json

    done = train(tiny_config, DataRequest("sample:140"), tmp_path / "run", quiet=True)
    rows = list(csv.DictReader((done.folder / "history.csv").open()))
    lines = [json.loads(line) for line in (done.folder / "history.jsonl").read_text().splitlines()]
    assert [float(row["validation_loss"]) for row in rows] == [row["validation_loss"] for row in lines]
    assert [row["epoch"] for row in lines] == [1, 2]
    assert json.loads((done.folder / "config.json").read_text())["config"]["epochs"] == 2
    for picture in ("curves.png", "learning_rate.png"):
        assert (done.folder / picture).read_bytes().startswith(b"\x89PNG")
    assert not list(done.folder.rglob("*.part"))


def test_going_on_with_other_faces_is_refused(tmp_path, tiny_config):
    train(tiny_config, DataRequest("sample:140"), tmp_path / "run", quiet=True)
    with pytest.raises(CheckpointError, match=r"expected the faces the run began with \(fingerprint"):
        resume(tmp_path / "run", source="sample:147", quiet=True)


def test_going_on_with_a_finished_run_changes_nothing(tmp_path, tiny_config):
    train(tiny_config, DataRequest("sample:140"), tmp_path / "run", quiet=True)
    before, _ = load_classifier(tmp_path / "run")
    done = resume(tmp_path / "run", quiet=True)
    after, _ = load_classifier(tmp_path / "run")
    assert len(done.history.rows) == 2
    assert all(torch.equal(v, after.state_dict()[k]) for k, v in before.state_dict().items())


@pytest.mark.parametrize(
    "content", [None, "not json", "[]", '{"config": {}}', '{"config": {"epochs": "x"}, "data": {}}']
)
def test_a_folder_that_holds_no_run_says_so(tmp_path, content):
    (tmp_path / "run").mkdir()
    if content is not None:
        (tmp_path / "run" / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"expected (a run|the settings of a run)"):
        resume(tmp_path / "run", quiet=True)


def test_a_folder_that_is_not_there_says_where_to_look(tmp_path):
    with pytest.raises(CheckpointError, match="expected a run folder, found none; see what is in"):
        resume(tmp_path / "nothing", quiet=True)


def test_what_is_something_else_than_a_run_is_named_once(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    for path, found in (
        (tmp_path, "a folder of images"),
        (tmp_path / "a.png", "an image"),
        (TINY, "an exported model"),
    ):
        with pytest.raises(CheckpointError) as failure:
            resume(path, quiet=True)
        assert str(failure.value) == f"{path}: expected a run folder, found {found}; name the folder of a run"


def test_every_epoch_leaves_a_checkpoint_however_long_the_save_interval(tmp_path, drawn, tiny_config):
    class StopHereError(Exception):
        pass

    def stop_after_the_second(row):
        if row["epoch"] == 2:
            raise StopHereError

    classifier, record = build_for_training(replace(tiny_config, epochs=5, save_interval=1e6), drawn)
    with RunFolder(tmp_path / "run") as run:
        with pytest.raises(StopHereError):
            Trainer(classifier, drawn, record, run=run, on_epoch_end=stop_after_the_second).fit_one_cycle()
        assert read_checkpoint(run.last)["progress"]["epoch"] == 2
        assert run.best.is_file()


def test_a_run_without_a_finished_epoch_has_nothing_to_judge(tmp_path, drawn, tiny_config):
    run, _ = _begun_run(drawn, tiny_config, tmp_path / "run")
    run.__exit__(None, None, None)
    with pytest.raises(CheckpointError, match="expected a run with a finished epoch, found one without; go on with it"):
        load_classifier(tmp_path / "run")


def test_a_validation_loss_that_is_not_finite_ends_the_run_and_is_never_best(tmp_path, drawn, tiny_config):
    classifier, record = build_for_training(tiny_config, drawn)
    classifier.validation_epoch_end = lambda steps: EpochMeans(float("nan"), 0.5)
    record = replace(record, config=replace(tiny_config, ema_decay=0.0))
    with RunFolder(tmp_path / "run") as run:
        trainer = Trainer(classifier, drawn, record, run=run)
        with pytest.raises(
            TrainingError, match=r"epoch 1: expected a finite validation loss, found nan; .*last.pt holds"
        ):
            trainer.fit_one_cycle()
        assert not run.best.exists()


def test_a_refused_start_does_not_use_up_the_runs_name(tmp_path, tiny_config):
    with pytest.raises(TrainingError, match="--batch-size"):
        train(replace(tiny_config, batch_size=1), DataRequest("sample:140"), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match="--batch-size"):
        train(replace(tiny_config, batch_size=1), DataRequest("sample:140"), tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    train(tiny_config, DataRequest("sample:140"), tmp_path / "run", quiet=True)


def test_faces_too_small_for_a_deep_network_are_refused_before_anything_is_written(tmp_path, tiny_config):
    config = replace(tiny_config, architecture="vgg11_bn", image_size=16)
    with pytest.raises(TrainingError, match="--image-size: expected a size that vgg11_bn can take, found 16"):
        train(config, DataRequest("sample:140"), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_folder_of_faces_is_found_again_from_anywhere(tmp_path, tiny_config, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    write_sample(Path("sample"), 84, seed=5)  # a folder that is called as the built-in faces are
    train(replace(tiny_config, epochs=1), DataRequest("./sample"), Path("run"), quiet=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert evaluate_checkpoint(Path("../run"), device="cpu").data_source == str(tmp_path / "sample")
    assert len(resume(Path("../run"), device="cpu", quiet=True).history.rows) == 1


def test_settings_that_somebody_changed_do_not_change_a_run_that_has_begun(tmp_path, tiny_config):
    train(tiny_config, DataRequest("sample:140"), tmp_path / "run", quiet=True)
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace('"epochs": 2', '"epochs": 4'))
    assert len(resume(tmp_path / "run", quiet=True).history.rows) == 2


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def _fill(disk):
    with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)) == 4096:
            pass


def _begun_run(drawn, tiny_config, folder):
    classifier, record = build_for_training(replace(tiny_config, epochs=1), drawn)
    run = RunFolder(folder)
    run.__enter__()
    trainer = Trainer(classifier, drawn, record, run=run)
    trainer.save()
    return run, trainer


def test_a_full_disk_is_called_full_and_the_checkpoint_before_it_stays(small_disk, drawn, tiny_config):
    run, trainer = _begun_run(drawn, tiny_config, small_disk / "run")
    before = run.last.read_bytes()
    _fill(small_disk)
    with pytest.raises(StorageError, match=r"last.pt: cannot be written: the disk is full; free some space"):
        trainer.save()
    assert run.last.read_bytes() == before
    assert read_checkpoint(run.last)["progress"]["epoch"] == 0
    assert not list(small_disk.rglob("*.part"))
    run.__exit__(None, None, None)


def test_a_read_only_disk_is_called_read_only_and_the_checkpoint_stays(small_disk, drawn, tiny_config):
    run, trainer = _begun_run(drawn, tiny_config, small_disk / "run")
    run.__exit__(None, None, None)  # an open lock file would keep the disk from becoming read-only
    before = run.last.read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StorageError, match="cannot be written: the file system is read-only; choose another folder"):
        trainer.save()
    with pytest.raises(StorageError, match="the file system is read-only"), RunFolder(small_disk / "other"):
        pass
    with pytest.raises(StorageError, match="the file system is read-only"), RunFolder(small_disk / "run"):
        pass
    assert run.last.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_called_that(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="permission denied"), RunFolder(tmp_path / "run"):
        pass


def test_a_run_that_another_process_began_meanwhile_is_gone_on_with(tmp_path, tiny_config, monkeypatch):
    train(tiny_config, DataRequest("sample:140"), tmp_path / "run", quiet=True)
    run, aside = tmp_path / "run", tmp_path / "aside"
    run.rename(aside)
    run.mkdir()  # as after a start that was killed before its first checkpoint
    shutil.copy(aside / "config.json", run)
    finished = read_checkpoint(aside / "checkpoints" / "last.pt")
    load = DataRequest.load

    def load_while_another_trains(self, config):
        shutil.rmtree(run)
        aside.rename(run)
        return load(self, config)

    monkeypatch.setattr(DataRequest, "load", load_while_another_trains)
    resume(tmp_path / "run", quiet=True)
    now = read_checkpoint(run / "checkpoints" / "last.pt")
    assert now["progress"] == finished["progress"]
    assert all(torch.equal(weights, now["model"][name]) for name, weights in finished["model"].items())
