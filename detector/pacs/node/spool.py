"""The spool: films and answers on disk, so that a crash at any moment loses nothing.

A film's state is the folder it lies in; every change of state is one rename, or writes the new
state before it takes the old one away:

    incoming/KEY.dcm   safely received, acknowledged to the device
    working/KEY.dcm    being read
    outgoing/KEY/      its answers, recorded before the first one is sent
    done/KEY           answered; an empty file that remembers it
    failed/KEY/        dead letter: film or answers left over, and reason.json
    content/KEY        digest of the film's content, as long as the film is remembered

KEY is a keyed hash of the film's SOP Instance UID, and of its content too where another film came
with the same UID before: neither takes the other's place. The name tells nothing of the film. The
key of the hash stays in the spool. Files are for the owner's eyes only.

The folders are the truth, and they are read again at intervals. A move that fails leaves the film
where it lies, and it is taken up again.
"""

from __future__ import annotations

import fcntl
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

from detector.io.atomic_io import sync, write
from detector.pacs.node.film_keys import FilmKeys
from detector.pacs.node.folder_queue import FolderQueue

STATES = ("incoming", "working", "outgoing", "done", "failed")
# A film that was in work this many times when the node died is what kills it.
MAX_CRASHES = 10
FIRST_OBJECT = "00.dcm"  # of a film's answers; without it at the destination it has none


class SpoolFull(OSError):
    """Less free space than must be left."""


class SpoolInUse(OSError):
    """Another node works on this folder."""


@dataclass(frozen=True)
class Answer:
    """Objects of one film that have yet to be sent."""

    key: str
    files: tuple[Path, ...]


