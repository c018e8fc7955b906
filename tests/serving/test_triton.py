"""The repository as Triton reads it: its own schema parses the config, the copied files answer as it says."""

import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import ModelError, StorageError, UsageError
from fer_edge.metadata import NO_CHECKSUM
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.model_file import read_any
from fer_edge.runtime.shipped import shipped_by_name
from fer_edge.serving import triton
from fer_edge.serving.triton import TritonModel, write_repository
from fer_edge.serving.triton_config import Contract, quoted
from fer_edge.serving.triton_settings import Cell, TritonSettings

model_config = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="tritonclient is in the extra dev")
text_format = pytest.importorskip("google.protobuf.text_format")

CPU, GPU = model_config.ModelInstanceGroup.KIND_CPU, model_config.ModelInstanceGroup.KIND_GPU


def parsed(folder: Path):
    """Raises for a field that Triton's schema does not have."""
    return text_format.Parse((folder / "config.pbtxt").read_text(encoding="utf-8"), model_config.ModelConfig())


def made_settings(sha256="0" * 64, **more):
    values = {"provider": "cpu", "instances": 2, "threads": 1, "batch": 8, "max_batch": 32, "queue_delay_us": 320}
    values |= {"images_per_s": 5000.0, "machine": "a machine", "created": "2026-01-01T00:00:00Z"}
    return TritonSettings(sha256=sha256, cells=(Cell(2, 1, 8, 3.2, 5000.0),), **{**values, **more})


def write(out, path, name="mine", **more):
    return write_repository(out, TritonModel(read_any(path, trust=True), name, **more))


def as_batch(config, sizes=()):
    """An input that the config lets a request have: ``sizes`` in place of dims that are open, three images."""
    open_sizes = iter(sizes)
    dims = [next(open_sizes) if one == -1 else one for one in config.input[0].dims]
    shape = [3, *dims] if config.max_batch_size else dims
    return np.random.default_rng(0).integers(0, 256, shape)


def test_an_onnx_model_is_described_as_its_graph_is(tmp_path, tiny):
    onnx = pytest.importorskip("onnx")
    done = write(tmp_path / "repo", tiny)
    config, graph = parsed(done.folder), onnx.load(tiny).graph
    assert (config.name, config.platform, config.max_batch_size) == ("mine", "onnxruntime_onnx", 1)
    for stated, found in ((config.input, graph.input), (config.output, graph.output)):
        assert [one.name for one in stated] == [one.name for one in found]
        for one, tensor in zip(stated, found, strict=True):
            dims = [dim.dim_value or -1 for dim in tensor.type.tensor_type.shape.dim]
            assert [-1, *one.dims] == dims  # Triton puts the batch before the dims
            name = onnx.TensorProto.DataType.Name(tensor.type.tensor_type.elem_type)
            assert model_config.DataType.Name(one.data_type) == {"UINT8": "TYPE_UINT8", "FLOAT": "TYPE_FP32"}[name]
    assert not config.HasField("dynamic_batching")
    assert not config.instance_group


@pytest.mark.parametrize("shape", [None, (40, 36, 3)])
def test_onnxruntime_runs_the_copied_file_on_what_the_config_lets_in(tmp_path, tiny, shape):
    import onnxruntime

    done = write(tmp_path, tiny, shape=shape)
    config = parsed(done.folder)
    pixels = as_batch(config, (50, 61, 3)).astype(np.uint8)
    assert pixels.shape == (3, *(shape or (50, 61, 3)))
    session = onnxruntime.InferenceSession(str(done.folder / "1" / "model.onnx"))
    answers = session.run([one.name for one in config.output], {config.input[0].name: pixels})
    for one, answer in zip(config.output, answers, strict=True):
        assert answer.shape == (3, *one.dims)
        assert answer.dtype == np.float32
    labels = (done.folder / config.output[0].label_filename).read_text(encoding="utf-8").splitlines()
    for image, probabilities in zip(pixels, answers[0], strict=True):
        assert Classifier.load(tiny).predict(image).label == labels[int(probabilities.argmax())]


