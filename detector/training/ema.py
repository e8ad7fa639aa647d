"""Averages of weights: over the last steps (EMA), and of a network before and after fine-tuning.

An average over the last steps is a better network than the last step alone (Polyak & Juditsky 1992;
Tarvainen & Valpola 2017). It is what val is read with and what is written.
"""

from __future__ import annotations

import torch
from timm.utils import ModelEmaV3
from torch import nn


def make_ema(network: nn.Module, decay: float) -> ModelEmaV3:
    """An average that starts as ``network``; ``decay`` in (0, 1) is reached after a warm-up."""
    return ModelEmaV3(network, decay=decay, use_warmup=True)


@torch.no_grad()
def blend(network: nn.Module, start: nn.Module, fraction: float) -> None:
    """Take ``network`` back towards the ``start`` that it was fine-tuned from, in place.

    The mean of the two keeps what each does well, at the cost of one (Wortsman et al. 2022, 'Robust
    fine-tuning of zero-shot models'). ``fraction`` in [0, 1] is that of ``start``.
    """
    begun = start.state_dict()
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.lerp_(begun[name].to(value), fraction)
