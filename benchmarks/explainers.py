"""Hundreds of explanations in one process, method by method: does any of them leak?

    python benchmarks/explainers.py                 # 500 calls of each method
    python benchmarks/explainers.py --count 20      # a trial

Every method reads the same films through `predict(film, method=...)`, after a few calls that do not
count. Memory is noted after half the calls and at the end: between the two it may grow by
`--memory` MiB; tensors, threads, open files and hooks may not grow at all. The exit code is 1 if
something grew.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time

import measuring
import psutil
from measuring import phantom_grey, table

WARM = 6  # calls that fill caches: two of each film
NAMES = ("memory MiB", "tensors", "threads", "open files", "hooks")


def state(process: psutil.Process, networks: list) -> tuple[float, int, int, int, int]:
    """As ``NAMES`` says; hooks are those on the modules of the networks."""
    import torch

    gc.collect()
    # By type: isinstance would touch the lazy proxies of other libraries.
    tensors = sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())
    hooks = sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        for network in networks for module in network.modules()
    )
    return (process.memory_info().rss / 2**20, tensors, process.num_threads(),
            process.num_fds(), hooks)


def grown(half: tuple, end: tuple, before: tuple, memory: float) -> list[str]:
    """Sentences about what grew: memory from half to end, all else from before to end."""
    found = []
    if end[0] - half[0] > memory:
        found.append(f"memory grew from {half[0]:.0f} to {end[0]:.0f} MiB")
    found += [
        f"{name} grew from {first} to {last}"
        for name, first, last in zip(NAMES[1:], before[1:], end[1:], strict=True) if last > first
    ]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500, help="calls of a method (%(default)s)")
    parser.add_argument("--memory", type=float, default=20.0,
                        help="MiB that it may grow by in the second half (%(default)s)")
    arguments = parser.parse_args()
    if arguments.count < 2:
        parser.error("--count must be at least 2")

    from detector import FractureDetector
    from detector.explain.methods import METHODS

    detector = FractureDetector.from_pretrained()
    print(measuring.machine_facts(
        engine=f"{detector.engine.name} {detector.engine.precision}", calls=arguments.count,
    ))
    films = [phantom_grey(454, 373), phantom_grey(373, 454), phantom_grey(448, 448)]
    # The network that is served, and the private copy that the other methods put their hooks on: it
    # is made by the first call.
    detector.predict(films[0], method="layercam")
    networks = [detector.model.network, detector._explainers._network]
    process = psutil.Process()
    rows, leaks = [], []
    for method in METHODS:
        for index in range(WARM):
            detector.predict(films[index % len(films)], method=method)
        before, started = state(process, networks), time.perf_counter()
        half = before
        for index in range(1, arguments.count + 1):
            detector.predict(films[index % len(films)], method=method)
            if index == arguments.count // 2:
                half = state(process, networks)
        seconds = time.perf_counter() - started
        end = state(process, networks)
        rows.append((method, arguments.count, f"{1000 * seconds / arguments.count:.0f}",
                     f"{before[0]:.0f}, {half[0]:.0f}, {end[0]:.0f}",
                     *(f"{a} → {b}" for a, b in zip(before[1:], end[1:], strict=True))))
        leaks += [f"{method}: {what}" for what in grown(half, end, before, arguments.memory)]
    print()
    print(table(("method", "calls", "ms a call", "memory MiB: before, half, end", *NAMES[1:]),
                rows))
    print("\n" + ("; ".join(leaks) + "." if leaks else "Nothing leaked."))
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main())
