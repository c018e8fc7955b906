import json
import pickle
from dataclasses import replace

import numpy as np
import onnx
import pytest
from foreign_models import LABELS, WEIGHTS, softmax, write_model
from PIL import Image

from fer_edge.errors import ModelError, UsageError
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.description import describe_model
from fer_edge.runtime.foreign import INTERPOLATIONS, ForeignDescription
from fer_edge.runtime.foreign_files import description_of
from fer_edge.runtime.foreign_pixels import foreign_feed
from fer_edge.runtime.model_file import read_model

COLOUR = (200, 100, 50)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)


@pytest.fixture
def photo() -> np.ndarray:
    """One colour, so that no resize changes it: uint8 (40, 50, 3)."""
    return np.full((40, 50, 3), COLOUR, np.uint8)


def answer(values: object) -> np.ndarray:
    """Probabilities by hand of an image whose channels have these values."""
    return softmax(np.asarray(values, np.float64) @ WEIGHTS[: np.size(values)])


@pytest.mark.parametrize(
    ("shape", "described", "values"),
    [
        (("n", 3, 32, 32), {}, np.array(COLOUR) / 255),
        (("n", 3, 32, 32), {"mean": MEAN, "std": STD}, (np.array(COLOUR) / 255 - MEAN) / STD),
        (("n", 3, 32, 32), {"order": "BGR"}, np.array(COLOUR[::-1]) / 255),
        (("n", 3, 32, 32), {"order": "bgr", "mean": "0.5,0.4,0.3"}, np.array(COLOUR[::-1]) / 255 - MEAN),
        (("n", 3, 32, 32), {"range": "-1-1"}, np.array(COLOUR) / 127.5 - 1),
        (("n", 3, 32, 32), {"range": "0-255", "mean": 127.5, "std": 64}, (np.array(COLOUR) - 127.5) / 64),
        (("n", 32, 24, 3), {"mean": MEAN}, np.array(COLOUR) / 255 - MEAN),
        (("n", 1, 32, 32), {}, [124 / 255]),  # grey by luma weights: 0.299 * 200 + 0.587 * 100 + 0.114 * 50
        (("n", "c", "h", "w"), {"channels": 3, "size": 40, "layout": "NCHW"}, np.array(COLOUR) / 255),
    ],
)
def test_pixels_are_prepared_as_described(tmp_path, photo, shape, described, values):
    if shape[1] == "c":  # the file says nothing of its input
        path = write_model(tmp_path / "model.onnx")
        model = onnx.load(path)
        del model.graph.input[0].type.tensor_type.shape.dim[:]
        for name in shape:
            model.graph.input[0].type.tensor_type.shape.dim.add().dim_param = name
        onnx.save(model, path)
    else:
        path = write_model(tmp_path / "model.onnx", shape=shape)
    classifier = Classifier.load(path, description={"labels": LABELS, **described})
    prediction = classifier.predict(photo)
    np.testing.assert_allclose(list(prediction.probabilities.values()), answer(values), atol=2e-5)
    assert tuple(prediction.probabilities) == LABELS
    assert classifier.is_verified is False


def test_a_grey_photo_fills_three_channels_and_alpha_is_dropped(tmp_path):
    path = write_model(tmp_path / "model.onnx")
    classifier = Classifier.load(path, description={"labels": LABELS})
    grey = np.full((1, 30, 30, 1), 100, np.uint8)
    rgba = np.dstack([np.full((30, 30, 3), 100, np.uint8), np.zeros((30, 30), np.uint8)])[np.newaxis]
    expected = answer(np.full(3, 100 / 255))
    np.testing.assert_allclose(classifier.probabilities(grey)[0], expected, atol=1e-6)
    np.testing.assert_allclose(classifier.probabilities(rgba)[0], expected, atol=1e-6)


def test_probabilities_are_taken_as_they_are(tmp_path, photo):
    path = write_model(tmp_path / "model.onnx", softmax=True)
    classifier = Classifier.load(path, description={"labels": LABELS, "outputs": "probabilities"})
    probabilities, logits = classifier.probabilities_and_logits(photo[np.newaxis])
    np.testing.assert_allclose(probabilities[0], answer(np.array(COLOUR) / 255), atol=1e-6)
    np.testing.assert_allclose(softmax(logits), probabilities, atol=1e-6)


