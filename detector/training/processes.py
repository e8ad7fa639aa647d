"""What a run computes on: the precision of the hardware, and the processes that share the work."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, InitProcessGroupKwargs


def resolve_precision(asked: str) -> str:
    """``bf16`` or ``float32``: as asked, for ``auto`` bf16 where the hardware computes in it."""
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        has_bf16 = torch.cuda.is_bf16_supported()
    else:
        flags = Path("/proc/cpuinfo")
        has_bf16 = flags.exists() and "avx512_bf16" in flags.read_text()
    return "bf16" if has_bf16 else "float32"


def make_accelerator(precision: str) -> Accelerator:
    """This process, and those beside it where a launcher started several."""
    started = "WORLD_SIZE" in os.environ
    if "MASTER_PORT" in os.environ and not started:
        print("train.py: this is one process. On a CPU, accelerate launch --multi_gpu "
              "--num_processes N starts several (it needs no GPU for that).", file=sys.stderr)
    return Accelerator(
        mixed_precision="bf16" if precision == "bf16" else "no",
        cpu=started and not torch.cuda.is_available(),
        # The others wait while the first process reads all films, and while it scores val.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(hours=2))],
    )
