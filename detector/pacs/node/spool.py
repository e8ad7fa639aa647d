"""The spool: films and answers on disk, so that a crash at any moment loses nothing.

A film's state is the folder it lies in; every change of state is one rename, or writes the new
state before it takes the old one away:

    incoming/KEY.dcm   safely received, acknowledged to the device
    working/KEY.dcm    being read
    outgoing/KEY/      its answers, recorded before the first one is sent
    done/KEY           answered; an empty file that remembers it
    failed/KEY/        dead letter: film or answers left over, and reason.json

KEY is a keyed hash of the film's SOP Instance UID: the same film has the same name, and the name
tells nothing of it. The key of the hash stays in the spool. Files are for the owner's eyes only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from detector.io.atomic_io import sync, write

STATES = ("incoming", "working", "outgoing", "done", "failed")
# A film that was in work this many times when the node died is what kills it.
MAX_CRASHES = 10


class SpoolFull(OSError):
    """Less free space than must be left."""


class SpoolInUse(OSError):
    """Another node works on this folder."""


@dataclass(frozen=True)
class Answer:
    """Objects of one film that have yet to be sent. ``since``: when they were recorded, Unix."""

    key: str
    files: tuple[Path, ...]
    since: float


class Spool:
    """One node's spool; any number of threads may use it, but only one process."""

    def __init__(self, folder: str | Path, *, free_bytes: int = 0):
        """Open, or make, a spool, and take up what a crash left.

        Raises SpoolInUse when another process has it open, OSError when it cannot be written.
        """
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._fence = os.open(self.folder / "lock", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._fence, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fence)
            raise SpoolInUse(f"another node uses the spool {self.folder}") from error
        for name in (*STATES, "new"):
            (self.folder / name).mkdir(exist_ok=True, mode=0o700)
        sync(self.folder)
        self._free_bytes = free_bytes
        self._lock = threading.Lock()
        self._films: SimpleQueue[str] = SimpleQueue()
        self._answers: SimpleQueue[str] = SimpleQueue()
        self._key = self._read_key()
        self._recover()

    def close(self) -> None:
        """Let another process have the folder."""
        os.close(self._fence)

    # Films in --------------------------------------------------------------------------------

    def key(self, instance: str) -> str:
        """The name under which a film with this SOP Instance UID is kept."""
        return hashlib.blake2b(instance.encode(), key=self._key, digest_size=16).hexdigest()

    def receive(self, instance: str, parts: Sequence[bytes | memoryview]) -> bool:
        """Keep the film of this SOP Instance UID; when this returns, its bytes are on disk.

        Returns:
            False when this film is here already, or was answered: then nothing is kept.

        Raises:
            SpoolFull: the disk is too full. OSError: it could not be written.
        """
        key = self.key(instance)
        with self._lock:
            if self._is_known(key):
                return False
        size = sum(len(part) for part in parts)
        if shutil.disk_usage(self.folder).free - size < self._free_bytes:
            raise SpoolFull(f"less than {self._free_bytes} bytes would be left on the disk")
        fresh = self._new()
        try:
            write(fresh, parts)
            with self._lock:  # of two that send the same film at once, one is the first
                if self._is_known(key):
                    return False
                os.replace(fresh, self._film(key))
                try:
                    sync(self.folder / "incoming")
                except OSError:  # not acknowledged, so not known either
                    self._film(key).unlink(missing_ok=True)
                    raise
        finally:
            fresh.unlink(missing_ok=True)
        # A film that failed and is sent again is tried again.
        shutil.rmtree(self.folder / "failed" / key, ignore_errors=True)
        self._films.put(key)
        return True

    def _is_known(self, key: str) -> bool:
        # In the order in which a film moves, so that none slips past the search.
        film = f"{key}.dcm"
        places = (f"incoming/{film}", f"working/{film}", f"outgoing/{key}", f"done/{key}")
        return any((self.folder / place).exists() for place in places)

    # Films in work ---------------------------------------------------------------------------

    def take(self, wait: float | None = 0) -> tuple[str, Path] | None:
        """The longest waiting film, now in work: its key and file. None when none came in time."""
        try:
            key = self._films.get(timeout=wait) if wait else self._films.get_nowait()
        except Empty:
            return None
        file = self._film(key, "working")
        try:
            os.replace(self._film(key), file)
        except FileNotFoundError:  # somebody took it out of the folder by hand
            return None
        return key, file

    def put_back(self, key: str) -> None:
        """A film in work goes back into the queue, at its end."""
        os.replace(self._film(key, "working"), self._film(key))
        self._films.put(key)

    def answer(self, key: str, objects: Iterable[bytes]) -> None:
        """Record the answers of a film in work; when this returns, they are safely on disk."""
        fresh, place = self._new(), self.folder / "outgoing" / key
        fresh.mkdir(mode=0o700)
        try:
            for number, data in enumerate(objects):
                write(fresh / f"{number:02}.dcm", [data])
            sync(fresh)
            os.replace(fresh, place)
            sync(place.parent)
        except OSError:
            for left in (fresh, place):
                shutil.rmtree(left, ignore_errors=True)
            raise
        self._end_work(key)
        self._answers.put(key)

    def _end_work(self, key: str) -> None:
        self._film(key, "working").unlink(missing_ok=True)
        self._crashes(key).unlink(missing_ok=True)

    # Answers out -----------------------------------------------------------------------------

    def next_answer(self, wait: float | None = 0) -> Answer | None:
        """The answers that were recorded next; None when none came in time."""
        try:
            key = self._answers.get(timeout=wait) if wait else self._answers.get_nowait()
        except Empty:
            return None
        folder = self.folder / "outgoing" / key
        files = tuple(sorted(folder.glob("*.dcm")))
        since = min((file.stat().st_mtime for file in files), default=time.time())
        return Answer(key, files, since)

    def sent(self, file: Path) -> None:
        """The destination has this object."""
        file.unlink(missing_ok=True)

    def finish(self, key: str) -> None:
        """All answers of a film are at the destination: from now on only its key is kept."""
        self._mark_done(key)
        shutil.rmtree(self.folder / "outgoing" / key, ignore_errors=True)

    def _mark_done(self, key: str) -> None:
        write(self.folder / "done" / key, [])
        sync(self.folder / "done")

    # Dead letters ----------------------------------------------------------------------------

    def fail(self, key: str, reason: str) -> None:
        """Put a film in work, or the answers that could not be sent, among the dead letters."""
        place = self.folder / "failed" / key
        place.mkdir(exist_ok=True, mode=0o700)
        note = {"reason": reason, "time": int(time.time())}
        write(place / "reason.json", [json.dumps(note).encode()])
        film, answers = self._film(key, "working"), self.folder / "outgoing" / key
        if film.exists():
            os.replace(film, place / "film.dcm")
        if answers.exists():
            for file in sorted(answers.glob("*.dcm")):
                os.replace(file, place / file.name)
        sync(place)
        sync(self.folder / "failed")
        if answers.exists():
            # Read, and its answers exist: not to be read again when the device repeats itself.
            self._mark_done(key)
            shutil.rmtree(answers, ignore_errors=True)
        self._end_work(key)

    def retry_failed(self) -> int:
        """Queue all dead letters again, films as films and answers as answers; how many."""
        count = 0
        for place in sorted((self.folder / "failed").iterdir()):
            key, film = place.name, place / "film.dcm"
            answers = sorted(place.glob("[0-9]*.dcm"))
            if film.exists() and not self._is_known(key):  # known: a crash left this letter
                os.replace(film, self._film(key))
                self._films.put(key)
            elif answers:
                # First the mark: with it, what lies in outgoing would count as sent.
                (self.folder / "done" / key).unlink(missing_ok=True)
                sync(self.folder / "done")
                (self.folder / "outgoing" / key).mkdir(exist_ok=True, mode=0o700)
                for file in answers:
                    os.utime(file)  # its time to be sent starts anew
                    os.replace(file, self.folder / "outgoing" / key / file.name)
                self._answers.put(key)
            shutil.rmtree(place, ignore_errors=True)
            count += 1
        return count

    # Keeping house ---------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """How many films are in each state."""
        return {name: sum(1 for _ in self._entries(name)) for name in STATES}

    def forget(self, older_than: float) -> int:
        """Delete what was done or failed before this Unix time; how many."""
        count = 0
        for name in ("done", "failed"):
            for entry in list(self._entries(name)):
                with suppress(FileNotFoundError):  # its film has just come again
                    if entry.stat().st_mtime < older_than:
                        shutil.rmtree(entry) if entry.is_dir() else entry.unlink(missing_ok=True)
                        count += 1
        return count

    def _entries(self, state: str) -> Iterator[Path]:
        return (Path(e.path) for e in os.scandir(self.folder / state) if e.name[-6:] != ".crash")

    def _recover(self) -> None:
        for left in (self.folder / "new").iterdir():  # never acknowledged, never recorded
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        outgoing, done = self.folder / "outgoing", self.folder / "done"
        for film in list(self._entries("working")):
            key = film.stem
            if (outgoing / key).exists() or (done / key).exists():
                self._end_work(key)  # it was answered; only its film was still there
                continue
            crashes = self._crashes(key)
            count = int(crashes.read_text() or 0) + 1 if crashes.exists() else 1
            if count > MAX_CRASHES:
                self.fail(key, "the node died each time it read this film")
                continue
            crashes.write_text(str(count))
            os.utime(film)  # behind all others: it may be what the node died of
            os.replace(film, self._film(key))
        for answers in list(self._entries("outgoing")):
            if (done / answers.name).exists():
                shutil.rmtree(answers)
        for state, queue in (("incoming", self._films), ("outgoing", self._answers)):
            for entry in sorted(self._entries(state), key=lambda e: (e.stat().st_mtime, e.name)):
                queue.put(entry.stem)

    def _read_key(self) -> bytes:
        file = self.folder / "key"
        if not file.exists():
            fresh = self._new()
            write(fresh, [secrets.token_bytes(32)])
            os.replace(fresh, file)
            sync(self.folder)
        return file.read_bytes()

    def _film(self, key: str, state: str = "incoming") -> Path:
        return self.folder / state / f"{key}.dcm"

    def _crashes(self, key: str) -> Path:
        return self.folder / "working" / f"{key}.crash"

    def _new(self) -> Path:
        return self.folder / "new" / secrets.token_hex(8)
