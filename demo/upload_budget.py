"""How much of the disk uploads may fill: all of them, and one visitor's.

The container keeps them in memory, and nobody is to take the others' place there for the quarter
of an hour until they are deleted.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SPACE, PER_VISITOR = 0.75, 0.5  # shares: of the free space for all, of that for one visitor
MOST = 20_000_000_000  # bytes for all, however large the disk
NO_ROOM = (
    "There is no room for these films now: uploads are deleted after a quarter of an hour. Send "
    "fewer at once, or wait."
)
NO_LENGTH = "An upload must say how long it is."


class UploadBudget:
    """Counts what lies in the folder by the visitor who sent it, and what is on its way.

    Args:
        folder: where uploads go.
        most: bytes for all of them; None: a share of the space that is free now.
    """

    def __init__(self, folder: str | Path, most: int | None = None) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        if most is None:
            most = min(int(shutil.disk_usage(folder).free * SPACE), MOST)
        self.most, self.of_one = most, int(most * PER_VISITOR)
        self._lock = threading.Lock()
        self._sent: dict[str, tuple[str, int]] = {}  # path -> visitor, bytes
        self._coming: list[tuple[str, int]] = []

    @contextmanager
    def receive(self, visitor: str, size: int) -> Iterator[bool]:
        """Hold room for an upload of ``size`` bytes while it comes; False if there is none."""
        coming = (visitor, size)
        with self._lock:
            self._sent = {p: held for p, held in self._sent.items() if Path(p).is_file()}
            held = [*self._sent.values(), *self._coming]
            mine = sum(count for whose, count in held if whose == visitor)
            fits = mine + size <= self.of_one and sum(c for _, c in held) + size <= self.most
            if fits:
                self._coming.append(coming)
        try:
            yield fits
        finally:
            if fits:
                with self._lock:
                    self._coming.remove(coming)

    def received(self, visitor: str, paths: list[str]) -> None:
        """Count these files until they are deleted."""
        with self._lock:
            for path in paths:
                try:
                    self._sent[path] = (visitor, Path(path).stat().st_size)
                except OSError:
                    continue
