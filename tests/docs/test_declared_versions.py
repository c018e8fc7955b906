"""What pyproject.toml and the workflow say of versions is what benchmarks/results/versions/ says was run."""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def script() -> Any:
    """tools/check_versions.py, which wrote the results."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import check_versions
    finally:
        sys.path.remove(str(ROOT / "tools"))
    return check_versions


@pytest.fixture(scope="module")
def records(script) -> dict[str, Any]:
    return {
        name: json.loads((script.RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in script.RESOLUTIONS
    }


def floors(specifiers: str) -> list[Version]:
    return [Version(one.version) for one in SpecifierSet(specifiers) if one.operator == ">="]


def minor(python: str) -> str:
    return ".".join(python.split(".")[:2])


def test_every_package_ran_at_its_floor(script, records):
    lowest = records["lowest"]["packages"]
    asked_for = script.asked_for()
    assert set(asked_for) > {"torch", "numpy", "onnxruntime", "kagglehub", "pytest"}
    above = {
        name: (lowest.get(name), specifiers)
        for name, specifiers in asked_for.items()
        if lowest.get(name, "0") not in SpecifierSet(f"=={max(floors(specifiers))}.*")  # 4.8 begins with 4.8.0.76
    }
    assert not above, "run: make floors"


def test_packages_that_are_apart_were_tried_at_the_floor_that_they_declare(script):
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    for extra in script.APART:
        packages = map(Requirement, PROJECT["optional-dependencies"][extra])
        own = [one for one in packages if one.name != "fer-edge"]
        assert own, extra
        for one in own:
            assert pinned[one.name] in SpecifierSet(f"=={max(floors(str(one.specifier)))}.*"), one


def test_the_newest_were_within_the_ranges(script, records):
    newest = records["newest"]["packages"]
    assert {
        name for name, wanted in script.asked_for().items() if newest.get(name) not in SpecifierSet(wanted)
    } == set()
    assert any(Version(newest[name]) > Version(records["lowest"]["packages"][name]) for name in ("torch", "numpy"))


def test_all_tests_passed_with_the_lowest_and_the_newest(script, records):
    for name, record in records.items():
        assert {file for file, one in record["tests"].items() if one["failed"]} == set(), name
        assert record["not_run"] == [], name  # of the files of the commit that ran
        assert script.total(record, "passed") > 900, f"run: python tools/check_versions.py {name}"


def test_the_named_pythons_are_those_that_ran(records):
    ran = [minor(records[name]["python"]) for name in ("lowest", "newest")]
    assert PROJECT["requires-python"] == f">={ran[0]}"
    assert PROJECT["classifiers"] == [f"Programming Language :: Python :: {python}" for python in ran]
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    matrix = re.search(r"python: \[(.*)\]", workflow)
    assert matrix
    assert re.findall(r'"([\d.]+)"', matrix[1]) == ran


def test_the_page_shows_the_results(script, records):
    page = (script.RESULTS / "versions.md").read_text(encoding="utf-8")
    assert page == script.markdown([records["lowest"], records["newest"]])


def test_a_failed_or_skipped_test_is_counted_as_such(script, tmp_path):
    report = tmp_path / "report.xml"
    case = '<testcase classname="tests.a" name="{}">{}</testcase>'
    cases = [case.format("good", ""), case.format("left", "<skipped/>"), case.format("bad", "<failure/>")]
    cases += [case.format("broken", "<error/>")]
    report.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>", encoding="utf-8")
    assert script.counts(report) == {
        "passed": 1,
        "failed": 2,
        "skipped": 1,
        "failures": ["tests.a::bad", "tests.a::broken"],
    }


def test_a_package_named_twice_keeps_both_ranges(script):
    runtime = next(one for one in map(Requirement, PROJECT["dependencies"]) if one.name == "onnxruntime")
    both = script.asked_for()["onnxruntime"]
    assert str(runtime.specifier) in both
    assert len(floors(both)) == 2
