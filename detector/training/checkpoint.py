"""Checkpoints of a training run: all that a resumed run needs, written so that a kill loses none.

Tensors only, in safetensors with the numbers in its metadata; no pickle. A file's name always holds
a whole checkpoint (``atomic_io``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from detector.io.atomic_io import replace_file


class CheckpointError(RuntimeError):
    """A checkpoint could not be written or read; the sentence says why."""


def write_checkpoint(
    path: Path,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer | None,
    facts: dict[str, Any],
) -> None:
    """Write modules, optimiser state and JSON-ready ``facts`` to ``path`` in one step.

    Raises:
        CheckpointError: the disk is full or cannot be written; what was at ``path`` stays.
    """
    tensors = {
        f"{name}/{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    states = optimizer.state_dict()["state"] if optimizer else {}
    for index, state in states.items():
        for key, value in state.items():
            tensors[f"optimizer/{index}/{key}"] = torch.as_tensor(value)
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    write_whole(path, save(tensors, metadata={"facts": json.dumps(facts)}))


def write_whole(path: Path, data: bytes) -> None:
    """``replace_file`` with the error of this module.

    Raises:
        CheckpointError: the disk is full or cannot be written.
    """
    try:
        replace_file(path, data)
    except OSError as error:
        raise CheckpointError(
            f"{path.name} could not be written ({error.strerror}); the last good one is kept"
        ) from error


def read_checkpoint(
    path: Path,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer | None = None,
) -> dict[str, Any]:
    """Load a checkpoint into ``modules`` (those named) and ``optimizer``; returns its facts.

    Raises:
        CheckpointError: there is no whole checkpoint at ``path``, or it is of another network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} holds no whole checkpoint: {error}") from error
    try:
        for name, module in modules.items():
            module.load_state_dict(_under(tensors, name))
    except RuntimeError as error:
        raise CheckpointError(f"{path} is of another network: {error}") from error
    if optimizer is not None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _under(tensors, "optimizer").items():
            index, _, field = key.partition("/")
            state.setdefault(int(index), {})[field] = _laid_out(value, parameters[int(index)])
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    return facts


def _laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    """The optimiser's state in the parameter's memory format.

    The fused AdamW walks both side by side, and a file holds no channels-last format.
    """
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}/"
    return {key[len(start) :]: value for key, value in tensors.items() if key.startswith(start)}
