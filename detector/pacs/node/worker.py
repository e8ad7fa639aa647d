"""From the spool's films to recorded answers: read the film, make its objects, queue them."""

from __future__ import annotations

import io
import logging
import threading
import time
import traceback
from collections import Counter
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

DISK_PAUSE = 5.0  # seconds after the spool's disk refused something
MAX_DISK_FAULTS = 10  # while this process reads a film, before the film is the likelier fault


class Worker(threading.Thread):
    """Takes films from the spool, one at a time, until it is told to stop.

    A film that cannot be read is a dead letter, with the reason; nothing stops the worker.
    """

    def __init__(self, spool: Spool, predict: Predict, make_objects: MakeObjects, log: RunLog):
        super().__init__(name="worker", daemon=True)
        self._spool, self._predict, self._make_objects, self._log = (
            spool, predict, make_objects, log,
        )  # fmt: skip
        self._disk_faults: Counter[str] = Counter()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Finish the film in work, then end."""
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.step(wait=0.2)
            except OSError as error:
                logger.error("a film could not be moved on, it waits: %s", error.strerror)
                self._stopping.wait(1.0)

    def step(self, wait: float | None = 0) -> bool:
        """Answer the longest waiting film; False when none came in time.

        Raises:
            OSError: the spool's disk refused a move; the film waits still.
        """
        taken = self._spool.take(wait)
        if taken is None:
            return False
        key, file = taken
        try:
            self._answer(key, file)
        except OSError as error:
            logger.error("a film could not be answered, it waits: %s", error.strerror)
            self._spool.put_back(key)
            self._stopping.wait(DISK_PAUSE)
        except BaseException:
            self._spool.put_back(key)
            raise
        return True

    def _answer(self, key: str, file: Path) -> None:
        try:
            objects = self._read(key, file)
        except RadiographError as error:
            self._fail(UNREAD, key, error.kind)
        except OSError as error:
            self._disk_faults[key] += 1
            if self._disk_faults[key] < MAX_DISK_FAULTS:
                raise
            self._fail(FAILED, key, type(error).__name__)
        except Exception as error:
            # Type and line only: a message may quote the film's header.
            line = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(line.filename).name}:{line.lineno}"
            logger.error("a film could not be answered: %s", where)
            self._fail(FAILED, key, where)
        else:
            self._spool.answer(key, objects)
        self._disk_faults.pop(key, None)

    def _fail(self, event: str, key: str, reason: str) -> None:
        self._spool.fail(key, reason)
        self._log.write(event, key, reason=reason)

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
