"""pynetdicom's server with bounds: who may connect, how many, how long, how much.

pynetdicom reads whatever length a peer declares, waits for it without an end, starts two threads
for each connection before it has said a word, and shakes hands for TLS in the loop that accepts
connections. Here an association begins only with a whole request, each message has its time as a
whole, and lengths are bounded. Times are of the monotonic clock.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.sop_class import Verification
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from detector.pacs.node.admission import Admission, close
from detector.pacs.node.settings import Settings

logger = logging.getLogger(__name__)

# What these log and warn of quotes peers and headers.
DICOM_LIBRARIES = ("pynetdicom", "pydicom", "highdicom")
_config.LOG_HANDLER_LEVEL = "none"  # else pynetdicom words each message for a log that is muted

MEGABYTE = 1_000_000
SLOWEST = 100_000  # bytes a second that a message must come at, beyond the timeout
FIRST_SECONDS = 10.0  # at most, for the handshake, for the request, and until the first command
C_CANCEL = 0x0FFF  # the command that nobody answers (PS3.7, E.1)
_REQUEST = 2**18  # bytes of an association request; 128 contexts of all syntaxes take less
_NO_ROOM = b"\x03\0\0\0\0\x04\0\x02\x03\x02"  # A-ASSOCIATE-RJ, transient, local limit exceeded


class TooMuch(ConnectionAbortedError):
    """A peer passed a bound; the message says which."""


class BoundedSocket(AssociationSocket):
    """An association's connection, which ends when a PDU or a message is too long, or too slow.

    ``unanswered``: messages that have arrived and have no response yet. ``held``: bytes received
    since the last response, which is what the association keeps in memory.
    """

    def __init__(
        self, association: Association, connection: socket.socket, settings: Settings,
        request: bytes,
    ):  # fmt: skip
        super().__init__(association, client_socket=connection)
        self._longest = max(settings.pdu_bytes, _REQUEST)
        self._most = settings.object_megabytes * MEGABYTE + _REQUEST
        self._seconds = settings.timeout
        self._request = bytearray(request)
        self._since = time.monotonic()  # of the present message, or of the present silence
        self._responses = 0
        self.unanswered = self.held = 0

    @property
    def ready(self) -> bool:
        return bool(self._request) or super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """Exactly this many bytes, or fewer at the end; OSError when a bound is passed."""
        if self._request:
            data, self._request = self._request[:nr_bytes], self._request[nr_bytes:]
            return data
        if not self.held:
            self._since = time.monotonic()
        self.held += nr_bytes
        if nr_bytes > self._longest or self.held > self._most or self.unanswered > 1:
            self.end("it sent more than is allowed")
            raise TooMuch
        data = receive(self.socket, nr_bytes, self._seconds)
        if self.socket is not None:
            self.socket.settimeout(self._seconds)
        return data

    def arrived(self, is_request: bool) -> None:
        """A whole message is here; a request is one that this node has to answer."""
        if is_request:
            self.unanswered += 1
        else:
            self.held, self._since = 0, time.monotonic()

    def responded(self) -> None:
        """A response was sent: the next message begins anew."""
        self.unanswered = self.held = 0
        self._responses += 1
        self._since = time.monotonic()

    def overdue(self) -> str:
        """What this connection has taken too long for, or the empty string."""
        seconds = time.monotonic() - self._since
        if self.unanswered:  # it waits for this node
            return ""
        if self.held:
            return "it was too slow" if seconds > self._seconds + self.held / SLOWEST else ""
        limit = self._seconds if self._responses else min(FIRST_SECONDS, self._seconds)
        return "it was silent" if seconds > limit else ""

    def end(self, why: str) -> None:
        """Close the connection, which ends its association."""
        logger.warning("a connection was ended: %s", why)
        if self.socket is not None:
            close(self.socket)


def receive(connection: socket.socket | None, count: int, seconds: float) -> bytearray:
    """This many bytes within this time as a whole, or fewer at the end; TooMuch when too slow."""
    end = time.monotonic() + seconds
    data = bytearray()
    while len(data) < count and connection is not None:
        left = end - time.monotonic()
        if left <= 0:
            raise TooMuch("it was too slow")
        connection.settimeout(left)
        try:
            part = connection.recv(min(count - len(data), 65536))
        except TimeoutError:
            raise TooMuch("it was too slow") from None
        if not part:
            break
        data += part
    return data


class _Handler(RequestHandler):
    """A connection's own thread: handshake and request first, then an association, and its end."""

    server: BoundedServer

    def handle(self) -> None:
        try:
            self._serve()
        finally:
            self.server.admission.leave(self.request)
            self.server.shutdown_request(self.request)

    def _serve(self) -> None:
        seconds = min(FIRST_SECONDS, self.server.settings.timeout)
        self.request.settimeout(seconds)
        if isinstance(self.request, ssl.SSLSocket):
            try:
                self.request.do_handshake()
            except OSError:
                logger.warning("a connection was ended: no TLS, or no valid certificate")
                return
        try:
            self._pdu = _read_request(self.request, seconds)
        except OSError as error:
            logger.warning("a connection was ended: %s", error if isinstance(error, TooMuch)
                           else "it was closed by the peer")  # fmt: skip
            return
        if not self.server.admission.admit(self.request, _asks_for_echo_alone(self._pdu)):
            logger.warning("an association was refused: there is no room")
            with suppress(OSError):
                self.request.sendall(_NO_ROOM)
            return
        self.request.settimeout(self.server.settings.timeout)
        association = self._create_association()
        evt.trigger(association, evt.EVT_CONN_OPEN, {"address": self.client_address})
        connection = association.dul.socket
        association.start()
        while association.is_alive() and connection.socket is not None:
            association.join(0.2)
            why = connection.overdue()
            if why:
                connection.end(why)
                break

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dul.event_queue.get_nowait()  # the replaced socket's "connected"
        association.dul.socket = BoundedSocket(
            association, self.request, self.server.settings, self._pdu
        )
        return association


