"""Runs the tests with the lowest versions that pyproject.toml allows, or with the newest: benchmarks/results/versions/.

python tools/check_versions.py lowest|newest [--python PYTHON] [--only FILE_OR_FOLDER ...]

An environment is made in .floors/ by uv, which resolves either way; where torch comes from the package index it brings
CUDA's libraries, 6 GB on Linux x86-64. The tests run one file at a time, each result is written at once, and a later
call goes on where one was stopped, unless pyproject.toml has changed since; then what ran with the same versions is
kept where packages were only added. --only runs what it names, also once more.
"""

import argparse
import json
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
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
RAN = (0, 1, 5)
"""pytest's exit codes of tests that passed, some that failed, and a file that is skipped as a whole."""
KINDS = ("passed", "failed", "skipped")
UV = (sys.executable, "-m", "uv")
_MACHINE = "from fer_edge.runtime.cores import available_cores; from fer_edge.runtime.machine import processor_name"
EXTRAS = "dev,fetch"
"""All but those that are APART: 'dev' has the others."""
APART = {
    "executorch": "530 MB; each release is built for one release of torch",
    "litert": "what writes its files is apart",
    "litert-export": "1.1 GB, and typing_extensions below 4.13, which others need above it",
}
"""Extras that are not installed here, and why. 'make formats' runs their tests, with the versions of constraints.txt,
which are the lowest that are declared."""
LEFT_OUT = {
    "web": "they drive a browser, whose onnxruntime npm brings",
    "devices": "they bring their own onnxruntimes and emulators",
}
"""Folders of tests that do not run here, and why."""
ITS_OWN = "docs/test_declared_versions.py"
"""Compares what this writes with pyproject.toml, so it cannot run before."""


def test_files() -> list[str]:
    """Those that run, relative to tests/, in the order in which they do."""
    found = (path.relative_to(TESTS) for path in sorted(TESTS.rglob("test_*.py")))
    return [path.as_posix() for path in found if path.parts[0] not in LEFT_OUT and path.as_posix() != ITS_OWN]


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
    python_version = said_by("import platform; print(platform.python_version())")
    packages = {one["name"]: one["version"] for one in listed if one["name"] not in ("fer-edge", "pip")}
    return {
        "environment": name,
        "resolution": RESOLUTIONS[name],
        "asked_for": asked_for(),
        "python": python_version,
        "machine": said_by(f"{_MACHINE}; print(f'{{processor_name()}}, {{available_cores()}} cores')"),
        "packages": packages,
        "left_out": LEFT_OUT,
        "tests": still_true(name, python_version, packages),
    }


def still_true(name: str, python: str, packages: dict[str, str]) -> dict[str, Any]:
    """The committed results by file of tests, each with its commit, where the environment had the same packages.

    One that has others beside them keeps them: a new package changes nothing for tests that ran without it.
    """
    committed = RESULTS / f"{name}.json"
    earlier = (
        json.loads(committed.read_text(encoding="utf-8")) if committed.exists() else {"packages": {}, "python": ""}
    )
    if earlier["python"] != python or not earlier["packages"].items() <= packages.items():
        return {}
    return {file: one for file, one in earlier["tests"].items() if file in test_files()}


def asked_for() -> dict[str, str]:
    """What pyproject.toml asks for by package; the ranges of a package that it names twice are joined."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [packages for extra, packages in project["optional-dependencies"].items() if extra not in APART]
    found: dict[str, str] = {}
    for requirement in map(Requirement, [*project["dependencies"], *(one for extra in extras for one in extra)]):
        name = canonicalize_name(requirement.name)
        if name != "fer-edge":
            found[name] = ",".join(filter(None, [found.get(name), str(requirement.specifier)]))
    return found


def run_file(name: str, file: str) -> dict[str, Any]:
    """Counts and failures of one file of tests. Raises SystemExit where pytest could not run it."""
    report = ENVIRONMENTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    command = [ENVIRONMENTS / name / "bin" / "python", "-m", "pytest", "-q", f"--junitxml={report}", TESTS / file]
    with (ENVIRONMENTS / f"{name}-{file.replace('/', '-')}.log").open("w", encoding="utf-8") as log:
        done = subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False)
    if not report.exists() or done.returncode not in RAN:
        raise SystemExit(f"error: {file}: expected tests that ran, found exit code {done.returncode}; see {log.name}")
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
    return {
        **{"passed": passed, "failed": len(failures), "skipped": skipped},
        **({"failures": sorted(failures)} if failures else {}),
    }


def commit() -> str:
    """The checkout's, with a + where files differ from it."""
    changed = words("git", "status", "--porcelain", "--untracked-files=no").strip()
    return words("git", "rev-parse", "--short=10", "HEAD").strip() + ("+" if changed else "")