def test_a_fixed_batch_and_half_precision_are_fed_as_the_file_wants(tmp_path, photo):
    path = write_model(tmp_path / "model.onnx", shape=(2, 3, 16, 16), dtype=onnx.TensorProto.FLOAT16)
    classifier = Classifier.load(path, description={"labels": LABELS})
    found = classifier.probabilities(np.repeat(photo[np.newaxis], 3, axis=0))
    np.testing.assert_allclose(found, np.repeat(answer(np.array(COLOUR) / 255)[np.newaxis], 3, axis=0), atol=2e-3)
    assert classifier.metadata.precision == "fp16"


def test_the_middle_is_taken_where_the_shorter_side_is_resized():
    photo = np.zeros((1, 60, 120, 3), np.uint8)
    photo[:, :, 30:90] = 255  # its middle square
    described = ForeignDescription(labels=LABELS, layout="NCHW", channels=3, size=(40, 40), shortest=40)
    assert foreign_feed(photo, described, "float32").min() > 0.5
    stretched = foreign_feed(photo, replace(described, shortest=0), "float32")
    assert stretched.min() == 0  # the sides are in it, too


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("shortest", [0, 20])
def test_every_interpolation_is_pillows_own_of_that_name(interpolation, shortest):
    image = Image.fromarray(np.random.default_rng(3).integers(0, 256, (50, 40, 3), np.uint8))
    described = ForeignDescription(
        labels=LABELS, layout="NHWC", channels=3, size=(20, 20), interpolation=interpolation, shortest=shortest
    )
    found = foreign_feed(np.asarray(image)[np.newaxis], described, "float32")[0] * 255
    size = (20, 25) if shortest else (20, 20)
    expected = np.asarray(image.resize(size, getattr(Image.Resampling, interpolation.upper())))
    np.testing.assert_allclose(found, expected[2:22] if shortest else expected, atol=1e-3)


def test_without_a_description_it_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(ModelError, match=r"labels and input are unknown; describe it with --describe 'labels=A,B,C'"):
        read_model(write_model(tmp_path / "model.onnx"))


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"labels": ["a", "b"]}, r"expected as many labels as the output scores has classes, 3, found 2"),
        (
            {"labels": LABELS, "channels": 1},
            r"expected 3 channels, as the input image \(n, 3, 32, 32\) has as NCHW, found 1",
        ),
        ({"labels": LABELS, "size": 48}, r"expected the size 32x32, as the input has it as NCHW, found 48x48"),
        (
            {"labels": LABELS, "layout": "NHWC"},
            r"expected 1 or 3 channels where NHWC has them, found 32 .*; say layout=NCHW",
        ),
        ({"labels": LABELS, "mean": [1, 2, 3], "std": [1, 2]}, r"std: expected one number or three above 0"),
        ({"labels": LABELS, "output": "other"}, r"expected an output among scores, found 'other'"),
        ({"labels": LABELS, "outputs": "probabilities"}, r"expected probabilities .* say outputs=logits"),
        ({"labels": LABELS, "meen": 1}, r"expected keys among .*labels.*, found meen"),
        ({"size": 32}, r"expected labels, the names of the classes in the order of the outputs, found none"),
        ({"labels": LABELS, "size": "big"}, r"size: expected pixels, such as 224 .*, found big"),
        ({"labels": LABELS, "range": "0-2"}, r"range: expected one of 0-1, 0-255, -1-1, found 0-2"),
        ({"labels": LABELS, "std": 0}, r"std: expected one number or three above 0"),
        ({"labels": ["a", "a", "b"]}, r"labels: expected names that differ"),
    ],
)
def test_a_wrong_description_is_one_line(tmp_path, described, message):
    path = write_model(tmp_path / "model.onnx")
    with pytest.raises((ModelError, UsageError), match=message) as caught:
        Classifier.load(path, description=described)
    assert "\n" not in str(caught.value)


def test_probabilities_described_as_logits_are_found_out(tmp_path):
    path = write_model(tmp_path / "model.onnx", softmax=True)
    with pytest.raises(ModelError, match=r"expected logits .* found probabilities; say outputs=probabilities"):
        Classifier.load(path, description={"labels": LABELS})


