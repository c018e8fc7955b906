"""Every command and Python block of README and docs/: commands and options exist, the quick ones run, Python runs."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forked_cli import run_cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "recipes").glob("*.md")),
)
PROGRAMS = (
    "make",
    "pip",
    "npm",
    "node",
    "cmake",
    "dotnet",
    "g++",
    "openssl",
    "./classify",
    "freezing/bin/pip",
    "freezing/bin/pyinstaller",
    "dist/app/app",
)
"""Of others; what follows them is not checked, but for make's targets."""
QUICK = (("info",), ("predict",), ("data", "inspect"), ("data", "sample"))
"""Commands that are run where every file that they name is there."""
MADE = ("photos", "sample-faces", "annotated.jpg", "inspect.png")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    found = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Page and words of each command in a shell block, and of each inline one that begins with fer-edge."""
    for page in PAGES:
        lines = [line for text in blocks(page, "bash", "sh") for line in text.replace("\\\n", " ").splitlines()]
        lines += re.findall(r"`((?:fer-edge|python cli\.py) [^`]*)`", page.read_text(encoding="utf-8"))
        lines += [
            line.strip() for text in blocks(page, "") for line in text.splitlines() if re.match(r"\s*fer-edge ", line)
        ]
        for line in lines:
            words = shlex.split(line, comments=True)
            cut = next((i for i, word in enumerate(words) if word in (">", "2>", "|", ">>")), len(words))
            if words[:cut]:
                yield relative(page), words[:cut]


COMMANDS = list(commands())


@pytest.fixture(scope="module")
def app() -> Any:
    import typer

    from fer_edge.cli.app import app

    return typer.main.get_command(app)


def check_options(command: Any, words: list[str]) -> list[str]:
    """The command's own name. Raises AssertionError for a subcommand, option or choice that there is not."""
    path = []
    words = list(words)
    while hasattr(command, "commands"):
        if not words or words[0].startswith("-"):
            return path
        name = words.pop(0)
        if name == "COMMAND":  # any of them
            return path
        assert name in command.commands, f"no command '{name}'"
        command = command.commands[name]
        path.append(name)
    options = {spelt: one for one in command.params for spelt in (*one.opts, *one.secondary_opts)}
    while words:
        word = words.pop(0)
        if not word.startswith("--") or word == "--help":
            continue
        name, _, value = word.partition("=")
        assert name in options, f"'{' '.join(path)}' has no option {name}"
        option = options[name]
        if getattr(option, "is_flag", False):
            continue
        assert value or words, f"{name} takes a value"
        value = value or words.pop(0)
        choices = getattr(option.type, "choices", None)
        if choices and value.isidentifier() and value.islower():
            assert value in [getattr(choice, "value", choice) for choice in choices], f"{name} does not take {value}"
    return path


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=[f"{page}: {shlex.join(words)}" for page, words in COMMANDS])
def test_command_exists(page: str, words: list[str], app: Any) -> None:
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if words[0] == "fer-edge":
        check_options(app, words[1:])
    elif words[:2] == ["python", "cli.py"]:  # the same program
        check_options(app, words[2:])
    elif "fer_edge" in words:  # torchrun -m fer_edge
        assert words[words.index("fer_edge") - 1] == "-m"
        check_options(app, words[words.index("fer_edge") + 1 :])
    elif words[0] == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert words[1] in targets
    elif words[0] in ("python", ".venv/bin/python"):
        script = words[1]
        assert script in ("-m", "-c") or "NAME" in script or "-golden/" in script or (ROOT / script).is_file(), (
            f"no {script}"
        )
    elif words[0].startswith((".venv/bin/", "build/")):
        pass  # made by an install or a build
    elif "/" in words[0] and words[0] not in PROGRAMS:
        assert (ROOT / words[0]).is_file(), f"no {words[0]}"
    else:
        assert words[0] in PROGRAMS, f"unknown program {words[0]}: is it meant?"


def test_a_page_can_be_read_from_top_to_bottom() -> None:
    """A run's folder is refused to another run, so the commands of a page train each under a name of its own."""
    names = [
        (page, words[words.index("--name") + 1])
        for page, words in COMMANDS
        if "train" in words and "--name" in words and page.startswith(("README", "docs/"))
    ]
    assert len(names) > 10
    assert len(set(names)) == len(names)


