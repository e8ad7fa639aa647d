"""Films per second over many films, and whether memory stays flat.

    python benchmarks/throughput.py                          # 1,000 films; memory at 100 to 10,000
    python benchmarks/throughput.py --films 200 --memory 100 1000

`predict_batch` decodes the next films while the network runs; "one by one" is `predict` in a loop.
The two take turns over parts of the same list. `main.py` is a process of its own, start included.
Peak memory is that of a fresh process for each number of films.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measuring
from measuring import ROOT, film_files, spread, table

PARTS = 10
MEMORY = """
import itertools, resource, sys
from pathlib import Path
from detector import FractureDetector
films = sorted(Path(sys.argv[1]).iterdir())
count = int(sys.argv[2])
detector = FractureDetector.from_pretrained()
for prediction in detector.predict_batch(itertools.islice(itertools.cycle(films), count)):
    prediction.to_dict()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=1000, help="read for speed (%(default)s)")
    parser.add_argument("--distinct", type=int, default=200,
                        help="films that are drawn and read in turns (%(default)s)")
    parser.add_argument("--memory", type=int, nargs="*", default=[100, 1000, 10_000],
                        help="numbers of films to measure memory at (%(default)s)")
    arguments = parser.parse_args()
    threads = measuring.use_threads(None)
    from detector import FractureDetector

    detector = FractureDetector.from_pretrained()
    print(measuring.machine_facts(
        engine=f"{detector.engine.name} {detector.engine.precision}", threads=threads,
        films=f"{arguments.films}, of {arguments.distinct} different ones",
    ))
    detector.warm_up()
    with tempfile.TemporaryDirectory() as folder:
        distinct = film_files(Path(folder), min(arguments.distinct, arguments.films))
        films = list(itertools.islice(itertools.cycle(distinct), arguments.films))
        size = max(1, len(films) // PARTS)
        rates: dict[str, list[float]] = {"one by one": [], "predict_batch": []}
        for start in range(0, size * PARTS, size):
            part = films[start : start + size]
            if not part:
                break
            started = time.perf_counter()
            alone = [detector.predict(film).to_dict() for film in part]
            between = time.perf_counter()
            together = [prediction.to_dict() for prediction in detector.predict_batch(part)]
            ended = time.perf_counter()
            if alone != together:
                raise SystemExit("predict_batch and predict give different answers")
            rates["one by one"].append(len(part) / (between - started))
            rates["predict_batch"].append(len(part) / (ended - between))
        gains = [b / a for a, b in zip(rates["one by one"], rates["predict_batch"], strict=True)]

        listed = [str(film) for film in films]
        started = time.perf_counter()
        subprocess.run([sys.executable, "main.py", "--json", *listed], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)
        whole = time.perf_counter() - started
        print()
        print(table(("", "films per second, median (quartiles)", "against one by one"), [
            ("one by one", spread(rates["one by one"]), "1"),
            ("predict_batch", spread(rates["predict_batch"]), spread(gains, digits=2)),
            (f"main.py, {len(set(listed))} films, start included",
             f"{len(set(listed)) / whole:.1f}", ""),
        ]))

        rows = []
        for count in arguments.memory:
            done = subprocess.run(
                [sys.executable, "-c", MEMORY, folder, str(count)],
                cwd=ROOT, check=True, capture_output=True, text=True,
            )
            rows.append((f"{count:,}", f"{float(done.stdout):.0f}"))
        if rows:
            print()
            print(table(("films through predict_batch", "peak memory, MiB"), rows))


if __name__ == "__main__":
    main()
