"""NVIDIA's own client against a running server: what it is told equals what Classifier says."""

import base64
import http.client
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import foreign_models
import make_tiny_model
import numpy as np
import pytest
from PIL import Image

from fer_edge.backends import open_model
from fer_edge.runtime import Classifier

triton = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is in the extra dev")
FIXTURES = Path(__file__).parent.parent / "fixtures"
ODD = ("a:b", "übel", "no 3", "'", "naïve ☺", "x  y", "{", "hi")
OUTPUTS = ("probabilities", "logits", "label")


def client_of(server: Any) -> Any:
    return triton.InferenceServerClient(f"127.0.0.1:{server.port}")


@pytest.fixture(scope="module")
def client(start: Any) -> Iterator[Any]:
    with client_of(start()) as found:
        yield found


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(FIXTURES / "tiny.onnx", threads=1)


def images(count: int, *sizes: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, *sizes), dtype=np.uint8)


def tensor(values: np.ndarray, *, binary: bool = True, datatype: str = "UINT8") -> Any:
    given = triton.InferInput("input" if datatype == "FP32" else "image", list(values.shape), datatype)
    given.set_data_from_numpy(values, binary_data=binary)
    return given


def ask(client: Any, values: np.ndarray, *, binary: bool = True, name: str = "tiny", datatype: str = "UINT8") -> Any:
    outputs = [triton.InferRequestedOutput(one, binary_data=binary) for one in OUTPUTS]
    return client.infer(name, [tensor(values, binary=binary, datatype=datatype)], outputs=outputs)


def labels_of(answer: Any) -> list[str]:
    return [one.decode() if isinstance(one, bytes) else one for one in answer.as_numpy("label")]


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, kind)
    return file.getvalue()


