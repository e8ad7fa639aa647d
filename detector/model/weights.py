"""The weights folder: ``model.safetensors`` and ``config.json``, read, checked and written.

Preprocessing, calibration, thresholds, OOD check and provenance travel with the weights, and in
``heads.safetensors`` what else is read from the embedding: familiarity and anatomy. Only
safetensors is read: nothing on the loading path can run code. PyTorch and timm are imported only to
build the network, which a runtime that has its graph never asks for.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from detector.io.atomic_io import replace_files
from detector.model.anatomy import AnatomyHead
from detector.model.config import (
    CONFIG_FILE,
    MODEL_FILE,
    ModelConfig,
    WeightsError,
    read_config,
    read_regular_file,
)
from detector.model.familiarity import FamiliarityModel
from detector.model.heads import HEADS_FILE, Heads
from detector.model.ood import OodModel
from detector.model.self_check import answer_of_network

if TYPE_CHECKING:
    import torch

    from detector.model.network import EvidenceNetwork

_OOD, _OOD_BEFORE_4 = "ood.direction", "scope.direction"  # names of its tensor


@dataclass(frozen=True)
class Model:
    """A loaded weights folder.

    ``tensors``: the network's arrays by name, as ``arrays_of`` gives them. ``sha256``: that of
    ``model.safetensors``. ``digest``: over network and configuration, the model's identity.
    ``familiarity``, ``anatomy``: None in weights that have none.
    """

    tensors: Mapping[str, np.ndarray] = field(repr=False)
    ood: OodModel
    config: ModelConfig
    sha256: str
    digest: str = ""
    familiarity: FamiliarityModel | None = None
    anatomy: AnatomyHead | None = None
    _building: threading.Lock = field(
        default_factory=threading.Lock, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not self.digest:  # not read from a folder
            object.__setattr__(self, "digest", self.config.sealed(self.sha256)["digest"])

    def expect(self, digest: str | None) -> None:
        """Raise WeightsError unless ``digest`` is this model's, or its first 12 or more digits."""
        if digest is not None and not (len(digest) >= 12 and self.digest.startswith(digest)):
            raise WeightsError(
                f"These weights are not the expected ones: their digest is {self.digest[:12]}, "
                f"not {digest[:12]}."
            )

    @property
    def heads(self) -> Heads:
        """What reads the embedding, as ``heads.safetensors`` holds it."""
        return Heads(self.ood.direction, self.familiarity, self.anatomy)

    @property
    def network(self) -> EvidenceNetwork:
        """The network in PyTorch, in evaluation mode: one for all who ask, built for the first.

        Raises:
            WeightsError: the file does not hold this architecture, or its name is not known.
        """
        with self._building:
            return self._network

    @cached_property
    def _network(self) -> EvidenceNetwork:
        return _build(self.tensors, self.ood, self.config)


def read_weights(folder: str | Path, *, build: bool = True) -> Model:
    """Read and check a weights folder.

    Args:
        folder: with ``model.safetensors`` and ``config.json``, and ``heads.safetensors`` where that
            names it.
        build: also build the network, the only proof that the file holds the architecture that
            ``config.json`` names; it takes seconds to import PyTorch. Without it whoever first
            asks for ``Model.network`` gets that error.

    Raises:
        WeightsError: a file is missing, damaged, altered since it was written, of another format,
            or a pickle.
    """
    config, sha256, digest = read_config(folder)
    data = read_regular_file(Path(folder) / MODEL_FILE)
    _check_sha256(MODEL_FILE, data, sha256)
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise WeightsError(f"{MODEL_FILE} is no safetensors file; nothing else is read.") from error
    except KeyError as error:
        raise WeightsError(f"{MODEL_FILE} holds numbers of an unknown kind: {error}") from error
    try:
        name = _OOD if _OOD in tensors else _OOD_BEFORE_4
        heads = Heads(tensors.pop(name).astype(np.float64))
    except KeyError as error:
        raise WeightsError(f"{MODEL_FILE} does not hold this architecture: {error}") from error
    _refuse_empty({**tensors, name: heads.ood_direction})
    if config.heads is not None:
        heads = _read_heads(Path(folder) / HEADS_FILE, config)
    ood = OodModel(heads.ood_direction, config.ood_zero, config.ood_threshold)
    model = Model(tensors, ood, config, sha256, digest, heads.familiarity, heads.anatomy)
    if build:
        model.network  # noqa: B018 -- built now, for its errors
    return model


def _check_sha256(name: str, data: bytes, expected: object) -> None:
    if hashlib.sha256(data).hexdigest() != expected:
        raise WeightsError(
            f"{name} is not the file that {CONFIG_FILE} was written with "
            "(its sha256 differs). Download both again."
        )


