"""The exponential moving average (EMA) of the weights: what val is read with and what is written.

An average over the last steps is a better network than the last step alone (Polyak & Juditsky 1992;
Tarvainen & Valpola 2017).
"""

from __future__ import annotations

from timm.utils import ModelEmaV3
from torch import nn


def make_ema(network: nn.Module, decay: float) -> ModelEmaV3:
    """An average that starts as ``network``; ``decay`` in (0, 1) is reached after a warm-up."""
    return ModelEmaV3(network, decay=decay, use_warmup=True)