def test_the_copied_file_is_a_model_of_ours_with_its_metadata_and_card(tmp_path):
    shipped = shipped_by_name()["fer-tiny"].path
    done = write(tmp_path, shipped)
    version = done.folder / "1"
    assert Classifier.load(version / "model.onnx").metadata.name == "fer-tiny-int8"
    assert (version / "model.onnx").read_bytes() == shipped.read_bytes()
    assert (version / "model.md").read_bytes() == shipped.with_suffix(".md").read_bytes()
    assert parsed(done.folder).output[0].label_filename == "labels.txt"


def test_a_raw_model_has_the_dims_of_its_faces_and_logits_alone(tmp_path, tiny_raw):
    config = parsed(write(tmp_path, tiny_raw).folder)
    assert list(config.input[0].dims) == [1, 48, 48]
    assert config.input[0].data_type == model_config.TYPE_FP32
    assert [one.name for one in config.output] == ["logits"]


def test_a_model_of_one_batch_size_has_the_batch_in_its_dims_and_is_not_batched(tmp_path, tiny_raw):
    checked = read_any(tiny_raw)
    contracts = {
        "input": replace(checked.metadata.input, shape=(2, 1, 48, 48)),
        "outputs": tuple(replace(one, shape=(2, 7)) for one in checked.metadata.outputs),
    }
    fixed = replace(checked, metadata=replace(checked.metadata, **contracts))
    config = parsed(write_repository(tmp_path, TritonModel(fixed, "fixed", settings=made_settings())).folder)
    assert config.max_batch_size == 0
    assert list(config.input[0].dims) == [2, 1, 48, 48]
    assert list(config.output[0].dims) == [2, 7]
    assert config.output[0].label_filename == "labels.txt"
    assert not config.HasField("dynamic_batching")
    assert config.instance_group[0].count == 2
    with pytest.raises(
        UsageError, match="--max-batch-size: expected a model that Triton makes batches for, found one of 2"
    ):
        write_repository(tmp_path, TritonModel(fixed, "other", max_batch_size=4))


def test_torchscript_is_called_by_place_and_runs(tmp_path, torchscript_model):
    import torch

    done = write(tmp_path, torchscript_model, max_batch_size=8)
    config = parsed(done.folder)
    assert config.platform == "pytorch_libtorch"
    assert [one.name for one in (*config.input, *config.output)] == ["image__0", "probabilities__0", "logits__1"]
    pixels = torch.from_numpy(as_batch(config, (5, 6, 3)).astype(np.uint8))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.jit.load", DeprecationWarning)  # of some releases
        answers = torch.jit.load(done.folder / "1" / "model.pt")(pixels)
    for one in config.output:
        answer = answers[int(one.name.rpartition("__")[2])]
        assert tuple(answer.shape) == (3, *one.dims)
        assert bool(torch.allclose(answer.sum(dim=1), torch.ones(3))) == one.name.startswith("probabilities")


def test_openvino_has_both_files_under_the_names_that_its_backend_looks_for(tmp_path, openvino_model):
    from fer_edge.backends.registry import open_model

    done = write(tmp_path, openvino_model, settings=made_settings(provider="cpu", batch=1))
    config = parsed(done.folder)
    assert (config.platform, config.backend) == ("", "openvino")
    assert (config.max_batch_size, list(config.input[0].dims)) == (0, [-1, -1, -1, -1])  # so its backend takes them
    assert config.parameters["INFERENCE_NUM_THREADS"].string_value == "1"
    assert not config.HasField("dynamic_batching")
    pixels = as_batch(config, (3, 50, 61, 3)).astype(np.uint8)
    answers = open_model(done.folder / "1" / "model.xml").run(pixels)  # its sidecar names model.bin
    assert answers.probabilities.shape == (3, *config.output[0].dims[1:])
    np.testing.assert_array_equal(answers.logits, open_model(openvino_model).run(pixels).logits)


