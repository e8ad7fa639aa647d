"""A run folder: what a training run was asked for, its checkpoints and its curve."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from detector.training.checkpoint import write_whole
from detector.training.config import TrainConfig
from detector.training.curves import plot_curves


@dataclass(frozen=True)
class Run:
    """``folder``: where the run's files lie. ``writes``: true in one process of the run."""

    folder: Path
    writes: bool

    @classmethod
    def open(cls, resume: Path | None, runs: Path, accelerator: Accelerator) -> Run:
        """The run to go on with, or a new one in ``runs``; the same in all processes."""
        folder = resume
        if folder is None:
            now, count = time.strftime("%Y-%m-%d_%H-%M-%S"), 1
            folder = runs / now
            while folder.exists():
                folder, count = runs / f"{now}_{count}", count + 1
            folder = broadcast_object_list([folder])[0]
        return cls(folder, accelerator.is_main_process)

    @property
    def last(self) -> Path:
        return self.folder / "last.safetensors"

    @property
    def best(self) -> Path:
        """The epoch whose weights are written: chosen by val, or the last (``--keep last``)."""
        return self.folder / "best.safetensors"

    def start(self, config: TrainConfig, provenance: Mapping[str, Any]) -> None:
        """Keep what the run was asked for and what it is made from; ``read_run`` gives it back."""
        if self.writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            for left in self.folder.glob("*.partial"):  # of a process that was killed
                left.unlink()
            kept = {"config": config.to_dict(), "provenance": provenance}
            write_whole(self.folder / "config.json", json.dumps(kept, indent=2).encode())

    def log(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Rewrite metrics.csv and curves.png from all rows so far."""
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, dict.fromkeys(name for row in rows for name in row))
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self.folder / "metrics.csv", table.getvalue().encode())
        plot_curves(rows, self.folder / "curves.png")


def read_run(folder: Path) -> tuple[TrainConfig, dict[str, Any]]:
    """Configuration and provenance of a run.

    Raises:
        ValueError: the folder holds none, or one of another version.
    """
    try:
        kept = json.loads((folder / "config.json").read_text())
        return TrainConfig.from_dict(kept["config"]), kept["provenance"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder} is a run of another version and cannot be resumed") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is no run that can be resumed: {error}") from error
