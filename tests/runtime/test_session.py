import json
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from fer_edge.errors import ModelError, ProviderError
from fer_edge.metadata import METADATA_KEY, NO_CHECKSUM, ModelMetadata
from fer_edge.runtime import providers, session
from fer_edge.runtime.checksum import add_checksum
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.model_file import read_model
from fer_edge.runtime.providers import CPU_PROVIDER, CUDA_PROVIDER, ProviderChoice, choose_provider
from fer_edge.runtime.saturation import PROBE, saturates
from fer_edge.runtime.session import ExecutedNode, blank_batch, executed_nodes, open_session

ChangedModel = Callable[[Callable[[onnx.ModelProto], None]], Path]
CPU = ProviderChoice("cpu", "")


def test_session_reports_the_contract_of_the_card(tiny_model: Path) -> None:
    opened, cuda_share = open_session(read_model(tiny_model), CPU, threads=1)
    assert [one.name for one in opened.get_inputs()] == ["image"]
    assert opened.get_providers() == [CPU_PROVIDER]
    assert opened.get_session_options().intra_op_num_threads == 1
    assert cuda_share is None


@pytest.mark.parametrize("threads", [-1, 257, 10**9, 2**40, 1.5, "2", None, True])
def test_threads_that_cannot_be_are_refused(tiny_model: Path, threads: Any) -> None:
    with pytest.raises(ProviderError, match=r"expected threads from 0 \(as many as cores\) to 256, found "):
        Classifier.load(tiny_model, threads=threads)


def rename_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "picture"


def rename_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = model.graph.node[-1].output[0] = "scores"


def float_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def fixed_height(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 48


def drop_logits(model: onnx.ModelProto) -> None:
    del model.graph.output[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename_input, "expected the input image tensor(uint8) [?, ?, ?, ?] of its metadata, found picture tensor"),
        (float_input, "expected the input image tensor(uint8) [?, ?, ?, ?] of its metadata, found image tensor(float)"),
        (fixed_height, "of its metadata, found image tensor(uint8) [?, 48, ?, ?] in the graph; export it again"),
        (
            rename_output,
            "expected the output probabilities tensor(float) [?, 7], logits tensor(float) [?, 7] of its metadata",
        ),
        (drop_logits, "of its metadata, found probabilities tensor(float) [?, 7] in the graph"),
    ],
)
def test_graph_that_differs_from_its_card_is_refused(
    change: Callable[[onnx.ModelProto], None], message: str, changed_model: ChangedModel
) -> None:
    with pytest.raises(ModelError) as raised:
        Classifier.load(changed_model(change))
    assert message in str(raised.value)


def test_model_that_onnxruntime_refuses_is_named_with_its_reason(changed_model: ChangedModel) -> None:
    def missing_input(model: onnx.ModelProto) -> None:
        del model.graph.node[-1].input[:]

    with pytest.raises(ModelError, match=r"changed\.onnx: onnxruntime \S+ cannot run it: .*Softmax") as raised:
        Classifier.load(changed_model(missing_input))
    assert "\n" not in str(raised.value)


def test_newer_ir_than_onnxruntime_knows_is_refused(changed_model: ChangedModel) -> None:
    def from_the_future(model: onnx.ModelProto) -> None:
        model.ir_version = 99
        for entry in model.metadata_props:
            entry.value = entry.value.replace('"ir_version": 8', '"ir_version": 99')

    with pytest.raises(ModelError, match=r"cannot run it: .*IR version: 99"):
        Classifier.load(changed_model(from_the_future))


def test_onnxruntime_older_than_the_model_needs_is_named(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "__version__", "1.9.2")
    with pytest.raises(ModelError, match=r"tiny\.onnx: expected onnxruntime 1\.14 or later, found 1\.9\.2; run: pip"):
        Classifier.load(tiny_model)


def test_executed_nodes_are_those_of_the_graph(tiny_model: Path) -> None:
    nodes = executed_nodes(read_model(tiny_model))
    assert {"Resize", "Gemm", "Softmax"} <= {node.operator for node in nodes}
    assert {node.provider for node in nodes} == {CPU_PROVIDER}


