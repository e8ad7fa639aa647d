"""From the spool's films to recorded answers: read the film, make its objects, queue them."""

from __future__ import annotations

import io
import logging
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import Dataset, dcmread, dcmwrite

from detector.errors import RadiographError
from detector.pacs.node.run_log import FAILED, UNREAD, RunLog
from detector.pacs.node.spool import Spool

if TYPE_CHECKING:
    from detector.prediction import Prediction

logger = logging.getLogger(__name__)

Predict = Callable[[Path], "Prediction"]
MakeObjects = Callable[[Dataset, "Prediction"], list[Dataset]]


class Worker(threading.Thread):
    """Takes films from the spool, one at a time, until it is told to stop.

    A film that cannot be read is a dead letter, with the reason; nothing stops the worker.
    """

    def __init__(self, spool: Spool, predict: Predict, make_objects: MakeObjects, log: RunLog):
        super().__init__(name="worker", daemon=True)
        self._spool, self._predict, self._make_objects, self._log = (
            spool, predict, make_objects, log,
        )  # fmt: skip
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Finish the film in work, then end."""
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.step(wait=0.2)
            except OSError as error:  # of the spool's disk; the film is taken up at a restart
                logger.error("a film could not be moved on: %s", error.strerror)
                self._stopping.wait(1.0)

    def step(self, wait: float | None = 0) -> bool:
        """Answer the longest waiting film; False when none came in time."""
        taken = self._spool.take(wait)
        if taken is None:
            return False
        key, file = taken
        try:
            objects = self._read(key, file)
        except RadiographError as error:
            self._log.write(UNREAD, key, reason=error.kind)
            self._spool.fail(key, error.kind)
            return True
        except Exception as error:
            # Type and place only: a message may quote the film's header.
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
            logger.error("a film could not be answered: %s", where)
            self._log.write(FAILED, key, reason=where)
            self._spool.fail(key, where)
            return True
        try:
            self._spool.answer(key, objects)
        except OSError as error:
            logger.error("answers could not be kept, the film waits: %s", error.strerror)
            self._spool.put_back(key)
            self._stopping.wait(5.0)
        return True

    def _read(self, key: str, file: Path) -> list[bytes]:
        start = time.monotonic()
        prediction = self._predict(file)
        # Only now: the detector has checked the file's sizes before believing them.
        source = dcmread(file, stop_before_pixels=True)
        objects = [_encoded(one) for one in self._make_objects(source, prediction)]
        self._log.read(key, prediction, time.monotonic() - start)
        return objects


def _encoded(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()
