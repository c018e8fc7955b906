"""KServe's InferenceService for a Triton repository, as YAML.

Fields: https://kserve.github.io/website, API reference, v1beta1.InferenceService. ``kserve-tritonserver`` is a
ClusterServingRuntime that KServe's own installation brings; its model format ``triton`` is a whole repository.
"""

import json
import re
from dataclasses import dataclass

from fer_edge.errors import UsageError

_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
"""Of Kubernetes, as far as processors and memory need it."""
_URI = re.compile(r"[a-z][a-z0-9+.-]*://\S+")


@dataclass(frozen=True)
class Resources:
    """What the container is given. None: what the cluster's installation of KServe sets. Raises UsageError."""

    cpu: str | None = None
    memory: str | None = None
    gpus: int = 0

    def __post_init__(self) -> None:
        """Check the quantities."""
        for option, value in (("--cpu", self.cpu), ("--memory", self.memory)):
            if value is not None and not _QUANTITY.fullmatch(value):
                raise UsageError(f"{option}: expected a quantity of Kubernetes such as 2, 500m or 1Gi, found {value!r}")

    @property
    def entries(self) -> dict[str, str]:
        """By the names of Kubernetes."""
        found = {"cpu": self.cpu, "memory": self.memory, "nvidia.com/gpu": str(self.gpus) if self.gpus else None}
        return {name: value for name, value in found.items() if value is not None}


def service_name(model: str) -> str:
    """``model`` as a name of Kubernetes: lower-case letters, digits and '-', at most 40 of them.

    KServe puts it, with the namespace, into a label of DNS, which holds 63.
    """
    plain = re.sub("[^a-z0-9]+", "-", model.lower())[:40].strip("-")
    return plain if plain[:1].isalpha() else f"m-{plain}".strip("-")


def inference_service(model: str, storage: str, resources: Resources) -> str:
    """The YAML. ``storage``: where the repository lies (s3://, gs://, pvc://, https://...): the folder that holds the
    model's folder. Raises UsageError for what is no URI."""
    if not _URI.fullmatch(storage):
        raise UsageError(
            "--kserve: expected the URI of the repository, such as s3://bucket/repo or pvc://claim/repo, "
            f"found {storage!r}"
        )
    lines = [
        "apiVersion: serving.kserve.io/v1beta1",
        "kind: InferenceService",
        "metadata:",
        f"  name: {service_name(model)}",
        "spec:",
        "  predictor:",
        "    model:",
        "      modelFormat:",
        "        name: triton",
        "      runtime: kserve-tritonserver",
        "      protocolVersion: v2",
        f"      storageUri: {json.dumps(storage)}",  # a string of JSON is one of YAML
    ]
    if resources.entries:
        lines.append("      resources:")
        for kind in ("requests", "limits"):
            lines.append(f"        {kind}:")
            lines += [f"          {name}: {json.dumps(value)}" for name, value in resources.entries.items()]
    return "\n".join(lines) + "\n"
