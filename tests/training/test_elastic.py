"""Processes that die under torchrun: it starts them again, and the run comes to its end."""

import csv
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from fer_edge.training.checkpoint import read_checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the processes of a run in Linux's /proc"),
]
PROBE = Path(__file__).with_name("elastic_probe.py")
EPOCHS, EPOCHS_OF_PROBE = 8, 16
"""A second or two: long enough to be killed in. The probe's network is smaller."""
KILLED_AFTER = 2
"""Epochs."""
TIMINGS = {"images_per_second", "seconds"}


def torchrun(repository, arguments, log, *options, **variables):
    """A torchrun in a session of its own, what it says in ``log``."""
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *options, *map(str, arguments)],
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1", **variables},
        start_new_session=True,
    )


def train_command(folder):
    """What docs/training.md shows, on drawn faces; the network has batch norm."""
    settings = ["--data", "sample:420", "--architecture", "tiny", "--weights", "none", "--precision", "fp32"]
    settings += ["--epochs", EPOCHS, "--batch-size", "64", "--device", "cpu", "--threads", "1"]
    return ["-m", "fer_edge", "train", *settings, "--runs", folder, "--name", "run"]


def workers(parent):
    """Process numbers of the workers of the torchrun ``parent``, by their ranks."""
    found = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with suppress(OSError, ValueError, IndexError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) != parent:
                continue
            variables = dict(one.partition("=")[::2] for one in (process / "environ").read_text().split("\0"))
            if "RANK" in variables:
                found[int(variables["RANK"])] = int(process.name)
    return found


def history_of(run):
    """Rows of the history so far; none before the first."""
    try:
        with (run / "history.csv").open() as stream:
            return list(csv.DictReader(stream))
    except OSError:
        return []


def until(condition, process, log, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.01)


def ended_well(process, log):
    try:
        assert process.wait(timeout=90) == 0, log.read_text()[-3000:]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return log.read_text()


def figures(run):
    return [{name: float(value) for name, value in row.items() if name not in TIMINGS} for row in history_of(run)]


def test_a_killed_process_is_started_again_and_the_run_ends_with_the_weights_of_one_that_was_left_alone(
    repository, tmp_path
):
    started = {}
    for name, options in (("killed", ("--max-restarts=1",)), ("alone", ())):  # at the same time: most of it is starting
        run, log = tmp_path / name / "run", tmp_path / f"{name}.log"
        process = torchrun(repository, train_command(run.parent), log, "--standalone", "--nproc_per_node=2", *options)
        started[name] = process, run, log
    process, run, log = started["killed"]
    until(lambda: len(history_of(run)) >= KILLED_AFTER, process, log)
    os.kill(workers(process.pid)[1], signal.SIGKILL)
    assert len(history_of(run)) < EPOCHS
    ends = {}
    for name in ("alone", "killed"):
        process, run, log = started[name]
        text = ended_well(process, log)
        ends[name] = (read_checkpoint(run / "checkpoints" / "last.pt"), figures(run), text)
    (alone, rows, _), (killed, rows_of_killed, said) = ends.values()
    assert "going on with" in said
    assert len(re.findall("epoch +1/", said)) == 1  # it did not begin again
    for part in ("model", "random"):
        for key, value in alone[part].items():
            assert torch.equal(value, killed[part][key]) if torch.is_tensor(value) else value == killed[part][key], key
    assert rows == rows_of_killed
    assert len(rows) == EPOCHS
    assert killed["record"]["process_changes"] == []


def test_where_a_machine_is_lost_the_other_goes_on_with_the_same_batch_and_says_so(repository, tmp_path):
    """Two torchruns of one job, as on two machines; one is killed with its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    alone, run = tmp_path / "alone", tmp_path / "run"
    # One process takes the steps of two where there is no batch norm (test_distributed.py).
    undisturbed = subprocess.Popen(
        [sys.executable, PROBE, alone, str(EPOCHS_OF_PROBE)],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"},
    )

    agents = []
    timeouts = "last_call_timeout=4,keep_alive_interval=1,keep_alive_max_attempt=3"  # seconds: not 30 and 15
    for number in range(2):
        options = ["--nnodes=1:2", "--nproc_per_node=1", "--max-restarts=3", "--rdzv_id=job-7", "--rdzv_backend=c10d"]
        options += [f"--rdzv_endpoint=127.0.0.1:{port}", "--local_addr=127.0.0.1"]
        options += [f"--rdzv_conf=is_host={1 - number},{timeouts}"]
        log = tmp_path / f"agent{number}.log"
        variables = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
        agents.append((torchrun(repository, [PROBE, run, EPOCHS_OF_PROBE], log, *options, **variables), log))
    (first, log), (second, log_of_second) = agents
    until(lambda: len(history_of(run)) >= KILLED_AFTER, first, log)
    (worker,) = workers(second.pid).values()
    for number in (second.pid, worker):
        os.kill(number, signal.SIGKILL)
    second.wait()
    assert len(history_of(run)) < EPOCHS_OF_PROBE
    said = ended_well(first, log)
    changed = (
        "on 1 process instead of 2: batches of 64 and the learning rate stay, each process takes 2 parts of 32 faces"
    )
    assert changed in " ".join((said + log_of_second.read_text()).split())
    (noted,) = read_checkpoint(run / "checkpoints" / "last.pt")["record"]["process_changes"]
    assert changed in noted
    assert noted in (run / "config.json").read_text()

    assert undisturbed.wait(timeout=90) == 0
    for expected, found in zip(figures(alone), figures(run), strict=True):
        assert found["steps"] == expected["steps"]
        assert found["lr"] == expected["lr"]
        assert found["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-3)
        assert found["validation_loss"] == pytest.approx(expected["validation_loss"], rel=1e-3)
