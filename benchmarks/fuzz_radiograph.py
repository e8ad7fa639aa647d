"""Break films in every way and read them: `python benchmarks/fuzz_radiograph.py --count 100000`.

Each input is a small synthetic film of `tests/support/odd_films.py` (every format, every
DICOM transfer syntax), mutated: bits flipped, bytes set to edge values, ranges cut, doubled,
swapped, zeroed, spliced with another film, cut short, DICOM elements and chunk lengths rewritten.
Each must end in a `Radiograph` or a `RadiographError`, within `--seconds` and `--memory`. Input
number i of a seed is always the same bytes: `--only I` reads that one again, in this process.

The films are read in a child process, which a crash or a hang of a decoder may take down; it is
counted, and the next input goes on in a new child. The exit code is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import os
import platform
import random
import resource
import sys
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

EDGES = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)
EDGE_WORDS = (0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 60_000, 20_000)


def mutated(films: list[bytes], rng: random.Random) -> bytes:
    """One broken film: up to eight changes of a film of `films`."""
    data = bytearray(rng.choice(films))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 8))):
        if len(data) < 8:
            break
        # Most structure is near the front; pixels are dull.
        reach = len(data) if rng.random() < 0.4 else min(len(data), 600)
        at = rng.randrange(reach)
        size = min(1 << rng.randrange(8), len(data) - at)
        match rng.randrange(11):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.choice(EDGES)
            case 2:
                data[at] = rng.randrange(256)
            case 3:
                word = rng.choice(EDGE_WORDS).to_bytes(4, rng.choice(("little", "big")))
                data[at : at + 4] = word
            case 4:
                word = (rng.choice(EDGE_WORDS) & 0xFFFF).to_bytes(2, rng.choice(("little", "big")))
                data[at : at + 2] = word
            case 5:
                del data[at : at + size]
            case 6:
                data[at:at] = data[at : at + size]
            case 7:
                data[at : at + size] = bytes(size)
            case 8:
                to = rng.randrange(len(data))
                data[to : to + size] = data[at : at + size]
            case 9:
                del data[rng.randrange(len(data)) :]
            case 10:
                other = rng.choice(films)
                start = rng.randrange(len(other))
                data[at : at + size] = other[start : start + size]
    return bytes(data)


def input_number(index: int, seed: int, films: list[bytes]) -> bytes:
    """The bytes of input `index` of `seed`: mostly a mutated film, now and then plain noise."""
    rng = random.Random(f"{seed}/{index}")
    if rng.random() < 0.01:
        return rng.randbytes(rng.randrange(2000))
    return mutated(films, rng)


def outcome(data: bytes) -> str:
    """Read one input: "film", an error's kind, or "BUG: ..." for anything else."""
    from detector.errors import RadiographError
    from detector.io.radiograph import load_radiograph

    try:
        film = load_radiograph(data)
    except RadiographError as error:
        return error.kind if str(error).strip() else "BUG: an error without a sentence"
    except BaseException:
        return "BUG: " + traceback.format_exc(limit=-4)
    pixels = film.pixels
    if pixels.dtype != "float32" or pixels.ndim != 2 or pixels.flags.writeable:
        return f"BUG: pixels {pixels.dtype} {pixels.shape} writeable={pixels.flags.writeable}"
    if not (pixels.min() >= 0 and pixels.max() <= 1):  # false for NaN, too
        return f"BUG: pixels from {pixels.min()} to {pixels.max()}"
    return "film"


def read_films(pipe: Connection, start: int, stop: int, seed: int, memory: int) -> None:
    """The child: read inputs `start` to `stop`, sending (index, outcome, seconds) for each."""
    from tests.support import odd_films

    films = [make() for make in odd_films.FILMS.values()]
    for film in films:
        outcome(film)  # imports and caches are not the inputs' memory
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + memory,) * 2)
    for index in range(start, stop):
        data = input_number(index, seed, films)
        begun = time.perf_counter()
        found = outcome(data)
        pipe.send((index, found, time.perf_counter() - begun, _peak()))
    pipe.close()


def _address_space() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(count: int, seed: int, seconds: float, memory: int, first: int = 0) -> dict:
    """Read `count` inputs; a dict of outcomes, failures, slowest, peak memory and time."""
    context = multiprocessing.get_context("spawn")
    outcomes: collections.Counter[str] = collections.Counter()
    failures: list[tuple[int, str]] = []
    slowest, peak, begun, at, stop = (0.0, -1), 0, time.perf_counter(), first, first + count
    while at < stop:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=read_films, args=(theirs, at, stop, seed, memory))
        child.start()
        theirs.close()
        patience = 120.0  # a new child imports and draws its films first
        try:
            while at < stop:
                if not ours.poll(patience):
                    failures.append((at, f"no answer within {patience:g} s"))
                    break
                patience = seconds
                at, found, took, peak_now = ours.recv()
                slowest, peak = max(slowest, (took, at)), max(peak, peak_now)
                if found.startswith("BUG"):
                    failures.append((at, found))
                outcomes["BUG" if found.startswith("BUG") else found] += 1
                at += 1
        except EOFError:
            child.join()
            failures.append((at, f"the process died with exit code {child.exitcode}"))
        if at < stop:
            outcomes["crash or hang"] += 1
            at += 1
        child.kill()
        child.join()
    return {
        "outcomes": outcomes,
        "failures": failures,
        "slowest": slowest,
        "peak": peak,
        "wall": time.perf_counter() - begun,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000, help="inputs to read")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other inputs")
    parser.add_argument("--seconds", type=float, default=10.0, help="longest time for one input")
    parser.add_argument("--memory", type=int, default=4096, help="megabytes for one input")
    parser.add_argument("--only", type=int, metavar="I", help="read input I in this process")
    parser.add_argument("--save", metavar="FILE", help="with --only: write the input's bytes")
    args = parser.parse_args()
    if args.only is not None:
        from tests.support import odd_films

        films = [make() for make in odd_films.FILMS.values()]
        data = input_number(args.only, args.seed, films)
        if args.save:
            Path(args.save).write_bytes(data)
        print(outcome(data))
        return 0
    result = run(args.count, args.seed, args.seconds, args.memory << 20, args.first)
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    print(f"{args.count} inputs, seed {args.seed}, one process\n")
    print("| outcome | inputs |\n|---|---:|")
    for name, number in result["outcomes"].most_common():
        print(f"| {name} | {number} |")
    took, index = result["slowest"]
    print(f"\n{result['wall']:.0f} s in all, {args.count / result['wall']:.0f} inputs per second")
    print(f"slowest input: number {index}, {took:.2f} s; peak memory {result['peak'] >> 20} MiB")
    for index, what in result["failures"]:
        print(f"\nFAILED: input {index}: {what}")
    return 1 if result["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
