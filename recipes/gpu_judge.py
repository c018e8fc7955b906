"""Judge runs on validation, plain and with the mirror image: ``python recipes/gpu_judge.py DATA OUT RUN ...``.

Writes OUT/validation.json: the accuracy of both heads of each run, after its best and its last epoch, of labels against
FER-2013's and of votes against their majority; and OUT/NAME.pt for each run but the teachers: a checkpoint of the last
averaged weights in float16, with all heads, which 'export --checkpoint' takes.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from fer_edge.data.load import load_faces
from fer_edge.data.votes import NO_MAJORITY, majority
from fer_edge.training.checkpoint import load_classifier, read_checkpoint, save_checkpoint
from fer_edge.training.inference import predict_head_logits
from fer_edge.training.presets import TEACHERS


def main() -> None:
    data, out, runs = sys.argv[1], Path(sys.argv[2]), [Path(path) for path in sys.argv[3:]]
    faces = load_faces(data).split("validation")
    assert faces.votes is not None
    truth = {"labels": faces.labels, "votes": majority(faces.votes)}
    judged = {}
    for run in runs:
        for checkpoint in ("best", "last"):
            classifier, info = load_classifier(run / "checkpoints" / f"{checkpoint}.pt")
            classifier.to("cuda" if torch.cuda.is_available() else "cpu")
            for views in ("none", "flip"):
                logits = predict_head_logits(
                    classifier, info.heads, faces.faces, mean=info.mean, std=info.std, augmentation=views
                )
                for head, answers in logits.items():
                    is_judged = truth[head] != NO_MAJORITY
                    right = answers.argmax(axis=1) == truth[head]
                    judged[f"{run.name} {checkpoint} {head} {views}"] = {
                        "accuracy": float(np.mean(right[is_judged])),
                        "faces": int(is_judged.sum()),
                        "epoch": info.epoch,
                    }
        if run.name not in TEACHERS:
            record = read_checkpoint(run / "checkpoints" / "last.pt")["record"]
            state = classifier.cpu().state_dict()  # of the last
            half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
            save_checkpoint(out / f"{run.name}.pt", {"record": record, "model": half})
    (out / "validation.json").write_text(json.dumps(judged, indent=2) + "\n")
    for name, one in judged.items():
        print(f"{name}: {one['accuracy']:.4f} of {one['faces']}")


if __name__ == "__main__":
    main()
