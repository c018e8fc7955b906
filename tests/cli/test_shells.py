"""Completion in real shells: what ``--install-completion`` writes completes commands, options and names of models."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

TYPED = {
    "predict": "fer-edge predi",
    "fer-tiny": "fer-edge predict --model fer-ti",
    "--class-map": "fer-edge train --class-m",
}
"""What is typed before Tab, by what its last word becomes."""
START = {"bash": ["bash", "-i"], "zsh": ["zsh", "-i"]}
PROMPT = "ready> "


@pytest.fixture
def home(tmp_path: Path, repository: Path) -> dict[str, str]:
    """The environment of somebody who has installed the command and whose home folder is empty."""
    program = tmp_path / "bin" / "fer-edge"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(repository)!r})\nsys.argv[0] = 'fer-edge'\n"
        "from fer_edge.__main__ import main\nmain()\n"
    )
    program.chmod(0o755)
    found = {"HOME": str(tmp_path), "PATH": f"{program.parent}:{os.environ['PATH']}", "TERM": "dumb", "LANG": "C.UTF-8"}
    return {**found, "ZDOTDIR": str(tmp_path)}


def needed(shell: str) -> str:
    """Where the shell is; skips without one."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"no {shell} here: apt-get install {shell}")
    return found


def installed(shell: str, home: dict[str, str], tmp_path: Path) -> None:
    # A second command, so that the shell does not become the first, which looks for its parent.
    done = subprocess.run(
        [needed(shell), "-c", "fer-edge --install-completion; true"],
        env=home, cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert f"{shell} completion installed in" in done.stdout, done.stderr


class Terminal:
    """A shell that somebody types into."""

    def __init__(self, shell: str, home: dict[str, str], folder: Path) -> None:
        self._process, self._end = pty.fork()
        if not self._process:
            os.chdir(folder)
            os.execve(needed(shell), START[shell], home)
        self.read_until(PROMPT)

    def type(self, text: str) -> None:
        """Send keys."""
        os.write(self._end, text.encode())

    def read_until(self, text: str, seconds: float = 30) -> str:
        """What the shell writes until ``text`` is in it, or the end of the time."""
        found, end = "", time.monotonic() + seconds
        while text not in found and time.monotonic() < end:
            if select.select([self._end], [], [], 0.2)[0]:
                found += os.read(self._end, 65536).decode(errors="replace")
        return found

    def close(self) -> None:
        """End it."""
        os.close(self._end)
        os.waitpid(self._process, 0)


@pytest.mark.parametrize("shell", START)
def test_tab_completes_what_was_typed(shell: str, home: dict[str, str], tmp_path: Path) -> None:
    installed(shell, home, tmp_path)
    config = tmp_path / f".{shell}rc"
    config.write_text(f"{config.read_text()}\nPS1='{PROMPT}'\n")
    terminal = Terminal(shell, home, tmp_path)
    try:
        for name, typed in TYPED.items():
            terminal.type(f"{typed}\t")
            wanted = typed + name.removeprefix(typed.rpartition(" ")[2])
            assert wanted in (found := terminal.read_until(wanted)), found
            terminal.type("\x15")  # the line is given up
    finally:
        terminal.close()


def test_fish_offers_commands_options_and_names(home: dict[str, str], tmp_path: Path) -> None:
    installed("fish", home, tmp_path)
    script = "\n".join(f"complete -C '{typed}'" for typed in TYPED.values())
    done = subprocess.run(
        [needed("fish"), "-c", script], env=home, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    offered = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert [name for name in TYPED if name in offered] == list(TYPED), done.stdout + done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_that_is_shown_is_the_shells_own_and_takes_a_name(
    shell: str, home: dict[str, str], tmp_path: Path
) -> None:
    options = {"env": home, "cwd": tmp_path, "capture_output": True, "text": True, "timeout": 60}
    shown = subprocess.run([needed(shell), "-c", "fer-edge --show-completion; true"], **options).stdout
    assert f"_FER_EDGE_COMPLETE=complete_{shell}" in shown
    named = subprocess.run(
        [sys.executable, home["PATH"].split(":")[0] + "/fer-edge", "--show-completion", shell], **options
    )
    assert named.stdout == shown


def program(home: dict[str, str], tmp_path: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, home["PATH"].split(":")[0] + "/fer-edge", *words]
    return subprocess.run(command, env={**home, **more}, cwd=tmp_path, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("shell", ["powershell", "pwsh"])
def test_powershells_script_is_answered_and_its_profile_left_alone(
    shell: str, home: dict[str, str], tmp_path: Path
) -> None:
    """PowerShell itself was not tried: its script asks the program by these variables."""
    shown = program(home, tmp_path, "--show-completion", shell).stdout
    for name, typed in TYPED.items():
        asked = {
            "_FER_EDGE_COMPLETE": "complete_powershell",
            "_TYPER_COMPLETE_ARGS": typed,
            "_TYPER_COMPLETE_WORD_TO_COMPLETE": typed.split()[-1],
        }
        assert all(f"$Env:{variable} = " in shown for variable in asked)
        answers = program(home, tmp_path, **asked).stdout.splitlines()
        assert name in [line.split(":::")[0] for line in answers]
    done = program(home, tmp_path, "--install-completion", shell)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"run: fer-edge --show-completion {shell} >> $PROFILE" in done.stderr


def test_a_home_that_cannot_be_written_is_one_line(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "no-folder").write_text("")
    done = program(home, tmp_path, "--install-completion", "bash", HOME=str(tmp_path / "no-folder"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
