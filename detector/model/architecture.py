"""What must be known to build the network again; light, so that reading weights needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """Stored in ``weights/config.json``; ``network.EvidenceNetwork`` is built from it.

    ``backbone``: a name that timm knows. ``channels``: of the features that the evidence is read
    from. ``stride``: film pixels, at the network's size, per cell of the evidence map; 8 or 16.
    ``temperature``: how sharply the evidence is pooled to the film's logit, > 0. At 1 the odds of
    all cells add up. The larger it is, the more the strongest cell decides alone.

    Raises:
        ValueError: another stride, or a temperature that is not positive.
    """

    backbone: str = "tf_efficientnetv2_b0"
    channels: int = 128
    stride: int = 8
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.stride not in (8, 16):
            raise ValueError(f"stride must be 8 or 16, not {self.stride}")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be positive, not {self.temperature}")
