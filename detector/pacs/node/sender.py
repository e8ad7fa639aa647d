"""The sending side: recorded answers go to the destination by C-STORE until it has them.

What happens to an object depends on how the destination answers:

- it cannot be reached: everything waits, with pauses that grow, for as long as that takes;
- it is short of resources, or does not answer: this film is tried again, with pauses that grow,
  for ``give_up_hours``;
- it refuses the object: at once, since asking again does not change the object. A film whose first
  object it took is answered all the same; else the film is a dead letter.

Objects keep their UIDs over all tries, so one that arrives twice, because the node died between the
response and its own note of it, is one object at the destination. All times are of the monotonic
clock: setting the computer's clock moves nothing.
"""

from __future__ import annotations

import heapq
import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association

from detector.io.log_filter import mute
from detector.pacs.node.run_log import FAILED, REFUSED, SENT, RunLog
from detector.pacs.node.settings import Destination, Settings
from detector.pacs.node.spool import FIRST_OBJECT, Answer, Spool
from detector.pacs.node.transport import DICOM_LIBRARIES

logger = logging.getLogger(__name__)

DUPLICATE = 0x0111  # "duplicate SOP instance" (PS3.7, C.5): the destination has it
PROCESSING_FAILURE, RESOURCE_LIMITATION = 0x0110, 0x0213  # PS3.7, C.5
_WRONG_KIND = "the destination does not take this kind of object"
_PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


class Unreachable(Exception):
    """No association with the destination."""


class Refused(Exception):
    """The destination does not take this object; the message says how it answered."""


class Busy(Exception):
    """The destination did not take this object now; the message says how it answered."""


@dataclass(order=True)
class _Waiting:
    due: float
    answer: Answer = field(compare=False)
    tries: int = field(default=0, compare=False)
    since: float | None = field(default=None, compare=False)  # of the first try in vain
    refused: dict[Path, str] = field(default_factory=dict, compare=False)  # file -> reason

    def left(self) -> list[Path]:
        """Objects that the destination neither has nor refused."""
        return [f for f in self.answer.files if f.exists() and f not in self.refused]