def test_server_and_model_say_what_they_are(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("other")
    assert not client.is_model_ready("tiny", "2")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data", "classification"]
    described = client.get_model_metadata("tiny")
    assert described["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, -1]}]
    assert [one["name"] for one in described["outputs"]] == list(OUTPUTS)
    assert described["parameters"]["labels"][3] == "happy"


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("shape", [(1, 48, 48, 1), (3, 60, 50, 3), (2, 20, 31, 4)], ids=str)
def test_pixels_get_the_classifiers_answer_to_the_bit(
    client: Any, classifier: Classifier, shape: tuple[int, ...], binary: bool
) -> None:
    pixels = images(*shape)
    probabilities, logits = classifier.probabilities_and_logits(pixels)
    answer = ask(client, pixels, binary=binary)
    assert answer.as_numpy("probabilities").tobytes() == probabilities.tobytes()
    assert answer.as_numpy("logits").tobytes() == logits.tobytes()
    assert labels_of(answer) == [classifier.labels[at] for at in probabilities.argmax(axis=1)]


def test_files_get_the_answer_that_predict_gives_for_each(client: Any, classifier: Classifier) -> None:
    files = [
        encoded(images(1, 70, 50, 3)[0], "JPEG"),
        encoded(images(1, 31, 64, 3)[0], "PNG"),
        encoded(images(1, 48, 48, 1)[0], "PNG"),
        encoded(images(1, 33, 20, 3)[0], "WEBP"),
    ]
    expected = np.array([list(classifier.predict(file).probabilities.values()) for file in files], np.float32)
    answer = ask(client, np.array(files, object), datatype="BYTES")
    assert answer.as_numpy("probabilities").tobytes() == expected.tobytes()


def test_files_in_json_are_base64(client: Any, classifier: Classifier) -> None:
    file = encoded(images(1, 40, 40, 3)[0], "PNG")
    answer = ask(client, np.array([base64.b64encode(file)], object), binary=False, datatype="BYTES")
    assert labels_of(answer) == [classifier.predict(file).label]


def test_classification_gives_the_highest_with_their_labels(client: Any, classifier: Classifier) -> None:
    pixels = images(2, 48, 48, 3)
    wanted = triton.InferRequestedOutput("probabilities", class_count=3)
    found = client.infer("tiny", [tensor(pixels)], outputs=[wanted]).as_numpy("probabilities")
    assert found.shape == (2, 3)
    for row, one in zip(found, classifier.predict_many(list(pixels)), strict=True):
        parts = [text.decode().split(":", 2) for text in row]
        best = sorted(one.probabilities, key=one.probabilities.__getitem__, reverse=True)[:3]
        assert [part[2] for part in parts] == best
        assert [classifier.labels[int(part[1])] for part in parts] == best
        assert float(parts[0][0]) == pytest.approx(one.confidence, abs=1e-6)


def test_without_outputs_all_come_and_the_id_comes_back(client: Any) -> None:
    response = client.infer("tiny", [tensor(images(1, 48, 48, 1))], request_id="seven").get_response()
    assert response["id"] == "seven"
    assert [one["name"] for one in response["outputs"]] == list(OUTPUTS)
    assert (response["model_name"], response["model_version"]) == ("tiny", "1")


@pytest.mark.parametrize("classes", [2, 5, 8])
def test_any_number_of_classes_with_any_names(start: Any, tmp_path: Path, classes: int) -> None:
    path = make_tiny_model.write_model(f"odd{classes}", make_tiny_model.PIXELS_IN, ODD[:classes], tmp_path)
    classifier = Classifier.load(path, threads=1)
    pixels = images(6, 30, 30, 3)
    with client_of(start(path, name="mine-é")) as client:
        assert client.get_model_metadata("mine-é")["parameters"]["labels"] == list(ODD[:classes])
        for binary in (True, False):
            answer = ask(client, pixels, binary=binary, name="mine-é")
            assert answer.as_numpy("probabilities").tobytes() == classifier.probabilities(pixels).tobytes()
            assert labels_of(answer) == [one.label for one in classifier.predict_many(list(pixels))]


def test_a_model_of_prepared_faces_takes_both_and_mixes_sizes(start: Any) -> None:
    path = FIXTURES / "tiny_raw.onnx"
    backend = open_model(path, threads=1)
    faces = backend.prepare(images(2, 64, 40, 3))
    expected = backend.run_feed(faces)
    classifier = Classifier.load(path, threads=1)
    with client_of(start(path)) as client:
        own = {"name": "input", "datatype": "FP32", "shape": [-1, 1, 48, 48]}
        assert client.get_model_metadata("tiny")["inputs"] == [own]
        for binary in (True, False):
            answer = ask(client, faces, binary=binary, datatype="FP32")
            assert answer.as_numpy("logits").tobytes() == expected.logits.tobytes()
        files = [encoded(images(1, side, side + 9, 3)[0], "PNG") for side in (20, 48, 61)]
        answer = ask(client, np.array(files, object), datatype="BYTES")
        for row, file in zip(answer.as_numpy("probabilities"), files, strict=True):
            assert row == pytest.approx(list(classifier.predict(file).probabilities.values()), abs=1e-6)
        with pytest.raises(triton.InferenceServerException, match="expected finite numbers"):
            ask(client, np.full((1, 1, 48, 48), np.nan, np.float32), datatype="FP32")
        with pytest.raises(triton.InferenceServerException, match=r"expected the shape \[-1, 1, 48, 48\]"):
            ask(client, np.zeros((1, 3, 48, 48), np.float32), datatype="FP32")
        with pytest.raises(triton.InferenceServerException, match="the model cannot answer"):
            ask(client, np.full((1, 1, 48, 48), 3e38, np.float32), datatype="FP32")


@pytest.mark.parametrize("kind", ["openvino_model", "torchscript_model"])
def test_other_formats_answer_as_their_backend(start: Any, kind: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(kind)
    pixels = images(3, 40, 52, 3)
    expected = open_model(path, threads=1, trust=True).run(pixels)
    with client_of(start(path)) as client:
        answer = ask(client, pixels)
        assert answer.as_numpy("logits") == pytest.approx(expected.logits, abs=1e-6)
        assert answer.as_numpy("probabilities") == pytest.approx(expected.probabilities, abs=1e-6)


def test_another_makers_model_is_fed_as_it_is_described(start: Any, tmp_path: Path) -> None:
    path = foreign_models.write_model(tmp_path / "foreign.onnx", softmax=False)
    (tmp_path / "foreign.json").write_text(json.dumps({"labels": foreign_models.LABELS, "size": 32, "range": "0-1"}))
    classifier = Classifier.load(path, threads=1)
    file = encoded(images(1, 50, 40, 3)[0], "PNG")
    own = images(2, 3, 32, 32).astype(np.float32) / 255
    given = triton.InferInput("image", own.shape, "FP32")
    given.set_data_from_numpy(own)
    with client_of(start(path)) as client:
        described = client.get_model_metadata("tiny")
        assert described["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 3, 32, 32]}]
        assert described["parameters"]["labels"] == list(foreign_models.LABELS)
        assert labels_of(ask(client, np.array([file], object), datatype="BYTES")) == [classifier.predict(file).label]
        found = client.infer("tiny", [given]).as_numpy("logits")
        assert found == pytest.approx(own.mean(axis=(2, 3)) @ foreign_models.WEIGHTS, abs=1e-5)


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (images(1, 48, 48, 2), r"C one of 1, 3, 4, found \[1, 48, 48, 2\]"),
        (images(4, 4), "expected UINT8 of shape"),
        (np.zeros((1, 3000, 3000, 1), np.uint8), "expected a body of at most"),
        (np.zeros((1, 4, 2**20 + 1, 1), np.uint8), "at most 4194304 pixels"),
        (np.zeros((257, 2, 2, 1), np.uint8), "at most 256 images a request, found 257"),
    ],
    ids=["channels", "dimensions", "body", "pixels", "images"],
)
def test_other_pixels_are_refused_with_the_reason(client: Any, pixels: np.ndarray, told: str) -> None:
    with pytest.raises(triton.InferenceServerException, match=told):
        ask(client, pixels)


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (b"GIF89a", "expected a JPEG"),
        (b"%PDF-1.7", "PDF"),
        (b"", "no bytes"),
        (encoded(np.zeros((40, 40, 3), np.uint8), "PNG")[:60], r"input 'image'\[0\]: expected an intact image"),
        (encoded(np.zeros((2049, 2049, 1), np.uint8), "PNG"), "expected at most 4194304 pixels, found 4198401"),
    ],
    ids=["cut", "pdf", "empty", "truncated", "bomb"],
)
def test_other_files_are_refused_with_the_reason(client: Any, file: bytes, told: str) -> None:
    with pytest.raises(triton.InferenceServerException, match=told):
        ask(client, np.array([file], object), datatype="BYTES")


