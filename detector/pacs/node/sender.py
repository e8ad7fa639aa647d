"""The sending side: recorded answers go to the destination by C-STORE until it has them.

A destination that cannot be reached stops the queue for a pause that grows; one that refuses an
object delays only that film. An answer becomes a dead letter after ``tries`` refusals or
``give_up_hours``. Objects keep their UIDs over all tries, so one that arrives twice, because the
node died between the response and its own note of it, is one object at the destination.
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

from detector.pacs.node.log_filter import silence_libraries
from detector.pacs.node.run_log import FAILED, SENT, RunLog
from detector.pacs.node.settings import Destination, Settings
from detector.pacs.node.spool import Answer, Spool

logger = logging.getLogger(__name__)

DUPLICATE = 0x0111  # "duplicate SOP instance" (PS3.7, C.5): the destination has it
_WRONG_KIND = "the destination does not take this kind of object"
_PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


class Unreachable(Exception):
    """No association with the destination."""


class Refused(Exception):
    """The destination did not take every object; the message says how it answered."""


@dataclass(order=True)
class _Waiting:
    due: float
    answer: Answer = field(compare=False)
    refusals: int = field(default=0, compare=False)


class Sender(threading.Thread):
    """Sends recorded answers, one film's after the other, until it is told to stop."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        log: RunLog,
        *,
        clock: Callable[[], float] = time.time,
    ):
        super().__init__(name="sender", daemon=True)
        silence_libraries()
        self._settings, self._spool, self._log, self._clock = settings, spool, log, clock
        self._destination = Destination.parse(settings.destination)
        self._tls = settings.client_tls()
        self._waiting: list[_Waiting] = []
        self._failures = 0  # in a row, to reach the destination
        self._closed_until = 0.0
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Finish the object that is being sent, then end; the rest stays in the spool."""
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                busy = self.step(wait=0.2)
            except OSError as error:  # of the spool's disk; what it holds is taken up at a restart
                logger.error("answers could not be moved on: %s", error.strerror)
                busy = False
            if not busy:
                self._stopping.wait(0.1)

    def step(self, wait: float | None = 0) -> bool:
        """Send the answers that are due first; False when none are due."""
        while answer := self._spool.next_answer(0 if self._waiting else wait):
            heapq.heappush(self._waiting, _Waiting(self._clock(), answer))
        now = self._clock()
        if not self._waiting or now < max(self._closed_until, self._waiting[0].due):
            return False
        one = heapq.heappop(self._waiting)
        try:
            self._send(one.answer)
        except Unreachable:
            self._failures += 1
            pause = self._pause(self._failures)
            self._closed_until = now + pause
            logger.warning("the destination cannot be reached; again in %.0f s", pause)
            self._again(one, now, "the destination could not be reached")
        except Exception as error:
            self._failures = 0
            one.refusals += 1
            one.due = now + self._pause(one.refusals)
            # Of an error that is not ours the type alone: its words may quote the object.
            self._again(one, now, str(error) if isinstance(error, Refused)
                        else type(error).__name__)  # fmt: skip
        else:
            self._failures = 0
            if not any(file.exists() for file in one.answer.files):  # else told to stop between
                self._log.write(SENT, one.answer.key, objects=len(one.answer.files))
                self._spool.finish(one.answer.key)
        return True

    def _pause(self, failures: int) -> float:
        longest = self._settings.longest_pause
        return min(longest, self._settings.pause * 2 ** min(failures - 1, 30))

    def _again(self, one: _Waiting, now: float, reason: str) -> None:
        age = now - one.answer.since
        late = age > self._settings.give_up_hours * 3600
        if one.refusals >= self._settings.tries or late:
            logger.error("an answer is a dead letter: %s", reason)
            self._log.write(FAILED, one.answer.key, reason=reason)
            self._spool.fail(one.answer.key, reason)
            return
        if one.refusals == 0:
            one.due = now  # in its old place, when the destination is there again
        heapq.heappush(self._waiting, one)

    def _send(self, answer: Answer) -> None:
        files = [file for file in answer.files if file.exists()]
        if not files:
            return
        association = self._associate(files)
        refused: list[str] = []
        try:
            for file in files:
                if self._stopping.is_set():
                    return
                problem = self._store(association, file)
                if problem:
                    refused.append(problem)
                else:
                    self._spool.sent(file)
        finally:
            if association.is_established:
                association.release()
        if refused:
            raise Refused(", ".join(sorted(set(refused))))

    def _associate(self, files: list[Path]) -> Association:
        ae = AE(self._settings.title)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = self._settings.timeout
        ae.connection_timeout = self._settings.timeout
        for file in files:
            # A file that cannot be read here is met again, and named, when it is sent.
            meta = dcmread(file, stop_before_pixels=True, specific_tags=["SOPClassUID"]).file_meta
            syntax = UID(meta.TransferSyntaxUID)
            kinds = dict.fromkeys([syntax, *([] if syntax.is_compressed else _PLAIN)])
            ae.add_requested_context(meta.MediaStorageSOPClassUID, list(kinds))
        place = self._destination
        try:
            association = ae.associate(
                place.host, place.port, ae_title=place.title,
                tls_args=(self._tls, place.host) if self._tls else None,
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

    def _store(self, association: Association, file: Path) -> str:
        """Send one object; the empty string when the destination has it, else what it said."""
        if not association.is_established:
            return "the association was ended"
        try:
            status = association.send_c_store(dcmread(file)).get("Status")
        except ValueError:
            return _WRONG_KIND
        except (RuntimeError, AttributeError):
            return "the association was ended"
        if status is None:
            return "the destination did not answer"
        if status == 0 or status == DUPLICATE or status >> 12 == 0xB:  # 0xBxxx: with a warning
            return ""
        return f"status 0x{status:04X}"
