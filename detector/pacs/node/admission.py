"""Room for connections: how many there may be, and which one goes when there is no more room.

A connection waits while it has not yet sent a whole association request, and is admitted then. No
peer can take the others' room: the waiting ones are bounded, and when they are too many the address
that has most of them loses its oldest; films have a number of associations in all and per address;
and associations for verification alone have places of their own, where a new one takes the place of
the oldest, so that an echo is answered whatever else goes on.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from contextlib import suppress

MOST_WAITING = 64
ECHOES = 2


class Admission:
    """The connections of one server. Any thread may call; all calls return at once."""

    def __init__(self, associations: int, per_address: int):
        self._associations, self._per_address = associations, per_address
        self._lock = threading.Lock()
        # Each from connection to address, in the order in which they came.
        self._waiting: dict[socket.socket, str] = {}
        self._films: dict[socket.socket, str] = {}
        self._echoes: dict[socket.socket, str] = {}

    def wait(self, connection: socket.socket, address: str) -> None:
        """A new connection; another one is closed where too many wait."""
        with self._lock:
            self._waiting[connection] = address
            if len(self._waiting) > MOST_WAITING:
                (busiest, _), = Counter(self._waiting.values()).most_common(1)
                oldest = next(one for one, at in self._waiting.items() if at == busiest)
                del self._waiting[oldest]
                close(oldest)

    def admit(self, connection: socket.socket, only_echo: bool) -> bool:
        """Whether there is room for the association that a waiting connection asks for."""
        with self._lock:
            address = self._waiting.pop(connection, None)
            if address is None:  # closed in the meantime
                return False
            if only_echo:
                if len(self._echoes) >= ECHOES:
                    oldest = next(iter(self._echoes))
                    del self._echoes[oldest]
                    close(oldest)
                self._echoes[connection] = address
                return True
            here = sum(one == address for one in self._films.values())
            if len(self._films) >= self._associations or here >= self._per_address:
                return False
            self._films[connection] = address
            return True

    def leave(self, connection: socket.socket) -> None:
        """The connection has ended."""
        with self._lock:
            for group in (self._waiting, self._films, self._echoes):
                group.pop(connection, None)

    @property
    def admitted(self) -> int:
        """How many associations are open."""
        return len(self._films) + len(self._echoes)

    def close_all(self) -> None:
        """End every connection."""
        with self._lock:
            for group in (self._waiting, self._films, self._echoes):
                for connection in group:
                    close(connection)


def close(connection: socket.socket) -> None:
    """End a connection; whoever reads from it is told."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
