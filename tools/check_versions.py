"""Runs the tests with the lowest versions that pyproject.toml allows, or with the newest: benchmarks/results/versions/.

python tools/check_versions.py lowest|newest [--python PYTHON] [--only FOLDER ...]

An environment is made in .floors/ by uv, which resolves either way; where torch comes from the package index it brings
CUDA's libraries, 6 GB on Linux x86-64. The tests run one folder at a time, each result is written at once, and a later
call goes on where one was stopped, unless pyproject.toml has changed since. --only runs the folders it names again.
"""

import argparse
import json
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / ".floors"
RESULTS = ROOT / "benchmarks" / "results" / "versions"
TESTS = ROOT / "tests"
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}
KINDS = ("passed", "failed", "skipped")
UV = (sys.executable, "-m", "uv")
_MACHINE = "from fer_edge.runtime.machine import available_cores, processor_name"
EXTRAS = "dev,fetch"
"""All of them: 'dev' has the others."""
LEFT_OUT = {
    "web": "they drive a browser, whose onnxruntime npm brings",
    "devices": "they bring their own onnxruntimes and emulators",
}
"""Folders of tests that do not run here, and why."""
ITS_OWN = "tests/docs/test_versions.py"
"""Compares what this writes with pyproject.toml, so it cannot run before."""
TOP = "tests"
"""How the tests outside any folder are called."""


