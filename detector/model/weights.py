"""The weights folder: ``model.safetensors`` and ``config.json``, read, checked and written.

Preprocessing, calibration, thresholds, OOD check and provenance travel with the weights. Only
safetensors is read: nothing on the loading path can run code. PyTorch and timm are imported only to
build the network, which a runtime that has its graph never asks for.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from detector.model.architecture import Architecture
from detector.model.calibration import Calibration
from detector.model.ood import OodModel

if TYPE_CHECKING:
    import torch

    from detector.model.network import EvidenceNetwork

FORMAT = 4
MODEL_FILE, CONFIG_FILE = "model.safetensors", "config.json"
_OOD, _OOD_BEFORE_4 = "ood.direction", "scope.direction"  # names of its tensor


class WeightsError(ValueError):
    """A weights folder that cannot be used; the sentence says why."""


@dataclass(frozen=True)
class ModelConfig:
    """``config.json``. ``input_size``: the film's longest side for the network, in pixels."""

    version: str
    architecture: Architecture
    input_size: int
    calibration: Calibration
    ood_zero: float
    ood_threshold: float
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.ood_zero < self.ood_threshold:
            raise ValueError("the OOD threshold must lie beyond its zero")

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": self.version,
            "architecture": asdict(self.architecture),
            "preprocessing": {"input_size": self.input_size},
            "calibration": self.calibration.to_dict(),
            "ood": {"zero": self.ood_zero, "threshold": self.ood_threshold},
            "provenance": dict(self.provenance),
            "metrics": dict(self.metrics),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Raises WeightsError when the format is another one or a value is missing or wrong."""
        if values.get("format") == 3:
            values = _from_format_3(values)
        if values.get("format") != FORMAT:
            raise WeightsError(
                f"{CONFIG_FILE} has format {values.get('format')!r}; this version reads {FORMAT}. "
                "Install the version of fracture-detector that the weights were made with."
            )
        try:
            return cls(
                version=str(values["version"]),
                architecture=Architecture(**values["architecture"]),
                input_size=int(values["preprocessing"]["input_size"]),
                calibration=Calibration.from_dict(values["calibration"]),
                ood_zero=float(values["ood"]["zero"]),
                ood_threshold=float(values["ood"]["threshold"]),
                provenance=values.get("provenance", {}),
                metrics=values.get("metrics", {}),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"{CONFIG_FILE} is incomplete or wrong: {error!r}") from error


def _from_format_3(values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of format 3 with the names of format 4; its numbers stay."""
    renamed = {"film": "image", "place": "location", "floor": "display_threshold"}
    calibration = {renamed.get(k, k): v for k, v in values.get("calibration", {}).items()}
    calibration.setdefault("display_threshold", 0.08)  # of weights from before it was fitted
    scope = values.get("scope", {})
    ood = {"zero": scope.get("start"), "threshold": scope.get("cut")}
    return {**values, "format": FORMAT, "calibration": calibration, "ood": ood}


@dataclass(frozen=True)
class Model:
    """A loaded weights folder.

    ``tensors``: the network's arrays by name, as ``arrays_of`` gives them. ``sha256`` is that of
    ``model.safetensors``.
    """

    tensors: Mapping[str, np.ndarray] = field(repr=False)
    ood: OodModel
    config: ModelConfig
    sha256: str
    _building: threading.Lock = field(
        default_factory=threading.Lock, init=False, repr=False, compare=False
    )

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
        folder: with ``model.safetensors`` and ``config.json``.
        build: also build the network, the only proof that the file holds the architecture that
            ``config.json`` names; it takes seconds to import PyTorch. Without it whoever first
            asks for ``Model.network`` gets that error.

    Raises:
        WeightsError: a file is missing, damaged, altered since it was written, of another format,
            or a pickle.
    """
    folder = Path(folder)
    try:
        values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        data = (folder / MODEL_FILE).read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(
            f"{folder} is no weights folder: {Path(error.filename).name} is missing. "
            f"It must hold {MODEL_FILE} and {CONFIG_FILE}."
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"{CONFIG_FILE} or {MODEL_FILE} in {folder} cannot be read: {error}"
        ) from error
    if not isinstance(values, dict):
        raise WeightsError(f"{CONFIG_FILE} is not a JSON object")
    config = ModelConfig.from_dict(values)
    digest = hashlib.sha256(data).hexdigest()
    if values.get("sha256") != digest:
        raise WeightsError(
            f"{MODEL_FILE} is not the file that {CONFIG_FILE} was written with "
            "(its sha256 differs). Download both again."
        )
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise WeightsError(f"{MODEL_FILE} is no safetensors file; nothing else is read.") from error
    except KeyError as error:
        raise WeightsError(f"{MODEL_FILE} holds numbers of an unknown kind: {error}") from error
    try:
        name = _OOD if _OOD in tensors else _OOD_BEFORE_4
        ood = OodModel(
            direction=tensors.pop(name).astype(np.float64),
            zero=config.ood_zero,
            threshold=config.ood_threshold,
        )
    except KeyError as error:
        raise WeightsError(f"{MODEL_FILE} does not hold this architecture: {error}") from error
    model = Model(tensors, ood, config, digest)
    if build:
        model.network  # noqa: B018 -- built now, for its errors
    return model


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
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"{MODEL_FILE} does not hold this architecture: {error}") from error
    if ood.direction.shape != (network.embedding_size,):
        raise WeightsError(f"{MODEL_FILE} holds an OOD check of another architecture.")
    return network.eval()


def write_weights(
    folder: str | Path, network: EvidenceNetwork, ood: OodModel, config: ModelConfig
) -> None:
    """Write a weights folder. Convolutions are stored in half precision, statistics in full.

    Raises:
        OSError: the disk is full or cannot be written; weights that were there stay as they were.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = pack(network, ood)
    digest = hashlib.sha256(data).hexdigest()
    _replace({folder / MODEL_FILE: data, folder / CONFIG_FILE: _config_text(config, digest)})


def write_config(folder: Path, config: ModelConfig, sha256: str) -> None:
    """Write ``config.json`` for a model file with this digest."""
    _replace({Path(folder) / CONFIG_FILE: _config_text(config, sha256)})


def _config_text(config: ModelConfig, sha256: str) -> bytes:
    values = {**config.to_dict(), "sha256": sha256}
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


def _replace(files: Mapping[Path, bytes]) -> None:
    """Write all files beside their names, then rename them: a full disk changes none of them."""
    partial = {path: path.with_name(path.name + ".partial") for path in files}
    try:
        for path, data in files.items():
            with partial[path].open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
    except OSError:
        for path in partial.values():
            path.unlink(missing_ok=True)
        raise
    for path, beside in partial.items():
        beside.replace(path)


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
