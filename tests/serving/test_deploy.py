"""deploy/: what the Containerfile and the manifest start is there, and it runs where nothing can be written."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ROOT = DEPLOY.parent


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    found = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    return {one["kind"]: one for one in found}


@pytest.fixture(scope="module")
def containerfile() -> str:
    return (DEPLOY / "Containerfile").read_text()


def command_of(containerfile: str, name: str) -> list[str]:
    words: list[str] = json.loads(re.findall(rf"^{name} (\[.*\])$", containerfile, re.MULTILINE)[0])
    return words


def options_of_serve() -> set[str]:
    import typer

    from fer_edge.cli import app

    serve = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    return {spelt for one in serve.params for spelt in one.opts}


def paths_of_the_app() -> set[str]:
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from fer_edge.backends import open_model
    from fer_edge.serving import ServedModel, ServerSettings, make_app

    model = ServedModel(open_model(ROOT / "tests/fixtures/tiny.onnx", threads=1), "tiny", max_pixels=100)
    return {one.path for one in make_app(model, ServerSettings()).routes}


def test_the_containerfile_starts_a_command_that_there_is(containerfile: str) -> None:
    entry = command_of(containerfile, "ENTRYPOINT") + command_of(containerfile, "CMD")
    assert entry[:2] == ["fer-edge", "serve"]
    assert {word for word in entry if word.startswith("--")} <= options_of_serve()
    assert re.search(r"^USER 65532:65532$", containerfile, re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(.*)$", containerfile, re.MULTILINE)
    names = [name for line in copied for name in line.split()[:-1]]
    assert [name for name in names if not (ROOT / name).exists()] == []
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    assert ignored[1] == "*"  # all but what is copied
    assert [line[1:] for line in ignored if line.startswith("!")] == names


def test_the_manifest_asks_for_what_the_server_has(documents: dict[str, Any], containerfile: str) -> None:
    spec = documents["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert {word for word in container["args"] if word.startswith("--")} <= options_of_serve()
    entry = command_of(containerfile, "ENTRYPOINT")
    port = int(entry[entry.index("--port") + 1])
    assert [one["containerPort"] for one in container["ports"]] == [port]
    paths = paths_of_the_app()
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in paths
    assert f"'127.0.0.1', {port}" in containerfile
    annotations = documents["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] in paths
    assert annotations["prometheus.io/port"] == str(port)
    token = Path(container["args"][container["args"].index("--token-file") + 1])
    (mount,), (volume,) = container["volumeMounts"], spec["volumes"]
    assert (str(token.parent), mount["name"]) == (mount["mountPath"], volume["name"])
    # The secret that the comment above makes, with the file's name as its key.
    text = (DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")
    assert f"kubectl create secret generic {volume['secret']['secretName']} --from-literal={token.name}=" in text
    (named,) = documents["Service"]["spec"]["ports"]
    assert named["targetPort"] in {one["name"] for one in container["ports"]}
    (rule,) = documents["NetworkPolicy"]["spec"]["ingress"]
    assert [one["port"] for one in rule["ports"]] == [port]
    (client,) = rule["from"]
    assert all(
        f'{key}: "{value}"' in text.split("apiVersion")[0]
        for key, value in client["podSelector"]["matchLabels"].items()
    )
    from fer_edge.serving.settings import ServerSettings

    after = spec["terminationGracePeriodSeconds"] - container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert after > ServerSettings().shutdown_timeout_s


def test_the_manifest_gives_no_right_that_is_not_needed(documents: dict[str, Any]) -> None:
    spec = documents["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert wanted.items() <= container["securityContext"].items()
    assert set(container["resources"]) == {"requests", "limits"}
    policy = documents["NetworkPolicy"]["spec"]
    assert policy["egress"] == []
    labels = documents["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for one in (policy["podSelector"]["matchLabels"], documents["Service"]["spec"]["selector"]):
        assert one == labels


def no_file_can_be_written() -> None:
    import resource  # not on Windows

    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are POSIX")
def test_it_serves_where_no_file_can_be_written(containerfile: str) -> None:
    """And the container's own health check finds it well: with its port put in place of 8000."""
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    model = str(ROOT / "tests" / "fixtures" / "tiny.onnx")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent", "TMPDIR": "/nonexistent"}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), "serve", "--model", model, "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env=environment,
        preexec_fn=no_file_can_be_written,
    )
    try:
        assert process.stdout is not None
        text = ""
        while "}" not in text:
            line = process.stdout.readline()
            assert line, process.communicate()
            text += line
        port = json.loads(text)["url"].rsplit(":", 1)[1]
        check = json.loads(re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", containerfile, re.MULTILINE)[0])
        code = check[2].replace("8000", port).replace("timeout=2", "timeout=20")
        subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
        assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30, capture_output=True).returncode
    finally:
        process.kill()
        process.communicate()


def test_the_record_names_what_checked_deploy_and_the_pages_say_the_same() -> None:
    """benchmarks/deploy.py wrote it: linters and KServe's own classes, which the extras do not bring."""
    record = (ROOT / "benchmarks" / "results" / "deploy.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in record.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 4
    assert [found for *_, found in rows] == ["nothing"] * 4
    checked = {name.split()[0].strip("`"): by for name, by, _ in rows[:2]}
    pages = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("docs/serving.md", "docs/triton.md")}
    assert checked["deploy/Containerfile"] in pages["docs/serving.md"]
    linter, version = checked["deploy/kubernetes.yaml"].split(",")[0].split()
    assert f"{linter} {version} (`--strict`, for Kubernetes 1.37)" in pages["docs/serving.md"]
    assert rows[2][1].rpartition(".")[0] in pages["docs/triton.md"]
