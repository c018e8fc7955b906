"""Models of 2, 5 and 8 classes, with names in other scripts and names that need escaping, in every format."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from fer_edge.backends import open_model
from fer_edge.data.sample import synthetic_face
from fer_edge.errors import MissingExtraError
from fer_edge.export import all_formats
from fer_edge.export.exporter import export, export_checkpoint
from fer_edge.export.formats.registry import format_named
from fer_edge.export.quantization import report as report_module
from fer_edge.export.quantization.timing import LatencyPair
from fer_edge.export.request import ExportRequest
from fer_edge.labels import FERPLUS, LabelSet
from fer_edge.training.checkpoint import CheckpointInfo, classifier_from_config, load_classifier, save_checkpoint
from fer_edge.training.config import TrainConfig
from fer_edge.training.heads import Head

TWO = LabelSet(("smiling", "not smiling"))
FIVE = LabelSet(("радость", "грусть", "гнев", "страх", "удивление"))
EIGHT = LabelSet(('say "cheese"', "a, b", "<b>&amp;", "it's", "嬉しい", "back\\slash\\", "a|b", "`tick` *star* $x"))
SETS = (TWO, FIVE, EIGHT)
MODELS = [one.name for one in all_formats().values() if one.export is None]


def checkpoint_of(folder, *heads, source="sample:70"):
    torch.manual_seed(len(heads[0].label_set))
    config = TrainConfig(architecture="tiny", heads=",".join(head.name for head in heads))
    record = CheckpointInfo(
        config=config,
        mean=0.5,
        std=0.25,
        data_source=str(source),
        data_fingerprint="0" * 64,
        starting_weights="none",
        heads=heads,
    )
    classifier = classifier_from_config(config, heads=heads)
    for parameter in classifier.parameters():  # an untrained net says the same to every face; make it answer
        parameter.data *= 1.8
    folder.mkdir(exist_ok=True)
    save_checkpoint(folder / "best.pt", {"record": record.to_dict(), "model": classifier.state_dict()})
    return folder / "best.pt"


def name_of(labels: LabelSet) -> str:
    return f"{len(labels)}-classes"


@pytest.mark.parametrize("file_format", MODELS)
@pytest.mark.parametrize("labels", SETS, ids=name_of)
def test_every_format_keeps_the_labels(labels, file_format, tmp_path):
    found = format_named(file_format)
    checkpoint = checkpoint_of(tmp_path / "run", Head("labels", labels))
    try:
        request = ExportRequest(checkpoint, file_format=file_format, folder=tmp_path / "out", name="m")
    except MissingExtraError as missing:
        pytest.skip(str(missing))
    done = export_checkpoint(request)
    assert done.failures == ()
    model = open_model(done.paths[0], trust=True)
    assert model.metadata.labels == labels.names
    batch = 1 if found.takes_one_face else "batch"
    assert [output.shape for output in model.metadata.outputs] == [(batch, len(labels))] * 2
    outputs = model.run(np.stack([synthetic_face(index) for index in range(2)])[..., np.newaxis])
    assert outputs.probabilities.shape == outputs.logits.shape == (2, len(labels))


@pytest.mark.parametrize("labels", SETS, ids=name_of)
def test_raw_fp16_and_weights_too(labels, tmp_path):
    checkpoint = checkpoint_of(tmp_path / "run", Head("labels", labels))
    raw = export(ExportRequest(checkpoint, raw=True, precision="fp16", folder=tmp_path / "out", name="raw"))
    assert raw.failures == ()
    assert open_model(raw.paths[0]).metadata.outputs[0].shape == ("batch", len(labels))
    weights = export(ExportRequest(checkpoint, file_format="weights", folder=tmp_path / "out", name="w"))
    assert weights.failures == ()
    assert load_classifier(weights.paths[0])[1].labels == labels.names


@pytest.mark.parametrize("labels", SETS, ids=name_of)
def test_int8_is_calibrated_and_judged_on_faces_of_these_classes(labels, tmp_path, monkeypatch):
    faster = LatencyPair(fp32_ms=2.0, int8_ms=1.0, speedup=2.0, runs=40)
    monkeypatch.setattr(report_module, "compare_latency", lambda *_, **__: faster)
    for split, count in (("train", 12), ("validation", 4)):
        for label, name in enumerate(labels.names):
            folder = tmp_path / "faces" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                face = synthetic_face(7 * (20 * label + index) + label % 7, seed=1 if split == "train" else 2)
                Image.fromarray(face).save(folder / f"{index}.png")
    checkpoint = checkpoint_of(tmp_path / "run", Head("labels", labels))
    request = ExportRequest(
        checkpoint,
        precision="int8",
        folder=tmp_path / "out",
        name="m",
        data=str(tmp_path / "faces"),
        max_drop_points=100,
        target="x86-vnni",
    )
    done = export_checkpoint(request)
    assert done.quantisation is not None
    assert done.quantisation.int8.confusion.shape == (len(labels), len(labels))
    recalls = done.quantisation.to_dict()["validation"]["recall_int8"]
    assert tuple(recalls) == labels.names
    assert done.metadata.metrics["validation"]["faces"] == 4 * len(labels)
    assert done.parity.accuracy is done.quantisation.accuracy  # measured once


@pytest.mark.parametrize("raw", [False, True])
def test_snippets_of_the_card_hold_the_names_as_they_are(tmp_path, raw):
    checkpoint = checkpoint_of(tmp_path / "run", Head("labels", EIGHT))
    done = export_checkpoint(ExportRequest(checkpoint, raw=raw, folder=tmp_path / "out", name="m"))
    text = done.paths[-1].read_text(encoding="utf-8")
    python, javascript, cpp = (
        re.search(rf"```{language}\n(.*?)```\n\n#", text, re.DOTALL)[1] for language in ("python", "js", "cpp")
    )
    compile(python, "card", "exec")
    (line,) = re.findall(r"^labels = (.*)$", python, re.MULTILINE)
    assert tuple(eval(line)) == EIGHT.names
    (line,) = re.findall(r"^const labels = (.*);$", javascript, re.MULTILINE)
    assert tuple(json.loads(line)) == EIGHT.names
    comment = next(line for line in cpp.splitlines() if "gives 8 values" in line)
    assert comment.endswith('"')  # a backslash would make the next line part of the comment
    assert "\\<b\\>\\&amp;" in text
    assert "seven" not in text


def test_the_main_head_alone_is_exported(tmp_path):
    checkpoint = checkpoint_of(tmp_path / "run", Head("votes", FERPLUS), Head("labels", FIVE))
    done = export_checkpoint(ExportRequest(checkpoint, folder=tmp_path / "out", name="m"))
    assert done.failures == ()
    assert done.metadata.labels == FERPLUS.names
    weights = export(ExportRequest(checkpoint, file_format="weights", folder=tmp_path / "out", name="w"))
    assert [head.name for head in load_classifier(weights.paths[0])[1].heads] == ["votes", "labels"]
