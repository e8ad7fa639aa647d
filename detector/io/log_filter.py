"""What libraries may log and warn of: nothing that could quote patient data.

Decoders are quiet while a film is read; libraries of the DICOM node for good.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

logger = logging.getLogger(__name__)

_DECODERS = r"(pydicom|pylibjpeg|libjpeg|openjpeg|rle|PIL)\b"

_reading = threading.local()
_lock = threading.Lock()
_readers = 0
_filters: warnings.catch_warnings | None = None


def _silent_while_reading(record: logging.LogRecord) -> bool:
    return not getattr(_reading, "film", False)


def silence(loggers: Iterable[str]) -> None:
    """Let ``quiet`` drop the records of these loggers (a filter does not reach child loggers)."""
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


def mute(libraries: Sequence[str]) -> None:
    """Drop log records and warnings of these libraries, in this process, from now on."""
    for name in libraries:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=rf"({'|'.join(libraries)})\b")


def hide_thread_errors() -> None:
    """Of an exception that ends a thread, log the type alone: its words may quote a film."""
    threading.excepthook = lambda gone: logger.error("a thread ended: %s", gone.exc_type.__name__)