def folders() -> list[str]:
    """Names of the test folders that run, TOP first."""
    found = {path.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/test_*.py")}
    return [TOP, *sorted(found - set(LEFT_OUT))]


def words(*command: object) -> str:
    """What a command prints. Raises CalledProcessError where it fails."""
    return subprocess.run([*map(str, command)], cwd=ROOT, check=True, encoding="utf-8", stdout=subprocess.PIPE).stdout


def install(name: str, python: str) -> Path:
    """The interpreter of a fresh environment with everything at its lowest, or at its newest."""
    folder = ENVIRONMENTS / name
    # --seed: some tests call pip
    words(*UV, "venv", "--quiet", "--clear", "--seed", "--python", python, folder)
    interpreter = folder / "bin" / "python"
    # Bytecode, as pip writes it: torch without it takes each process that a test starts several seconds longer.
    install_into = [*UV, "pip", "install", "--quiet", "--compile-bytecode", "--python", interpreter]
    words(*install_into, "--resolution", RESOLUTIONS[name], "--editable", f".[{EXTRAS}]")
    return interpreter


def begin(name: str, python: str) -> dict[str, Any]:
    """The record of a fresh environment in which no test has run."""
    interpreter = install(name, python)

    def said_by(code: str) -> str:
        return words(interpreter, "-c", code).strip()

    listed = json.loads(words(*UV, "pip", "list", "--python", interpreter, "--format=json"))
    packages = {one["name"]: one["version"] for one in listed if one["name"] not in ("fer-edge", "pip")}
    return {
        "environment": name,
        "resolution": RESOLUTIONS[name],
        "asked_for": asked_for(),
        "python": said_by("import platform; print(platform.python_version())"),
        "machine": said_by(f"{_MACHINE}; print(f'{{processor_name()}}, {{available_cores()}} cores')"),
        "packages": packages,
        "left_out": LEFT_OUT,
        "tests": {},
    }


def asked_for() -> dict[str, str]:
    """What pyproject.toml asks for by package; the ranges of a package that it names twice are joined."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    found: dict[str, str] = {}
    for requirement in map(Requirement, [*project["dependencies"], *(one for extra in extras for one in extra)]):
        name = canonicalize_name(requirement.name)
        if name != "fer-edge":
            found[name] = ",".join(filter(None, [found.get(name), str(requirement.specifier)]))
    return found


def run_folder(name: str, folder: str) -> dict[str, Any]:
    """Counts and failures of one folder of tests. Raises SystemExit where pytest could not run it."""
    report = ENVIRONMENTS / f"{name}-{folder}.xml"
    report.unlink(missing_ok=True)
    paths = sorted(TESTS.glob("test_*.py")) if folder == TOP else [TESTS / folder]
    with (ENVIRONMENTS / f"{name}-{folder}.log").open("w", encoding="utf-8") as log:
        done = subprocess.run(
            [
                *(ENVIRONMENTS / name / "bin" / "python", "-m", "pytest", "-n", "1", "-q", f"--junitxml={report}"),
                f"--ignore={ITS_OWN}",
                *(path.relative_to(ROOT) for path in paths),
            ],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if not report.exists() or done.returncode not in (0, 1):
        raise SystemExit(f"error: {folder}: expected tests that ran, found exit code {done.returncode}; see {log.name}")
    return {**counts(report), "commit": commit()}


def counts(report: Path) -> dict[str, Any]:
    """Of a JUnit report: how many passed, failed and were skipped, and which failed."""
    passed, skipped, failures = 0, 0, []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failures.append(f"{case.get('classname')}::{case.get('name')}")
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return {"passed": passed, "failed": len(failures), "skipped": skipped, "failures": sorted(set(failures))}


def commit() -> str:
    """The checkout's, with a + where files differ from it."""
    changed = words("git", "status", "--porcelain", "--untracked-files=no").strip()
    return words("git", "rev-parse", "--short=10", "HEAD").strip() + ("+" if changed else "")


def total(record: dict[str, Any], kind: str) -> int:
    """Over all folders of tests."""
    return sum(one[kind] for one in record["tests"].values())


def markdown(records: list[dict[str, Any]]) -> str:
    """The records side by side, for people: what ran, and each package that pyproject.toml names."""
    heads = [f"{one['environment']}" for one in records]
    rows = [
        ("Python", *(one["python"] for one in records)),
        *((f"tests {kind}", *(str(total(one, kind)) for one in records)) for kind in KINDS),
        ("date", *(one["date"] for one in records)),
        *(
            (package, *(one["packages"].get(package, "") for one in records))
            for package in dict.fromkeys(name for one in records for name in one["asked_for"])
        ),
    ]
    left_out = "; ".join(f"`tests/{name}`: {why}" for name, why in LEFT_OUT.items())
    failures = [
        f"* {one['environment']}: `{test}`"
        for one in records
        for part in one["tests"].values()
        for test in part["failures"]
    ]
    return "\n".join(
        [
            "# The lowest and the newest versions",
            "",
            "The tests in an environment of the lowest version of each package that `pyproject.toml` allows",
            "(`make floors`), and in one of the newest (`make newest`), as uv resolves them. What these packages need",
            "in turn is at its newest in both; the JSON files beside this one name it.",
            "",
            f"| | {' | '.join(heads)} |",
            "|---" * (1 + len(heads)) + "|",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            f"Left out: {left_out}.",
            "",
            f"Machine: {'; '.join(dict.fromkeys(one['machine'] for one in records))}.",
            "",
            *failures,
            *([""] if failures else []),
        ]
    )


def write(record: dict[str, Any]) -> None:
    """The record, and the page of all records there are."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    record["date"] = datetime.now(UTC).strftime("%Y-%m-%d")
    (RESULTS / f"{record['environment']}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    there = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    (RESULTS / "versions.md").write_text(markdown(there), encoding="utf-8")


def main(arguments: Iterable[str] | None = None) -> None:
    """Make the environment where it is not yet, and run what has not run in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", choices=RESOLUTIONS)
    parser.add_argument("--python", default="python3", help="the interpreter")
    parser.add_argument("--only", nargs="+", default=[], choices=folders(), metavar="FOLDER", help="run these again")
    options = parser.parse_args(arguments if arguments is None else list(arguments))
    name: str = options.environment
    ENVIRONMENTS.mkdir(exist_ok=True)
    kept = ENVIRONMENTS / f"{name}.json"  # what was found in this very environment, unlike the committed result
    record = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if record.get("asked_for") != asked_for() or not (ENVIRONMENTS / name).exists():
        record = begin(name, options.python)
        kept.write_text(json.dumps(record), encoding="utf-8")
    for folder in options.only or [one for one in folders() if one not in record["tests"]]:
        record["tests"][folder] = found = run_folder(name, folder)
        print(
            f"{name} {folder}: {found['passed']} passed, {found['failed']} failed, {found['skipped']} skipped",
            flush=True,
        )
        kept.write_text(json.dumps(record), encoding="utf-8")
        write(record)
    print(f"wrote {RESULTS.relative_to(ROOT) / f'{name}.json'}")
    if total(record, "failed"):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
