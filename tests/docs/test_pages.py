"""Links and pictures of the Markdown files exist, the README's tree names real files, generated pages are current."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def markdown_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout", allow_module_level=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def links(text: str) -> list[str]:
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text))


@pytest.mark.parametrize("page", markdown_files(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_local_links_and_pictures_exist(page: Path) -> None:
    missing = [
        link
        for link in links(page.read_text(encoding="utf-8"))
        if not re.match(r"[a-z]+:|#", link) and not (page.parent / link.split("#")[0]).exists()
    ]
    assert not missing


def tree(text: str) -> list[str]:
    """Paths that the README's tree names."""
    block = re.search(r"## What is where\n+```\n(.*?)```", text, flags=re.DOTALL)
    assert block
    folder, found = "", []
    for line in block[1].splitlines():
        name = line.split()[0]
        if line.startswith("  "):
            found.append(folder + name)
        else:
            folder = name
            found.append(name)
    return found


def test_the_tree_names_real_files_and_every_package() -> None:
    named = tree((ROOT / "README.md").read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []
    packages = {f"fer_edge/{path.parent.name}/" for path in (ROOT / "fer_edge").glob("[!_]*/__init__.py")}
    assert packages <= set(named)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 140


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f"({page})" not in index and page != "README.md"] == []


def script(path: str, monkeypatch: pytest.MonkeyPatch) -> object:
    """A script of the repository as a module."""
    monkeypatch.syspath_prepend(str((ROOT / path).parent))
    spec = importlib.util.spec_from_file_location(f"script_{Path(path).stem}", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_api_page_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torch", "matplotlib"):
        pytest.importorskip(package)
    page = script("tools/api_docs.py", monkeypatch).page()  # type: ignore[attr-defined]
    found = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert found == page, "docs/api.md is not current: python tools/api_docs.py"


def test_history_page_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    history = script("recipes/history.py", monkeypatch)
    page = history.page(history.rows())  # type: ignore[attr-defined]
    assert (ROOT / "recipes" / "history.md").read_text(encoding="utf-8") == page


def test_commands_of_the_history_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    from fer_edge.cli.app import app

    history = script("recipes/history.py", monkeypatch)
    train = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    options = {spelt for one in train.params for spelt in (*one.opts, *one.secondary_opts)}
    for row in history.rows():  # type: ignore[attr-defined]
        words = history.command(row)  # type: ignore[attr-defined]
        assert {word for word in words if word.startswith("--")} <= options


def test_a_page_whose_commands_need_the_repository_says_so(repository: Path) -> None:
    """The installed package has none of these folders."""
    needing = re.compile(r"(?<![\w/.])(examples|deploy|tools|recipes|benchmarks)/\w", re.MULTILINE)
    for page in sorted((repository / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
        if any(needing.search(block) for language, block in blocks if language in ("", "bash")):
            assert "checkout" in text, page.name


def test_npm_runs_no_scripts_of_packages_wherever_a_person_is_told_to_use_it(repository: Path) -> None:
    told = [
        *markdown_files(),
        *(repository / "fer_edge/export/card").glob("*.py"),
        *(repository / "examples").rglob("*.mjs"),
    ]
    told = [path for path in told if "node_modules" not in path.parts]
    calls = [
        call for path in told for call in re.findall(r"npm (?:ci|install)\b[^;`\n]*", path.read_text(encoding="utf-8"))
    ]
    assert len(calls) > 10
    assert [call for call in calls if "--ignore-scripts" not in call] == []
