"""Fixtures of the DICOM node's tests; a file takes them by
``pytest_plugins = "tests.support.pacs_fixtures"``.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.pacs.node.listener import Listener
from detector.pacs.node.run_log import RunLog
from detector.pacs.node.settings import Settings
from detector.pacs.node.spool import Spool
from tests.support.pacs_stand_ins import Archive, film, store


class Running:
    """A listener on a port of its own, and its spool."""

    def __init__(self, folder: Path, **settings):
        self.settings = Settings(
            "ARCHIVE@127.0.0.1:9", folder / "spool", port=0,
            **({"timeout": 5.0, "free_megabytes": 0} | settings),
        )  # fmt: skip
        self.spool = Spool(
            self.settings.spool, free_bytes=self.settings.free_megabytes * 1_000_000
        )
        self.listener = Listener(self.settings, self.spool, RunLog(self.settings.run_log))
        self.port = self.listener.start()

    @property
    def films(self) -> int:
        return self.spool.counts()["incoming"]

    def serves(self) -> bool:
        """Whether a film of its own is taken now."""
        return store(self.port, film(random.randrange(10**9, 10**12))) == [0]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@pytest.fixture
def start(tmp_path: Path) -> Iterator:
    running: list[Running] = []

    def one(**settings) -> Running:
        running.append(Running(tmp_path / str(len(running)), **settings))
        return running[-1]

    yield one
    for each in running:
        each.listener.stop(grace=0.0)
        each.spool.close()


@pytest.fixture
def archive() -> Iterator[Archive]:
    archive = Archive()
    yield archive
    archive.close()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool")
    yield spool
    spool.close()
