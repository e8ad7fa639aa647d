"""pynetdicom's server with bounds: who may connect, how many, how long, how much.

pynetdicom reads whatever length a peer declares, waits for it without an end, and shakes hands for
TLS in the loop that accepts connections. One peer that sends half a message would hold a thread
for ever, one that declares four gigabytes would be given them, and one that connects to a TLS port
and says nothing would shut all others out. All three are bounded here.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from ipaddress import IPv6Address, ip_address
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from detector.pacs.node.settings import Settings

logger = logging.getLogger(__name__)

MEGABYTE = 1_000_000
_REQUEST = 2**18  # bytes of an association request; 128 contexts of all syntaxes take less


class BoundedSocket(AssociationSocket):
    """A connection that ends when a PDU or a message is too long, or too slow.

    ``unanswered``: messages that have arrived and have no response yet. ``held``: bytes received
    since the last response, which is what the association keeps in memory.
    """

    def __init__(self, association: Association, connection: socket.socket, settings: Settings):
        super().__init__(association, client_socket=connection)
        self._longest = max(settings.pdu_bytes, _REQUEST)
        self._most = settings.object_megabytes * MEGABYTE + _REQUEST
        self._seconds = settings.timeout
        self.unanswered = self.held = 0

    def recv(self, nr_bytes: int) -> bytearray:
        """Exactly this many bytes, or fewer at the end; OSError when a bound is passed."""
        self.held += nr_bytes
        if nr_bytes > self._longest or self.held > self._most or self.unanswered > 1:
            self._end("it sent more than is allowed")
        end = time.monotonic() + self._seconds
        data = bytearray()
        while len(data) < nr_bytes and self.socket is not None:
            left = end - time.monotonic()
            if left <= 0:
                self._end("it was too slow")
            self.socket.settimeout(left)
            part = self.socket.recv(min(nr_bytes - len(data), 65536))
            if not part:
                break
            data += part
        if self.socket is not None:
            self.socket.settimeout(self._seconds)
        return data

    def _end(self, why: str) -> None:
        logger.warning("a connection was ended: %s", why)
        self._shutdown_socket()
        raise ConnectionAbortedError(why)


class _Handler(RequestHandler):
    """A connection's own thread: handshake first, then an association on a bounded socket."""

    server: BoundedServer

    def handle(self) -> None:
        self.request.settimeout(min(10.0, self.server.settings.timeout))
        if isinstance(self.request, ssl.SSLSocket):
            try:
                self.request.do_handshake()
            except OSError:
                logger.warning("a connection was ended: no TLS, or no valid certificate")
                self.server.hang_up(self.request)
                return
        self.request.settimeout(self.server.settings.timeout)
        super().handle()

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dul.event_queue.get_nowait()  # the replaced socket's "connected"
        association.dul.socket = BoundedSocket(association, self.request, self.server.settings)
        return association


class BoundedServer(ThreadedAssociationServer):
    """Accepts connections from allowed addresses, each in a thread of its own."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, ae: AE, settings: Settings, handlers: list[Any]):
        self.settings = settings
        self._networks = settings.networks()
        # Beyond the associations there is room to tell some more peers that there is none.
        self._most = 2 * settings.associations + 16
        self._starting = 0
        self._count = threading.Lock()
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

    def end_associations(self) -> None:
        """Close the connections of all associations."""
        for association in self.active_associations:
            association.dul.socket._shutdown_socket()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = self.socket.accept()
        if self.ssl_context:
            connection.settimeout(self.settings.timeout)
            connection = self.ssl_context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether this address may connect, and there is room."""
        if not self._is_allowed(client_address[0]):
            logger.warning("a connection was refused: its address is not on the list")
            return False
        if len(self.active_associations) + self._starting >= self._most:
            logger.warning("a connection was refused: %d are open", self._most)
            return False
        return True

    def _is_allowed(self, text: str) -> bool:
        address = ip_address(text.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return not self._networks or any(address in network for network in self._networks)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._count:
            self._starting += 1
        try:
            super().process_request(request, client_address)
        except Exception:  # no thread to be had, so nothing else gives the place back
            with self._count:
                self._starting -= 1
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._count:
                self._starting -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.warning("a connection was ended: it could not be served")

    def hang_up(self, request: Any) -> None:
        """Close a connection that has no association."""
        self.shutdown_request(request)


def _arrived(event: evt.Event) -> None:
    event.assoc.dul.socket.unanswered += 1


def _sent(event: evt.Event) -> None:
    event.assoc.dul.socket.unanswered = event.assoc.dul.socket.held = 0
