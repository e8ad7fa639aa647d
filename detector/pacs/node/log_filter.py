"""Silence for the DICOM libraries: what they log and warn of quotes peers and headers."""

from __future__ import annotations

import logging
import threading
import warnings

from pynetdicom import _config

logger = logging.getLogger(__name__)

_LIBRARIES = ("pynetdicom", "pydicom", "highdicom")


def silence_libraries() -> None:
    """Drop their log records and warnings, in this process, from now on."""
    _config.LOG_HANDLER_LEVEL = "none"
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=rf"({'|'.join(_LIBRARIES)})\b")


def silence_threads() -> None:
    """Of an exception that ends a thread, log the type alone: its words may quote a film."""
    threading.excepthook = lambda gone: logger.error("a thread ended: %s", gone.exc_type.__name__)
