"""Two page servers behind nginx under load: one is killed, then started again. What do users see?

    python benchmarks/proxy.py                                    # 32 users, 300 films per phase
    python benchmarks/proxy.py --users 8 --films 40 --distinct 8

Starts two `python -m demo` and nginx with `deploy/nginx.conf` on 127.0.0.1. Every user keeps the
cookie that nginx gives; half of them are gradio_client, half plain HTTP. They read films all the
time: while both servers live, after `kill -9` of the first, and after it was started again. A film
whose reading fails is sent again, as a person would. Needs nginx (Debian: nginx-light).

The exit code is 1 if an answer is not the film's own, if a film is never read, if a user of the
server that lives on notices anything, or if users are not where they belong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import measuring
from load import WAIT, written
from measuring import ROOT, film_files, table

CONFIGURATION = ROOT / "deploy" / "nginx.conf"
BOTH, KILLED, BACK = "both servers", "the first killed", "the first back"
TRIES, PAUSE = 20, 0.5  # a film is sent again after half a second
PATIENCE = 30.0  # seconds that a program waits for an answer before it asks again


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def configured(port: int, servers: Sequence[int]) -> str:
    """`deploy/nginx.conf` for these ports of 127.0.0.1; nothing else of it is changed.

    Raises:
        ValueError: the file has not one `listen` and a block of `server NAME:PORT` lines.
    """
    text, listens = re.subn(
        r"^( *listen) \S+;", rf"\1 127.0.0.1:{port};", CONFIGURATION.read_text(), flags=re.M
    )
    lines = re.findall(r"^ *server \S+:\d+ .*;\n", text, flags=re.M)
    block = "".join(lines)
    if listens != 1 or not lines or block not in text:
        raise ValueError(f"{CONFIGURATION.name} is not as expected")
    return text.replace(block, "".join(
        re.sub(r"server \S+", f"server 127.0.0.1:{server}", lines[0]) for server in servers
    ))


@contextmanager
def nginx(folder: Path, servers: Sequence[int]) -> Iterator[str]:
    """nginx before pages on these ports, everything it writes in ``folder``; yields its address.

    Its access log is ``folder/access.log``.
    """
    port, settings = free_port(), folder / "nginx.conf"
    settings.write_text(configured(port, servers))
    with (folder / "access.log").open("w") as log:
        process = subprocess.Popen(
            [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(folder), "-c", str(settings),
             "-e", "stderr"],
            stdout=log,
        )
    try:
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    raise SystemExit("nginx did not start") from None
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


class Page:
    """`python -m demo` on a port of its own; what it is sent lies below ``folder``."""

    def __init__(self, folder: Path, port: int):
        self.folder, self.port = folder, port
        folder.mkdir()
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--port", str(self.port)], cwd=ROOT,
            env={**os.environ, "TMPDIR": str(self.folder)}, stdout=subprocess.PIPE, text=True,
        )

    def wait(self) -> None:
        """Until it serves."""
        assert self.process.stdout
        if not any("open on" in line for line in self.process.stdout):
            raise SystemExit("the page server did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class User:
    """``ask``: film -> the answer's JSON value. ``cookies``: those that the proxy gave."""

    ask: Callable[[Path], Any]
    cookies: dict[str, str]


def python_user(address: str) -> User:
    """With gradio_client, which keeps the cookie of its first answer by itself.

    It waits for ever for an answer whose stream broke off, so a program must set itself a limit,
    and begin anew with its cookie.
    """
    from gradio_client import Client, handle_file

    # By itself it gives up an upload after five seconds, which a busy server may well take.
    settings = {"timeout": WAIT}
    client = Client(address, verbose=False, httpx_kwargs=settings)
    cookies = dict(client.cookies)

    def ask(film: Path) -> Any:
        nonlocal client
        job = client.submit(handle_file(str(film)), api_name="/predict")
        try:
            return job.result(timeout=PATIENCE)
        except Exception:
            job.cancel()
            client = Client(address, verbose=False, httpx_kwargs=settings | {"cookies": cookies})
            raise

    return User(ask, cookies)


def http_user(address: str) -> User:
    """With plain HTTP: open the page for its cookie; then upload, call, wait for the event."""
    http = httpx.Client(base_url=address, timeout=WAIT)
    http.get("/").raise_for_status()

    def ask(film: Path) -> Any:
        with film.open("rb") as file:
            upload = http.post("/gradio_api/upload", files={"files": (film.name, file)})
        upload.raise_for_status()
        data = {"path": upload.json()[0], "meta": {"_type": "gradio.FileData"}}
        call = http.post("/gradio_api/call/predict", json={"data": [data]})
        call.raise_for_status()
        event, id_ = "", call.json()["event_id"]
        with http.stream("GET", f"/gradio_api/call/predict/{id_}") as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: ") and event == "complete":
                    return json.loads(line.removeprefix("data: "))[0]
                elif line.startswith("data: ") and event == "error":
                    raise RuntimeError(f"the page's error event: {line}")
        raise RuntimeError("the answer ended early")

    return User(ask, dict(http.cookies))


