"""``accelerate launch train.py`` on two CPU processes: the run of one process; one that dies."""

from __future__ import annotations

import csv
import inspect
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

import train
from detector import FractureDetector
from detector.model.architecture import Architecture
from detector.model.network import EvidenceNetwork
from detector.model.weights import read_weights
from detector.training import initial_network, sources
from detector.training.data.dataset import EpochDataset

pytestmark = pytest.mark.slow  # every test waits for processes that import torch
ROOT = Path(train.__file__).parent
COUNTS, SIZE = {"train": 12, "val": 8}, (96, 80)
TINY = ["--epochs", "2", "--sizes", "64", "--batch", "4", "--repeats", "1",
        "--negative-crops", "12", "--workers", "0", "--precision", "float32"]  # fmt: skip
# So Accelerate calls several processes on one machine. Without a GPU they meet over gloo, on the
# CPU; its --cpu starts one process, or several through MPI.
LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
          "--num_machines", "1", "--main_process_port", "0", "--mixed_precision", "no",
          "--dynamo_backend", "no"]  # fmt: skip


def keep_statistics(network: torch.nn.Module, mode: bool = True) -> torch.nn.Module:
    """Train with batch norm's statistics as they are.

    In training each process takes them from its own share of the batch, so that no two ways to
    share a batch are equal; nothing else in the step may depend on the sharing.
    """
    torch.nn.Module.train(network, mode)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.Module.train(module, False)
    return network


# What each process runs: train.py, but for few phantoms, a small network, and notes of the samples
# that it draws and the files that it writes.
SCRIPT = f"""
import atexit, json, os, signal, sys
from functools import partial
sys.path.insert(0, {str(ROOT)!r})
import torch
import train
from detector.model.network import EvidenceNetwork
from detector.training import initial_network, sources
from detector.training.data.dataset import EpochDataset

{inspect.getsource(keep_statistics)}

rank, drawn, written = os.environ["RANK"], [], []
draw, rate = EpochDataset.__getitem__, train.set_rate

def note_draw(films, index):
    drawn.append((films.epoch, index))
    return draw(films, index)

def note_file(event, facts):
    writes = event == "open" and facts[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in ("os.rename", "os.mkdir"):
        written.append(str(facts[0]))

def write_notes():
    notes = json.dumps({{"drawn": drawn, "written": written}})
    with open(os.path.join(sys.argv[1], f"rank-{{rank}}.json"), "w") as file:
        file.write(notes)

torch.set_num_threads(1)
initial_network.Architecture = partial(initial_network.Architecture, "test_efficientnet")
sources.PHANTOMS, sources.PHANTOM_SIZE = {COUNTS}, {SIZE}
EvidenceNetwork.train = keep_statistics
EpochDataset.__getitem__ = note_draw
sys.addaudithook(note_file)
atexit.register(write_notes)
CHANGE
sys.exit(train.main(sys.argv[2:]))
"""
# The second process goes without a word, in the second epoch.
KILL = """
def killed(optimizer, config, done):
    if rank == "1" and done > 0.5:
        os.kill(os.getpid(), signal.SIGKILL)
    rate(optimizer, config, done)
train.set_rate = killed
"""


def launch(folder: Path, change: str) -> subprocess.CompletedProcess:
    """Two processes; the run's folder, and each one's notes, are in ``folder`` then."""
    script = folder / "script.py"
    script.write_text(SCRIPT.replace("CHANGE", change))
    return subprocess.run(
        [sys.executable, *LAUNCH, str(script), str(folder), *TINY, "--runs", str(folder / "runs")],
        capture_output=True, text=True, timeout=280, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip


def only_run(folder: Path) -> Path:
    (run,) = (folder / "runs").iterdir()
    return run


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    done = launch(folder, "")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, int]]]:
    """The folder of the same run in this process, and the samples that it drew."""
    folder, drawn, threads = tmp_path_factory.mktemp("one"), [], torch.get_num_threads()
    draw = EpochDataset.__getitem__

    def note_draw(films: EpochDataset, index: int) -> tuple[torch.Tensor, ...]:
        drawn.append((films.epoch, index))
        return draw(films, index)

    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(initial_network, "Architecture", partial(Architecture, "test_efficientnet"))
        patch.setattr(sources, "PHANTOMS", COUNTS)
        patch.setattr(sources, "PHANTOM_SIZE", SIZE)
        patch.setattr(EvidenceNetwork, "train", keep_statistics)
        patch.setattr(EpochDataset, "__getitem__", note_draw)
        try:
            assert train.main([*TINY, "--runs", str(folder / "runs")]) == 0
        finally:
            torch.set_num_threads(threads)
    return folder, drawn


def test_the_losses_are_those_of_one_process(
    one: tuple[Path, list[tuple[int, int]]], two: Path
) -> None:
    """At the same batch in all, to 1e-5.

    float32 rounds to 6e-8, and two processes add a batch up in another order. A film too many or
    too few, or a wrong share of one batch's gradient, changes an epoch's loss by percents.
    """
    alone, shared = rows_of(only_run(one[0])), rows_of(only_run(two))
    assert len(alone) == len(shared) == 2
    for left, right in zip(alone, shared, strict=True):
        for name in ("loss", "image_loss", "location_loss"):
            assert float(right[name]) == pytest.approx(float(left[name]), rel=1e-5), name


def test_the_films_are_shared_without_overlap(
    one: tuple[Path, list[tuple[int, int]]], two: Path
) -> None:
    drawn = [json.loads((two / f"rank-{rank}.json").read_text())["drawn"] for rank in (0, 1)]
    first, second = ({tuple(sample) for sample in samples} for samples in drawn)
    assert not first & second
    assert len(drawn[0]) == len(first) == len(drawn[1]) == len(second)  # none twice
    assert first | second == set(one[1])


def test_only_one_process_writes(two: Path) -> None:
    written = [
        [path for path in json.loads((two / f"rank-{rank}.json").read_text())["written"]
         if path.startswith(str(two))]
        for rank in (0, 1)
    ]
    assert any("last.safetensors" in path for path in written[0])
    assert written[1] == []
    detector = FractureDetector(read_weights(only_run(two) / "weights"))
    assert detector.config.provenance["films"] == {"phantoms": COUNTS}


def test_a_killed_process_ends_the_run_and_the_last_checkpoint_is_whole(tmp_path: Path) -> None:
    done = launch(tmp_path, KILL)
    assert done.returncode != 0
    assert "Signal 9 (SIGKILL)" in done.stderr, done.stderr  # of the launcher, for the lost one
    said = [line for line in done.stderr.splitlines() if line.startswith("train.py: ")]
    assert len(said) == 1 and "--resume goes on" in said[0], done.stderr
    assert not [p for p in psutil.process_iter(["cmdline"])
                if str(tmp_path / "script.py") in (p.info["cmdline"] or ())]  # fmt: skip
    run = only_run(tmp_path)
    assert len(rows_of(run)) == 1 and not (run / "weights").exists()
    assert all(torch.isfinite(t).all() for t in load_file(run / "last.safetensors").values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(initial_network, "Architecture", partial(Architecture, "test_efficientnet"))
        assert train.main(["--resume", str(run), "--workers", "0"]) == 0
    assert len(rows_of(run)) == 2 and (run / "weights" / "model.safetensors").exists()
