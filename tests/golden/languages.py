"""Programs of other languages: whether they are here, and what they say."""

import shutil
import subprocess
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent.parent / "fixtures"
INSTALL_TIMEOUT_S = 240


def need(*programs: str) -> None:
    """Skip where one of ``programs`` is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed")


def npm(*arguments: str, folder: Path) -> None:
    """Run npm, or skip where the registry cannot be reached."""
    try:
        done = run("npm", *arguments, "--no-audit", "--no-fund", folder=folder, timeout=INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm {arguments[0]} took longer than {INSTALL_TIMEOUT_S} s")
    if done.returncode != 0:
        unreachable = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")
        assert any(code in done.stderr for code in unreachable), done.stderr
        pytest.skip("the npm registry cannot be reached")


def run(*command: object, folder: Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program in ``folder`` and capture what it says."""
    return subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=timeout, check=False
    )