class Spool:
    """One node's spool; any number of threads may use it, but only one process."""

    def __init__(self, folder: str | Path, *, free_bytes: int = 0):
        """Open, or make, a spool, and take up what a crash left.

        Raises:
            SpoolInUse: another process has it open.
            OSError: it cannot be written.
        """
        self.folder = Path(folder)
        self.free_bytes = free_bytes
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
        self._lock = threading.Lock()
        self._films = FolderQueue(self.folder / "incoming")
        self._answers = FolderQueue(self.folder / "outgoing")
        self._keys = FilmKeys(self.folder)
        self._recover()

    def close(self) -> None:
        """Let another process have the folder."""
        os.close(self._fence)

    # Films in --------------------------------------------------------------------------------

    def key(self, instance: str) -> str:
        """The name under which the first film with this SOP Instance UID is kept."""
        return self._keys.first(instance)

    def receive(
        self, instance: str, parts: Sequence[bytes | memoryview], content: bytes = b""
    ) -> str | None:
        """Keep a film; when this returns, its bytes are on disk.

        Args:
            instance: its SOP Instance UID.
            parts: its file.
            content: a digest of what makes it this film and no other.

        Returns:
            The key under which it is kept; not ``key(instance)`` when a film with this UID and
            another content is remembered. None when this very film is here, or was answered.

        Raises:
            SpoolFull: the disk is too full.
            OSError: it could not be written.
        """
        with self._lock:
            if self._is_known(self._keys.of(instance, content)):
                return None
        size = sum(len(part) for part in parts)
        if self.free_space() - size < self.free_bytes:
            raise SpoolFull(f"less than {self.free_bytes} bytes would be left on the disk")
        fresh = self._new()
        try:
            write(fresh, parts)
            with self._lock:  # of two that send the same film at once, one is the first
                key = self._keys.of(instance, content)
                if self._is_known(key):
                    return None
                self._keys.remember(key, content)
                os.replace(fresh, self._film(key))
                try:
                    sync(self.folder / "incoming")
                except OSError:  # not acknowledged, so not known either
                    self._film(key).unlink(missing_ok=True)
                    raise
        finally:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
        # A film that failed and is sent again is tried again.
        shutil.rmtree(self.folder / "failed" / key, ignore_errors=True)
        self._films.add(key)
        return key

    def free_space(self) -> int:
        """Bytes that are free on the spool's disk."""
        return shutil.disk_usage(self.folder).free

    def acknowledged(self, instance: str) -> bool:
        """Whether a film with this SOP Instance UID was acknowledged, and is remembered."""
        key = self.key(instance)
        return self._is_known(key) or (self.folder / "failed" / key).exists()

    def _is_known(self, key: str) -> bool:
        # In the order in which a film moves, so that none slips past the search.
        film = f"{key}.dcm"
        names = (f"incoming/{film}", f"working/{film}", f"outgoing/{key}", f"done/{key}")
        return any((self.folder / name).exists() for name in names)

    # Films in work ---------------------------------------------------------------------------

    def take(self, wait: float | None = 0) -> tuple[str, Path] | None:
        """The longest waiting film, now in work: its key and file. None when none came in time.

        Raises:
            OSError: it could not be moved; it is waiting still.
        """
        self._rescue()
        key = self._films.get(wait)
        if key is None:
            return None
        file = self._film(key, "working")
        try:
            os.replace(self._film(key), file)
        except OSError:
            self._films.discard(key)
            if not self._film(key).exists():  # somebody took it out of the folder by hand
                return None
            self._films.add(key)
            raise
        return key, file

    def put_back(self, key: str) -> None:
        """A film in work goes back into the queue, at its end; where it cannot, a bit later."""
        self._films.discard(key)
        with suppress(OSError):
            self._rescue()

    def answer(self, key: str, objects: Iterable[bytes]) -> None:
        """Record the answers of a film in work; when this returns, they are safely on disk.

        Raises:
            OSError: they could not be recorded; the film is in work still.
        """
        fresh, recorded = self._new(), self.folder / "outgoing" / key
        if not recorded.exists():  # else of a time when only the folder could not be synced
            fresh.mkdir(mode=0o700)
            try:
                for number, data in enumerate(objects):
                    write(fresh / f"{number:02}.dcm", [data])
                sync(fresh)
                os.replace(fresh, recorded)
                sync(recorded.parent)
            except OSError:
                for left in (fresh, recorded):
                    shutil.rmtree(left, ignore_errors=True)
                raise
        with suppress(OSError):  # what is left of it is met again, and seen to be answered
            self._end_work(key)
        self._films.discard(key)
        self._answers.add(key)

    def _end_work(self, key: str) -> None:
        self._film(key, "working").unlink(missing_ok=True)
        self._crashes(key).unlink(missing_ok=True)

    def _rescue(self) -> None:
        """Films in work that nobody works on: an answered one ends, the others wait again."""
        for film in list(self._entries("working")):
            if self._films.is_out(film.stem):
                continue
            if self._is_answered(film.stem):
                self._end_work(film.stem)
            else:
                with suppress(FileNotFoundError):  # ended this moment, by another thread
                    os.replace(film, self._film(film.stem))
                    self._films.rescan()

    def _is_answered(self, key: str) -> bool:
        return any((self.folder / state / key).exists() for state in ("outgoing", "done"))

    # Answers out -----------------------------------------------------------------------------

    def next_answer(self, wait: float | None = 0) -> Answer | None:
        """The answers that were recorded next; None when none came in time."""
        while key := self._answers.get(wait):
            folder = self.folder / "outgoing" / key
            if folder.is_dir():
                return Answer(key, tuple(sorted(folder.glob("*.dcm"))))
            self._answers.discard(key)  # somebody took it out by hand
        return None

    def sent(self, file: Path) -> None:
        """The destination has this object."""
        file.unlink(missing_ok=True)

    def finish(self, key: str) -> None:
        """All answers of a film are at the destination: from now on only its key is kept."""
        self._mark_done(key)
        shutil.rmtree(self.folder / "outgoing" / key, ignore_errors=True)
        self._answers.discard(key)

    def _mark_done(self, key: str) -> None:
        write(self.folder / "done" / key, [])
        sync(self.folder / "done")

    # Dead letters ----------------------------------------------------------------------------

    def fail(self, key: str, reason: str) -> None:
        """Put a film in work, or the answers that could not be sent, among the dead letters.

        Raises:
            OSError: they could not be moved; what was not moved is where it was.
        """
        letter = self.folder / "failed" / key
        letter.mkdir(exist_ok=True, mode=0o700)
        note = {"reason": reason, "time": int(time.time())}
        write(letter / "reason.json", [json.dumps(note).encode()])
        film, answers = self._film(key, "working"), self.folder / "outgoing" / key
        if film.exists():
            os.replace(film, letter / "film.dcm")
        if answers.exists():
            for file in sorted(answers.glob("*.dcm")):
                os.replace(file, letter / file.name)
        sync(letter)
        sync(self.folder / "failed")
        if answers.exists():
            # Read, and its answers exist: not to be read again when the device repeats itself.
            self._mark_done(key)
            shutil.rmtree(answers, ignore_errors=True)
        self._answers.discard(key)
        self._end_work(key)
        self._films.discard(key)

    def retry_failed(self) -> int:
        """Queue all dead letters again, films as films and answers as answers; how many."""
        count = 0
        for letter in sorted((self.folder / "failed").iterdir()):
            key, film = letter.name, letter / "film.dcm"
            answers = sorted(letter.glob("[0-9]*.dcm"))
            if film.exists() and not self._is_known(key):  # known: a crash left this letter
                os.replace(film, self._film(key))
                self._films.add(key)
            elif answers:
                # First the mark: with it, what lies in outgoing would count as sent.
                (self.folder / "done" / key).unlink(missing_ok=True)
                sync(self.folder / "done")
                (self.folder / "outgoing" / key).mkdir(exist_ok=True, mode=0o700)
                for file in answers:
                    os.replace(file, self.folder / "outgoing" / key / file.name)
                self._answers.add(key)
            shutil.rmtree(letter, ignore_errors=True)
            count += 1
        return count

    # Keeping house ---------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """How many films are in each state."""
        return {name: sum(1 for _ in self._entries(name)) for name in STATES}

    def oldest(self, state: str) -> float | None:
        """When the longest waiting entry of a state came, in Unix time; None without entries."""
        times = []
        for entry in self._entries(state):
            with suppress(FileNotFoundError):
                times.append(entry.stat().st_mtime)
        return min(times, default=None)

    def forget(self, older_than: float) -> int:
        """Delete the marks of films that were answered before this Unix time; how many.

        Dead letters stay: what has no answer at the destination is never deleted here.
        """
        count = 0
        for mark in list(self._entries("done")):
            with suppress(FileNotFoundError):  # its film has just come again
                if mark.stat().st_mtime < older_than:
                    mark.unlink()
                    if not (self.folder / "failed" / mark.name).exists():
                        self._keys.forget(mark.name)
                    count += 1
        return count

    def _entries(self, state: str) -> Iterator[Path]:
        return (Path(e.path) for e in os.scandir(self.folder / state) if e.name[-6:] != ".crash")

    def _recover(self) -> None:
        for left in (self.folder / "new").iterdir():  # never acknowledged, never recorded
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        for film in list(self._entries("working")):
            key = film.stem
            if self._is_answered(key):
                continue
            crashes = self._crashes(key)
            count = int(crashes.read_text() or 0) + 1 if crashes.exists() else 1
            if count > MAX_CRASHES:
                self.fail(key, "the node died each time it read this film")
                continue
            crashes.write_text(str(count))
            os.utime(film)  # behind all others: it may be what the node died of
        self._rescue()
        for answers in list(self._entries("outgoing")):
            if (self.folder / "done" / answers.name).exists():
                shutil.rmtree(answers)

    def _film(self, key: str, state: str = "incoming") -> Path:
        return self.folder / state / f"{key}.dcm"

    def _crashes(self, key: str) -> Path:
        return self.folder / "working" / f"{key}.crash"

    def _new(self) -> Path:
        return self.folder / "new" / secrets.token_hex(8)
