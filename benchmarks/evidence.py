"""The worked example of docs/evidence.md: a shipped model against its fp32 file, bundled and accepted.

    python benchmarks/evidence.py --data fer2013-original [NAME]

Exports NAME in fp32 from its shipped checkpoint, writes the bundle of the shipped INT8 file with every claim, accepts
it, and accepts it again after somebody changed a claim and wrote every SHA-256 again. What the commands printed goes
to benchmarks/results/evidence/, with the claims; the bundle itself does not.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from fer_edge.evidence.accuracy import Value
from fer_edge.evidence.archive import write_archive
from fer_edge.evidence.contents import file_entry
from fer_edge.runtime.machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "evidence"


def run(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A command of fer_edge, in the repository."""
    command = [sys.executable, "cli.py", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def forge(bundle: Path, out: Path) -> None:
    """Say one point more of the accuracy, in figures, words and samples, and write every SHA-256 again."""
    folder = out.with_suffix("")
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    samples = json.loads((folder / "samples" / "accuracy.json").read_text())
    claims = json.loads((folder / "claims.json").read_text())
    wrong = [row for row in samples["rows"] if row[1] != row[2]]
    more = wrong[: len(samples["rows"]) // 100]
    for row in more:
        row[2] = row[1]
    claim = next(one for one in claims["claims"] if one["kind"] == "accuracy")
    value = claim["value"]
    value["right"] += len(more)
    value["accuracy"] = value["right"] / value["faces"]
    claim["sentence"] = Value(**value).sentence
    (folder / "samples" / "accuracy.json").write_text(json.dumps(samples))
    (folder / "claims.json").write_text(json.dumps(claims))
    manifest = json.loads((folder / "manifest.json").read_text())
    for entry in manifest["files"]:
        found = file_entry(folder, entry["path"])
        entry |= {"bytes": found.bytes, "sha256": found.sha256}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with out.open("wb") as stream:
        write_archive(stream, folder)


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="fer-tiny")
    parser.add_argument("--data", required=True)
    given = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    checkpoint = f"exported/{given.name}.pt"
    with tempfile.TemporaryDirectory() as folder:
        run("export", "--checkpoint", checkpoint, "--folder", folder)
        bundle, forged = (Path(folder) / f"{given.name}-{what}.zip" for what in ("evidence", "forged"))
        devices = f"benchmarks/results/devices/{given.name}-int8-devices.json"
        options = ("--against", Path(folder) / f"{given.name}.onnx", "--checkpoint", checkpoint, "--devices", devices)
        made = run("bundle", given.name, "--data", given.data, *options, "--out", bundle)
        accepted = run("accept", bundle, "--data", given.data)
        forge(bundle, forged)
        refused = run("accept", forged, "--data", given.data, code=3)
        with zipfile.ZipFile(bundle) as archive:
            claims = archive.read("claims.json")
        last = refused.stderr.strip().splitlines()[-1].replace(f"{folder}/", "")
    machine = f"# {describe_machine()}\n"
    (RESULTS / "bundle.txt").write_text(machine + made.stdout, encoding="utf-8")
    (RESULTS / "accept.txt").write_text(machine + accepted.stdout, encoding="utf-8")
    (RESULTS / "forged.txt").write_text(machine + refused.stdout + last + "\n", encoding="utf-8")
    (RESULTS / "claims.json").write_bytes(claims)


if __name__ == "__main__":
    main()
