"""The optimiser and its learning rate over a run."""

from __future__ import annotations

import math

import torch

from detector.model.network import EvidenceNetwork
from detector.training.config import TrainConfig


def make_optimizer(network: EvidenceNetwork, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW: a lower rate for the backbone, no weight decay on biases and norms."""
    groups = []
    for is_backbone, rate in ((True, config.backbone_lr), (False, config.head_lr)):
        for decays in (True, False):
            chosen = [
                p for name, p in network.named_parameters()
                if name.startswith("backbone.") == is_backbone and (p.ndim > 1) == decays
            ]
            decay = config.weight_decay if decays else 0.0
            groups.append({"params": chosen, "lr": rate, "peak": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, done: float) -> None:
    """Linear warm-up, then cosine to zero; ``done`` is the fraction of all steps, in [0, 1]."""
    factor = min(1.0, done / max(config.warmup, 1e-9))
    if done > config.warmup:
        factor = 0.5 * (1 + math.cos(math.pi * (done - config.warmup) / (1 - config.warmup)))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
