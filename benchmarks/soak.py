"""Thousands of predictions in one process: does anything leak?

    python benchmarks/soak.py                      # 10,000 predictions
    python benchmarks/soak.py --count 500

Films of many shapes (also extreme ones), of every format, and broken files, read one after another
with heatmap and overlay, every tenth with another method of explanation. Memory, threads, open
files, child processes and temporary files are noted ten times; in the second half the largest
memory may exceed that of the first by `--memory` MiB, and nothing else may grow at all. Before the
count begins every input has been read by every method: the runtimes keep what they prepared for a
size. Memory that is free, which the allocator holds back for the next film, is given to the system
before it is noted, where the C library can do that. The exit code is 1 if something grew.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import sys
import tempfile
import time
from pathlib import Path

import measuring
import numpy as np
import psutil
from measuring import as_dicom, as_picture, phantom_grey, table


def inputs(longest: int) -> list[bytes]:
    """Films of every shape that a letterbox of ``longest`` makes, and files that are none."""
    base = phantom_grey(longest, longest)
    films = []
    for narrow in range(32, longest + 1, 32):
        left = (longest - narrow) // 2
        tall = np.ascontiguousarray(base[:, left : left + narrow])
        films += [as_picture(tall), as_picture(tall.T, "PNG"), as_dicom(tall)]
    films.append(as_picture(phantom_grey(2500, 2000)))
    whole = films[0]
    return [*films, b"", b"no film", whole[: len(whole) // 2], films[2][:300]]


def state(process: psutil.Process) -> tuple[float, int, int, int, int]:
    """Resident MiB, threads, open files, children, entries in the folder for temporary files."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)
    return (
        process.memory_info().rss / 2**20, process.num_threads(), process.num_fds(),
        len(process.children(recursive=True)), len(list(Path(tempfile.gettempdir()).iterdir())),
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000, help="predictions (%(default)s)")
    parser.add_argument("--memory", type=float, default=20.0,
                        help="MiB that it may grow by in the second half (%(default)s)")
    arguments = parser.parse_args()
    if arguments.count < 10:
        parser.error("--count must be at least 10")

    from detector import FractureDetector, RadiographError
    from detector.explain.methods import METHODS

    # A folder of its own, so that other programs' temporary files do not count.
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        detector = FractureDetector.from_pretrained()
        print(measuring.machine_facts(
            engine=f"{detector.engine.name} {detector.engine.precision}",
            predictions=arguments.count,
        ))
        process = psutil.Process()
        films = inputs(detector.config.input_size)
        methods = itertools.cycle(METHODS)
        step = max(1, arguments.count // 10)

        def read(index: int, method: str) -> bool:
            try:
                prediction = detector.predict(films[index % len(films)], method=method)
            except RadiographError:
                return False
            prediction.overlay()
            if not np.isfinite(prediction.heatmap).all():
                raise SystemExit(f"prediction {index}: the heatmap is not finite")
            return True

        for index, method in itertools.product(range(len(films)), METHODS):
            read(index, method)
        notes, refused, started = [], 0, time.perf_counter()
        for index in range(1, arguments.count + 1):
            refused += not read(index, next(methods) if index % 10 == 0 else "gradcam")
            if index % step == 0:
                notes.append((index, *state(process)))
        seconds = time.perf_counter() - started
        tempfile.tempdir = None
    print()
    print(table(("predictions", "memory MiB", "threads", "open files", "children",
                 "temporary files"), [(f"{n[0]:,}", f"{n[1]:.0f}", *n[2:]) for n in notes]))
    rate = arguments.count / seconds
    print(f"\n{refused} broken files refused; {rate:.1f} predictions a second.")

    names = ("memory", "threads", "open files", "children", "temporary files")
    grown = []
    for column, name in enumerate(names, start=1):
        early, late = (max(note[column] for note in half)
                       for half in (notes[: len(notes) // 2], notes[len(notes) // 2 :]))
        if late - early > (arguments.memory if name == "memory" else 0):
            grown.append(f"{name} grew from {early:.0f} to {late:.0f}")
    print("; ".join(grown) if grown else "Nothing leaked.")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
