import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fer_edge.cli import main
from fer_edge.errors import CheckpointError
from fer_edge.training import distributed
from fer_edge.training.config import TrainConfig
from fer_edge.training.resuming import began_by, settings_for_processes
from fer_edge.training.run_folder import RunFolder

PROBE = Path(__file__).with_name("distributed_probe.py")


def run_probe(repository, folder, processes):
    folder.mkdir()
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    done = subprocess.run(
        [sys.executable, *launcher, PROBE, folder],
        capture_output=True,
        text=True,
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"},
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(processes)]


@pytest.mark.slow
def test_two_processes_train_what_one_trains_with_the_same_global_batch(repository, tmp_path):
    (one,), two = (run_probe(repository, tmp_path / str(count), count) for count in (1, 2))
    assert two[0]["weights_sha256"] == two[1]["weights_sha256"]
    assert two[0]["rows"] == two[1]["rows"]
    for alone, shared in zip(one["rows"], two[0]["rows"], strict=True):
        assert shared["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-4)
        assert shared["validation_loss"] == pytest.approx(alone["validation_loss"], rel=1e-4)
        assert shared["train_accuracy"] == pytest.approx(alone["train_accuracy"], abs=0.02)
    assert two[0]["weights_sum"] == pytest.approx(one["weights_sum"], rel=1e-4)
    assert (one["files"], two[0]["files"], two[1]["files"]) == (True, True, False)  # rank 0 alone writes


def test_one_of_several_processes_ends_at_once_with_its_code_and_all_it_printed(repository):
    late = "import atexit, sys; atexit.register(print, 'finalized'); print('printed'); print('told', file=sys.stderr)\n"
    end = "from fer_edge.training.distributed import end_process; end_process(3)"
    done = subprocess.run([sys.executable, "-c", late + end], capture_output=True, text=True, cwd=repository)
    assert (done.returncode, done.stdout, done.stderr) == (3, "printed\n", "told\n")


@pytest.mark.parametrize("joined", [False, True])
def test_the_command_line_ends_at_once_only_where_several_processes_trained(monkeypatch, joined):
    ended = []
    monkeypatch.setattr(distributed, "_joined", [object()] if joined else [])
    monkeypatch.setattr(distributed, "end_process", ended.append)
    monkeypatch.setattr("sys.argv", ["fer-edge", "train", "--epochs", "-1"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert ended == ([2] if joined else [])


@pytest.mark.slow
def test_the_train_command_under_torchrun_stays_near_the_run_of_one(repository, tmp_path):
    rows = []
    for processes in (1, 2):  # batch norm sees one process's half of a batch, so the losses are near, not equal
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        command = [sys.executable, *launcher, "cli.py", "train", "--data", "sample:420", "--architecture", "tiny"]
        command += ["--epochs", "2", "--batch-size", "64", "--weights", "none", "--precision", "fp32"]
        done = subprocess.run(
            [*command, "--device", "cpu", "--runs", tmp_path, "--name", f"run{processes}", "--json"],
            capture_output=True,
            text=True,
            cwd=repository,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            timeout=240,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stderr.count("epoch 1/2") == 1  # rank 0 alone speaks
        rows.append(json.loads(done.stdout)["rows"])
    for alone, shared in zip(*rows, strict=True):
        assert shared["train_loss"] == pytest.approx(alone["train_loss"], rel=0.05)


def test_two_processes_with_dropout_go_on_with_the_random_state_of_each(repository, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    probe = Path(__file__).with_name("rank_states_probe.py")
    processes = [
        subprocess.Popen(
            [sys.executable, probe, tmp_path],
            cwd=repository,
            env={**os.environ, **world, "RANK": rank, "LOCAL_RANK": rank, "PYTHONPATH": str(repository)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors[-2000:]
    for rank in range(2):
        found = json.loads((tmp_path / f"rank{rank}.json").read_text())
        assert found["states"] == 2
        assert found["same"] == {"each its own": True, "all the main one's": False}


def settings_for(tmp_path, began, found, *, faces=1000, **settings):
    """What ``found`` processes go on with in a run of ``began``."""
    state = {"random_of_others": [{}] * (began - 1), "progress": {"epoch": 2, "position": 4}}
    return settings_for_processes(RunFolder(tmp_path), state, TrainConfig(**settings), found, faces)


@pytest.mark.parametrize(
    ("began", "found", "micro_batch", "share"),
    [
        (2, 1, 64, "2 parts of 64 faces"),
        (4, 2, 32, "2 parts of 32 faces"),
        (1, 2, 128, "64 faces"),
        (8, 1, 16, "8 parts"),
    ],
)
def test_another_number_of_processes_keeps_the_batch_and_says_so(tmp_path, began, found, micro_batch, share):
    config, change = settings_for(tmp_path, began, found, batch_size=128)
    assert (config.batch_size, config.micro_batch, config.max_lr) == (128, micro_batch, TrainConfig().max_lr)
    assert change.startswith(f"from step 5 of epoch 3 on {found} process")
    assert f"instead of {began}: batches of 128 and the learning rate stay, each process takes {share}" in change
    assert settings_for(tmp_path, began, began, batch_size=128) == (TrainConfig(batch_size=128), "")
    at_its_end = TrainConfig(batch_size=128, epochs=2)
    assert settings_for(tmp_path, began, found, batch_size=128, epochs=2) == (at_its_end, "")


def test_back_at_the_first_number_of_processes_each_takes_what_it_took(tmp_path):
    fewer, _ = settings_for(tmp_path, 2, 1, batch_size=128)
    state = {"random_of_others": [], "progress": {"epoch": 2, "position": 4}}
    again, change = settings_for_processes(RunFolder(tmp_path), state, fewer, 2, 1000)
    assert again.micro_batch == 64
    assert "each process takes 64 faces" in change


@pytest.mark.parametrize(
    ("began", "found", "faces", "batch_size"),
    [(2, 3, 1000, 128), (2, 4, 130, 512), (3, 1, 100, 128)],  # of few faces a batch holds as many as all can share
)
def test_processes_that_cannot_share_the_batch_are_refused_with_a_number_that_can(
    tmp_path, began, found, faces, batch_size
):
    with pytest.raises(CheckpointError, match=f"share a batch of .* equally, found {found}; go on with: ") as error:
        settings_for(tmp_path, began, found, faces=faces, batch_size=batch_size)
    assert f"--nproc_per_node={began} -m fer_edge train --resume" in str(error.value)


def test_processes_that_have_no_equal_parts_as_small_as_before_are_refused(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"--micro-batch: expected a size from which 2 processes .* found 2; go on"
    ):
        settings_for(tmp_path, 5, 2, batch_size=10)


def test_a_checkpoint_of_before_each_process_had_a_state_is_gone_on_with_by_any_number(tmp_path):
    for count in (1, 2):
        state = {"random": {}, "progress": {"epoch": 0, "position": 0}}
        assert settings_for_processes(RunFolder(tmp_path), state, TrainConfig(), count, 1000) == (TrainConfig(), "")


def test_a_run_knows_the_torchrun_that_began_it_and_no_other(tmp_path):
    files = RunFolder(tmp_path)
    files.checkpoints.mkdir()
    files.write_config({"config": {}, "data": {}, "job": "mine"})
    assert not began_by(files, "mine")  # nothing was saved: it begins again
    files.last.touch()
    assert began_by(files, "mine")
    assert not began_by(files, "other")
    files.write_config({"config": {}, "data": {}})
    assert not began_by(files, "")


def test_the_job_is_that_of_torchrun(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert distributed.launching_job() == ""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-7")
    assert distributed.launching_job() == "job-7"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # nobody named it: the torchrun above us
    assert str(os.getppid()) in distributed.launching_job()
