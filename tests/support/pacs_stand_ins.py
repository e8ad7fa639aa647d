"""Stand-ins around the DICOM node: films, a reader, its objects, an archive; and a node of them.

What a sender needs is here too: recorded answers, and a clock that is set by hand.

Run as a script it is a node with the stand-in reader:
``python -m tests.support.pacs_stand_ins --spool ...``.
"""

from __future__ import annotations

import io
import signal
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE, DEFAULT_TRANSFER_SYNTAXES, evt
from pynetdicom.sop_class import (
    ComputedRadiographyImageStorage,
    EnhancedSRStorage,
    Verification,
)

from detector.errors import UnreadableFilm
from detector.pacs.node.node import Node
from detector.pacs.node.run_log import RunLog
from detector.pacs.node.sender import Sender
from detector.pacs.node.settings import Settings, read_settings
from detector.pacs.node.spool import Spool
from detector.pacs.node.worker import Worker
from tests.support import odd_films as odd

ROOT = "1.2.826.0.1.3680043.8.498."


def instance(number: int) -> str:
    return f"{ROOT}{number}"


def film(number: int = 1, **elements) -> bytes:
    """A CR film, as a file; a patient's name and number are in it."""
    elements = {"SOPClassUID": ComputedRadiographyImageStorage, "Modality": "CR",
                "SOPInstanceUID": instance(number)} | elements  # fmt: skip
    return odd.dicom(odd.grey(), **elements)


def predict(file: Path) -> SimpleNamespace:
    """Reads a film at once. One whose body part is BROKEN cannot be read, BUG is an error here."""
    part = dcmread(file, specific_tags=["BodyPartExamined"]).BodyPartExamined
    if part == "BROKEN":
        raise UnreadableFilm("damaged")
    if part == "BUG":
        raise RuntimeError(f"{odd.PATIENT} is in this message")
    return SimpleNamespace(
        decision="uncertain", probability=0.25, scope=SimpleNamespace(score=0.5, in_scope=True),
        model={"version": "stand-in", "sha256": "0" * 12},
    )  # fmt: skip


def make_objects(source: Dataset, prediction: SimpleNamespace, size: int = 0) -> list[Dataset]:
    """Two objects with UIDs that follow from the film's, of at least ``size`` bytes."""
    objects = []
    for number, kind in enumerate((EnhancedSRStorage, SecondaryCaptureImageStorage)):
        one = Dataset()
        one.SOPClassUID, one.SOPInstanceUID = kind, f"{source.SOPInstanceUID}.{number}"
        one.PatientName = source.PatientName
        one.EncapsulatedDocument = bytes(size)
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        objects.append(one)
    return objects


def answers(*numbers: int) -> set[str]:
    """The UIDs of the objects that belong to these films."""
    return {f"{instance(number)}.{one}" for number in numbers for one in (0, 1)}


class Archive:
    """A destination: counts what it gets; ``status`` is what it answers.

    ``handlers`` see its events; one of a C-STORE answers in its place.
    """

    def __init__(
        self,
        kinds: Iterable[str] = (EnhancedSRStorage, SecondaryCaptureImageStorage),
        *,
        syntaxes: list[str] | None = None,
        tls: ssl.SSLContext | None = None,
        handlers: Iterable[tuple] = (),
    ):
        self.got: Counter[str] = Counter()
        self.status = 0x0000
        ae = self._ae = AE("ARCHIVE")
        for kind in kinds:
            ae.add_supported_context(kind, syntaxes or DEFAULT_TRANSFER_SYNTAXES)
        ae.maximum_associations = 50
        self._server = ae.start_server(
            ("127.0.0.1", 0), block=False, ssl_context=tls,
            evt_handlers=[(evt.EVT_C_STORE, self._store), *handlers],
        )  # fmt: skip
        self.port = self._server.server_address[1]
        self.address = f"ARCHIVE@127.0.0.1:{self.port}"

    def _store(self, event: evt.Event) -> int:
        if self.status == 0:
            self.got[str(event.request.AffectedSOPInstanceUID)] += 1
        return self.status

    def wait_for(self, wanted: set[str], seconds: float = 120) -> None:
        """Until all these objects are here, or the time is over."""
        end = time.monotonic() + seconds
        while not wanted <= self.got.keys() and time.monotonic() < end:
            time.sleep(0.05)

    def close(self) -> None:
        if self._server in self._ae._servers:
            self._server.shutdown()


class Clock:
    """A clock that is set by hand, so that pauses take no time."""

    def __init__(self, now: float):
        self.now = now

    def __call__(self) -> float:
        return self.now


def record(spool: Spool, *numbers: int, size: int = 0) -> None:
    """Films that were received, read and answered, and whose answers wait to be sent."""
    for number in numbers:
        spool.receive(instance(number), [film(number)])
    log = RunLog(spool.folder / "worker.jsonl")
    worker = Worker(spool, predict, partial(make_objects, size=size), log)
    while worker.step():
        pass


def sender(spool: Spool, address: str, **settings) -> tuple[Sender, Clock]:
    """A sender for a spool's recorded answers, and the clock that it goes by."""
    clock = Clock(1000.0)
    chosen = Settings(address, spool.folder, **({"timeout": 10.0} | settings))
    return Sender(chosen, spool, RunLog(chosen.run_log), clock=clock), clock


def store(port: int, *films: bytes, calling: str = "DEVICE", called: str = "FRACTURE") -> list[int]:
    """Send films to a node, in one association; the statuses, -1 for one without."""
    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    read = [dcmread(io.BytesIO(one)) for one in films]
    for one in read:
        ae.add_requested_context(one.SOPClassUID, one.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title=called)
    statuses = []
    for one in read:
        if not association.is_established:
            statuses.append(-1)
            continue
        try:
            statuses.append(association.send_c_store(one).get("Status", -1))
        except ValueError:
            statuses.append(-1)  # no presentation context
    if association.is_established:
        association.release()
    return statuses


def echo(port: int, seconds: float = 15) -> bool:
    """Whether a node answers a C-ECHO within this time."""
    ae = AE("ADMIN")
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = seconds
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", port, ae_title="FRACTURE")
    if not association.is_established:
        return False
    answered = association.send_c_echo().get("Status") == 0
    association.release()
    return answered


def main() -> None:
    def slow(source: Dataset, prediction: SimpleNamespace) -> list[Dataset]:
        time.sleep(0.05)  # so that a kill finds a film in work
        return make_objects(source, prediction)

    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=stopping.set).start())
    node = Node(read_settings(sys.argv[1:], ""), predict, slow)
    node.start()
    print(node.port, flush=True)
    while not stopping.wait(1):  # a signal that another thread took is handled when this one wakes
        pass
    node.stop()


if __name__ == "__main__":
    main()