def test_pages_name_shipped_models_as_an_installed_package_knows_them() -> None:
    of_the_program = [(page, words) for page, words in COMMANDS if words[0] == "fer-edge" and "recipes" not in page]
    assert not [
        (page, words) for page, words in of_the_program if any(word.startswith("exported/fer") for word in words)
    ]
    assert not [page for page, code in python_blocks() if "exported/fer" in code]


def test_an_unknown_option_is_found(app: Any) -> None:
    with pytest.raises(AssertionError, match="no option --modle"):
        check_options(app, ["predict", "face.jpg", "--modle", "x.onnx"])
    with pytest.raises(AssertionError, match="no command 'predcit'"):
        check_options(app, ["predcit"])


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with what the pages' examples name."""
    example = ROOT / "fer_edge" / "web" / "page" / "example.jpg"
    for name in ("face.jpg", "party.jpg", "fer_edge/web/page/example.jpg", "photos/one.jpg", "faces/one.jpg"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(example, target)
    shutil.copytree(ROOT / "exported", tmp_path / "exported", ignore=shutil.ignore_patterns("*.pt"))
    model = ROOT / "tests" / "fixtures" / "tiny.onnx"
    shutil.copy(model, tmp_path / "mine.onnx")
    return tmp_path


def run(words: list[str], folder: Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder, timeout=120, check=False)
    assert done.returncode == 0, f"{shlex.join(words)}: {done.stdout[-500:]}{done.stderr[-1500:]}"
    return done.stdout


def is_quick(words: list[str], app: Any) -> bool:
    if words[0] != "fer-edge" or tuple(check_options(app, words[1:])) not in QUICK:
        return False
    files = [word for word in words[2:] if re.search(r"\.\w+$|/$|^fer2013$|^raf-db$|[A-Z]{4}", word)]
    there = ("face.jpg", "party.jpg", "photos/", *MADE)
    return all(word in there or (ROOT / word).is_file() for word in files)


def test_quick_commands_run(desk: Path, app: Any) -> None:
    quick = {shlex.join(words): words for _, words in COMMANDS if is_quick(words, app)}
    names = {check_options(app, words[1:])[0] for words in quick.values()}
    assert names == {"info", "predict", "data"}, sorted(quick)
    for words in quick.values():
        done = run_cli(words[1:], cwd=desk)
        assert done.returncode == 0, f"{shlex.join(words)}: {done.stdout[-500:]}{done.stderr[-1500:]}"


def shown_outputs() -> list[tuple[str, str, str]]:
    """Page, command and the output that the page shows below it: blocks of one command, and what follows them."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for command, shown in re.findall(
            r"^```bash\n(fer-edge [^\n]+)\n```\n(?:(?!^```).)*?^```(?:text)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL
        ):
            found.append((relative(page), command, shown))
    return found


def is_shown(shown: list[str], printed: list[str]) -> bool:
    """Whether the lines ``shown`` are those ``printed``; a line ``...`` stands for any number of them."""
    if "..." not in shown:
        return shown == printed
    cut = shown.index("...")
    rest = shown[cut + 1 :]
    return shown[:cut] == printed[:cut] and any(is_shown(rest, printed[at:]) for at in range(cut, len(printed) + 1))


def test_a_page_shows_what_its_command_prints(desk: Path, app: Any) -> None:
    checked = []
    for page, command, shown in shown_outputs():
        words = shlex.split(command, comments=True)
        if not is_quick(words, app):
            continue
        done = run_cli(words[1:], cwd=desk)
        printed = [line.rstrip() for line in done.stdout.splitlines()]
        assert is_shown([line.rstrip() for line in shown.splitlines()], printed), f"{page}: {command}\n{done.stdout}"
        checked.append(page)
    assert {"docs/data.md", "docs/deployment/python.md"} <= set(checked)
    assert not is_shown(["a", "...", "c"], ["a", "b"])
    assert is_shown(["a", "..."], ["a", "b"])


def python_blocks() -> list[tuple[str, str]]:
    return [(relative(page), text) for page in PAGES for text in blocks(page, "python")]


@pytest.mark.parametrize(("page", "code"), python_blocks(), ids=[page for page, _ in python_blocks()])
def test_python_runs(page: str, code: str, desk: Path) -> None:
    if "fer_edge.scoring" in code:
        pytest.importorskip("pyarrow", reason="fer-edge[score] is not installed")
    assert run([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"], desk).strip()


def test_the_five_lines_are_in_the_readme() -> None:
    assert any("Classifier.load()" in text for text in blocks(ROOT / "README.md", "python"))
