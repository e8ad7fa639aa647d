"""A network of 100 thousand weights in the shipped one's form, for tests of what surrounds it."""

from __future__ import annotations

import numpy as np
import torch

from detector.model.architecture import Architecture
from detector.model.calibration import Calibration, Logistic
from detector.model.network import EvidenceNetwork
from detector.model.ood import OodModel
from detector.model.weights import Model, ModelConfig, arrays_of

TINY = Architecture(backbone="test_efficientnet", channels=16)
CALIBRATION = Calibration(
    image=Logistic(1.0, 0.0), location=Logistic(1.0, -3.0),
    rule_out=0.1, rule_in=0.6, extent=1.5, prevalence=0.2,
)  # fmt: skip


def tiny_network(seed: int = 0, stride: int = 8, temperature: float = 1.0) -> EvidenceNetwork:
    """Random weights whose evidence spreads over several units, as a trained network's does."""
    torch.manual_seed(seed)
    architecture = Architecture(TINY.backbone, TINY.channels, stride, temperature)
    network = EvidenceNetwork(architecture).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        films = torch.rand(2, 1, 96, 64, generator=generator)
        # Batch norm statistics of noise films: else an untrained network's features all but vanish.
        for module in network.modules():
            if hasattr(module, "momentum"):
                module.momentum = 1.0
        network.train()(films)
        network.eval()
        _, evidence, _ = network(films)
        network.evidence.weight.mul_(2.0 / evidence.std())
    return network


def tiny_model(seed: int = 0, *, size: int = 96, calibration: Calibration = CALIBRATION) -> Model:
    """A model that takes every film as in scope."""
    network = tiny_network(seed)
    embedding = network.embedding_size
    ood = OodModel(np.ones(embedding), zero=-1e6, threshold=1e6)
    config = ModelConfig("tiny", TINY, size, calibration, ood.zero, ood.threshold)
    return Model(arrays_of(network), ood, config, sha256="0" * 64)