class Sender(threading.Thread):
    """Sends recorded answers, one film's after the other, until it is told to stop."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        log: RunLog,
        *,
        clock: Callable[[], float] = time.monotonic,
    ):
        super().__init__(name="sender", daemon=True)
        mute(DICOM_LIBRARIES)
        self._settings, self._spool, self._log, self._clock = settings, spool, log, clock
        self._destination = Destination.parse(settings.destination)
        self._tls = settings.client_tls()
        self._waiting: list[_Waiting] = []
        self._failures = 0  # in a row, to reach the destination
        self._closed_until = float("-inf")
        self._stopping = threading.Event()

    @property
    def reaches_destination(self) -> bool:
        """Whether the last association that was tried came about."""
        return self._failures == 0

    def stop(self) -> None:
        """Finish the object that is being sent, then end; the rest stays in the spool."""
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                busy = self.step(wait=0.2)
            except OSError as error:
                logger.error("answers could not be moved on, they wait: %s", error.strerror)
                self._stopping.wait(1.0)
                continue
            if not busy:
                self._stopping.wait(0.1)

    def step(self, wait: float | None = 0) -> bool:
        """Send the answers that are due first; False when none are due.

        Raises:
            OSError: the spool's disk refused a move; the answers wait still.
        """
        while answer := self._spool.next_answer(0 if self._waiting else wait):
            heapq.heappush(self._waiting, _Waiting(self._clock(), answer))
        now = self._clock()
        if not self._waiting or now < max(self._closed_until, self._waiting[0].due):
            return False
        one = heapq.heappop(self._waiting)
        try:
            if not self._is_settled(one, now):
                heapq.heappush(self._waiting, one)
        except BaseException:
            one.due = now + self._settings.pause
            heapq.heappush(self._waiting, one)
            raise
        return True

    def _is_settled(self, one: _Waiting, now: float) -> bool:
        """Send what is left of a film; whether nothing more is to be done for it."""
        try:
            busy = self._send(one)
        except Unreachable:
            self._failures += 1
            pause = self._pause(self._failures)
            self._closed_until = now + pause
            logger.warning("the destination cannot be reached; again in %.0f s", pause)
            one.due = now  # in its old place, when the destination is there again
            return False
        self._failures = 0
        if busy:
            one.since = now if one.since is None else one.since
            one.tries += 1
            one.due = now + self._pause(one.tries)
            if now - one.since < self._settings.give_up_hours * 3600:
                return False
            self._fail(one, busy)
        elif any(one.left()):  # told to stop in between
            return False
        elif any(file.name == FIRST_OBJECT for file in one.refused):
            self._fail(one, ", ".join(sorted(set(one.refused.values()))))
        else:
            self._spool.finish(one.answer.key)
            for reason in one.refused.values():
                self._log.write(REFUSED, one.answer.key, reason=reason)
            sent = len(one.answer.files) - len(one.refused)
            self._log.write(SENT, one.answer.key, objects=sent)
        return True

    def _pause(self, failures: int) -> float:
        longest = self._settings.longest_pause
        return min(longest, self._settings.pause * 2 ** min(failures - 1, 30))

    def _fail(self, one: _Waiting, reason: str) -> None:
        self._spool.fail(one.answer.key, reason)
        logger.error("an answer is a dead letter: %s", reason)
        self._log.write(FAILED, one.answer.key, reason=reason)

    def _send(self, one: _Waiting) -> str:
        """Send each object that is left; how the destination put off one, or the empty string.

        Raises:
            Unreachable: the destination cannot be reached.
        """
        files = one.left()
        if not files:
            return ""
        try:
            association = self._associate(files)
        except Refused as error:
            one.refused |= dict.fromkeys(files, str(error))
            return ""
        busy: set[str] = set()
        try:
            for file in files:
                if self._stopping.is_set():
                    break
                try:
                    self._store(association, file)
                    self._spool.sent(file)
                except Busy as error:
                    busy.add(str(error))
                except Refused as error:
                    one.refused[file] = str(error)
        finally:
            if association.is_established:
                association.release()
        return ", ".join(sorted(busy))

    def _associate(self, files: list[Path]) -> Association:
        ae = AE(self._settings.title)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = self._settings.timeout
        ae.connection_timeout = self._settings.timeout
        for file in files:
            try:
                head = dcmread(file, stop_before_pixels=True, specific_tags=["SOPClassUID"])
                meta = head.file_meta
                syntax, kind = UID(meta.TransferSyntaxUID), meta.MediaStorageSOPClassUID
            except OSError:
                raise
            except Exception:  # met again, and named, when it is sent
                continue
            syntaxes = dict.fromkeys([syntax, *([] if syntax.is_compressed else _PLAIN)])
            ae.add_requested_context(kind, list(syntaxes))
        if not ae.requested_contexts:
            raise Refused("the recorded objects cannot be read")
        there = self._destination
        try:
            association = ae.associate(
                there.host, there.port, ae_title=there.title,
                tls_args=(self._tls, there.host) if self._tls else None,
                evt_handlers=[(evt.EVT_CONN_OPEN, self._bound)],
            )  # fmt: skip
        except socket.gaierror as error:  # no answer to the question where it is
            raise Unreachable from error
        if association.is_established:
            return association
        if association.rejected_contexts:  # it is there, and takes none of them
            raise Refused(_WRONG_KIND)
        raise Unreachable

    def _bound(self, event: evt.Event) -> None:
        """Nothing on this connection waits longer: pynetdicom has just taken its limit away.

        A destination that hangs in the middle of a PDU, or reads no more, would hold the sender for
        ever.
        """
        event.assoc.dul.socket.socket.settimeout(self._settings.timeout)

    def _store(self, association: Association, file: Path) -> None:
        """Send one object.

        Raises:
            Busy: it may be taken later. Refused: it will not be taken.
            OSError: the file cannot be read.
        """
        if not association.is_established:
            raise Busy("the association was ended")
        try:
            dataset = dcmread(file)
        except OSError:
            raise
        except Exception as error:  # of its words none: they may quote the object
            raise Refused(type(error).__name__) from None
        try:
            status = association.send_c_store(dataset).get("Status")
        except ValueError:
            raise Refused(_WRONG_KIND) from None
        except (RuntimeError, AttributeError):
            raise Busy("the association was ended") from None
        except Exception as error:
            raise Refused(type(error).__name__) from None
        if status is None:
            raise Busy("the destination did not answer")
        if status == 0 or status == DUPLICATE or status >> 12 == 0xB:  # 0xBxxx: with a warning
            return
        # 0xA7xx: out of resources (PS3.4, B.2.3).
        later = status in (PROCESSING_FAILURE, RESOURCE_LIMITATION) or status >> 8 == 0xA7
        raise (Busy if later else Refused)(f"status 0x{status:04X}")
