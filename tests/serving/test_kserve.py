"""KServe's YAML: parsed, and compared with the fields that KServe's own classes have, where they are installed."""

import pytest

from fer_edge.errors import UsageError
from fer_edge.serving.kserve import Resources, inference_service, service_name

yaml = pytest.importorskip("yaml", reason="PyYAML comes with optuna")

FIELDS = {
    "": {"apiVersion", "kind", "metadata", "spec"},
    "metadata": {"name"},
    "spec": {"predictor"},
    "spec.predictor": {"model"},
    "spec.predictor.model": {"modelFormat", "runtime", "protocolVersion", "storageUri", "resources"},
    "spec.predictor.model.modelFormat": {"name"},
    "spec.predictor.model.resources": {"requests", "limits"},
}
"""That v1beta1.InferenceService has, as far as they are written."""


def fields(value, path=""):
    if isinstance(value, dict) and path in FIELDS:
        yield path, set(value)
        for name, inner in value.items():
            yield from fields(inner, f"{path}.{name}".strip("."))


def test_the_service_names_the_repository_the_runtime_and_what_was_measured():
    service = yaml.safe_load(inference_service("FER_tiny.int8", "s3://bucket/repo", Resources("2", "2Gi")))
    for path, found in fields(service):
        assert found <= FIELDS[path], path
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert service["metadata"]["name"] == "fer-tiny-int8"
    model = service["spec"]["predictor"]["model"]
    assert model["modelFormat"] == {"name": "triton"}
    assert (model["runtime"], model["protocolVersion"]) == ("kserve-tritonserver", "v2")
    assert model["storageUri"] == "s3://bucket/repo"
    assert model["resources"] == {one: {"cpu": "2", "memory": "2Gi"} for one in ("requests", "limits")}


def test_what_was_not_measured_or_named_is_left_to_the_cluster():
    model = yaml.safe_load(inference_service("m", "pvc://claim/repo", Resources()))["spec"]["predictor"]["model"]
    assert "resources" not in model
    gpu = yaml.safe_load(inference_service("m", "gs://b/r", Resources(gpus=1)))["spec"]["predictor"]["model"]
    assert gpu["resources"]["limits"] == {"nvidia.com/gpu": "1"}


def test_odd_addresses_stay_one_string():
    for uri in ("s3://b/a: b#c".replace(" ", ""), 's3://b/"x"', "https://host/r?a=1&b={c}"):
        assert (
            yaml.safe_load(inference_service("m", uri, Resources()))["spec"]["predictor"]["model"]["storageUri"] == uri
        )


@pytest.mark.parametrize("uri", ["", "repo", "/models/repo", "s3://", "s3://a b", "s3://a\nkind: Pod"])
def test_what_is_no_uri_is_refused(uri):
    with pytest.raises(UsageError, match="--kserve: expected the URI of the repository"):
        inference_service("m", uri, Resources())


@pytest.mark.parametrize(("option", "wrong"), [("cpu", "two"), ("cpu", "-1"), ("memory", "2 GB"), ("memory", "2Gb")])
def test_what_is_no_quantity_is_refused(option, wrong):
    with pytest.raises(UsageError, match=f"--{option}: expected a quantity of Kubernetes"):
        Resources(**{option: wrong})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fer-tiny-int8", "fer-tiny-int8"),
        ("7classes", "m-7classes"),
        ("A_b.C", "a-b-c"),
        ("x" * 60, "x" * 40),
        ("-_-", "m"),
    ],
)
def test_names_are_those_of_kubernetes(name, expected):
    assert service_name(name) == expected


def test_kserves_own_classes_have_the_fields():
    kserve = pytest.importorskip("kserve", reason="kserve needs protobuf below 7; tried once, see docs/triton.md")
    kinds = {
        "": kserve.V1beta1InferenceService,
        "spec": kserve.V1beta1InferenceServiceSpec,
        "spec.predictor": kserve.V1beta1PredictorSpec,
        "spec.predictor.model": kserve.V1beta1ModelSpec,
        "spec.predictor.model.modelFormat": kserve.V1beta1ModelFormat,
    }
    service = yaml.safe_load(inference_service("m", "s3://b/r", Resources("2", "2Gi")))
    for path, found in fields(service):
        if path in kinds:
            assert found <= set(kinds[path].attribute_map.values()), path