def test_unknown_models_versions_inputs_and_outputs_are_named(client: Any) -> None:
    given = tensor(images(1, 8, 8, 1))
    refused = triton.InferenceServerException
    with pytest.raises(refused, match="expected the model 'tiny', found 'big'"):
        client.infer("big", [given])
    with pytest.raises(refused, match="expected version 1, found '3'"):
        client.infer("tiny", [given], model_version="3")
    with pytest.raises(refused, match="expected outputs of probabilities, logits, label, found 'embedding'"):
        client.infer("tiny", [given], outputs=[triton.InferRequestedOutput("embedding")])
    with pytest.raises(refused, match="expected one input, found 2"):
        client.infer("tiny", [given, given])
    with pytest.raises(refused, match="Content-Encoding: expected none, found 'gzip'"):
        client.infer("tiny", [given], request_compression_algorithm="gzip")


def test_no_model_is_loaded_by_name_or_url(client: Any) -> None:
    for act in (
        lambda: client.load_model("https://example.org/model.onnx"),
        lambda: client.unload_model("tiny"),
        client.get_model_repository_index,
        lambda: client.register_system_shared_memory("a", "/a", 4),
    ):
        with pytest.raises(triton.InferenceServerException, match=r"\[40[45]\]"):
            act()


def raw(port: int, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/v2/models/tiny/config", 404),
        ("GET", "/v2/models/tiny/", 404),
        ("GET", "/v2/models/..%2f..%2fetc", 404),
        ("DELETE", "/v2/models/tiny", 405),
        ("GET", "/v2/models/tiny/infer", 405),
        ("POST", "/v2/health/live", 405),
    ],
)
def test_other_paths_and_methods_are_errors_in_json(start: Any, method: str, path: str, status: int) -> None:
    found, text = raw(start().port, method, path)
    assert (found, list(json.loads(text))) == (status, ["error"])


def test_serving_connects_to_nothing(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with client_of(start()) as client:
        ask(client, images(1, 9, 9, 1))  # from here on this client is connected
        asked: list[Any] = []

        def connect(_: Any, address: Any) -> None:
            asked.append(address)
            raise OSError("no connection in this test")

        monkeypatch.setattr(socket.socket, "connect", connect)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **_: asked.append(given))
        with pytest.raises(triton.InferenceServerException, match="expected a JPEG"):
            ask(client, np.array([b"https://example.org/face.jpg"], object), datatype="BYTES")
        ask(client, images(1, 9, 9, 1))
        assert client.get_model_metadata("tiny")["name"] == "tiny"
        assert asked == []


def test_metrics_count_requests_images_and_batches(start: Any) -> None:
    server = start()
    with client_of(server) as client:
        ask(client, images(3, 9, 9, 1))
        with pytest.raises(triton.InferenceServerException):
            ask(client, images(3, 9, 9, 2))
    status, text = raw(server.port, "GET", "/metrics")
    assert status == 200
    assert {
        'fer_edge_requests_total{code="200",kind="infer"} 1.0',
        'fer_edge_requests_total{code="400",kind="infer"} 1.0',
        "fer_edge_images_total 3.0",
        "fer_edge_batch_images_count 1.0",
        "fer_edge_queue_images 0.0",
        'fer_edge_model_info{model="tiny"} 1.0',
    } <= set(text.decode().splitlines())
