"""Runs the network on one canvas: whatever the runtime, the same three arrays come back.

PyTorch is the reference and the fallback. OpenVINO is the faster runtime on processors, chosen by
measurement (``benchmarks/latency.py``); it comes with the extra ``fast``. The same canvas gives the
same bytes in every process, in OpenVINO also with any number of threads; PyTorch's convolutions
change in the last place with it, far below what ``Prediction.to_dict`` rounds away
(``tests/test_determinism.py``).
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from detector.network import EvidenceNetwork

if TYPE_CHECKING:
    from detector.checkpoint import Model

logger = logging.getLogger(__name__)

ENGINES = ("auto", "torch", "openvino")
PRECISIONS = ("float32", "bfloat16", "float16")
# Full precision, until benchmarks/precision.py has shown for the shipped weights that less is
# harmless on val.
DEFAULT_PRECISION = "float32"


@dataclass(frozen=True)
class EngineOutput:
    """``logit`` float; ``evidence`` float32 (h, w); ``embedding`` float32 (E,)."""

    logit: float
    evidence: np.ndarray
    embedding: np.ndarray


class Engine(Protocol):
    """A runtime that holds the network. May be called from several threads at once.

    ``name``: "torch" or "openvino". ``precision``: one of ``PRECISIONS``, that of the arithmetic;
    outputs are always float32.
    """

    name: str
    precision: str

    def run(self, canvas: np.ndarray) -> EngineOutput:
        """Canvas float32 (H, W) in [0, 1], sides multiples of 32 -> output."""
        ...


class TorchEngine:
    """PyTorch, the reference.

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


def make_engine(model: Model, name: str = "auto", precision: str = DEFAULT_PRECISION) -> Engine:
    """The runtime for a model. "auto": OpenVINO where it is installed and works, else PyTorch.

    Raises:
        ValueError: unknown name or precision, or the precision is not to be had here.
        ImportError: "openvino" was asked for and is not installed.
    """
    if name not in ENGINES:
        raise ValueError(f"unknown engine {name!r}; there are {', '.join(ENGINES)}")
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; there are {', '.join(PRECISIONS)}")
    if name == "torch":
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return TorchEngine(model.network, device, precision=precision)
    try:
        # Optional, and slow to import: only where it is wanted.
        from detector.engine_openvino import OpenVinoEngine

        return OpenVinoEngine(model, precision=precision)
    except ImportError as error:
        if name == "openvino":
            raise ImportError(
                "OpenVINO is not installed: pip install 'fracture-detector[fast]'"
            ) from error
        logger.info("OpenVINO is not installed; the network runs in PyTorch, which is slower")
    except RuntimeError as error:
        if name == "openvino":
            raise
        logger.warning("OpenVINO cannot run this network here, PyTorch does: %s", error)
    return TorchEngine(model.network, precision=precision)