def _read_request(connection: socket.socket, seconds: float) -> bytes:
    """The association request that each connection begins with (PS3.8, 9.3.2), as it came.

    Raises:
        TooMuch: it is something else, or too long, or too slow. OSError: the peer hung up.
    """
    end = time.monotonic() + seconds
    head = receive(connection, 6, seconds)
    if len(head) < 6:
        raise ConnectionResetError
    length = int.from_bytes(head[2:], "big")
    if head[0] != 1 or length > _REQUEST:
        raise TooMuch("it sent no association request")
    body = receive(connection, length, end - time.monotonic())
    if len(body) < length:
        raise ConnectionResetError
    return bytes(head + body)


def _asks_for_echo_alone(request: bytes) -> bool:
    try:
        pdu = A_ASSOCIATE_RQ()
        pdu.decode(request)
        return {context.abstract_syntax for context in pdu.presentation_context} == {Verification}
    except Exception:  # whatever pynetdicom makes of garbage
        return False


class BoundedServer(ThreadedAssociationServer):
    """Accepts connections from allowed addresses, each in a thread of its own."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, ae: AE, settings: Settings, handlers: list[Any]):
        self.settings = settings
        self.admission = Admission(settings.associations, settings.associations_per_address)
        self._networks = settings.networks()
        self._thread: threading.Thread | None = None
        super().__init__(
            ae, (settings.host, settings.port), settings.title, ae.supported_contexts,
            ssl_context=settings.server_tls(),
            evt_handlers=[*handlers, (evt.EVT_DIMSE_RECV, _arrived), (evt.EVT_DIMSE_SENT, _sent)],
            request_handler=_Handler,
        )  # fmt: skip

    def start(self) -> None:
        """Serve in a thread."""
        self.ae._servers.append(self)  # where pynetdicom's `shutdown` takes it away
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True,
                                        name="listener")  # fmt: skip
        self._thread.start()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = self.socket.accept()
        if self.ssl_context:
            connection.settimeout(self.settings.timeout)
            connection = self.ssl_context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether this address may connect."""
        if not self._is_allowed(client_address[0]):
            logger.warning("a connection was refused: its address is not on the list")
            return False
        return True

    def _is_allowed(self, text: str) -> bool:
        address = ip_address(text.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return not self._networks or any(address in network for network in self._networks)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.admission.wait(request, client_address[0])
        try:
            super().process_request(request, client_address)
        except Exception:  # no thread to be had, so nothing else gives the room back
            self.admission.leave(request)
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.warning("a connection was ended: it could not be served")


def _arrived(event: evt.Event) -> None:
    command = event.message.command_set.CommandField
    event.assoc.dul.socket.arrived(is_request=command < 0x8000 and command != C_CANCEL)


def _sent(event: evt.Event) -> None:
    event.assoc.dul.socket.responded()