def test_labels_are_counted_by_running_where_the_file_does_not_say(tmp_path):
    path = write_model(tmp_path / "model.onnx")
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"2 images and 2 classes, as many as labels are described"):
        Classifier.load(path, description={"labels": ["a", "b"]})


def test_the_output_that_is_meant_is_named_where_the_first_is_the_label_alone(tmp_path):
    path = write_model(tmp_path / "model.onnx")
    model = onnx.load(path)
    model.graph.node.append(onnx.helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0))
    model.graph.output.insert(0, onnx.helper.make_tensor_value_info("label", onnx.TensorProto.INT64, ["n"]))
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"an output label of 2 images .* found one of shape 2; say output=scores$"):
        Classifier.load(path, description={"labels": LABELS})
    assert Classifier.load(path, description={"labels": LABELS, "output": "scores"}).labels == tuple(LABELS)


def test_a_model_with_metadata_takes_no_description(repository):
    with pytest.raises(UsageError, match="expected no description of a model that says itself what it is"):
        read_model(repository / "tests" / "fixtures" / "tiny.onnx", description={"labels": LABELS})


def test_what_no_image_classifier_has_stays_refused(tmp_path):
    path = write_model(tmp_path / "model.onnx")
    model = onnx.load(path)
    model.graph.node.append(onnx.helper.make_node("NonZero", ["means"], ["odd"]))
    onnx.save(model, path)
    with pytest.raises(ModelError, match="expected the operators of image classifiers alone, found NonZero"):
        read_model(path, description={"labels": LABELS})
    assert read_model(path, description={"labels": LABELS}, trust=True).metadata.labels == LABELS


def test_the_json_beside_a_model_describes_it(tmp_path, photo):
    path = write_model(tmp_path / "model.onnx")
    (tmp_path / "model.json").write_text(json.dumps({"labels": LABELS, "mean": MEAN, "std": STD}))
    expected = answer((np.array(COLOUR) / 255 - MEAN) / STD)
    np.testing.assert_allclose(Classifier.load(path).probabilities(photo[np.newaxis])[0], expected, atol=1e-5)
    assert describe_model(path).as_dict()["verified"] is False
    (tmp_path / "model.json").write_text("[]")
    with pytest.raises(UsageError, match=r"model\.json: expected an object in JSON, found a list"):
        Classifier.load(path)


ID2LABEL = {"0": "angry", "1": "happy", "2": "sad"}


def test_hugging_face_configs_are_read(tmp_path, photo):
    (tmp_path / "onnx").mkdir()
    path = write_model(tmp_path / "onnx" / "model.onnx", shape=("batch_size", 3, 32, 32))
    (tmp_path / "config.json").write_text(json.dumps({"id2label": ID2LABEL, "model_type": "vit"}))
    processor = {
        **{"do_resize": True, "size": {"height": 32, "width": 32}, "resample": 3, "do_rescale": True},
        **{"rescale_factor": 1 / 255, "do_normalize": True, "image_mean": MEAN, "image_std": STD},
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    classifier = Classifier.load(path)
    expected = answer((np.array(COLOUR) / 255 - MEAN) / STD)
    np.testing.assert_allclose(classifier.probabilities(photo[np.newaxis])[0], expected, atol=1e-5)
    described = classifier.metadata.description
    assert (described.interpolation, described.size, described.shortest) == ("bicubic", (32, 32), 0)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor | {"do_normalize": False}))
    np.testing.assert_allclose(
        Classifier.load(path).probabilities(photo[np.newaxis])[0], answer(np.array(COLOUR) / 255), atol=1e-5
    )
    more = {"image_processor_type": "EfficientNetImageProcessor", "rescale_offset": True, "rescale_factor": 1 / 127.5}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor | more))
    expected = answer((np.array(COLOUR) / 127.5 - 1 - MEAN) / STD / STD)
    np.testing.assert_allclose(Classifier.load(path).probabilities(photo[np.newaxis])[0], expected, atol=1e-5)
    flipped = {"do_flip_channel_order": True, "do_normalize": False}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor | flipped))
    expected = answer(np.array(COLOUR)[::-1] / 255)
    np.testing.assert_allclose(Classifier.load(path).probabilities(photo[np.newaxis])[0], expected, atol=1e-5)
    processor |= {"rescale_factor": 1 / 127.5}  # (pixel / 127.5 - mean) / std
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    expected = answer((np.array(COLOUR) / 127.5 - MEAN) / STD)
    np.testing.assert_allclose(Classifier.load(path).probabilities(photo[np.newaxis])[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "processor", "message"),
    [
        (
            {"id2label": {"0": "a", "2": "b", "4": "c"}},
            {},
            r"labels by number: expected the outputs, 0 to 2, .* 0, 2, 4",
        ),
        ({"label2id": {"a": 0, "b": 2, "c": 4}}, {}, r"labels by number: expected the outputs, 0 to 2, .* 0, 2, 4"),
        ({"id2label": ID2LABEL}, {"do_pad": True}, r"preprocessor_config.json: expected the steps .* found do_pad;"),
        (
            {"label_names": ["a", "b", "c"], "pretrained_cfg": {"input_size": [3, 32, 32], "crop_mode": "border"}},
            {},
            r"expected the crop_mode center or squash, found 'border'",
        ),
    ],
)
def test_configs_that_ask_for_more_are_refused(tmp_path, config, processor, message):
    path = write_model(tmp_path / "model.onnx", shape=("n", 3, 32, 32))
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    with pytest.raises(UsageError, match=message):
        Classifier.load(path)