def _read_heads(path: Path, config: ModelConfig) -> Heads:
    data = read_regular_file(path)
    _check_sha256(HEADS_FILE, data, config.heads.get("sha256"))
    try:
        return Heads.unpack(data, config.heads)
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{HEADS_FILE} is incomplete or wrong: {error!r}") from error


def _refuse_empty(tensors: Mapping[str, np.ndarray]) -> None:
    """Raise WeightsError for numbers that no training gives."""
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise WeightsError(f"{MODEL_FILE} holds what is no number, in {name}.")
    kernels = [value for value in tensors.values() if is_halved(value)]
    if not any(value.any() for value in kernels):
        raise WeightsError(f"{MODEL_FILE} holds an empty network: all its weights are zero.")


def _build(
    tensors: Mapping[str, np.ndarray], ood: OodModel, config: ModelConfig
) -> EvidenceNetwork:
    import timm
    import torch

    from detector.model.network import EvidenceNetwork

    backbone = config.architecture.backbone
    if not timm.is_model(backbone):  # a name such as "hf-hub:..." would make timm go and fetch it
        raise WeightsError(f"{CONFIG_FILE} names a backbone that is not known here: {backbone!r}.")
    try:
        network = EvidenceNetwork(config.architecture)
        expected = network.state_dict()
        network.load_state_dict({
            name: torch.tensor(value, dtype=expected[name].dtype)
            for name, value in tensors.items()
        })
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{MODEL_FILE} does not hold this architecture: {error}") from error
    if ood.direction.shape != (network.embedding_size,):
        raise WeightsError(f"{MODEL_FILE} holds an OOD check of another architecture.")
    return network.eval()


def write_weights(
    folder: str | Path, network: EvidenceNetwork, ood: OodModel, config: ModelConfig,
    *, familiarity: FamiliarityModel | None = None, anatomy: AnatomyHead | None = None,
) -> None:
    """Write a weights folder. Convolutions are stored in half precision, statistics in full.

    ``config.json`` gets the network's answer to the built-in picture, and the digest.

    Raises:
        OSError: the disk is full or cannot be written; weights that were there stay as they were.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = pack(network, ood)
    tensors = load(data)
    del tensors[_OOD]
    config = replace(config, self_check=answer_of_network(_build(tensors, ood, config)))
    files = {folder / MODEL_FILE: data}
    if familiarity is not None or anatomy is not None:
        config, files[folder / HEADS_FILE] = _with_heads(
            config, Heads(ood.direction, familiarity, anatomy)
        )
    sha256 = hashlib.sha256(data).hexdigest()
    replace_files({**files, folder / CONFIG_FILE: _config_text(config, sha256)})


def write_heads(folder: str | Path, heads: Heads, config: ModelConfig, sha256: str) -> None:
    """Write new heads and ``config.json`` beside a model file with this sha256.

    Raises:
        OSError: as ``write_weights``.
    """
    config, data = _with_heads(config, heads)
    folder = Path(folder)
    replace_files({folder / HEADS_FILE: data, folder / CONFIG_FILE: _config_text(config, sha256)})


def _with_heads(config: ModelConfig, heads: Heads) -> tuple[ModelConfig, bytes]:
    data = heads.pack()
    settings = {"sha256": hashlib.sha256(data).hexdigest(), **heads.settings()}
    return replace(config, heads=settings), data


def write_config(folder: str | Path, config: ModelConfig, sha256: str) -> None:
    """Write ``config.json`` for a model file with this digest."""
    replace_files({Path(folder) / CONFIG_FILE: _config_text(config, sha256)})


def _config_text(config: ModelConfig, sha256: str) -> bytes:
    return (json.dumps(config.sealed(sha256), indent=2, ensure_ascii=False) + "\n").encode()


def is_halved(tensor: np.ndarray | torch.Tensor) -> bool:
    """Whether a tensor is stored in half precision: convolutions are, biases and norms are not."""
    return tensor.ndim > 1


def arrays_of(network: EvidenceNetwork) -> dict[str, np.ndarray]:
    """The network's arrays by name, copied, in its own precision."""
    return {
        name: np.array(value.detach().cpu().numpy(), order="C")
        for name, value in network.state_dict().items()
    }


def pack(network: EvidenceNetwork, ood: OodModel) -> bytes:
    """Network and OOD check as the bytes of ``model.safetensors``."""
    tensors = {
        name: value.astype(np.float16) if is_halved(value) else value
        for name, value in arrays_of(network).items()
    }
    tensors[_OOD] = ood.direction.astype(np.float32, order="C")
    return save(tensors)
