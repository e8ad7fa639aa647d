"""What a training run starts from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from detector.model.architecture import Architecture
from detector.model.network import EvidenceNetwork, load_backbone
from detector.model.weights import read_weights
from detector.training.config import TrainConfig


def make_network(config: TrainConfig, init: Path | None, pretrained: bool) -> EvidenceNetwork:
    """A network at its start: from ``init`` (a file of ImageNet weights, or a weights folder),
    from timm's hub, or at random. A weights folder may have another temperature.

    Raises:
        ValueError: the weights to start from cannot be had.
    """
    architecture = Architecture(
        channels=config.channels, stride=config.stride, temperature=config.temperature
    )
    if init and init.is_dir():
        trained = read_weights(init)
        own = trained.config.architecture
        if replace(own, temperature=architecture.temperature) != architecture:
            raise ValueError(f"{init} holds {own}, the configuration "
                             f"asks for {architecture}")
        network = EvidenceNetwork(architecture, drop_path=config.drop_path)
        start = network.film_bias.item()
        network.load_state_dict(trained.network.state_dict())
        with torch.no_grad():  # another temperature: an even call stays about an even call
            network.film_bias += start - EvidenceNetwork(own).film_bias
        return network
    try:
        network = EvidenceNetwork(
            architecture, pretrained=pretrained and not init, drop_path=config.drop_path
        )
        if init:
            load_backbone(network, load_file(init))
    except (OSError, SafetensorError) as error:
        where = init or "timm's hub (offline, give a file with --init)"
        raise ValueError(f"no ImageNet weights to start from at {where}: {error}") from error
    return network


def started_from(init: Path | None, real: bool) -> str:
    """What the network starts from, in words for the weights' provenance."""
    if init and init.is_dir():
        weights = read_weights(init)
        return f"weights {weights.config.version}, sha256 {weights.sha256[:12]}"
    return init.name if init else "timm's hub" if real else "random"
