"""The whole node, in a process of its own: what kill -9 and SIGTERM leave, and what it takes up."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from detector.pacs.node.node import Node
from detector.pacs.node.settings import Settings
from detector.pacs.node.spool import Spool
from tests.support.pacs_stand_ins import (
    Archive,
    answers,
    film,
    instance,
    make_objects,
    predict,
    store,
)

pytest_plugins = "tests.support.pacs_fixtures"

ROOT = Path(__file__).resolve().parents[3]


class Process:
    """A node of stand-ins in a process of its own, to be killed."""

    def __init__(self, spool: Path, address: str):
        self._spool, self._address = spool, address
        self._start()

    def _start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.pacs_stand_ins", "--spool", str(self._spool),
             "--destination", self._address, "--port", "0", "--free-megabytes", "0",
             "--pause", "0.2", "--longest-pause", "1", "--timeout", "10"],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def restart(self) -> None:
        self.kill()
        self._start()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self._end()

    def _end(self) -> int:
        code = self.process.wait(240)
        self.process.stdout.close()
        return code


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_random_moments_it_loses_nothing_and_answers_nothing_twice(
    tmp_path: Path, archive: Archive
) -> None:
    moments = random.Random(9)
    node = Process(tmp_path / "spool", archive.address)
    acknowledged: set[int] = set()
    left = list(range(1, 21))
    stop = threading.Event()

    def device() -> None:
        """Sends until each film is acknowledged, as devices do."""
        while left and not stop.is_set():
            try:
                status = store(node.port, film(left[0]))
            except Exception:
                status = [-1]
            if status == [0]:
                acknowledged.add(left.pop(0))
            else:
                time.sleep(0.05)

    sending = threading.Thread(target=device)
    sending.start()
    try:
        for _ in range(4):
            time.sleep(moments.uniform(0.2, 1.2))
            node.restart()
        sending.join(120)
        # One more, when all is acknowledged and some of it unanswered.
        node.restart()
        archive.wait_for(answers(*range(1, 21)))
    finally:
        stop.set()
        node.stop()
    assert acknowledged == set(range(1, 21))
    assert archive.got.keys() == answers(*acknowledged)
    # What was in flight at a kill may come again, with its UID: it is the same object.
    assert sum(count - 1 for count in archive.got.values()) <= 5
    spool = Spool(tmp_path / "spool")
    assert spool.counts() == {"incoming": 0, "working": 0, "outgoing": 0, "done": 20, "failed": 0}
    spool.close()


def test_sigterm_ends_it_and_keeps_what_is_left(tmp_path: Path) -> None:
    node = Process(tmp_path / "spool", "ARCHIVE@127.0.0.1:9")
    assert store(node.port, film(1), film(2)) == [0, 0]
    assert node.stop() == 0
    spool = Spool(tmp_path / "spool")
    counts = spool.counts()
    spool.close()
    assert counts["working"] == counts["failed"] == 0
    assert counts["incoming"] + counts["outgoing"] == 2


def test_films_acknowledged_while_the_spool_is_broken_are_all_answered(
    tmp_path: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detector.pacs.node.worker.DISK_PAUSE", 0.05)
    monkeypatch.setattr("detector.pacs.node.folder_queue.RESCAN_SECONDS", 0.2)
    settings = Settings(archive.address, tmp_path / "spool", port=0, free_megabytes=0, pause=0.1)
    node = Node(settings, predict, make_objects)
    node.start()
    broken = [node.spool.folder / name for name in ("working", "outgoing", "done", "failed")]
    try:
        assert store(node.port, *(film(number) for number in range(1, 6))) == [0] * 5
        for folder in broken:  # no move into them, out of them or within them succeeds
            folder.rename(folder.with_suffix(".away"))
            folder.touch()
        assert store(node.port, *(film(number) for number in range(6, 41))) == [0] * 35
        time.sleep(1.5)  # for worker and sender to meet the faults, each several times
        for folder in broken:
            folder.unlink()
            folder.with_suffix(".away").rename(folder)
        archive.wait_for(answers(*range(1, 41)), 60)
    finally:
        node.stop()
    assert archive.got.keys() == answers(*range(1, 41))
    spool = Spool(tmp_path / "spool")
    counts = spool.counts()
    spool.close()
    assert counts == {"incoming": 0, "working": 0, "outgoing": 0, "done": 40, "failed": 0}


def test_a_sweep_that_fails_does_not_end_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings("A@127.0.0.1:9", tmp_path / "spool", port=0, free_megabytes=0)
    node = Node(settings, predict, make_objects)
    swept, stopping = threading.Event(), threading.Event()

    def broken(older_than: float) -> int:
        swept.set()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(node.spool, "forget", broken)
    ended: list[Exception | None] = []

    def run() -> None:
        try:
            node.run(stopping)
            ended.append(None)
        except OSError as error:
            ended.append(error)

    running = threading.Thread(target=run)
    running.start()
    assert swept.wait(30)
    assert store(node.port, film(1)) == [0]
    stopping.set()
    running.join(60)
    if ended != [None]:
        node.stop()
    assert ended == [None]


def test_a_node_whose_worker_died_ends_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings("A@127.0.0.1:9", tmp_path, port=0, free_megabytes=0)
    node = Node(settings, predict, make_objects)

    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(node.spool, "take", broken)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    assert node.run(threading.Event()) is False


def test_a_node_takes_dead_letters_up_when_asked(tmp_path: Path) -> None:
    settings = Settings("A@127.0.0.1:9", tmp_path, port=0, free_megabytes=0, retry_failed=True)
    spool = Spool(tmp_path)
    spool.receive(instance(1), [film(1)])
    spool.fail(spool.take()[0], "no memory")
    spool.close()
    node = Node(settings, predict, make_objects)
    assert node.spool.counts()["incoming"] == 1
    node.spool.close()
