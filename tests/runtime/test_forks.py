"""A model that was loaded in one process and is used in others: forked, spawned, pickled, behind a real web server."""

import copy
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from fer_edge import Classifier
from fer_edge.errors import ModelError, ProviderError
from fer_edge.runtime import FaceDetector, loading
from fer_edge.runtime.images import decode_image
from fer_edge.runtime.providers import ProviderChoice

ROOT = Path(__file__).resolve().parents[2]
PHOTO = ROOT / "fer_edge" / "web" / "page" / "example.jpg"

ENOUGH_S = 60
"""For a child that is started by spawn on a busy machine; a hang is for ever."""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PROBE_PHOTO": str(PHOTO)}


@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver", "executor", "inherited"])
@needs_fork
def test_a_loaded_model_answers_alike_in_other_processes(tiny_model: Path, way: str) -> None:
    probe = Path(__file__).with_name("process_probe.py")
    done = subprocess.run(
        [sys.executable, str(probe), way, str(tiny_model), str(PHOTO)],
        capture_output=True,
        encoding="utf-8",
        env=environment(),
        timeout=ENOUGH_S,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("faces") >= 1
    assert found == {"alike": True, "elsewhere": True, "afterwards": True}
    assert done.stderr == ""


IDLE_CHILD = """
import os, sys
from fer_edge import Classifier
from fer_edge.backends import open_model
from fer_edge.runtime.images import decode_image
classifier = Classifier.load(sys.argv[1], threads=2)
backend = open_model(sys.argv[1], threads=2)
expected = classifier.predict_faces(sys.argv[2]).faces
pixels = decode_image(sys.argv[2])[None]
same = backend.run(pixels).probabilities.tolist()
for use in (False, True):
    child = os.fork()
    if child == 0:
        if use:
            found = classifier.predict_faces(sys.argv[2]).faces
            assert [one.probabilities for one in found] == [one.probabilities for one in expected]
            assert backend.run(pixels).probabilities.tolist() == same
        sys.exit(7)  # through the interpreter's end, which destroys what is left
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print("ended")
"""


@needs_fork
def test_a_forked_child_ends_whether_it_used_the_model_or_not(tiny_model: Path) -> None:
    command = [sys.executable, "-c", IDLE_CHILD, str(tiny_model), str(PHOTO)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment(), timeout=ENOUGH_S)
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


def test_copies_are_opened_as_the_original_was(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_model.parent)
    original = Classifier.load(tiny_model.name, threads=1)
    pickled = pickle.dumps(original)
    monkeypatch.chdir(ROOT)  # another process need not work in the same folder
    for one in (pickle.loads(pickled), copy.deepcopy(original)):
        assert one.predict(PHOTO).probabilities == original.predict(PHOTO).probabilities
        assert one._origin == original._origin
    assert len(pickled) < 1000  # a path, not a model


def test_another_file_at_the_path_is_not_taken_for_the_model(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    shutil.copy(tiny_model, path)
    original = Classifier.load(path, threads=1)
    pickled = pickle.dumps(original)
    shutil.copy(ROOT / "exported" / "fer-tiny-int8.onnx", path)
    message = r"model\.onnx: expected the file that was loaded, found that it has changed; load the model again"
    with pytest.raises(ModelError, match=message):
        pickle.loads(pickled)
    original._session.forget()  # as in a child
    with pytest.raises(ModelError, match=message):
        original.predict(PHOTO)


def test_cuda_in_a_forked_child_is_refused_in_one_line(classifier: Classifier) -> None:
    with pytest.raises(ProviderError, match=r"found one forked from a process that uses it.*'spawn'$"):
        loading._open_again(classifier._origin, ProviderChoice("cuda", ""))


def test_detector_is_pickled_by_its_settings() -> None:
    detector = FaceDetector(min_score=0.6, max_overlap=0.4, max_side=320, threads=1)
    found = detector.detect(decode_image(PHOTO))
    again = pickle.loads(pickle.dumps(detector))
    assert again == detector
    assert "_session" not in vars(again)
    assert again.detect(decode_image(PHOTO)) == found != ()


def _answer(url: str, until: float) -> str:
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return str(response.read().decode())
        except OSError:  # it has not bound its port yet
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


@needs_fork
def test_gunicorn_recycles_preloaded_workers_without_an_outage(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn", reason="gunicorn is in the extra dev")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    log = tmp_path / "gunicorn.log"
    options = ["--preload", "-w", "1", "--max-requests", "3", "--graceful-timeout", "8", "-t", "10", "-b", address]
    command = [sys.executable, "-m", "gunicorn", *options, "--chdir", str(Path(__file__).parent), "gunicorn_app:app"]
    with log.open("w") as stream:
        server = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment())
    try:
        url = f"http://{address}/"
        answers, seconds = [_answer(url, time.monotonic() + 30)], []
        for _ in range(8):
            start = time.monotonic()
            answers.append(_answer(url, start + 10))
            seconds.append(time.monotonic() - start)
        start = time.monotonic()
        server.send_signal(signal.SIGTERM)
        server.wait(20)
        assert time.monotonic() - start < 5, log.read_text()
    finally:
        server.kill()
        server.wait()
    workers = {answer.split()[0] for answer in answers}
    assert len(workers) == 3  # nine answers, three each
    assert len({answer.split(maxsplit=1)[1] for answer in answers}) == 1
    assert max(seconds) < 5, log.read_text()  # a hanging worker is killed after 8
    assert not any(word in log.read_text().lower() for word in ("timeout", "sigkill", "sigabrt", "traceback"))


@pytest.mark.parametrize("code", [0, 4])
def test_the_interpreter_ends_with_its_own_code_while_daemon_threads_score(tiny_model: Path, code: int) -> None:
    program = (
        "import sys, threading, time\n"
        "from fer_edge import Classifier\n"
        "classifier = Classifier.load(sys.argv[1])\n"
        "def score():\n"
        "    while True: classifier.predict_faces(sys.argv[2])\n"
        "for _ in range(3): threading.Thread(target=score, daemon=True).start()\n"
        "time.sleep(0.3)\n"
        "sys.exit(int(sys.argv[3]))"
    )
    words = [sys.executable, "-c", program, str(tiny_model), str(PHOTO), str(code)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=ENOUGH_S, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (code, "")
