"""Checkpoints: all of the state comes back, and a failed write costs nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from detector.io import atomic_io
from detector.training.checkpoint import (
    CheckpointError,
    read_checkpoint,
    write_checkpoint,
    write_whole,
)


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))
    return layers.to(memory_format=torch.channels_last)


def adamw(layers: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(layers.parameters(), lr=0.01, fused=True)


def step(layers: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    films = torch.rand(2, 3, 8, 8, generator=generator).contiguous(
        memory_format=torch.channels_last
    )
    optimizer.zero_grad()
    layers(films).square().mean().backward()
    optimizer.step()


def same(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[key]) for key, value in one.state_dict().items())


def test_a_run_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    """Down to the last bit, though a file keeps no channels-last order in memory."""
    straight, optimizer = network(), None
    optimizer = adamw(straight)
    for seed in range(3):
        step(straight, optimizer, seed)
    facts = {"epoch": 2, "rows": [{"loss": 0.1}]}
    write_checkpoint(tmp_path / "last", {"network": straight}, optimizer, facts)

    resumed = network(1)
    again = adamw(resumed)
    assert read_checkpoint(tmp_path / "last", {"network": resumed}, again) == facts
    for seed in range(3, 6):
        step(straight, optimizer, seed)
        step(resumed, again, seed)
    assert same(straight, resumed)


def test_parts_are_read_by_name(tmp_path: Path) -> None:
    one, average, other = network(0), network(1), network(2)
    write_checkpoint(tmp_path / "last", {"network": one, "average": average}, None, {})
    read_checkpoint(tmp_path / "last", {"average": other})
    assert same(other, average) and not same(other, one)


def test_a_full_disk_leaves_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.safetensors"
    write_checkpoint(path, {"network": network(0)}, None, {"epoch": 0})
    good = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic_io.os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left on device.*last good one is kept"):
        write_checkpoint(path, {"network": network(1)}, None, {"epoch": 1})
    assert path.read_bytes() == good
    assert os.listdir(tmp_path) == [path.name]  # the part gives its space back


def test_a_kill_while_writing_leaves_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(descriptor: int) -> None:
        os.ftruncate(descriptor, 3)  # what a kill leaves is any part of it
        raise Killed

    path = tmp_path / "last"
    write_whole(path, b"first")
    with monkeypatch.context() as patch:
        patch.setattr(atomic_io.os, "fsync", kill)
        with pytest.raises(Killed):
            write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    write_whole(path, b"third")
    assert path.read_bytes() == b"third"


@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "pickle", "without facts"])
def test_what_is_no_whole_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "last"
    if damage == "cut":
        write_checkpoint(path, {"network": network()}, None, {})
        path.write_bytes(path.read_bytes()[:-8])
    elif damage == "pickle":
        torch.save({"network": 1}, path)
    elif damage == "without facts":
        from safetensors.torch import save_file

        save_file({"network/x": torch.zeros(1)}, path)
    elif damage == "empty":
        path.touch()
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        read_checkpoint(path, {"network": network()})


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "last", {"network": nn.Linear(2, 2)}, None, {})
    with pytest.raises(CheckpointError, match="of another network"):
        read_checkpoint(tmp_path / "last", {"network": network()})