def test_labels_by_their_names_and_timms_own_crop_are_read(tmp_path):
    path = write_model(tmp_path / "model.onnx", shape=("n", 3, 32, 32))
    config = {"label2id": {"sad": 2, "angry": 0, "happy": 1}, "pretrained_cfg": {"input_size": [3, 32, 32]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    described = Classifier.load(path).metadata.description
    assert (described.labels, described.shortest) == (("angry", "happy", "sad"), 36)


def test_a_shortest_edge_and_a_centre_crop_are_read(tmp_path):
    path = write_model(tmp_path / "model.onnx", shape=("n", 3, 32, 32))
    (tmp_path / "config.json").write_text(json.dumps({"id2label": ID2LABEL}))
    processor = {"size": {"shortest_edge": 36}, "do_center_crop": True, "crop_size": {"height": 32, "width": 32}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    described = Classifier.load(path).metadata.description
    assert (described.size, described.shortest) == ((32, 32), 36)


def test_timm_configs_are_read(tmp_path, photo):
    path = write_model(tmp_path / "model.onnx", shape=("n", 3, 32, 32))
    config = {
        "architecture": "resnet18",
        "label_names": list(LABELS),
        "pretrained_cfg": {
            **{"input_size": [3, 32, 32], "interpolation": "bicubic", "crop_pct": 0.8, "crop_mode": "center"},
            **{"mean": MEAN, "std": STD},
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    classifier = Classifier.load(path)
    described = classifier.metadata.description
    assert (described.size, described.shortest, described.interpolation) == ((32, 32), 40, "bicubic")
    expected = answer((np.array(COLOUR) / 255 - MEAN) / STD)
    np.testing.assert_allclose(classifier.probabilities(photo[np.newaxis])[0], expected, atol=1e-5)


def test_options_and_files_are_put_together(tmp_path):
    (tmp_path / "more.json").write_text(json.dumps({"labels": list(LABELS), "size": 64}))
    found = description_of([str(tmp_path / "more.json"), "size=32x24; order=BGR", "std=2"])
    assert found == ForeignDescription(labels=LABELS, size=(32, 24), order="BGR", std=(2.0,))
    with pytest.raises(UsageError, match=r"--describe: expected key=value or a JSON file, found 'labels'"):
        description_of(["labels"])


def test_predict_of_a_file_is_that_of_its_pixels(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "face.png")
    path = write_model(tmp_path / "model.onnx")
    classifier = Classifier.load(path, description=["labels=angry,happy,sad"])
    assert classifier.predict(tmp_path / "face.png").label == LABELS[int(answer(np.array(COLOUR) / 255).argmax())]


def test_it_pickles_with_its_description(tmp_path, photo):
    path = write_model(tmp_path / "model.onnx")
    classifier = Classifier.load(path, description={"labels": LABELS, "mean": 0.5})
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.probabilities(photo[np.newaxis]), classifier.probabilities(photo[np.newaxis]))
