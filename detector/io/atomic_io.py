"""Files that are still there after the power went: written through to the disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path


def write(file: Path, parts: Sequence[bytes | memoryview]) -> None:
    """Write a file, for its owner's eyes only, and wait until the disk has it."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as stream:
        for part in parts:
            stream.write(part)
        stream.flush()
        os.fsync(stream.fileno())


def replace_file(file: Path, data: bytes) -> None:
    """Write ``data`` so that ``file`` holds either what it held or all of ``data``.

    It is written beside its name, flushed to the disk and renamed. Several processes and threads
    may do so.

    Raises:
        OSError: the disk is full or cannot be written; what was at ``file`` stays.
    """
    replace_files({file: data})


def replace_files(files: Mapping[Path, bytes]) -> None:
    """``replace_file`` for files that go together: none is renamed before all are on the disk.

    Raises:
        OSError: as ``replace_file``.
    """
    ending = f".{os.getpid()}-{threading.get_ident()}.partial"
    partial = {file: file.with_name(file.name + ending) for file in files}
    try:
        for file, data in files.items():
            with partial[file].open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        for file, fresh in partial.items():
            fresh.replace(file)
    except OSError:
        for fresh in partial.values():
            fresh.unlink(missing_ok=True)
        raise


def sync(folder: Path) -> None:
    """Wait until the disk has the folder's names: new files, renamed and deleted ones."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
