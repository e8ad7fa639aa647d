"""What must be known to build the network again; light, so that reading weights needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """Stored in ``weights/config.json``; ``network.EvidenceNetwork`` is built from it.

    ``backbone``: a name that timm knows. ``channels``: of the features that the evidence is read
    from. ``stride``: film pixels, at the network's size, per cell of the evidence map; 8 or 16.

    Raises:
        ValueError: another stride.
    """

    backbone: str = "tf_efficientnetv2_b0"
    channels: int = 128
    stride: int = 8

    def __post_init__(self) -> None:
        if self.stride not in (8, 16):
            raise ValueError(f"stride must be 8 or 16, not {self.stride}")
