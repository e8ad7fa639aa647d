"""Uploads are deleted: each after a quarter of an hour, all with the run, however that ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "fracture-page-"
DELETION = 60, 900  # seconds: how often Gradio looks, and the age at which an upload goes


@contextmanager
def own_folder(parent: str | Path | None = None) -> Iterator[Path]:
    """A new folder in ``parent`` (None: the system's) that only this user may read.

    What earlier runs left there when they were killed is removed first. A run holds a lock in its
    folder, which the system takes from it when it ends; so a page that still runs keeps its own.

    Raises:
        OSError: no folder can be made there.
    """
    base = Path(parent or tempfile.gettempdir())
    base.mkdir(parents=True, exist_ok=True)
    for old in base.glob(f"{PREFIX}*"):
        _remove_unless_in_use(old)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=base, ignore_cleanup_errors=True) as folder:
        with FileLock(_lock_of(Path(folder))):
            yield Path(folder)


def _lock_of(folder: Path) -> Path:
    return folder / "in-use.lock"


def _remove_unless_in_use(folder: Path) -> None:
    with suppress(Timeout, OSError):
        # In a folder that all may write to, somebody else's may be a trap.
        mine = not hasattr(os, "getuid") or folder.lstat().st_uid == os.getuid()
        # Without its lock it is just being made.
        if mine and not folder.is_symlink() and _lock_of(folder).is_file():
            with FileLock(_lock_of(folder), timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
