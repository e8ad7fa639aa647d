"""The names of films in the spool: keyed hashes that tell nothing of the film."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from detector.io.atomic_io import sync, write


class FilmKeys:
    """Keys of films, and which content each stands for.

    The key of the hash lies in the file ``key`` of the spool, digests of the films' contents in the
    folder ``content``. Only ``remember`` and ``forget`` write, and not from two threads at once.
    """

    def __init__(self, folder: Path):
        """OSError when the key cannot be read or made."""
        self._contents = folder / "content"
        self._contents.mkdir(exist_ok=True, mode=0o700)
        file = folder / "key"
        if not file.exists():
            fresh = folder / "key.new"
            write(fresh, [secrets.token_bytes(32)])
            os.replace(fresh, file)
            sync(folder)
        self._key = file.read_bytes()

    def first(self, instance: str) -> str:
        """The key of the first film with this SOP Instance UID."""
        return hashlib.blake2b(instance.encode(), key=self._key, digest_size=16).hexdigest()

    def of(self, instance: str, content: bytes) -> str:
        """The key of the film with this UID and content: the first one's, if that has this content
        or none is remembered."""
        first = self.first(instance)
        try:
            same = (self._contents / first).read_text() == content.hex()
        except FileNotFoundError:
            same = True
        return first if same else self.first(f"{instance} {content.hex()}")

    def remember(self, key: str, content: bytes) -> None:
        """When this returns, the disk has the content of a key."""
        write(self._contents / key, [content.hex().encode()])
        sync(self._contents)

    def forget(self, key: str) -> None:
        """The next film with this UID is the first one again."""
        (self._contents / key).unlink(missing_ok=True)
