"""Runs the network on one canvas: whatever the runtime, the same three arrays come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from detector.network import EvidenceNetwork


@dataclass(frozen=True)
class EngineOutput:
    """``logit`` float; ``evidence`` float32 (h, w); ``embedding`` float32 (E,)."""

    logit: float
    evidence: np.ndarray
    embedding: np.ndarray


class Engine(Protocol):
    """A runtime that holds the network. May be called from several threads at once."""

    name: str
    precision: str

    def run(self, canvas: np.ndarray) -> EngineOutput:
        """Canvas float32 (H, W) in [0, 1], sides multiples of 32 -> output."""
        ...


class TorchEngine:
    """PyTorch, the reference."""

    name = "torch"
    precision = "float32"

    def __init__(self, network: EvidenceNetwork, device: str | torch.device = "cpu"):
        self.device = torch.device(device)
        self.network = network.eval().to(self.device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(self, canvas: np.ndarray) -> EngineOutput:
        film = torch.from_numpy(np.ascontiguousarray(canvas, np.float32))[None, None]
        logit, evidence, embedding = self.network(film.to(self.device))
        return EngineOutput(
            float(logit[0]), evidence[0].cpu().numpy(), embedding[0].cpu().numpy()
        )
