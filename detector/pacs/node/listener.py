"""The listening side: a Storage and Verification SCP that acknowledges what is safely on disk.

It takes CR images and DX images, for presentation and for processing, in every transfer syntax that
``load_radiograph`` reads. Secondary Captures are refused. What this node sends back is one, and an
archive that forwards by rule would send it round in circles; and they are screenshots as often as
films. Reports, segmentations and all else are refused for the same reason.

Nothing that a peer says is logged, and pynetdicom's own log, which quotes it, is muted.
"""

from __future__ import annotations

import hashlib
import io
import logging
import threading
import time
import zlib

from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE, evt
from pynetdicom.dsutils import create_file_meta, encode_file_meta
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

from detector.io import codecs as compressed
from detector.io.log_filter import mute
from detector.pacs.node.commitment import (
    COMMIT,
    INVALID_ARGUMENT,
    NO_SUCH_ACTION,
    report,
    result_of,
)
from detector.pacs.node.run_log import CONFLICT, RECEIVED, REJECTED, RunLog
from detector.pacs.node.settings import Settings
from detector.pacs.node.spool import Spool
from detector.pacs.node.transport import DICOM_LIBRARIES, BoundedServer

logger = logging.getLogger(__name__)

FILMS = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)
SYNTAXES = (
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian, *compressed.SYNTAXES,
)  # fmt: skip

# Status of a C-STORE (PS3.4, B.2.3).
STORED, OUT_OF_RESOURCES, MISMATCH, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xA900, 0xC000

_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_HEAD = 1_000_000  # bytes within which the two stand: they are among a data set's first
_LONGEST = 1024  # bytes of any element before them
# Patient's name, ID and birth date, study and series.
_IDENTITY = (0x00100010, 0x00100020, 0x00100030, 0x0020000D, 0x0020000E)
_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF  # length of a sequence that says where it ends


class Listener:
    """The server. ``start`` it, and ``stop`` it; films go to the spool."""

    def __init__(self, settings: Settings, spool: Spool, log: RunLog):
        mute(DICOM_LIBRARIES)
        self._settings, self._spool, self._log = settings, spool, log
        ae = AE(settings.title)
        ae.require_called_aet = True
        ae.require_calling_aet = settings.peer_titles()
        ae.maximum_associations = 2**16  # the transport counts them
        ae.maximum_pdu_size = settings.pdu_bytes
        ae.acse_timeout = min(5.0, settings.timeout)  # the request is here already
        ae.dimse_timeout, ae.network_timeout = settings.timeout, None  # the transport watches it
        ae.add_supported_context(Verification)
        for film in FILMS:
            ae.add_supported_context(film, list(SYNTAXES))
        if settings.commitment:
            ae.add_supported_context(StorageCommitmentPushModel)
        self._ae = ae
        self.conflicts = 0  # films since the start that came with another one's UID
        self._server: BoundedServer | None = None

    def start(self) -> int:
        """Listen, in threads of its own; returns the port. OSError: the address is not free."""
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._commit)]
        self._server = BoundedServer(self._ae, self._settings, handlers)
        self._server.start()
        address = self._server.server_address
        logger.info("%s listens on %s port %d", self._settings.title, address[0], address[1])
        return address[1]

    def stop(self, grace: float = 10.0) -> None:
        """Take no more associations, give the present ones ``grace`` seconds, then end them."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()  # closes the port; associations go on
        end = time.monotonic() + grace
        while server.admission.admitted and time.monotonic() < end:
            time.sleep(0.05)
        server.admission.close_all()

    def _store(self, event: evt.Event) -> int:
        """Answer one C-STORE: success only for a film that is safely on disk."""
        request, stored_as = event.request, UID(event.context.transfer_syntax)
        data = request.DataSet.getbuffer() if request.DataSet else memoryview(b"")
        identity = identify(data, stored_as)
        if identity is None:
            logger.warning("an object was refused: its identifiers cannot be read")
            return NOT_UNDERSTOOD
        kind, instance, content = identity
        announced = (request.AffectedSOPClassUID, request.AffectedSOPInstanceUID)
        if kind not in FILMS or announced != (kind, instance):
            logger.warning("an object was refused: it is not the film that was announced")
            return MISMATCH
        meta = create_file_meta(
            sop_class_uid=kind, sop_instance_uid=instance, transfer_syntax=stored_as
        )
        try:
            head = bytes(128) + b"DICM" + encode_file_meta(meta)
            key = self._spool.receive(instance, [head, data], content)
        except OSError as error:
            logger.error("a film was refused: %s", error.strerror or error)
            self._log.write(REJECTED, self._spool.key(instance), **self._origin(event))
            return OUT_OF_RESOURCES
        if key:
            self._log.write(RECEIVED, key, bytes=len(data), **self._origin(event))
            first = self._spool.key(instance)
            if key != first:
                self.conflicts += 1
                logger.warning("a film has the UID of another one; both are kept and answered")
                self._log.write(CONFLICT, key, other=first)
        return STORED


    def _origin(self, event: evt.Event) -> dict[str, str]:
        """Who sent a film: its address, and its title where that is one of the settings' own."""
        requestor = event.assoc.requestor
        title = requestor.ae_title.strip()
        known = {"title": title} if title in self._settings.peer_titles() else {}
        return {"address": requestor.address_info.address} | known

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        """Answer one request for storage commitment; its result follows in a thread of its own."""
        if event.action_type != COMMIT:
            return NO_SUCH_ACTION, None
        try:
            kind, result = result_of(event.action_information, self._spool.acknowledged)
        except Exception:  # whatever pydicom makes of garbage
            logger.warning("a request for commitment was refused: it is not whole")
            return INVALID_ARGUMENT, None
        peer = self._settings.peer_address(event.assoc.requestor.ae_title.strip())
        ae = AE(self._settings.title)
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = self._settings.timeout
        threading.Thread(target=report, args=(event, kind, result, peer, ae), daemon=True,
                         name="commitment").start()  # fmt: skip
        return STORED, None