def test_a_format_without_a_backend_is_refused_with_those_that_have_one(tmp_path, tiny):
    checked = read_any(tiny)
    ncnn = replace(checked, metadata=replace(checked.metadata, format="ncnn"))
    with pytest.raises(ModelError, match=r"\(onnx, torchscript, openvino\), found ncnn; export it as one of these"):
        write_repository(tmp_path / "repo", TritonModel(ncnn, "mine"))
    assert not (tmp_path / "repo").exists()


def test_measured_settings_are_in_the_config_and_beside_the_model(tmp_path, tiny):
    sha256 = read_any(tiny).sha256
    done = write(tmp_path, tiny, settings=made_settings(sha256))
    config = parsed(done.folder)
    assert config.max_batch_size == 32
    assert list(config.dynamic_batching.preferred_batch_size) == [8]
    assert config.dynamic_batching.max_queue_delay_microseconds == 320
    assert [(one.count, one.kind) for one in config.instance_group] == [(2, CPU)]
    assert {key: value.string_value for key, value in config.parameters.items()} == {"intra_op_thread_count": "1"}
    assert TritonSettings.read(done.folder / "1" / "measurement.json") == made_settings(sha256)


def test_where_larger_batches_bring_nothing_there_is_no_batcher(tmp_path, tiny):
    config = parsed(write(tmp_path, tiny, settings=made_settings(batch=1)).folder)
    assert not config.HasField("dynamic_batching")
    assert config.max_batch_size == 32


def test_settings_of_a_gpu_name_no_threads(tmp_path, tiny):
    config = parsed(write(tmp_path, tiny, settings=made_settings(provider="cuda", instances=1)).folder)
    assert [(one.count, one.kind) for one in config.instance_group] == [(1, GPU)]
    assert not config.parameters


def test_a_maximum_below_the_best_batch_is_refused(tmp_path, tiny):
    with pytest.raises(UsageError, match="at least the batch that was measured as the best, 8, found 4"):
        write(tmp_path, tiny, settings=made_settings(), max_batch_size=4)
    assert parsed(write(tmp_path, tiny, settings=made_settings(), max_batch_size=8).folder).max_batch_size == 8


@pytest.mark.parametrize(
    ("shape", "found"),
    [((48, 48), "with 1 or 3 or 4 channels, found 48,48"), ((48, 48, 2), "found 48,48,2"), ((0, 9, 1), "found 0,9,1")],
)
def test_shapes_that_the_model_does_not_take_are_refused(tmp_path, tiny, shape, found):
    with pytest.raises(UsageError, match=found):
        write(tmp_path, tiny, shape=shape)


def test_a_shape_for_a_model_of_faces_is_refused(tmp_path, tiny_raw):
    with pytest.raises(UsageError, match="--shape: expected a model of pixels, found one of normalised"):
        write(tmp_path, tiny_raw, shape=(48, 48, 1))


def test_labels_of_every_alphabet_and_with_every_sign_but_line_breaks_are_lines(tmp_path, tiny):
    names = ("wütend: sehr", 'say "no"', "悲しい", "a\\nb", "#5", "x\u00a0y", "surprise, mild")
    checked = read_any(tiny)
    done = write_repository(
        tmp_path, TritonModel(replace(checked, metadata=replace(checked.metadata, labels=names)), "m")
    )
    assert (done.folder / "labels.txt").read_bytes().decode().split("\n") == [*names, ""]
    for wrong in ("two\nlines", "a\u2028b", "a\rb"):  # they never come so far: no label set has them
        with pytest.raises(UsageError, match="line break"):
            replace(checked.metadata, labels=(wrong, *names[1:])).label_set  # noqa: B018


def test_another_number_of_outputs_than_labels_has_no_labels_file(tmp_path, tiny):
    checked = read_any(tiny)
    outputs = (*checked.metadata.outputs, replace(checked.metadata.outputs[0], name="features", shape=("batch", 64)))
    config = parsed(
        write_repository(
            tmp_path, TritonModel(replace(checked, metadata=replace(checked.metadata, outputs=outputs)), "m")
        ).folder
    )
    assert [one.label_filename for one in config.output] == ["labels.txt", "labels.txt", ""]


