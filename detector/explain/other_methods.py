"""The other methods of ``methods.METHODS``, by pytorch-grad-cam (Gildenblat et al., 1.5.7).

All use the layer that the default uses: the features A of which the evidence is a 1x1 convolution.
One forward pass gives A, and the methods then run the network's head alone. The slowest of them (an
ablation of each of 128 channels) takes milliseconds beside that pass. Guided backpropagation is
left out: it shows edges whatever the weights are (Adebayo et al. 2018).

pytorch-grad-cam keeps hooks on the module and activations on the object: two threads would get each
other's maps. Everything here runs on a private copy of the network behind one lock.
"""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detector.explain.methods import DEFAULT
from detector.model.letterbox import Letterbox
from detector.model.network import EvidenceNetwork


class Explainers:
    """Maps of any method in ``METHODS`` but the default, for one network; safe between threads."""

    def __init__(self, network: EvidenceNetwork):
        self._source = network
        self._network: EvidenceNetwork | None = None
        self._lock = threading.Lock()

    def explain(self, canvas: np.ndarray, letterbox: Letterbox, method: str) -> np.ndarray:
        """Map float32 (h, w) over the letterbox, relative to its maximum on the film, in [0, 1].

        Args:
            canvas: float32 (H, W) in [0, 1], as the engine takes it.
            method: a key of ``METHODS``.
        """
        with self._lock:
            if self._network is None:
                copied = copy.deepcopy(self._source).float().eval()
                self._network = copied.requires_grad_(False)
            device = self._network.film_bias.device
            film = torch.from_numpy(np.ascontiguousarray(canvas, np.float32))[None, None]
            with torch.no_grad():
                features, _ = self._network.features(film.to(device))
            values = cam_of_features(self._network, features, method)
        # Nothing is explained by the padding.
        height = -(-letterbox.inner[0] * values.shape[0] // letterbox.canvas[0])
        width = -(-letterbox.inner[1] * values.shape[1] // letterbox.canvas[1])
        values[height:] = 0
        values[:, width:] = 0
        peak = float(values.max())
        return values / peak if peak > 0 else values


class _Head(nn.Module):
    """Features (B, C, h, w) -> logit (B, 1): the network after its last feature map."""

    def __init__(self, network: EvidenceNetwork):
        super().__init__()
        self.network = network
        self.layer = nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        return self.network.pool(self.network.evidence(self.layer(features)).squeeze(1))[:, None]


def cam_of_features(network: EvidenceNetwork, features: Tensor, method: str) -> np.ndarray:
    """Map (h, w) >= 0 of a method at the features A (1, C, h, w); not for use between threads."""
    head = _Head(network).eval()
    features = features.detach().clone().requires_grad_(True)
    cam = _cam_classes()[method](model=head, target_layers=[head.layer])
    try:
        # The map as it is, not enlarged to the input.
        cam.get_target_width_height = lambda _: (features.shape[-1], features.shape[-2])
        with torch.enable_grad():
            return cam(features, targets=[lambda logit: logit[0]])[0]
    finally:
        cam.activations_and_grads.release()


def _cam_classes() -> dict[str, Any]:
    """The classes by name; imported when first used, since they bring matplotlib and sklearn."""
    import pytorch_grad_cam as library
    from pytorch_grad_cam import ablation_cam

    class EigenCAM(library.EigenCAM):
        """The library takes a full decomposition, seconds for a film, and leaves the sign open."""

        def get_cam_image(
            self, input_tensor, target_layer, targets, activations, grads, eigen_smooth=False
        ):
            cells = activations[0].reshape(activations.shape[1], -1).T
            centred = cells - cells.mean(axis=0)
            _, axes = np.linalg.eigh(centred.T @ centred)
            image = centred @ axes[:, -1]
            # Of the two directions the one that goes with the evidence.
            weight = self.model.network.evidence.weight.detach().cpu().numpy().reshape(-1)
            if image @ (centred @ weight) < 0:
                image = -image
            return image.reshape(1, *activations.shape[2:])

    class Zero(library.AblationLayer):
        """Ablation sets a channel to zero, as in the paper; the library's value fits ReLU only."""

        def __call__(self, x):
            output = self.activations
            for row in range(output.shape[0]):
                output[row, self.indices[row]] = 0
            return output

    class AblationCAM(library.AblationCAM):
        def __init__(self, model, target_layers):
            super().__init__(model, target_layers, ablation_layer=Zero())

        def get_cam_weights(self, input_tensor, target_layer, targets, activations, grads):
            # A drop is taken relative to the score: below zero that would turn the map over.
            weights = super().get_cam_weights(
                input_tensor, target_layer, targets, activations, grads
            )
            return weights * np.sign(float(self.outputs[0, 0].detach()))

    class _Silent:
        tqdm = staticmethod(iter)

    ablation_cam.tqdm = _Silent  # a library prints no progress
    return {
        DEFAULT: library.GradCAM,
        "hirescam": library.HiResCAM,
        "gradcam++": library.GradCAMPlusPlus,
        "layercam": library.LayerCAM,
        "eigencam": EigenCAM,
        "ablationcam": AblationCAM,
    }
