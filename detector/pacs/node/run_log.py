"""The run log: one JSON object a line for what happened to each film, without patient data.

Films are named by their key in the spool, a keyed hash. After a crash a line may stand twice;
readers take the last one of a film's event.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detector.prediction import Prediction

logger = logging.getLogger(__name__)

RECEIVED, READ, UNREAD, SENT = "received", "read", "unread", "sent"
REFUSED, FAILED, CONFLICT, REJECTED = "refused", "failed", "conflict", "rejected"


class RunLog:
    """Appends lines to a file; threads may share it. It may be renamed while in use (rotation)."""

    def __init__(self, file: Path):
        self._file = file
        self._lock = threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True)

    def write(self, event: str, film: str, **facts: Any) -> None:
        """Append a line. A full disk costs the line, not the film."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, "event": event, "film": film, **facts}) + "\n"
        try:
            with self._lock:
                handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
                try:
                    size = os.fstat(handle).st_size
                    if size and os.pread(handle, 1, size - 1) != b"\n":
                        line = "\n" + line  # not onto a line that was cut short
                    os.write(handle, line.encode())
                finally:
                    os.close(handle)
        except OSError as error:
            logger.error("the run log could not be written: %s", error.strerror)

    def read(self, film: str, prediction: Prediction, seconds: float) -> None:
        """A film was read."""
        self.write(
            READ, film,
            decision=prediction.decision,
            probability=round(float(prediction.probability), 6),
            scope=round(float(prediction.scope.score), 6),
            in_scope=bool(prediction.scope.in_scope),
            model=prediction.model["version"],
            sha256=prediction.model["sha256"],
            seconds=round(seconds, 3),
        )  # fmt: skip


def read_log(file: Path) -> Iterator[dict[str, Any]]:
    """The lines of a run log; one that a crash cut short is left out. OSError without the file."""
    with file.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(entry, dict) and {"time", "event", "film"} <= entry.keys():
                yield entry
