"""What training minimises: a loss over the films' labels and one over the cells of the map."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss


def image_loss(
    logit: Tensor, label: Tensor, weight: Tensor, smoothing: float, known: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy with label smoothing, averaged over the films whose label is known.

    All (B,); ``label`` in {0, 1}, ``weight`` in {0, 1}. ``known``: the number that the sum is
    divided by, if it is not that of this batch: several processes share one. Returns a scalar.
    """
    soft = label * (1 - smoothing) + 0.5 * smoothing
    loss = F.binary_cross_entropy_with_logits(logit, soft, reduction="none")
    known = weight.sum() if known is None else known
    return (loss * weight).sum() / known.clamp(min=1)


def location_loss(
    logit: Tensor,
    target: Tensor,
    weight: Tensor,
    positive: Tensor | None = None,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> Tensor:
    """Focal loss (Lin et al. 2017) over the map cells, per positive cell.

    All (B, h, w); ``target`` in {0, 1}, ``weight`` in [0, 1]. ``positive``: the number of positive
    cells that the sum is divided by, if it is not that of this batch. Returns a scalar.
    """
    loss = sigmoid_focal_loss(logit, target, alpha, gamma)
    positive = target.sum() if positive is None else positive
    return (loss * weight).sum() / positive.clamp(min=1)
