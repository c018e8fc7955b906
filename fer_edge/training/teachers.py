"""What trained classifiers say about the training faces: soft targets for another one (Hinton et al. 2015)."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fer_edge.data.faces import FaceSet
from fer_edge.errors import CheckpointError, TrainingError
from fer_edge.evaluation.metrics import softmax
from fer_edge.files import write_atomically
from fer_edge.training.checkpoint import load_classifier
from fer_edge.training.config import TrainConfig
from fer_edge.training.distributed import Processes
from fer_edge.training.heads import Head, in_words, sizes_of
from fer_edge.training.inference import predict_head_logits
from fer_edge.training.progress import Reporter


def ask_teachers(
    faces: FaceSet,
    config: TrainConfig,
    heads: Sequence[Head],
    processes: Processes,
    reporter: Reporter,
    *,
    kept: Path | None,
    resumes: bool,
    digest: str = "",
) -> tuple[Tensor | None, str]:
    """Probabilities float32 (N, K) at ``config.temperature`` for each of ``faces``, and the SHA-256 of these.

    K is the sum of the outputs of ``heads``, whose probabilities stand side by side. A teacher has heads of these names
    and label sets, in any order, and may have others.
    None and "" where no teacher is named. The mean over the teachers, and over the face and its mirror image: the same
    target however a face is varied later. The main process asks them once and writes their answers to ``kept``; a run
    that ``resumes`` reads them from there, and ``digest`` is what they must have (any where it is empty).

    Raises CheckpointError for a teacher that cannot be read and for answers of another digest, and TrainingError for
    a teacher of another image size or without one of the heads.
    """
    if not config.teacher:
        return None, ""
    answers = np.zeros((len(faces), sum(sizes_of(heads))), np.float32)
    with processes.together(config.device):
        if processes.is_main:
            if resumes and kept is not None and kept.is_file():
                answers = _read(kept, answers.shape, digest)
            else:
                answers = _ask(faces, config, heads, reporter)
                if digest not in ("", _digest(answers)):
                    raise CheckpointError(
                        f"--teacher {config.teacher}: expected the answers with which the run began, found others; "
                        "put those teachers back, or start a new run"
                    )
                if kept is not None:
                    write_atomically(kept, lambda stream: np.save(stream, answers))
    shared = torch.from_numpy(answers).to(config.device)
    processes.take_from_main(shared)
    return shared, _digest(shared.cpu().numpy())


def _digest(answers: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(answers).tobytes()).hexdigest()


def _read(path: Path, shape: tuple[int, ...], digest: str) -> np.ndarray:
    try:
        with path.open("rb") as stream:
            answers = np.lib.format.read_array(stream, allow_pickle=False)
    except Exception as error:  # a damaged header is parsed as Python: many kinds
        raise CheckpointError(f"{path}: expected the teachers' answers, found a damaged file; delete it") from error
    if answers.shape != shape or answers.dtype != np.float32:
        raise CheckpointError(
            f"{path}: expected the teachers' answers as float32 {shape}, "
            f"found {answers.dtype} {answers.shape}; delete it"
        )
    if digest not in ("", _digest(answers)):
        raise CheckpointError(f"{path}: expected the answers with which the run began, found a damaged file; delete it")
    if not (np.isfinite(answers).all() and (answers >= 0).all()):
        raise CheckpointError(f"{path}: expected probabilities, found other numbers; delete it")
    return np.asarray(answers)


def _ask(faces: FaceSet, config: TrainConfig, heads: Sequence[Head], reporter: Reporter) -> np.ndarray:
    paths = [path.strip() for path in config.teacher.split(",")]
    answers = np.zeros((len(faces), sum(sizes_of(heads))), np.float64)
    for path in paths:
        classifier, info = load_classifier(path)
        if info.image_size != config.image_size:
            raise TrainingError(
                f"--teacher {path}: expected a classifier of {config.image_size}-pixel faces, found one of "
                f"{info.image_size}; choose another, or train with --image-size {info.image_size}"
            )
        missing = [head for head in heads if head not in info.heads]
        if missing:
            raise TrainingError(
                f"--teacher {path}: expected a classifier with the head {in_words(missing)}, "
                f"found {in_words(info.heads)}; choose another, or other --heads"
            )
        reporter.line(f"asking {path} ({info.architecture}) about {len(faces)} training faces")
        classifier.to(config.device)
        with torch.autocast(torch.device(config.device).type, torch.bfloat16, enabled=config.precision == "bf16"):
            logits = predict_head_logits(
                classifier, info.heads, faces.faces, mean=info.mean, std=info.std, augmentation="flip"
            )
        said = [softmax(logits[head.name] / config.temperature) for head in heads]
        answers += np.concatenate(said, axis=1) / len(paths)
    return answers.astype(np.float32)