def test_names_of_tensors_are_quoted_as_protobuf_reads_them():
    for name in ('a"b', "a\\b", "é 悲", "tab\tbell\a", "end\\"):
        assert text_format.Parse(f"name: {quoted(name)}", model_config.ModelConfig()).name == name


def test_the_same_model_again_keeps_its_version_and_its_measurement(tmp_path, tiny):
    sha256 = read_any(tiny).sha256
    write(tmp_path, tiny, settings=made_settings(sha256))
    again = write(tmp_path, tiny)
    assert (again.version, again.is_new_version, again.settings) == (1, False, made_settings(sha256))
    assert parsed(again.folder).instance_group[0].count == 2
    measured_anew = write(tmp_path, tiny, settings=made_settings(sha256, instances=1, threads=2))
    assert parsed(measured_anew.folder).instance_group[0].count == 1
    assert TritonSettings.read(again.folder / "1" / "measurement.json").threads == 2
    assert sorted(one.name for one in again.folder.iterdir() if one.is_dir()) == ["1"]


def another_tiny(tmp_path, tiny, **changes):
    """The same network in a file of other bytes."""
    onnx = pytest.importorskip("onnx")
    from fer_edge.export.formats.onnx import onnx_bytes

    metadata = replace(read_any(tiny).metadata, versions={"fer_edge": "0"}, content_sha256=NO_CHECKSUM, **changes)
    path = tmp_path / "another.onnx"
    path.write_bytes(onnx_bytes(onnx.load(tiny), metadata))
    return path


def test_another_model_becomes_the_next_version_and_brings_no_settings_of_the_one_before(tmp_path, tiny):
    first = write(tmp_path / "repo", tiny, settings=made_settings(read_any(tiny).sha256))
    other = another_tiny(tmp_path, tiny, created="2027-01-01")
    second = write(tmp_path / "repo", other)
    assert (second.folder, second.version, second.is_new_version) == (first.folder, 2, True)
    assert (second.folder / "1" / "model.onnx").read_bytes() == tiny.read_bytes()
    assert (second.folder / "2" / "model.onnx").read_bytes() == other.read_bytes()
    assert not parsed(second.folder).instance_group


def test_an_earlier_model_comes_back_as_the_last_version_which_is_the_one_that_triton_serves(tmp_path, tiny):
    measured = made_settings(read_any(tiny).sha256)
    write(tmp_path / "repo", tiny, settings=measured)
    write(tmp_path / "repo", another_tiny(tmp_path, tiny, created="2027-01-01"))
    back = write(tmp_path / "repo", tiny)
    assert (back.version, back.is_new_version, back.settings) == (3, True, measured)  # of the same bytes
    assert (back.folder / "3" / "model.onnx").read_bytes() == tiny.read_bytes()
    assert parsed(back.folder).instance_group[0].count == 2
    again = write(tmp_path / "repo", tiny)
    assert (again.version, again.is_new_version) == (3, False)


def test_a_model_of_other_labels_is_no_version_of_the_one_there(tmp_path, tiny):
    write(tmp_path / "repo", tiny)
    before = (tmp_path / "repo" / "mine" / "config.pbtxt").read_bytes()
    other = another_tiny(tmp_path, tiny, labels=tuple("abcdefg"))
    with pytest.raises(UsageError, match=r"inputs, outputs and labels of the versions there.*choose another"):
        write(tmp_path / "repo", other)
    with pytest.raises(UsageError, match="inputs, outputs and labels"):
        write(tmp_path / "repo", tiny, shape=(48, 48, 1))
    assert (tmp_path / "repo" / "mine" / "config.pbtxt").read_bytes() == before
    assert not (tmp_path / "repo" / "mine" / "2").exists()


