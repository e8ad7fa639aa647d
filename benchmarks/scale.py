"""Bulk scoring over Ray: complete after a loss, its overhead, two workers against one, memory.

    python benchmarks/scale.py                           # 2,000 films; writes docs/scale.md too
    python benchmarks/scale.py --films 60 --dry          # a quick look, nothing is written
    python benchmarks/scale.py --again                   # only docs/scale.md, from scale.json

Synthetic films, drawn once, with a file that is no film among them. Each leg is a process of its
own: `predict_batch` on one core, Ray with one worker on that core, Ray with two workers on two,
and a cluster of two nodes that loses one half-way. A leg's speed is that between its first part
and its last; what comes before is its start. All four must write the same lines.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import measuring
import psutil
from measuring import ROOT
from scale_page import FIGURES, PAGE, tables, write_page

LEGS = {"predict_batch": 1, "one worker": 1, "two workers": 2, "a node lost": 2}  # cores
PARTS = 8  # at least: speed is taken between the first and the last
TRIES = 3  # Ray waits half a minute for its own start; a busy machine may take longer
MEBIBYTE = 2**20


class Watch(threading.Thread):
    """Notes, every second, the memory of this process and of its largest worker, MiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.own: list[float] = []
        self.worker: list[float] = []
        self._stopped = threading.Event()

    def run(self) -> None:
        process = psutil.Process()
        ended = False
        while not ended:
            ended = self._stopped.wait(1.0)
            self.own.append(process.memory_info().rss / MEBIBYTE)
            sizes = [0.0]
            for child in process.children(recursive=True):
                try:
                    if "MapWorker" in " ".join(child.cmdline()):
                        sizes.append(child.memory_info().rss / MEBIBYTE)
                except psutil.Error:
                    continue
            self.worker.append(max(sizes))

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def quarters(values: list[float]) -> list[float]:
    """The largest value in each quarter of a run."""
    step = max(1, len(values) // 4)
    return [round(max(values[at : at + step] or values[-1:]), 1) for at in range(0, 4 * step, step)]


def leg(name: str, folder: Path, out: Path, part_films: int) -> dict:
    """Run one leg in this process; its figures."""
    from detector import FractureDetector
    from detector.bulk import InProcess, OnRay, list_archive, score_archive

    films = list_archive([str(folder)])
    began = time.perf_counter()
    watch = Watch()
    with backend(name) as (address, lose):
        if name == "predict_batch":
            scorer = InProcess(FractureDetector.from_pretrained())
            scorer.detector.warm_up()
        else:
            scorer = OnRay(workers=LEGS[name])
        with joined(name, address):
            watch.start()
            marks, done, lost = [], 0, False
            usage = psutil.Process().cpu_times()
            for part in score_archive(films, out, scorer, form="jsonl", part_films=part_films):
                done += part.films
                marks.append((time.perf_counter(), done))
                if lose and not lost and done >= len(films) / 2:
                    lose()
                    lost = True
            after = psutil.Process().cpu_times()
            watch.stop()
    (first, had), (last, _) = marks[0], marks[-1]
    return {
        "films": done,
        "cores": LEGS[name],
        "start_seconds": round(first - began, 2),
        "films_per_second": round((done - had) / max(last - first, 1e-9), 3),
        "driver_cpu_ms_per_film": round(
            1000 * (after.user + after.system - usage.user - usage.system) / done, 3
        ),
        "driver_memory": quarters(watch.own),
        "worker_memory": quarters(watch.worker),
    }


@contextmanager
def backend(name: str) -> Iterator[tuple]:
    """The address of a cluster of two nodes and what removes one, for the leg that loses it."""
    if name != "a node lost":
        yield None, None
        return
    from detector.bulk.cluster import stay_on_this_machine

    stay_on_this_machine()
    from ray.cluster_utils import Cluster

    each = {"num_cpus": 1, "object_store_memory": 256 * MEBIBYTE, "node_ip_address": "127.0.0.1"}
    cluster = Cluster(initialize_head=True, head_node_args={**each, "include_dashboard": False})
    second = cluster.add_node(**each)
    try:
        yield cluster.address, lambda: cluster.remove_node(second, allow_graceful=False)
    finally:
        cluster.shutdown()


@contextmanager
def joined(name: str, address: str | None) -> Iterator[None]:
    """Ray for a leg that needs it."""
    if name == "predict_batch":
        yield
        return
    from detector.bulk import connected

    with connected(address, workers=LEGS[name]):
        yield


def names_cost(count: int = 200_000) -> float:
    """Bytes of memory per film for the list of names and its division into parts."""
    from detector.bulk.scoring import divide

    process = psutil.Process()
    before = process.memory_info().rss
    names = [f"s3://archive-of-films/2026/{index:020d}/{index:040d}" for index in range(count)]
    parts = [pickle.dumps(part) for part in divide(names, 64)]  # as they are given to Ray
    assert len(parts) * 64 >= count
    return round((process.memory_info().rss - before) / count, 1)


def run_leg(name: str, folder: Path, out: Path, part_films: int) -> dict:
    """A leg in a process of its own, on as many cores as it is meant for."""
    cores = sorted(os.sched_getaffinity(0))[: LEGS[name]]
    code = (
        "import os, sys, json; os.sched_setaffinity(0, json.loads(sys.argv[1])); "
        "sys.path[:0] = json.loads(sys.argv[2]); import scale; from pathlib import Path; "
        "print(json.dumps(scale.leg(sys.argv[3], Path(sys.argv[4]), Path(sys.argv[5]), "
        "int(sys.argv[6]))))"
    )
    paths = [str(ROOT), str(Path(__file__).parent)]
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    command = [sys.executable, "-c", code, json.dumps(cores), json.dumps(paths), name,
               str(folder), str(out), str(part_films)]
    for attempt in range(1, TRIES + 1):
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **threads}, stdout=subprocess.PIPE, text=True
        )
        if done.returncode == 0:
            return json.loads(done.stdout.splitlines()[-1])
        if lines(out) or attempt == TRIES:  # it is not the start that failed, or not by chance
            break
        print(f"{name} did not start; again", file=sys.stderr, flush=True)
    raise SystemExit(f"{name}: failed with exit code {done.returncode}, see above")


