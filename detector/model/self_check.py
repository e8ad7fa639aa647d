"""A picture made by code, and what the network answered to it when its weights were written.

Read again when the weights are loaded: a file that is whole but not this network's, an engine that
computes wrongly on this processor, or a changed network give another answer. Three numbers of the
output are pinned, from PyTorch in full precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from detector.model.network import EvidenceNetwork

# How far an answer may lie from the pinned one, as a share of 1 + its size. The shipped weights
# stay within a fifth of it on both engines (tests/model/test_self_check.py); a graphics card rounds
# more, as its convolutions in "float32" may have ten bits.
TOLERANCE = {"float32": 0.02, "bfloat16": 0.1, "float16": 0.1}


class Output(Protocol):
    """What an engine gives for one canvas; see ``detector.engines.base.EngineOutput``."""

    logit: float
    evidence: np.ndarray
    embedding: np.ndarray


def canvas() -> np.ndarray:
    """float32 (192, 128) in [0, 1]: two bones in soft tissue, one of them broken across."""
    y, x = np.mgrid[0:192, 0:128].astype(np.float64)
    picture = 0.25 * np.exp(-(((x - 64) / 50) ** 4))
    for middle, width in ((48, 12), (84, 9)):
        across = (x - middle - 4 * np.sin(y / 40)) / width
        picture += 0.45 * np.exp(-(across**4)) * (1 - 0.4 * np.exp(-((across / 0.6) ** 2)))
    gap = (y - 100 - 0.4 * (x - 48)) / 2.5
    picture -= 0.3 * np.exp(-(gap**2)) * (np.abs(x - 48) < 14)
    picture += 0.02 * np.sin(x * 1.7) * np.sin(y * 1.3)
    return np.clip(picture, 0, 1).astype(np.float32)


def answer_of(output: Output) -> dict[str, float]:
    """The numbers of an output that are pinned."""
    return _numbers(output.logit, output.evidence, output.embedding)


def _numbers(logit: float, evidence: np.ndarray, embedding: np.ndarray) -> dict[str, float]:
    values = {
        "logit": logit,
        "evidence_peak": evidence.max(),
        "embedding_peak": embedding.max(),
    }
    return {name: float(f"{float(value):.6g}") for name, value in values.items()}


def answer_of_network(network: EvidenceNetwork) -> dict[str, float]:
    """What a network in evaluation mode answers to the picture, in PyTorch on the processor."""
    import torch

    with torch.inference_mode():
        logit, evidence, embedding = network(torch.from_numpy(canvas())[None, None])
    return _numbers(float(logit[0]), evidence[0].numpy(), embedding[0].numpy())


def wrong(pinned: Mapping[str, float], output: Output, precision: str) -> list[str]:
    """Names of the pinned numbers that an output misses; all of them when it holds no numbers."""
    answer = answer_of(output)
    return [
        name for name, value in pinned.items()
        if not abs(answer.get(name, np.nan) - value) <= TOLERANCE[precision] * (1 + abs(value))
    ]  # fmt: skip
