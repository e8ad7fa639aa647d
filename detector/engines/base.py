"""The face of all engines: one canvas in, the network's three outputs out.

The same canvas gives the same bytes in every process. In OpenVINO that holds for any number of
threads; in PyTorch the number of threads changes the last bit of a convolution, which is far below
the rounding of ``Prediction.to_dict`` (``tests/house/test_determinism.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

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