def total(record: dict[str, Any], kind: str) -> int:
    """Over all files of tests."""
    return sum(one[kind] for one in record["tests"].values())


def markdown(records: list[dict[str, Any]]) -> str:
    """The records side by side, for people: what ran, and each package that pyproject.toml names."""
    heads = [f"{one['environment']}" for one in records]
    rows = [
        ("Python", *(one["python"] for one in records)),
        ("files of tests", *(f"{len(one['tests'])} of {len(one['tests']) + len(one['not_run'])}" for one in records)),
        *((f"tests {kind}", *(str(total(one, kind)) for one in records)) for kind in KINDS),
        ("date", *(one["date"] for one in records)),
        *(
            (package, *(one["packages"].get(package, "") for one in records))
            for package in dict.fromkeys(name for one in records for name in one["asked_for"])
        ),
    ]
    left_out = "; ".join(f"`tests/{name}`: {why}" for name, why in LEFT_OUT.items())
    apart = "; ".join(f"`{name}`: {why}" for name, why in APART.items())
    failures = [
        f"* failed with the {one['environment']}: `{test}`"
        for one in records
        for part in one["tests"].values()
        for test in part.get("failures", ())
    ]
    not_run = [
        f"* not run with the {one['environment']}: {', '.join(one['not_run'])}" for one in records if one["not_run"]
    ]
    remarks = [*failures, *not_run]
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
            "The lowest onnxruntime is that of the extra `train`. From the base install's on, the first and the last",
            "release of each minor one ran the shipped models ([results](../onnxruntime_versions.json)).",
            "",
            f"Left out: {left_out}.",
            "",
            f"Extras with an environment of their own (`make formats`): {apart}.",
            "",
            f"Machine: {'; '.join(dict.fromkeys(one['machine'] for one in records))}.",
            "",
            *remarks,
            *([""] if remarks else []),
        ]
    )


def write(record: dict[str, Any]) -> None:
    """The record, and the page of all records there are."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    record["not_run"] = [file for file in test_files() if file not in record["tests"]]
    record["date"] = datetime.now(UTC).strftime("%Y-%m-%d")
    (RESULTS / f"{record['environment']}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    there = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    (RESULTS / "versions.md").write_text(markdown(there), encoding="utf-8")


def main() -> None:
    """Make the environment where it is not yet, and run what has not run in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", choices=RESOLUTIONS)
    parser.add_argument("--python", default="python3", help="the interpreter")
    parser.add_argument("--only", nargs="+", metavar="PATH", help="below tests/, to run again")
    options = parser.parse_args()
    name: str = options.environment
    ENVIRONMENTS.mkdir(exist_ok=True)
    kept = ENVIRONMENTS / f"{name}.json"  # what was found in this very environment, unlike the committed result
    record = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if record.get("asked_for") != asked_for() or not (ENVIRONMENTS / name).exists():
        record = begin(name, options.python)
        kept.write_text(json.dumps(record), encoding="utf-8")
    if options.only:
        wanted = {TESTS / one for one in options.only}
        files = [file for file in test_files() if wanted & {TESTS / file, *(TESTS / file).parents}]
    else:
        files = [file for file in test_files() if file not in record["tests"]]
    for file in files:
        record["tests"][file] = found = run_file(name, file)
        print(name, file, *(f"{found[kind]} {kind}" for kind in KINDS), flush=True)
        kept.write_text(json.dumps(record), encoding="utf-8")
        write(record)
    print(f"wrote {RESULTS.relative_to(ROOT) / f'{name}.json'}")
    if total(record, "failed"):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
