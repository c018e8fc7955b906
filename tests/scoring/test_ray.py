"""The engine ray on a cluster of two nodes on this machine: the rows of the local engine, though a worker and then a
whole node are killed.

One cluster and few runs: each takes seconds to start.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from calibrated_model import calibrated_copy
from PIL import Image
from score_process import started

# Before ray is imported: no statistics are sent, and everything stays on the loopback (the name is Ray's own).
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
pytest.importorskip("ray", reason="fer-edge[ray] is not installed")

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

NUM_FACES = 48

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="finds Ray's processes in /proc")]


@pytest.fixture(scope="module")
def cluster() -> "Iterator[Cluster]":
    """Two nodes with a core each, on the loopback, without dashboard and usage statistics.

    Of nodes of one address a driver attaches to the head, which stays.
    """
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 2**28}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that take long enough to be killed over, a text and a name that is no UTF-8 among them."""
    folder = tmp_path_factory.mktemp("ray") / "faces"
    folder.mkdir()
    Image.effect_noise((1500, 1500), 60).save(folder / "000.jpg", quality=90)
    for number in range(1, NUM_FACES):
        os.link(folder / "000.jpg", folder / f"{number:03d}.jpg")
    os.link(folder / "000.jpg", os.fsencode(folder) + b"/caf\xe9.jpg")
    (folder / "text.png").write_text("hello")
    return folder


@pytest.fixture(scope="module")
def tiny(tiny: str, drawn: list[Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Calibrated: its rows have every column that there is."""
    return calibrated_copy(Path(tiny), drawn, tmp_path_factory.mktemp("calibrated"))


@pytest.fixture(scope="module")
def whole(faces: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the local engine writes."""
    from fer_edge.scoring import ScoreRequest, score

    out = tmp_path_factory.mktemp("local") / "results"
    score(ScoreRequest(source=str(faces), out=str(out), model=tiny, workers=2, rows=4))
    return out


def actors(raylet: int) -> list[int]:
    """Processes of the node of ``raylet`` that hold a session."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            is_actor = (process / "cmdline").read_bytes().startswith((b"ray::MapWorker", b"ray::_MapWorker"))
            if is_actor and int((process / "stat").read_text().rpartition(")")[2].split()[1]) == raylet:
                found.append(int(process.name))
    return found


def chunks_begun(out: Path) -> int:
    return sum(1 for _ in out.glob("_ray/tries/*"))


def parts(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.parquet")}


def test_rows_are_those_of_the_local_engine_though_a_worker_and_then_a_node_are_killed(
    faces: Path, whole: Path, tiny: str, cluster: "Cluster", repository: Path, tmp_path: Path
) -> None:
    from fer_edge.scoring import ScoreRequest, score

    out = tmp_path / "out"
    (second,) = cluster.worker_nodes
    stays, goes = (node.all_processes["raylet"][0].process for node in (cluster.head_node, second))
    with started(repository, faces, out, tiny, "--engine", "ray", "--address", cluster.address) as process:
        while not (killed := actors(stays.pid)[:1]) and process.poll() is None:
            time.sleep(0.02)
        for actor in killed:
            os.kill(actor, signal.SIGKILL)
        while not (begun := chunks_begun(out)) and process.poll() is None:
            time.sleep(0.02)
        goes.kill()  # the processes of its node end with it
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert len(killed) == 1
    assert 0 < begun < len(parts(whole))  # in the middle of the work
    told = json.loads(output)
    assert (told["rows"], told["errors"], told["engine"], told["workers"]) == (NUM_FACES + 2, 1, "ray", 2)
    assert parts(out) == parts(whole)  # byte by byte
    assert {path.name for path in out.iterdir()} - parts(out).keys() == {"_score.json", "_score.lock"}
    report = score(ScoreRequest(source=str(faces), out=str(out), model=tiny, workers=1, rows=4))
    assert report.rows == report.rows_before == told["rows"]  # the other engine finds nothing left to do


def test_what_a_killed_driver_left_in_the_stage_is_taken_over(whole: Path, tmp_path: Path, tiny: str) -> None:
    import pyarrow.parquet as pq

    from fer_edge.scoring.columns import schema_of
    from fer_edge.scoring.items import Chunk, Item
    from fer_edge.scoring.ray_engine import RayEngine
    from fer_edge.scoring.request import ScoreRequest
    from fer_edge.scoring.results import ResultsFolder
    from fer_edge.scoring.run import _checked_model, _settings

    request = ScoreRequest(source="", out=str(tmp_path / "out"), model=tiny, engine="ray")
    model, labels, _ = _checked_model(request)
    schema = schema_of(labels, _settings(model, labels), is_calibrated=True)
    name = min(parts(whole))
    digest = name.removesuffix(".parquet").rpartition("-")[2]
    table = pq.read_table(whole / name).replace_schema_metadata(None)
    stage = tmp_path / "out" / "_ray" / f"part={digest}"
    stage.mkdir(parents=True)
    (stage / "a.parquet").write_bytes(b"PAR1 cut off")
    chunk = Chunk(0, digest, [Item(path, path, "") for path in table.column("path").to_pylist()])
    with ResultsFolder(str(tmp_path / "new")) as results:
        results.where = str(tmp_path / "out")
        results._path = tmp_path / "out"
        engine = RayEngine(request, model, schema, results)
        assert engine._taken_over(chunk) is None
        pq.write_table(table.rename_columns([f"c{at}" for at in range(table.num_columns)]), stage / "b.parquet")
        assert engine._taken_over(chunk._replace(items=chunk.items[1:])) is None
        assert engine._taken_over(chunk) is not None
    assert parts(tmp_path / "out") == {name: parts(whole)[name]}


def test_no_cluster_at_the_address_is_one_line(faces: Path, tiny: str, repository: Path, tmp_path: Path) -> None:
    with started(repository, faces, tmp_path / "out", tiny, "--engine", "ray", "--address", "127.0.0.1:9") as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    (line,) = errors.splitlines()
    assert "expected a Ray cluster, found none" in line


def test_an_address_that_turns_us_away_is_told_with_what_a_token_needs(
    faces: Path, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from fer_edge.scoring import ScoreRequest, score
    from fer_edge.scoring.ray_engine import RayError

    def refuse(**options: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster at 127.0.0.1")  # what Ray 2.60 says for a missing token

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    request = ScoreRequest(source=str(faces), out=str(tmp_path), model=tiny, engine="ray", address="auto")
    with pytest.raises(RayError, match=r"Failed to connect .*; if it asks for a token .* set RAY_AUTH_MODE=token"):
        score(request)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(RayError, match=r"Failed to connect to Ray cluster at 127\.0\.0\.1$"):
        score(request)
