"""Listener, worker and sender around one spool: the DICOM node."""

from __future__ import annotations

import logging
import threading
import time

from detector.pacs.node.health import Health, HealthServer, measure
from detector.pacs.node.listener import Listener
from detector.pacs.node.run_log import RunLog
from detector.pacs.node.sender import Sender
from detector.pacs.node.settings import Settings
from detector.pacs.node.spool import Spool
from detector.pacs.node.worker import MakeObjects, Predict, Worker

logger = logging.getLogger(__name__)

_DAY = 86400


class Node:
    """One node; ``run`` it, or ``start`` and ``stop`` it."""

    def __init__(self, settings: Settings, predict: Predict, make_objects: MakeObjects):
        """Open the spool. OSError when that, or a TLS file, cannot be used."""
        self._settings = settings
        self.spool = Spool(settings.spool, free_bytes=settings.free_megabytes * 1_000_000)
        if settings.retry_failed:
            logger.info("%d dead letters are taken up again", self.spool.retry_failed())
        log = RunLog(settings.run_log)
        self._worker = Worker(self.spool, predict, make_objects, log)
        self._sender = Sender(settings, self.spool, log)
        self._listener = Listener(settings, self.spool, log)
        self._health = None
        if settings.health_port is not None:
            self._health = HealthServer(settings.health_port, self.health)
        self.port = 0

    def start(self) -> None:
        """Serve, in threads. OSError: the port is not free."""
        self.port = self._listener.start()
        self._worker.start()
        self._sender.start()
        if self._health:
            self._health.start()

    def health(self) -> Health:
        """The present state. OSError when the spool cannot be read."""
        return measure(
            self.spool, works=self._works(),
            reaches_destination=self._sender.reaches_destination,
            conflicts=self._listener.conflicts,
        )  # fmt: skip

    def _works(self) -> bool:
        return self._worker.is_alive() and self._sender.is_alive()

    def stop(self) -> None:
        """Stop listening, finish what is in work, and close the spool."""
        self._listener.stop()
        if self._health:
            self._health.stop()
        for thread in (self._worker, self._sender):
            thread.stop()
        for thread in (self._worker, self._sender):
            if thread.is_alive():
                thread.join()
        self.spool.close()

    def run(self, stopping: threading.Event) -> bool:
        """Serve until the event is set; forget old films once a day.

        Returns:
            Whether the event ended it; else worker or sender died, and the node must be restarted.
        """
        self.start()
        sweep_due = time.monotonic()
        while not stopping.wait(0.2) and self._works():
            if time.monotonic() >= sweep_due:
                sweep_due = time.monotonic() + _DAY
                try:
                    self.spool.forget(time.time() - self._settings.keep_days * _DAY)
                except OSError as error:  # they stay for another day
                    logger.error("old films could not be forgotten: %s", error.strerror)
        asked = stopping.is_set()
        if asked:
            logger.info("ending: what is in work is finished")
        else:
            logger.error("ending: a thread of the node died; start it again")
        self.stop()
        return asked
