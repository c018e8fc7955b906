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
from fer_edge.training.distributed import prints_to_stderr
from fer_edge.training.resuming import refuse_other_processes
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


def test_what_a_library_prints_while_processes_join_stays_out_of_stdout(capfd):
    print("before")
    with prints_to_stderr():
        os.write(1, b"[Gloo] Rank 0 is connected\n")
    print("after", flush=True)
    assert capfd.readouterr() == ("before\nafter\n", "[Gloo] Rank 0 is connected\n")


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


@pytest.mark.parametrize(("began", "found"), [(1, 2), (2, 1), (2, 3)])
def test_going_on_with_another_number_of_processes_is_refused_with_the_command_that_is_right(tmp_path, began, found):
    state = {"random_of_others": [{}] * (began - 1)}
    with pytest.raises(
        CheckpointError, match=f"as many processes as the run began with, {began}, found {found}; go"
    ) as e:
        refuse_other_processes(RunFolder(tmp_path), state, found)
    assert ("torchrun --standalone --nproc_per_node=2 -m fer_edge train --resume" in str(e.value)) == (began == 2)
    refuse_other_processes(RunFolder(tmp_path), state, began)


def test_a_checkpoint_of_before_each_process_had_a_state_is_gone_on_with_by_any_number(tmp_path):
    for count in (1, 2):
        refuse_other_processes(RunFolder(tmp_path), {"random": {}}, count)
