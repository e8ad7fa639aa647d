"""Many users at once on the real page server: is every answer right, how long, how much memory?

    python benchmarks/load.py                             # 32 users, 2,000 films, two rounds
    python benchmarks/load.py --users 4 --films 20 --distinct 5

Starts `python -m demo` on 127.0.0.1. Each film is first read alone; then all users read at once,
half of them through gradio_client, half through plain HTTP, and every answer must be the bytes of
the film's own. A second round must need no more memory. Then, in this process, as many threads
share one detector and ask for every method of explanation: probability and heatmap must equal, bit
for bit, those of the film alone. The exit code is 1 if an answer differs or fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import measuring
import psutil
from measuring import ROOT, film_files, table

WAIT = 300.0  # seconds for one answer or for the start, far more than needed


@contextmanager
def page_server() -> Iterator[tuple[str, psutil.Process]]:
    """The page on a free port; its address and process. Stopped with SIGTERM at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "demo", "--host", "127.0.0.1", "--port", str(port)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )
    try:
        for line in server.stdout:
            if "open on" in line:
                break
        else:
            raise SystemExit("the page server did not start")
        yield f"http://127.0.0.1:{port}", psutil.Process(server.pid)
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def through_client(address: str) -> Callable[[Path], Any]:
    """A user with gradio_client: film -> the answer's JSON value."""
    from gradio_client import Client, handle_file

    client = Client(address, verbose=False)
    return lambda film: client.predict(handle_file(str(film)), api_name="/predict")


def through_http(address: str) -> Callable[[Path], Any]:
    """A user with plain HTTP: upload, call, wait for the event."""
    http = httpx.Client(base_url=f"{address}/gradio_api", timeout=WAIT)

    def ask(film: Path) -> Any:
        with film.open("rb") as file:
            upload = http.post("/upload", files={"files": (film.name, file)})
        upload.raise_for_status()
        data = {"path": upload.json()[0], "meta": {"_type": "gradio.FileData"}}
        call = http.post("/call/predict", json={"data": [data]})
        call.raise_for_status()
        event = ""
        with http.stream("GET", f"/call/predict/{call.json()['event_id']}") as answer:
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: ") and event == "complete":
                    return json.loads(line.removeprefix("data: "))[0]
                elif line.startswith("data: ") and event == "error":
                    raise RuntimeError(line)
        raise RuntimeError("the answer ended early")

    return ask


def written(answer: Any) -> str:
    return json.dumps(answer, sort_keys=True)


def crowd(
    users: list[Callable[[Path], Any]], films: list[Path], expected: dict[Path, str]
) -> tuple[list[float], list[str]]:
    """All users take films from one list until it is empty: seconds per answer, and what failed."""
    waiting = list(films)
    seconds: list[float] = []
    wrong: list[str] = []
    lock = threading.Lock()

    def work(ask: Callable[[Path], Any]) -> None:
        while True:
            with lock:
                if not waiting:
                    return
                film = waiting.pop()
            started = time.perf_counter()
            try:
                answer = written(ask(film))
                fault = "" if answer == expected[film] else f"{film.name}: another answer: {answer}"
            except Exception as error:  # every failure of a client is a finding here
                fault = f"{film.name}: {type(error).__name__}: {error}"
            with lock:
                seconds.append(time.perf_counter() - started)
                if fault:
                    wrong.append(fault)

    threads = [threading.Thread(target=work, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds, wrong


@contextmanager
def memory_watch(process: psutil.Process) -> Iterator[list[float]]:
    """Collects the resident size of a process and its children, MiB, five times a second."""
    sizes: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            try:
                family = [process, *process.children(recursive=True)]
                sizes.append(sum(p.memory_info().rss for p in family) / 2**20)
            except psutil.NoSuchProcess:
                continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield sizes
    finally:
        done.set()
        thread.join()


def shared_detector(films: list[Path], threads: int) -> tuple[int, list[str]]:
    """All methods of explanation from many threads: readings, and which differ from those alone."""
    from detector import FractureDetector
    from detector.explain.methods import METHODS

    detector = FractureDetector.from_pretrained()

    def read(job: tuple[Path, str]) -> str:
        prediction = detector.predict(job[0], method=job[1])
        heat = hashlib.sha256(prediction.heatmap.tobytes()).hexdigest()
        return f"{prediction.probability!r} {heat}"

    jobs = [(film, method) for film in films for method in METHODS]
    alone = {job: read(job) for job in jobs}
    many = jobs * 4
    random.Random(0).shuffle(many)
    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(read, many))
    return len(many), [
        f"{job[0].name}, {job[1]}" for job, answer in zip(many, answers, strict=True)
        if answer != alone[job]
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=32, help="at once (%(default)s)")
    parser.add_argument("--films", type=int, default=2000, help="per round (%(default)s)")
    parser.add_argument("--distinct", type=int, default=64, help="different films (%(default)s)")
    arguments = parser.parse_args()
    print(measuring.machine_facts(users=arguments.users, films=arguments.films))

    faults: list[str] = []
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        films = film_files(Path(folder), arguments.distinct)
        with page_server() as (address, process):
            users = [
                (through_client if index % 2 else through_http)(address)
                for index in range(arguments.users)
            ]
            expected = {film: written(users[0](film)) for film in films}
            order = (films * (arguments.films // len(films) + 1))[: arguments.films]
            for number in (1, 2):
                random.Random(number).shuffle(order)
                started = time.perf_counter()
                with memory_watch(process) as sizes:
                    seconds, wrong = crowd(users, order, expected)
                whole = time.perf_counter() - started
                faults += wrong
                cuts = statistics.quantiles(seconds, n=20, method="inclusive")
                rows.append((
                    f"round {number}", len(seconds), len(wrong), f"{cuts[9]:.2f}",
                    f"{cuts[18]:.2f}", f"{len(seconds) / whole:.1f}", f"{max(sizes):.0f}",
                    f"{sizes[-1]:.0f}",
                ))
        print()
        print(table(("page server", "answers", "wrong or failed", "p50 s", "p95 s",
                     "films per second", "peak memory MiB", "memory after MiB"), rows))
        count, wrong = shared_detector(films[:8], arguments.users)
        faults += wrong
        print()
        print(table(("one detector, all methods", "readings", "not equal bit for bit"),
                    [(f"{arguments.users} threads", count, len(wrong))]))
    for fault in faults[:20]:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
