"""How much memory films may take: while they are read, and for as long as a visitor holds them.

The page must answer before the system ends it for want of memory. Shares of the memory that this
process may use go to the two uses; what does not fit waits, or is refused with a sentence.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from detector.errors import FilmTooLarge
from detector.io.log_filter import quiet

# Peak while a film of 100 million pixels is read: 6 (grey PNG) to 11 bytes a pixel (DICOM).
BYTES_PER_PIXEL = 12
READ, KEPT = 0.4, 1 / 6  # shares of the memory: for films being read, for readings that are held
PER_VISITOR = 1 / 2  # the share of the latter that one study may take
UNKNOWN = 8 << 30  # bytes; where the system does not say how much memory there is
WAIT = 120.0  # seconds that a film waits for others to be read
TOO_LARGE = (
    "The film has {count:.0f} million pixels, more than this server's memory holds. Export it at a "
    "lower resolution."
)
BUSY = "The page is busy with large films. Wait a minute and try again."
FULL = (
    "The page's memory is full of other films that are open. Try again in a few minutes, or close "
    "those that you have open in other windows."
)
STUDY = "This study's films are larger than one visitor may keep open here. Read this one alone."


def memory_limit() -> int:
    """Bytes that this process may use: its control group's limit, else the machine's memory."""
    found = [UNKNOWN]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # control groups 2 and 1
        try:
            text = Path("/sys/fs/cgroup", name).read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            found.append(int(text))
    return min(found)


class PixelBudget:
    """Films are read together only as far as their pixels fit; who came first is read first."""

    def __init__(self, most: int, wait: float = WAIT) -> None:
        self.most, self.free, self._wait = most, most, wait
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Hold the place of a film of that many pixels.

        Raises:
            FilmTooLarge: it is larger than all of the budget, or waited too long.
        """
        if pixels > self.most:
            raise FilmTooLarge(TOO_LARGE.format(count=pixels / 1e6))
        mine = object()
        with self._changed:
            self._line.append(mine)
            try:
                if not self._changed.wait_for(
                    lambda: self._line[0] is mine and pixels <= self.free, self._wait
                ):
                    raise FilmTooLarge(BUSY)
                self.free -= pixels
            finally:
                self._line.remove(mine)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self.free += pixels
                self._changed.notify_all()


class KeptBudget:
    """The bytes of the films that visitors hold; a film leaves the sum when nobody holds it."""

    def __init__(self, most: int) -> None:
        self.most, self.used = most, 0
        self._lock = threading.Lock()
        # Drops readings of visitors who left or have been idle; True if there was one.
        self.make_room: Callable[[], bool] = lambda: False

    def hold(self, film: object, size: int) -> None:
        """Count a film's bytes until it is gone.

        Raises:
            FilmTooLarge: there is no room, and nobody's to be had.
        """
        while not self._add(size):
            if not self.make_room():
                raise FilmTooLarge(FULL)
        weakref.finalize(film, self._add, -size)

    def _add(self, size: int) -> bool:
        with self._lock:
            if size > 0 and self.used + size > self.most:
                return False
            self.used += size
            return True


def declared_pixels(file: str | Path) -> int | None:
    """Pixels of a film by its header; None where it does not say in the usual way."""
    try:
        with quiet(), Image.open(file) as image:
            return image.width * image.height
    except Exception:  # no picture, or one that says nothing sensible
        pass
    try:
        import pydicom

        with quiet():
            header = pydicom.dcmread(
                file, stop_before_pixels=True, specific_tags=["Rows", "Columns"]
            )
        return int(header.Rows) * int(header.Columns)
    except Exception:
        return None