def test_blank_batch_fits_both_kinds_of_input(tiny_model: Path, tiny_raw_model: Path) -> None:
    pixels, face = blank_batch(read_model(tiny_model).metadata), blank_batch(read_model(tiny_raw_model).metadata)
    assert (pixels.shape, pixels.dtype) == ((1, 48, 48, 1), np.uint8)
    assert (face.shape, face.dtype) == ((1, 1, 48, 48), np.float32)


def test_unknown_provider_is_refused() -> None:
    with pytest.raises(ProviderError, match="expected a provider of cpu, cuda, auto, found 'tpu'"):
        choose_provider("tpu")


@pytest.fixture
def cuda_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """An onnxruntime built for CUDA 12, without having one."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA_PROVIDER, CPU_PROVIDER])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(onnxruntime, "cuda_version", "12.8", raising=False)


def test_cuda_without_the_pip_package_says_which(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU_PROVIDER])
    monkeypatch.setattr(providers, "_loads", lambda library: True)
    with pytest.raises(ProviderError) as raised:
        Classifier.load(tiny_model, provider="cuda")
    assert (
        "found missing: onnxruntime with CUDA (pip uninstall -y onnxruntime, then pip install onnxruntime-gpu); or"
        in str(raised.value)
    )


@pytest.mark.usefixtures("cuda_build")
@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("libcuda.so.1", "the NVIDIA driver (libcuda.so.1 does not load"),
        ("libcudart.so.12", "libcudart.so.12 (pip install nvidia-cuda-runtime-cu12"),
        ("libcublasLt.so.12", "libcublasLt.so.12 (pip install nvidia-cublas-cu12"),
        ("libcudnn.so.9", "libcudnn.so.9 (pip install nvidia-cudnn-cu12"),
    ],
)
def test_cuda_without_a_library_says_which(missing: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "_loads", lambda library: library != missing)
    with pytest.raises(ProviderError) as raised:
        choose_provider("cuda")
    assert message in str(raised.value)
    assert choose_provider("auto") == ProviderChoice(
        "cpu", f"auto chose cpu; for cuda is missing: {_only(raised.value)}"
    )


def _only(error: BaseException) -> str:
    return (
        str(error).removeprefix("expected the provider cuda, found missing: ").removesuffix("; or use the provider cpu")
    )


@pytest.mark.usefixtures("cuda_build")
def test_auto_chooses_cuda_when_nothing_is_missing_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "_loads", lambda library: True)
    assert choose_provider("auto") == ProviderChoice("cuda", "auto chose cuda")
    assert choose_provider("cuda").onnxruntime_names == [CUDA_PROVIDER, CPU_PROVIDER]


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.skipif(CUDA_PROVIDER in onnxruntime.get_available_providers(), reason="CUDA is here: nothing to refuse")
def test_session_that_came_up_on_another_provider_is_refused(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # onnxruntime drops a provider that it cannot start and goes on with the others: here CUDA, as there is none.
    monkeypatch.setattr(providers, "missing_for_cuda", lambda: iter(()))
    with pytest.raises(ProviderError, match=r"expected the provider.*cuda|expected the providers \['CUDA"):
        Classifier.load(tiny_model, provider="cuda")
    fallen_back = Classifier.load(tiny_model, provider="auto")
    assert fallen_back.provider == "cpu"
    assert fallen_back.provider_note.startswith("auto chose cpu; ")
    assert "CUDA" in fallen_back.provider_note


def test_cuda_that_runs_too_few_nodes_is_refused(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [ExecutedNode("Conv", CUDA_PROVIDER)] + [ExecutedNode("Resize", CPU_PROVIDER)] * 3
    monkeypatch.setattr(session, "_profiled_nodes", lambda opened, card: nodes)
    model = read_model(tiny_model)
    opened, _ = open_session(model, CPU)
    with pytest.raises(ProviderError, match="expected CUDA to run at least 50% of the nodes, found 25%"):
        session._cuda_node_share(opened, model)
    monkeypatch.setattr(session, "_profiled_nodes", lambda opened, card: nodes[:2])
    assert session._cuda_node_share(opened, model) == 0.5


def test_profile_counts_nodes_by_provider(tiny_model: Path, tmp_path: Path) -> None:
    class Profiled:
        """The part of a session that the profile is read through, with a file as onnxruntime-gpu writes it."""

        def run(self, names: Any, feed: dict[str, np.ndarray], options: Any) -> None:
            assert set(feed) == {"image"}

        def end_profiling(self) -> str:
            events = [
                {"cat": "Session", "name": "model_run", "args": {}},
                {"cat": "Node", "name": "a_kernel_time", "args": {"op_name": "Conv", "provider": CUDA_PROVIDER}},
                {"cat": "Node", "name": "a_fence_before", "args": {"op_name": "Conv"}},
                {"cat": "Node", "name": "b_kernel_time", "args": {"op_name": "Shape", "provider": CPU_PROVIDER}},
            ]
            path = tmp_path / "profile.json"
            path.write_text(json.dumps(events))
            return str(path)

    nodes = session._profiled_nodes(Profiled(), read_model(tiny_model).metadata)
    assert nodes == [ExecutedNode("Conv", CUDA_PROVIDER), ExecutedNode("Shape", CPU_PROVIDER)]


def test_card_that_onnxruntime_reads_must_be_the_checked_one(tiny_model: Path) -> None:
    model = read_model(tiny_model)
    with pytest.raises(ModelError, match="expected the metadata that were checked, found"):
        open_session(replace(model, metadata=replace(model.metadata, mean=0.1)), CPU)


@pytest.mark.parametrize("kept", [slice(0, 1), slice(1, 2)], ids=["without logits", "without probabilities"])
def test_a_model_whose_card_too_lacks_an_answer_is_refused(changed_model: ChangedModel, kept: slice) -> None:
    def drop(model: onnx.ModelProto) -> None:
        outputs = list(model.graph.output)[kept]
        del model.graph.output[:]
        model.graph.output.extend(outputs)
        for entry in model.metadata_props:
            if entry.key == METADATA_KEY:
                card = ModelMetadata.from_json(entry.value)
                entry.value = replace(card, outputs=card.outputs[kept]).to_json()

    with pytest.raises(ModelError, match=r"expected an output (logits|probabilities) of shape batch, 7, found none"):
        Classifier.load(changed_model(drop))


def full_precision_of(opened):
    try:
        return opened.get_session_options().get_session_config_entry("session.x64quantprecision")
    except RuntimeError:  # not set
        return None


@pytest.mark.parametrize(
    ("weights", "here", "expected"),
    [("int8", True, "1"), ("int8", False, None), ("int8 (7 bits)", True, None), (None, True, "1")],
)
def test_a_model_that_would_saturate_here_is_run_in_full_precision(int8_model, monkeypatch, weights, here, expected):
    monkeypatch.setattr(session, "saturates", lambda *, full_precision=False: here and not full_precision)
    opened, _ = session.open_session(int8_model(weights), CPU)
    assert full_precision_of(opened) == expected


def test_a_model_that_nothing_helps_is_refused(int8_model, monkeypatch):
    monkeypatch.setattr(session, "saturates", lambda *, full_precision=False: True)
    session.open_session(int8_model("int8 (7 bits)"), CPU)
    with pytest.raises(ModelError, match=r"expected a processor with 8-bit dot products .* --target portable"):
        session.open_session(int8_model("int8"), CPU)


@pytest.fixture
def int8_model(tmp_path, repository):
    """Reads the small shipped model, with other metadata about its weights."""

    def read(weights):
        model = onnx.load(repository / "exported" / "fer-tiny-int8.onnx")
        (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
        metadata = ModelMetadata.from_json(entry.value)
        stated = None if weights is None else {"weights": weights}
        entry.value = replace(metadata, quantisation=stated, content_sha256=NO_CHECKSUM).to_json()
        path = tmp_path / "other.onnx"
        path.write_bytes(add_checksum(model.SerializeToString()))
        return read_model(path)

    return read


def test_what_the_probe_measures_is_what_the_processor_is():
    """Full precision never saturates; without it, x86 does where it has no VNNI (flags of Linux), others do not."""
    assert not saturates(full_precision=True)
    cpuinfo = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not cpuinfo.is_file():
        pytest.skip("only Linux on x86 tells its flags in /proc/cpuinfo")
    flags = set(cpuinfo.read_text().split())
    has_dot_products = bool(flags & {"avx512_vnni", "avx_vnni"})
    assert saturates() is ("avx2" in flags and not has_dot_products)


def test_the_probe_is_what_its_script_makes(monkeypatch, repository):
    monkeypatch.syspath_prepend(str(repository / "tools"))
    import make_saturation_probe

    assert make_saturation_probe.probe() == PROBE.read_bytes()
