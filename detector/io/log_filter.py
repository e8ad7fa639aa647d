"""Silence for the decoders while they read: their complaints may quote patient data."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_DECODERS = r"(pydicom|pylibjpeg|libjpeg|openjpeg|rle|PIL)\b"

_reading = threading.local()
_lock = threading.Lock()
_readers = 0
_filters: warnings.catch_warnings | None = None


def _silent_while_reading(record: logging.LogRecord) -> bool:
    return not getattr(_reading, "film", False)


def silence(loggers: Iterable[str]) -> None:
    """Let `quiet` drop the records of these loggers (a filter does not reach child loggers)."""
    for name in loggers:
        logging.getLogger(name).addFilter(_silent_while_reading)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop the decoders' warnings and log records inside the block; safe between threads.

    Python keeps its warning filters once per process, so the first reader in sets them and the
    last one out restores them. Other libraries' warnings are never touched.
    """
    global _readers, _filters
    with _lock:
        _readers += 1
        if _readers == 1:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.filterwarnings("ignore", module=_DECODERS)
    _reading.film = True
    try:
        yield
    finally:
        _reading.film = False
        with _lock:
            _readers -= 1
            if _readers == 0 and _filters is not None:
                _filters.__exit__(None, None, None)
                _filters = None
