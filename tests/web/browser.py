"""The browser of these tests: what it needs, and how a scenario of web/browser/scenarios.mjs is run in it."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
WEB = REPOSITORY / "web"
TIMEOUT_S = 300


def chromium() -> str:
    """Where the browser is, or would be."""
    return os.environ.get("CHROMIUM", "/usr/bin/chromium")


def missing() -> str:
    """What of the browser's parts is not here, as a reason to skip; empty where all is."""
    if not Path(chromium()).exists():
        return f"no Chromium at {chromium()}: apt-get install chromium, or name one by CHROMIUM"
    if shutil.which("node") is None:
        return "no node: install Node.js 20 or newer"
    for package in ("playwright-core", "onnxruntime-web"):
        if not (WEB / "node_modules" / package / "package.json").exists():
            return f"no {package}: npm ci --ignore-scripts --prefix web"
    return ""


def drive(scenario: str, **options: Any) -> dict[str, Any]:
    """Run one scenario and return its facts."""
    command = ["node", str(WEB / "browser" / "drive.mjs"), scenario, json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr[-3000:]
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts
