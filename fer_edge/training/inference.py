"""Logits of many faces from a classifier, with averaging over views where asked for."""

from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_edge.errors import TrainingError
from fer_edge.evaluation.judgement import CROP_PART, Views
from fer_edge.training.augmentation import normalise


@torch.inference_mode()
def predict_logits(
    model: nn.Module,
    faces: np.ndarray,
    *,
    mean: float,
    std: float,
    batch_size: int = 512,
    augmentation: Views = "none",
) -> np.ndarray:
    """Logits float32 (N, 7) of uint8 faces (N, S, S), computed in fp32 where ``model`` lives.

    With views, the log of the mean probability over them: the face and its mirror image ('flip'), or the four corners
    and the centre of the face, each with its mirror image ('ten-crop', Krizhevsky et al. 2012). The model is left in
    eval mode. Raises TrainingError for unknown views.
    """
    if augmentation not in get_args(Views):
        raise TrainingError(f"augmentation: expected one of {', '.join(get_args(Views))}, found {augmentation!r}")
    model.eval()
    device = next(model.parameters()).device
    logits = []
    for start in range(0, len(faces), batch_size):
        batch = normalise(torch.from_numpy(faces[start : start + batch_size]).to(device), mean, std)
        if augmentation == "none":
            logits.append(model(batch).float().cpu())
        else:
            views = [model(view).float().softmax(dim=1) for view in _views(batch, augmentation)]
            logits.append(torch.stack(views).mean(dim=0).clamp_min(1e-12).log().cpu())
    return torch.cat(logits).numpy() if logits else np.empty((0, 7), np.float32)


def _views(faces: Tensor, augmentation: Views) -> list[Tensor]:
    """Float (N, 1, S, S) each: 2 views for 'flip', 10 for 'ten-crop', whose crops are enlarged to the full size."""
    if augmentation == "flip":
        return [faces, faces.flip(-1)]
    size = faces.shape[-1]
    side = round(size * CROP_PART)
    far, middle = size - side, (size - side) // 2
    views = []
    for top, left in ((0, 0), (0, far), (far, 0), (far, far), (middle, middle)):
        crop = faces[..., top : top + side, left : left + side]
        enlarged = F.interpolate(crop, size=(size, size), mode="bilinear", align_corners=False)
        views += [enlarged, enlarged.flip(-1)]
    return views
