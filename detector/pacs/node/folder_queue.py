"""A queue whose truth is a folder: what lies there is waiting, whatever this process remembers."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from pathlib import Path

RESCAN_SECONDS = 5.0


class FolderQueue:
    """The entries of a folder by their stem (the key), oldest first; threads may share it.

    The folder is read again every ``RESCAN_SECONDS`` of the monotonic clock, so that an entry that
    slipped from memory, or was put there by hand, is found. A key that was handed out is not handed
    out again until it is given back or discarded.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._changed = threading.Condition()
        self._keys: deque[str] = deque()
        self._out: set[str] = set()
        self._scan_due = float("-inf")

    def get(self, wait: float | None = 0) -> str | None:
        """The oldest key; None when none came within ``wait`` seconds.

        Raises:
            OSError: the folder cannot be read.
        """
        with self._changed:
            if time.monotonic() >= self._scan_due:
                self._scan()
            if not self._keys and wait:
                self._changed.wait(wait)
            if not self._keys:
                return None
            key = self._keys.popleft()
            self._out.add(key)
            return key

    def add(self, key: str) -> None:
        """Queue a new entry at the end; one that was found, or handed out, already stays so."""
        with self._changed:
            if key not in self._out and key not in self._keys:
                self._keys.append(key)
            self._changed.notify()

    def discard(self, key: str) -> None:
        """Forget a key whose entry has left the folder."""
        with self._changed:
            self._out.discard(key)
            if key in self._keys:
                self._keys.remove(key)

    def is_out(self, key: str) -> bool:
        """Whether this key was handed out, and neither given back nor discarded."""
        with self._changed:
            return key in self._out

    def rescan(self) -> None:
        """Read the folder with the next ``get``."""
        with self._changed:
            self._scan_due = float("-inf")

    def _scan(self) -> None:
        known = self._out | set(self._keys)
        fresh = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                key = Path(entry.name).stem
                if key not in known:
                    try:
                        fresh.append((entry.stat().st_mtime, key))
                    except FileNotFoundError:  # it has just left
                        continue
        self._keys.extend(key for _, key in sorted(fresh))
        self._scan_due = time.monotonic() + RESCAN_SECONDS