def lines(out: Path) -> list[str]:
    return [line for path in sorted(out.glob("part-*")) for line in path.read_text().splitlines()]


def measure(count: int, part_films: int) -> dict:
    """All legs over the same films; raises SystemExit where their lines differ."""
    figures: dict = {"part_films": part_films, "legs": {}}
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "films"
        measuring.film_files(folder, count - 1)
        (folder / "synthetic_none.jpg").write_bytes(b"no film")
        sizes = [path.stat().st_size for path in folder.iterdir()]
        figures["film_bytes"] = round(sum(sizes) / len(sizes))
        expected: list[str] = []
        for name in LEGS:
            print(f"{name} ...", file=sys.stderr, flush=True)
            out = Path(base) / name.replace(" ", "-")
            figures["legs"][name] = run_leg(name, folder, out, part_films)
            found = lines(out)
            expected = expected or found
            if found != expected or len(found) != count:
                raise SystemExit(f"{name}: its {len(found)} lines are not those of predict_batch")
        figures["row_bytes"] = round(sum(len(line) + 1 for line in expected) / len(expected))
    figures["name_bytes"] = names_cost()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=2000, help="films (%(default)s)")
    parser.add_argument("--part-films", type=int,
                        help="films to a part (16, or fewer of few films: small, so that the end "
                        "is even)")
    parser.add_argument("--dry", action="store_true", help="print only, write no file")
    parser.add_argument("--again", action="store_true", help="write the page from the last figures")
    arguments = parser.parse_args()
    if arguments.again:
        write_page(PAGE, json.loads(FIGURES.read_text(encoding="utf-8")))
        return
    part_films = arguments.part_films or min(16, arguments.films // PARTS)
    if part_films < 1 or arguments.films < PARTS * part_films:
        parser.error(f"--films must be at least {PARTS} times --part-films")
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("two cores are needed")
    facts = measuring.machine_facts(
        films=f"{arguments.films:,}, in parts of {part_films}", threads="1 a detector"
    )
    print(facts)
    figures = {"machine": facts, **measure(arguments.films, part_films)}
    print()
    print(tables(figures))
    if not arguments.dry:
        FIGURES.parent.mkdir(parents=True, exist_ok=True)
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        write_page(PAGE, figures)


if __name__ == "__main__":
    main()