def test_a_config_that_somebody_changed_is_kept(tmp_path, tiny):
    done = write(tmp_path, tiny)
    edited = (done.folder / "config.pbtxt").read_text() + "# mine\n"
    (done.folder / "config.pbtxt").write_text(edited)
    with pytest.raises(StorageError, match=r"config\.pbtxt: .*found one that was changed since, which is kept"):
        write(tmp_path, tiny)
    assert (done.folder / "config.pbtxt").read_text() == edited


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_a_place_that_is_taken_by_others_is_left_alone(tmp_path, tiny, kind):
    place = tmp_path / "repo" / "mine"
    place.parent.mkdir()
    if kind == "folder":
        place.mkdir()
        (place / "config.pbtxt").write_text("theirs")
    elif kind == "file":
        place.write_text("theirs")
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="a model's folder that was written here before, found another"):
        write(tmp_path / "repo", tiny)
    assert [one.name for one in place.parent.iterdir()] == ["mine"]


def test_a_failure_on_the_way_leaves_no_part_of_a_model(tmp_path, tiny, monkeypatch):
    real, count = triton.write_bytes, []

    def fails(path, data):
        count.append(path.name)
        if path.name == "labels.txt":
            raise StorageError("the disk is full")
        real(path, data)

    monkeypatch.setattr(triton, "write_bytes", fails)
    with pytest.raises(StorageError, match="the disk is full"):
        write(tmp_path / "repo", tiny)
    assert "model.onnx" in count
    assert list((tmp_path / "repo").iterdir()) == []
    monkeypatch.undo()
    assert write(tmp_path / "repo", tiny).version == 1


def test_a_version_is_put_in_place_whole(tmp_path, tiny, monkeypatch):
    write(tmp_path / "repo", tiny)
    other = another_tiny(tmp_path, tiny, created="2027-01-01")
    real = triton.write_bytes

    def fails(path, data):
        if path.name == "model.json":
            raise StorageError("the disk is full")
        real(path, data)

    monkeypatch.setattr(triton, "write_bytes", fails)
    with pytest.raises(StorageError, match="the disk is full"):
        write(tmp_path / "repo", other)
    assert sorted(one.name for one in (tmp_path / "repo" / "mine").iterdir() if one.is_dir()) == ["1"]


def test_a_foreign_model_has_the_contract_that_its_description_says(tmp_path):
    pytest.importorskip("onnx")
    from foreign_models import LABELS, write_model

    path = write_model(tmp_path / "theirs.onnx")
    checked = read_any(path, description=["labels=angry,happy,sad", "size=32"])
    done = write_repository(tmp_path / "repo", TritonModel(checked, "theirs"))
    config = parsed(done.folder)
    assert list(config.input[0].dims) == [3, 32, 32]
    assert [one.name for one in config.output] == ["scores"]
    assert (done.folder / "labels.txt").read_text().split() == list(LABELS)
    files = sorted(one.name for one in (done.folder / "1").iterdir() if not one.name.startswith("."))
    assert files == ["model.onnx"]  # nothing says what it is: no metadata of ours


def test_names_that_are_none_everywhere_are_refused(tiny):
    for name in ("", "a/b", "..", "nul", "ü", "x" * 201):
        with pytest.raises(UsageError, match="--name: expected up to 200 letters"):
            TritonModel(read_any(tiny), name)


def test_the_repository_may_be_moved_and_goes_on(tmp_path, tiny):
    write(tmp_path / "repo", tiny)
    shutil.move(tmp_path / "repo", tmp_path / "elsewhere")
    assert not write(tmp_path / "elsewhere", tiny).is_new_version


def test_a_data_type_that_triton_lacks_is_refused(tiny):
    metadata = read_any(tiny).metadata
    odd = replace(metadata, outputs=(replace(metadata.outputs[0], dtype="complex64"),))
    with pytest.raises(ModelError, match=r"expected data types of Triton .* found complex64 of 'probabilities'"):
        Contract.of(tiny, odd)
