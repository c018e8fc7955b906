import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fer_edge.labels import FER2013
from fer_edge.runtime.shipped import default_model


@pytest.fixture
def model(repository: Path) -> str:
    return str(repository / "tests" / "fixtures" / "tiny.onnx")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images of two sizes, one of them in a folder below."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    generator = np.random.default_rng(1)
    for name, size in (("a.png", 30), ("b.jpg", 40), ("more/c.png", 30)):
        Image.fromarray(generator.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(folder / name)
    return folder


def run(repository: Path, *arguments: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[Any]:
    options.setdefault("text", True)
    return subprocess.run(
        [sys.executable, repository / "cli.py", "predict", *arguments], capture_output=True, cwd=cwd, **options
    )


def test_chart_shows_seven_bars_for_each_image(repository: Path, model: str, photos: Path) -> None:
    done = run(repository, str(photos / "a.png"), "--model", model, cwd=photos)
    assert done.returncode == 0, done.stderr
    title, *bars = done.stdout.splitlines()
    assert title.startswith(f"{photos / 'a.png'}: ")
    assert [bar.split()[0] for bar in bars] == list(FER2013.names)
    shares = [float(bar.split()[-1].rstrip("%")) for bar in bars]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    widths = [bar.count("#") for bar in bars]
    assert widths.index(max(widths)) == shares.index(max(shares))
    assert title.split()[-2] == FER2013.names[shares.index(max(shares))]
    assert "\x1b" not in done.stdout
    assert done.stderr == f"model {model} on cpu\n1 image taken as face crop (at most 48 pixels)\n"


def test_json_holds_results_for_files_folders_and_globs(repository: Path, model: str, photos: Path) -> None:
    done = run(repository, "a.png", "more", "*.jpg", "--model", model, "--json", cwd=photos)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["provider"] == "cpu"
    assert found["errors"] == []
    assert [result["source"] for result in found["results"]] == ["a.png", "more/c.png", "b.jpg"]
    for result in found["results"]:
        assert list(result["probabilities"]) == list(FER2013.names)
        assert result["confidence"] == max(result["probabilities"].values())


def test_csv_has_a_row_for_each_image(repository: Path, model: str, photos: Path) -> None:
    done = run(repository, ".", "--model", model, "--csv", "--batch-size", "1", "--threads", "1", cwd=photos)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["source"] for row in rows] == ["a.png", "b.jpg", "more/c.png"]
    assert sum(float(rows[0][label]) for label in FER2013.names) == pytest.approx(1, abs=1e-4)


def test_standard_input_is_one_image(repository: Path, model: str, photos: Path) -> None:
    done = run(
        repository, "-", "--model", model, "--json", cwd=photos, input=(photos / "a.png").read_bytes(), text=False
    )
    assert done.returncode == 0, done.stderr
    from_file = run(repository, "a.png", "--model", model, "--json", cwd=photos)
    (piped,), (read,) = json.loads(done.stdout)["results"], json.loads(from_file.stdout)["results"]
    assert piped["source"] == "<stdin>"
    assert piped["probabilities"] == read["probabilities"]


@pytest.mark.parametrize("output", ["--json", "--csv", "--chart"])
def test_bad_images_are_named_and_the_others_scored(repository: Path, model: str, photos: Path, output: str) -> None:
    (photos / "bad.jpg").write_bytes(b"no image")
    (photos / "cut.tif").write_bytes(damaged_tiff())
    options = ["--model", model] if output == "--chart" else ["--model", model, output]
    done = run(repository, ".", "nowhere.png", "none*", *options, cwd=photos)
    assert done.returncode == 1
    times = 2 if output == "--json" else 1  # among the results and among the images
    assert done.stdout.count("a.png") == done.stdout.count("more/c.png") == times
    note, *errors, labels, summary, last = done.stderr.splitlines()
    assert note == f"model {model} on cpu"
    assert summary == "3 images taken as face crops (at most 48 pixels)"
    assert labels.startswith("3 faces: ")
    assert [error.split(":")[0] for error in errors] == ["bad.jpg", "cut.tif", "nowhere.png", "none*"]
    assert last == "error: 4 of 7 could not be scored (named above); the others were"


def test_where_no_image_is_scored_nothing_is_said_of_others(repository: Path, model: str, photos: Path) -> None:
    (photos / "bad.jpg").write_bytes(b"no image")
    done = run(repository, "bad.jpg", "--model", model, cwd=photos)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: 1 of 1 could not be scored (named above)"


def test_no_picture_replaces_an_image_that_is_read(repository: Path, model: str, photos: Path) -> None:
    kept = photos / "a-faces.jpg"
    Image.new("RGB", (50, 50), "teal").save(kept)
    before = kept.read_bytes()
    done = run(repository, ".", "--model", model, "--out", ".", "--faces", "crop", cwd=photos)
    assert done.returncode == 0, done.stderr
    assert kept.read_bytes() == before
    assert (photos / "a-faces-2.jpg").is_file()


def test_a_picture_that_cannot_be_written_costs_no_other_image(repository: Path, model: str, photos: Path) -> None:
    Image.new("L", (1, 65520), 90).save(photos / "a.png")
    done = run(repository, ".", "--model", model, "--out", "drawn", "--faces", "crop", "--json", cwd=photos)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert [result["source"] for result in found["results"]] == ["b.jpg", "more/c.png"]
    assert "cannot be JPEG; write .png" in found["errors"][0]["error"]


@pytest.mark.parametrize("output", ["--json", "--csv", "--chart"])
def test_a_closed_standard_output_is_an_error(repository: Path, model: str, photos: Path, output: str) -> None:
    options = ["--model", model] if output == "--chart" else ["--model", model, output]
    closed = ["sh", "-c", '"$@" >&-', "sh", sys.executable, str(repository / "cli.py"), "predict", "a.png", *options]
    done = subprocess.run(closed, capture_output=True, text=True, cwd=photos, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: standard output: cannot be written: it is closed"


def test_what_is_said_on_a_closed_stderr_is_not_among_the_results(repository: Path, model: str, photos: Path) -> None:
    words = [sys.executable, str(repository / "cli.py"), "predict", "a.png", "--model", model, "--json"]
    done = subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", *words], capture_output=True, text=True, cwd=photos)
    assert done.returncode == 0
    assert json.loads(done.stdout)["results"]


@pytest.mark.parametrize("how", ["<&-", "0>out"])
def test_a_standard_input_that_gives_nothing_is_one_line(repository: Path, model: str, photos: Path, how: str) -> None:
    command = ["sh", "-c", f'"$@" {how}', "sh", sys.executable, str(repository / "cli.py"), "predict", "-"]
    done = subprocess.run([*command, "--model", model], capture_output=True, text=True, cwd=photos, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1].startswith("<stdin>: ")
    assert done.stderr.splitlines()[2:] == ["error: 1 of 1 could not be scored (named above)"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_wait_for_standard_input_in_one_line(repository: Path, number: int, code: int) -> None:
    command = [sys.executable, str(repository / "cli.py"), "predict", "-"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(bytes(2**20))  # more than a pipe holds: returns when the command is reading
    process.send_signal(number)
    told = process.communicate(timeout=60)[1].decode().splitlines()
    assert process.returncode == code
    assert told[0].startswith("model ")
    assert told[1:] == ["interrupted; nothing more was written"]


@pytest.mark.parametrize("name", ["a" * 300 + ".jpg", "data:image/png;base64," + "A" * 5000])
def test_a_name_that_no_file_can_have_is_one_line(repository: Path, model: str, photos: Path, name: str) -> None:
    done = run(repository, name, "b.jpg", "--model", model, "--csv", cwd=photos)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stdout.count("b.jpg") == 1


def test_letters_that_the_terminal_lacks_are_escaped(repository: Path, model: str, photos: Path) -> None:
    (photos / "a.png").rename(photos / "日本.png")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run(repository, "日本.png", "--model", model, cwd=photos, env=environment)
    assert done.returncode == 0, done.stderr
    assert r"\u65e5\u672c.png" in done.stdout


def damaged_tiff() -> bytes:
    """One about which libtiff has something to say on stderr by itself."""
    stream = io.BytesIO()
    Image.new("L", (50, 50), 90).save(stream, "TIFF", compression="tiff_adobe_deflate")
    return stream.getvalue().replace(b"x\x9c", b"x\x9d")


def test_the_default_model_is_the_shipped_one_wherever_the_command_runs(repository: Path, photos: Path) -> None:
    stderr = run(repository, "a.png", cwd=photos).stderr
    assert stderr.startswith(f"model {default_model()} on cpu\n")


def test_cuda_that_is_not_there_is_an_error_and_auto_says_what_it_chose(
    repository: Path, model: str, photos: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("CUDA is here")
    done = run(repository, "a.png", "--model", model, "--provider", "cuda", cwd=photos)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: expected the provider cuda, found missing: onnxruntime with CUDA (pip")
    assert done.stderr.count("\n") == 1
    done = run(repository, "a.png", "--model", model, "--provider", "auto", cwd=photos)
    assert done.returncode == 0
    assert "auto chose cpu; for cuda is missing: onnxruntime with CUDA" in done.stderr


def test_usage_errors_exit_with_2(repository: Path, photos: Path) -> None:
    assert run(repository, cwd=photos).returncode == 2
    done = run(repository, "a.png", "--json", "--csv", cwd=photos)
    assert done.returncode == 2
    assert "expected one of --json and --csv" in done.stderr
    assert run(repository, "a.png", "--threads", "257", cwd=photos).returncode == 2
    done = run(repository, "-", "a.png", "-", cwd=photos)
    assert done.returncode == 2
    assert "expected - once: standard input is one image" in " ".join(done.stderr.split())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("output", ["--json", "--csv", "--chart"])
def test_a_full_disk_behind_stdout_is_one_line(repository: Path, model: str, photos: Path, output: str) -> None:
    options = ["--model", model] if output == "--chart" else ["--model", model, output]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, repository / "cli.py", "predict", ".", *options],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=photos,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        "error: standard output: cannot be written: the disk is full; free some space"
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("words", ["--help", "--version", "data inspect --help"])
@pytest.mark.parametrize(
    ("sink", "found"), [(">/dev/full", "the disk is full; free some space"), (">&-", "it is closed")]
)
def test_help_that_cannot_be_printed_is_one_line(repository: Path, words: str, sink: str, found: str) -> None:
    command = ["sh", "-c", f'"$@" {sink}', "sh", sys.executable, str(repository / "cli.py"), *words.split()]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, f"error: standard output: cannot be written: {found}\n")


def test_help_has_an_example(repository: Path, photos: Path) -> None:
    assert "cli.py predict party.jpg" in " ".join(run(repository, "--help", cwd=photos).stdout.split())


def test_terminal_gets_coloured_blocks(repository: Path, model: str, photos: Path) -> None:
    import os
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, repository / "cli.py", "predict", "a.png", "--model", model],
        stdout=follower,
        stderr=subprocess.DEVNULL,
        cwd=photos,
        env={**os.environ, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
    )
    os.close(follower)
    shown = b""
    try:
        while piece := os.read(leader, 4096):
            shown += piece
    except OSError:  # how a closed terminal ends on Linux
        pass
    os.close(leader)
    assert process.wait() == 0
    assert "█" in shown.decode()
    assert "\x1b[" in shown.decode()
