"""Cores under a container's quota, in trees of files as the kernel shows them."""

import os
from pathlib import Path

import onnxruntime
import pytest

from fer_edge.runtime import cores
from fer_edge.runtime.cores import available_cores, cpu_quota, default_threads
from fer_edge.runtime.session import session_options

V2 = "30 24 0:27 {root} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "33 32 0:30 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "34 32 0:31 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


def tree(folder: Path, group: str, mounts: str, files: dict[str, str]) -> Path:
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "self" / "cgroup").write_text(group)
    (folder / "proc" / "self" / "mountinfo").write_text("24 1 8:1 / / rw - ext4 /dev/sda rw\n" + mounts)
    for name, text in files.items():
        path = folder / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("group", "root", "files", "expected"),
    [
        ("0::/\n", "/", {"cpu.max": "200000 100000\n"}, 2.0),  # in a container with a namespace of its own
        ("0::/\n", "/", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", "/", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", "/", {}, None),
        ("0::/a/b\n", "/", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "50000 100000\n"}, 0.5),  # the group above
        ("0::/a/b\n", "/", {"a/b/cpu.max": "100000 100000\n", "a/cpu.max": "400000 100000\n"}, 1.0),
        ("0::/kubepods/pod/x\n", "/kubepods/pod/x", {"cpu.max": "300000 100000\n"}, 3.0),  # mounted from the group on
        ("0::/../../other\n", "/", {"cpu.max": "300000 100000\n"}, 3.0),  # outside the namespace
        ("0::/my x\n", r"/my\040x", {"cpu.max": "200000 100000\n"}, 2.0),  # as mountinfo writes a blank
        ("0::/\n", "/", {"cpu.max": f"{'9' * 400} 1\n"}, None),
        ("0::/\n", "/", {"cpu.max": "nonsense\n"}, None),
        ("0::/\n", "/", {"cpu.max": "100000 0\n"}, None),
    ],
)
def test_version_2(tmp_path: Path, group: str, root: str, files: dict[str, str], expected: float | None) -> None:
    assert cpu_quota(tree(tmp_path, group, V2.format(root=root), files)) == expected


def quota_v1(folder: str, quota: int, period: int = 100000) -> dict[str, str]:
    return {
        f"cpu,cpuacct/{folder}cpu.cfs_quota_us": f"{quota}\n",
        f"cpu,cpuacct/{folder}cpu.cfs_period_us": f"{period}\n",
    }


@pytest.mark.parametrize(
    ("root", "files", "expected"),
    [
        ("/docker/abc", quota_v1("", 250000), 2.5),  # mounted from the container's group on, as docker does
        ("/", quota_v1("docker/abc/", 50000), 0.5),
        ("/", quota_v1("docker/abc/", -1) | quota_v1("docker/", 600000, 200000), 3.0),
        ("/docker/abc", quota_v1("", -1), None),
        ("/elsewhere", quota_v1("", 100000), 1.0),
    ],
)
def test_version_1(tmp_path: Path, root: str, files: dict[str, str], expected: float | None) -> None:
    group = "9:memory:/other\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"
    assert cpu_quota(tree(tmp_path, group, V1.format(root=root), files)) == expected


def test_both_versions_mounted_together_count_both(tmp_path: Path) -> None:
    files = quota_v1("docker/abc/", 400000) | {"cpu.max": "max 100000\n"}
    group = "4:cpu,cpuacct:/docker/abc\n0::/\n"
    assert cpu_quota(tree(tmp_path, group, (V1 + V2).format(root="/"), files)) == 4.0


def test_no_control_groups_are_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("quota", "expected"), [(0.2, 1), (1.0, 1), (1.5, 2), (2.0, 2), (7.1, 8), (64.0, 8), (None, 8)]
)
def test_fractions_are_rounded_up_and_cores_remain_a_bound(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(cores, "_quota_of_this_process", lambda: quota)
    assert available_cores() == expected
    assert default_threads() == (0 if expected == 8 else expected)
    assert session_options().intra_op_num_threads == default_threads()
    assert session_options(5).intra_op_num_threads == 5


def test_affinity_bounds_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(cores, "_quota_of_this_process", lambda: None)
    assert session_options().intra_op_num_threads == 2


def test_quota_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    cores._quota_of_this_process.cache_clear()
    monkeypatch.setattr(cores, "cpu_quota", lambda: reads.append(1))
    for _ in range(3):
        available_cores()
    assert reads == [1]
    cores._quota_of_this_process.cache_clear()


def test_onnxruntime_takes_the_number(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_quota_of_this_process", lambda: 1.0)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    session = onnxruntime.InferenceSession(
        tiny_model.read_bytes(), session_options(), providers=["CPUExecutionProvider"]
    )
    assert session.get_session_options().intra_op_num_threads == 1
