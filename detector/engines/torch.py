"""The network in PyTorch: the reference, and what runs where OpenVINO does not."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch

from detector.engines.base import EngineOutput
from detector.model.network import EvidenceNetwork


class TorchEngine:
    """PyTorch. See ``engine.Engine``.

    Raises:
        ValueError: ``precision`` is neither "float32" nor "bfloat16".
    """

    name = "torch"

    def __init__(
        self,
        network: EvidenceNetwork,
        device: str | torch.device = "cpu",
        *,
        precision: str = "float32",
    ):
        if precision not in ("float32", "bfloat16"):
            raise ValueError(f"PyTorch runs the network in float32 or bfloat16, not {precision!r}")
        self.precision = precision
        self.device = torch.device(device)
        self.network = network.eval().to(self.device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(self, canvas: np.ndarray) -> EngineOutput:
        film = torch.from_numpy(np.ascontiguousarray(canvas, np.float32))[None, None]
        with (
            torch.autocast(self.device.type, torch.bfloat16)
            if self.precision == "bfloat16"
            else nullcontext()
        ):
            logit, evidence, embedding = self.network(film.to(self.device))
        return EngineOutput(
            float(logit[0]), evidence[0].cpu().numpy(), embedding[0].cpu().numpy()
        )


def best_device() -> str:
    """The graphics card where PyTorch can use one, else the processor."""
    return "cuda" if torch.cuda.is_available() else "cpu"
