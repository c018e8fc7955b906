"""s3:// against moto's server of this machine, by s3fs: what a killed run left is gone on with, and rows are the same.

It runs where moto and s3fs are installed, which no extra brings: ``pip install 'moto[server]' s3fs``.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from score_process import started

pytest.importorskip("moto.server", reason="moto[server] is not installed")
pytest.importorskip("s3fs", reason="s3fs is not installed")

TWO = ("--workers", "2")
COUNT = 60
"""Images of 700 x 700, which take long enough to be killed over."""


@pytest.fixture(scope="module")
def storage() -> Iterator[Any]:
    """The bucket ``faces`` of a server on the loopback, as s3fs sees it; processes that are started find it too."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "FSSPEC_S3_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        system = s3fs.S3FileSystem(endpoint_url=variables["FSSPEC_S3_ENDPOINT_URL"], use_listings_cache=False)
        system.mkdir("faces")
        yield system
    server.stop()


def parts(storage: Any, out: str) -> dict[str, bytes]:
    names = [name for name in storage.ls(out, detail=False) if name.endswith(".parquet")] if storage.exists(out) else []
    return {name.rsplit("/", 1)[1]: storage.cat_file(name) for name in names}


@pytest.mark.skipif(os.name == "nt", reason="kills a group of processes")
def test_a_killed_run_goes_on_in_s3_and_its_rows_are_those_of_one_that_nobody_stopped(
    storage: Any, tiny: str, repository: Path, tmp_path: Path
) -> None:
    from PIL import Image

    Image.effect_noise((700, 700), 60).save(tmp_path / "face.jpg", quality=90)
    data = (tmp_path / "face.jpg").read_bytes()
    for number in range(COUNT):
        storage.pipe_file(f"faces/in/{'ab'[number % 2]}/{number:03d}.jpg", data)
    storage.pipe_file("faces/in/text.png", b"hello")

    with started(repository, "s3://faces/in", "s3://faces/whole", tiny, *TWO) as process:
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert (json.loads(output)["rows"], json.loads(output)["errors"]) == (COUNT + 1, 1)

    with started(repository, "s3://faces/in", "s3://faces/killed", tiny, *TWO) as process:
        until = time.monotonic() + 60
        while len(before := parts(storage, "faces/killed")) < 3:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    with started(repository, "s3://faces/in", "s3://faces/killed", tiny, *TWO) as process:
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert len(before) <= json.loads(output)["rows_before"] < COUNT
    assert parts(storage, "faces/killed") == parts(storage, "faces/whole")  # byte by byte
