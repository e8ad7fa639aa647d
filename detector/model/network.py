"""The evidence network: a convolutional backbone whose one output is a map of evidence.

    features A_k  (B, C, h, w)   three backbone levels fused at stride 8, one 3x3 convolution
    evidence  e = sum_k w_k A_k  (B, h, w)   one score per place, no bias
    logit       = log(sum exp T e) / T + b   a smooth maximum (Boyd & Vandenberghe 2004), sharper
                                             for a larger T; at T = 1 a 'noisy or' (Pearl 1988):
                                             the odds of the places add up

Because the logit is a pooling of e alone, its gradient at A_k has a spatial mean proportional to
w_k, whatever the film; Grad-CAM at A (Selvaraju et al. 2017) is therefore ReLU(e) times a positive
constant, exactly. One forward pass gives the verdict and the explanation.
"""

from __future__ import annotations

import math

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detector.model.architecture import Architecture

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class EvidenceNetwork(nn.Module):
    """Backbone, fusion and evidence head.

    Input: grey films (B, 1, H, W) in [0, 1], bone bright, H and W multiples of 32. The ImageNet
    normalisation and the copy to three channels are part of the network.
    """

    def __init__(
        self,
        architecture: Architecture | None = None,
        *,
        pretrained: bool = False,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.architecture = architecture or Architecture()
        self.backbone = timm.create_model(
            self.architecture.backbone,
            pretrained=pretrained,
            features_only=True,
            out_indices=(2, 3, 4),
            drop_path_rate=drop_path,
        )
        channels = self.architecture.channels
        levels = self.backbone.feature_info.channels()
        self.embedding_levels = tuple(levels)
        self.embedding_size = sum(levels)
        self.lateral = nn.ModuleList(nn.Conv2d(level, channels, 1) for level in levels)
        self.fuse = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.SiLU(),
        )
        self.evidence = nn.Conv2d(channels, 1, 1, bias=False)
        # An untrained map is about zero everywhere: the biases start where a film of some two
        # thousand places is an even call and a single place is a rare one.
        temperature = self.architecture.temperature
        self.film_bias = nn.Parameter(torch.tensor(-math.log(2000.0) / temperature))
        self.place_bias = nn.Parameter(torch.tensor(-3.0))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def features(self, films: Tensor) -> tuple[Tensor, Tensor]:
        """Films (B, 1, H, W) -> features A (B, C, H/stride, W/stride), embedding (B, E).

        The embedding holds each level's mean features at unit length: their direction tells
        strangers from films better than their size does (Mueller & Hein 2025, Mahalanobis++).
        """
        depths = self.backbone((films - self.mean) / self.std)
        means = [depth.mean(dim=(2, 3)) for depth in depths]
        embedding = torch.cat([F.normalize(mean, dim=1) for mean in means], dim=1)
        levels = [lateral(x) for lateral, x in zip(self.lateral, depths, strict=True)]
        if self.architecture.stride == 8:
            size = levels[0].shape[-2:]
        else:
            levels[0] = F.avg_pool2d(levels[0], 2)
            size = levels[1].shape[-2:]
        fused = levels[0]
        for level in levels[1:]:
            if level.shape[-2:] != size:
                level = F.interpolate(level, size=size, mode="bilinear", align_corners=False)
            fused = fused + level
        return self.fuse(fused), embedding

    def pool(self, evidence: Tensor) -> Tensor:
        """Evidence (B, h, w) -> logit (B,)."""
        temperature = self.architecture.temperature
        pooled = torch.logsumexp(temperature * evidence.flatten(1), dim=1) / temperature
        return pooled + self.film_bias

    def forward(self, films: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Films (B, 1, H, W) -> logit (B,), evidence (B, h, w), embedding (B, E), float32 or 64."""
        features, embedding = self.features(films)
        evidence = self.evidence(features).squeeze(1)
        if evidence.dtype in (torch.bfloat16, torch.float16):
            evidence, embedding = evidence.float(), embedding.float()
        return self.pool(evidence), evidence, embedding


def load_backbone(network: EvidenceNetwork, state: dict[str, Tensor]) -> None:
    """Load ImageNet weights in timm's naming into the backbone.

    Entries of the classifier head that the network does not use are ignored.

    Raises:
        ValueError: an entry that the backbone needs is not in ``state``.
    """
    missing, _ = network.backbone.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing:
        raise ValueError(f"not weights of {network.architecture.backbone}: {missing[0]} is missing")
