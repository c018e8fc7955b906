"""Logits of many faces from a classifier, with averaging over views where asked for."""

from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_edge.errors import TrainingError
from fer_edge.evaluation.evaluation import CROP_FRACTION, Views
from fer_edge.training.augmentation import normalise
from fer_edge.training.classifier import FacialExpressionClassifier
from fer_edge.training.heads import Head, columns_of


def predict_logits(
    model: nn.Module,
    faces: np.ndarray,
    *,
    mean: float,
    std: float,
    batch_size: int = 512,
    augmentation: Views = "none",
) -> np.ndarray:
    """Logits float32 (N, C) of uint8 faces (N, S, S), computed in fp32 where ``model`` lives; of its main head.

    With views, the log of the mean probability over them: the face and its mirror image ('flip'), or the four corners
    and the centre of the face, each with its mirror image ('ten-crop', Krizhevsky et al. 2012). The model is left in
    eval mode. Raises TrainingError for unknown views.
    """
    return _predict(model, lambda views: (model(views),), faces, mean, std, batch_size, augmentation)[0]


def predict_head_logits(
    classifier: FacialExpressionClassifier,
    heads: Sequence[Head],
    faces: np.ndarray,
    *,
    mean: float,
    std: float,
    batch_size: int = 512,
    augmentation: Views = "none",
) -> dict[str, np.ndarray]:
    """As ``predict_logits``, for each head by its name."""

    def logits(views: Tensor) -> tuple[Tensor, ...]:
        outputs = classifier.all_logits(views)
        return tuple(outputs[:, columns] for columns in columns_of(heads))

    found = _predict(classifier, logits, faces, mean, std, batch_size, augmentation)
    return dict(zip((head.name for head in heads), found, strict=True))


@torch.inference_mode()
def _predict(
    model: nn.Module,
    logits_of: Callable[[Tensor], tuple[Tensor, ...]],
    faces: np.ndarray,
    mean: float,
    std: float,
    batch_size: int,
    augmentation: Views,
) -> list[np.ndarray]:
    """The logits of each head, as ``logits_of`` gives them for normalised faces (N, 1, S, S)."""
    if augmentation not in get_args(Views):
        raise TrainingError(f"augmentation: expected one of {', '.join(get_args(Views))}, found {augmentation!r}")
    model.eval()
    device = next(model.parameters()).device
    if not len(faces):
        blank = torch.zeros(1, 1, *faces.shape[1:], device=device)
        return [head[:0].float().cpu().numpy() for head in logits_of(blank)]
    batches: list[tuple[Tensor, ...]] = []
    for start in range(0, len(faces), batch_size):
        batch = normalise(torch.from_numpy(faces[start : start + batch_size]).to(device), mean, std)
        if augmentation == "none":
            batches.append(tuple(head.float().cpu() for head in logits_of(batch)))
        else:
            views = [[head.float().softmax(dim=1) for head in logits_of(view)] for view in _views(batch, augmentation)]
            means = (torch.stack(list(head)).mean(dim=0) for head in zip(*views, strict=True))
            batches.append(tuple(mean_of.clamp_min(1e-12).log().cpu() for mean_of in means))
    return [torch.cat(list(head)).numpy() for head in zip(*batches, strict=True)]


def _views(faces: Tensor, augmentation: Views) -> list[Tensor]:
    """Float (N, 1, S, S) each: 2 views for 'flip', 10 for 'ten-crop', whose crops are enlarged to the full size."""
    if augmentation == "flip":
        return [faces, faces.flip(-1)]
    size = faces.shape[-1]
    side = round(size * CROP_FRACTION)
    far, middle = size - side, (size - side) // 2
    views = []
    for top, left in ((0, 0), (0, far), (far, 0), (far, far), (middle, middle)):
        crop = faces[..., top : top + side, left : left + side]
        enlarged = F.interpolate(crop, size=(size, size), mode="bilinear", align_corners=False)
        views += [enlarged, enlarged.flip(-1)]
    return views