def home(address: str, user: User, film: Path, pages: Sequence[Page]) -> int:
    """Which server has what this user sends: its index. The path of an upload names its folder."""
    with film.open("rb") as file:
        answer = httpx.post(
            f"{address}/gradio_api/upload", files={"files": (film.name, file)},
            cookies=user.cookies, timeout=WAIT,
        )
    answer.raise_for_status()
    (path,) = answer.json()
    (index,) = (i for i, page in enumerate(pages) if Path(path).is_relative_to(page.folder))
    return index


@dataclass(frozen=True)
class Reading:
    """One film, in the phase in which it was answered. ``faults``: of each try that failed."""

    phase: str
    home: int
    seconds: float
    faults: tuple[str, ...]
    right: bool


class Crowd:
    """Users who read films until told to stop, each film until it is answered."""

    def __init__(self, users: Sequence[User], homes: Sequence[int], expected: dict[Path, str]):
        self.expected, self.phase = expected, BOTH
        self.readings: list[Reading] = []
        self.lock, self.done = threading.Lock(), threading.Event()
        self.threads = [
            threading.Thread(target=self.work, args=(user, home, random.Random(seed)))
            for seed, (user, home) in enumerate(zip(users, homes, strict=True))
        ]

    def work(self, user: User, home: int, chance: random.Random) -> None:
        while not self.done.is_set():
            film, started = chance.choice(list(self.expected)), time.perf_counter()
            faults: list[str] = []
            right = False
            while len(faults) < TRIES:
                try:
                    right = written(user.ask(film)) == self.expected[film]
                    break
                except Exception as error:  # what a user meets is the finding
                    faults.append(f"{type(error).__name__}: {error}".splitlines()[0][:160])
                    time.sleep(PAUSE)
            seconds = time.perf_counter() - started
            with self.lock:
                self.readings.append(Reading(self.phase, home, seconds, tuple(faults), right))

    def read(self, films: int) -> None:
        """Wait until this many more films were answered."""
        wanted = len(self.readings) + films
        while len(self.readings) < wanted and any(t.is_alive() for t in self.threads):
            time.sleep(0.05)

    def __enter__(self) -> Crowd:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        for thread in self.threads:
            thread.join()


def summary(readings: Sequence[Reading]) -> str:
    """A table: phase and users' server by row."""
    rows = []
    for phase in (BOTH, KILLED, BACK):
        for home in (0, 1):
            some = [r for r in readings if (r.phase, r.home) == (phase, home)]
            again = [r for r in some if r.faults]
            waits = sorted(r.seconds for r in some)
            rows.append((
                phase, f"of the {('first', 'second')[home]}", len(some),
                sum(not r.right for r in some), len(again),
                max((len(r.faults) for r in again), default=0),
                f"{waits[len(waits) // 2]:.2f}" if waits else "", f"{max(waits, default=0):.2f}",
            ))
    return table(("phase", "users", "films", "wrong or never read", "sent again", "most often",
                  "p50 s", "longest s"), rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=32, help="at once (%(default)s)")
    parser.add_argument("--films", type=int, default=300, help="to read per phase (%(default)s)")
    parser.add_argument("--distinct", type=int, default=32, help="different films (%(default)s)")
    arguments = parser.parse_args()
    if not (shutil.which("nginx") or Path("/usr/sbin/nginx").exists()):
        parser.error("there is no nginx (Debian: apt-get install nginx-light)")
    print(measuring.machine_facts(users=arguments.users, films_per_phase=arguments.films))

    faults: list[str] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        films = film_files(folder / "films", arguments.distinct)
        pages = []
        for name in ("first", "second"):
            pages.append(Page(folder / name, free_port()))
            stack.callback(lambda page: page.kill(), pages[-1])
        for page in pages:
            page.wait()
        address = stack.enter_context(nginx(folder, [page.port for page in pages]))
        users = [
            (python_user if index % 2 else http_user)(address) for index in range(arguments.users)
        ]

        def homes() -> list[int]:
            return [home(address, user, films[0], pages) for user in users]

        at_first = homes()
        expected = {film: written(users[0].ask(film)) for film in films}
        with Crowd(users, at_first, expected) as crowd:
            crowd.read(arguments.films)
            crowd.phase = KILLED
            pages[0].kill()
            crowd.read(arguments.films)
            if set(homes()) != {1}:
                faults.append("with the first server killed, a user was not at the second")
            pages[0].start()
            pages[0].wait()
            crowd.phase = BACK
            time.sleep(11)  # until nginx tries it again: fail_timeout
            crowd.read(arguments.films)
        if homes() != at_first:
            faults.append("a user did not return to the server that was started again")

    split = Counter(at_first)
    print(f"\nUsers at the first server {split[0]}, at the second {split[1]}\n")
    print(summary(crowd.readings))
    met = Counter((r.phase, fault) for r in crowd.readings for fault in r.faults)
    if met:
        print()
        print(table(("phase", "what they met", "times"),
                    [(phase, text.replace("|", "/"), n) for (phase, text), n in met.most_common()]))
    faults += [f"{r.phase}: wrong or never read" for r in crowd.readings if not r.right]
    faults += [f"{r.phase}: a user of the second server met {r.faults}"
               for r in crowd.readings if r.home == 1 and r.faults]
    for fault in faults[:20]:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
