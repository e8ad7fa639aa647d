"""The baseline heatmap: plain Grad-CAM at the backbone's last stage, as fracture demos show it.

Of the same network and the same logit, through pytorch-grad-cam, with ReLU and enlarged bilinearly:
what the evidence map is compared with. Holds hooks: not for use from several threads.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from torch import nn

from detector.model.letterbox import Letterbox
from detector.model.network import EvidenceNetwork


class LogitOnly(nn.Module):
    """The network with its logit (N, 1) alone, as pytorch-grad-cam wants a model."""

    def __init__(self, network: EvidenceNetwork):
        super().__init__()
        self.network = network

    def forward(self, films: torch.Tensor) -> torch.Tensor:
        return self.network(films)[0][:, None]


def stages(network: EvidenceNetwork) -> list[tuple[str, nn.Module]]:
    """The backbone's parts with weights, from the film to the last stage."""
    parts: list[tuple[str, nn.Module]] = []
    for name, child in network.backbone.named_children():
        if isinstance(child, nn.ModuleList | nn.Sequential) and name == "blocks":
            parts += [(f"{name}.{i}", block) for i, block in enumerate(child)]
        elif any(True for _ in child.parameters()):
            parts.append((name, child))
    return parts


def plain_grad_cam(network: EvidenceNetwork, canvas: np.ndarray) -> np.ndarray:
    """Canvas float32 (H, W) -> map float32 (H, W) over it, from 0 to its maximum of 1."""
    film = torch.from_numpy(np.ascontiguousarray(canvas, np.float32))[None, None]
    with torch.enable_grad(), GradCAM(LogitOnly(network), [stages(network)[-1][1]]) as cam:
        return cam(film, targets=[lambda logit: logit[0]])[0]


def canvas_to_film(values: np.ndarray, letterbox: Letterbox) -> np.ndarray:
    """A map over the canvas's pixels (H, W) -> float32 over the film's, bilinear."""
    inner = values[: letterbox.inner[0], : letterbox.inner[1]]
    return cv2.resize(np.ascontiguousarray(inner), (letterbox.width, letterbox.height))