def identify(data: bytes | memoryview, stored_as: UID) -> tuple[UID, UID, bytes] | None:
    """SOP class, SOP instance and content of a data set; None when the first two are missing.

    Content: a digest of patient, study, series and everything from the pixels on. It tells two
    films with one UID apart, and does not mind what a router adds to the header. Only the head is
    parsed, so that no header can keep the listener busy; of a film with a longer header, or a
    compressed one, everything counts.
    """
    try:
        if stored_as == DeflatedExplicitVRLittleEndian:
            head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, _HEAD)
        else:
            head = bytes(data[:_HEAD])
        found, _ = _read_head(head, stored_as, _SOP_INSTANCE, _LONGEST)
        kind, instance = UID(found[_SOP_CLASS].value), UID(found[_SOP_INSTANCE].value)
    except Exception:  # whatever pydicom makes of garbage; its words may quote the header
        return None
    if not (kind and 0 < len(instance) <= 64):
        return None
    digest = hashlib.blake2b(digest_size=16)
    try:
        if stored_as == DeflatedExplicitVRLittleEndian:
            raise ValueError
        found, end = _read_head(head, stored_as, _PIXEL_DATA - 1, _UNDEFINED)
        for tag in _IDENTITY:
            digest.update(repr(found.get(tag) and found[tag].value).encode())
        digest.update(data[end:])
    except Exception:
        digest = hashlib.blake2b(data, digest_size=16)
    return kind, instance, digest.digest()


def _read_head(head: bytes, stored_as: UID, last: int, longest: int) -> tuple[Dataset, int]:
    """The elements up to the tag ``last``, or to one of more than ``longest`` bytes; their end."""
    stream = io.BytesIO(head)
    found = read_dataset(
        stream, stored_as.is_implicit_VR, stored_as.is_little_endian,
        stop_when=lambda tag, vr, length: tag > last or length > longest,
    )  # fmt: skip
    return found, stream.tell()
