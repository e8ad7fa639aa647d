"""The transport: whose connections are taken, and what hostile peers cannot do, by raw sockets."""

from __future__ import annotations

import random
import socket
import struct
import time
from contextlib import ExitStack

import numpy as np
import pytest
from pynetdicom.transport import ThreadedAssociationServer

from tests.support import odd_films as odd
from tests.support.pacs_stand_ins import echo, film, instance, store

pytest_plugins = "tests.support.pacs_fixtures"


def test_only_listed_addresses_are_served(start) -> None:
    assert store(start(addresses=("127.0.0.0/8",)).port, film(1)) == [0]
    stranger = start(addresses=("10.0.0.0/8", "fd00::/8"))
    assert store(stranger.port, film(1)) == [-1]
    with stranger.connect() as connection:
        assert connection.recv(1) == b""  # hung up at once
    assert stranger.films == 0


def request_pdu(
    called: bytes = b"FRACTURE", abstract: bytes = b"1.2.840.10008.5.1.4.1.1.1"
) -> bytes:
    """An association request, of CR films if nothing else is said; PS3.8, 9.3.2."""

    def item(kind: int, data: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(data)) + data

    context = b"\x01\0\0\0" + item(0x30, abstract)
    context += item(0x40, b"1.2.840.10008.1.2")
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3")
    body = struct.pack(">Hxx16s16s32x", 1, called.ljust(16), b"DEVICE".ljust(16))
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + item(0x50, user)
    return struct.pack(">BxI", 1, len(body)) + body


def accepted(connection: socket.socket) -> bool:
    connection.sendall(request_pdu())
    kind, length = struct.unpack(">BxI", connection.recv(6, socket.MSG_WAITALL))
    connection.recv(length, socket.MSG_WAITALL)
    return kind == 2


def hung_up(connection: socket.socket, seconds: float = 30) -> bool:
    """Whether the node ends the connection by itself."""
    connection.settimeout(seconds)
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


GARBAGE = {
    "random bytes": random.Random(0).randbytes(4096),
    "another protocol": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "four gigabytes announced": b"\x01\0\xff\xff\xff\xff",
    "a request of nonsense": b"\x01\0\0\0\x10\0" + random.Random(1).randbytes(4096),
    "half a header": b"\x01\0",
    "half a request": request_pdu()[:60],
    "data before the request": b"\x04\0\0\0\0\x06\0\0\0\x02\x01\x03",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_ends_its_own_connection_alone(start, kind: str) -> None:
    node = start(timeout=1.0)
    with node.connect() as connection:
        connection.sendall(GARBAGE[kind])
        assert node.serves()
        assert hung_up(connection)
    assert node.serves()


def test_half_a_message_is_not_a_film_and_holds_nothing(start) -> None:
    node = start(timeout=1.0)
    with node.connect() as connection:
        assert accepted(connection)
        connection.sendall(struct.pack(">BxIIBB", 4, 20_000, 19_996, 1, 0) + bytes(5000))
        assert node.serves()
        assert hung_up(connection)
    with node.connect() as connection:
        assert accepted(connection)  # and one that hangs up in the middle
        connection.sendall(struct.pack(">BxIIBB", 4, 20_000, 19_996, 1, 0) + bytes(100))
    assert node.serves() and node.films == 2


def test_an_object_beyond_the_limit_ends_its_association(start) -> None:
    node = start(object_megabytes=1, timeout=10.0)
    large = odd.dicom(np.zeros((2000, 2000), np.uint8), SOPInstanceUID=instance(1))
    assert store(node.port, large) == [-1]
    assert node.films == 0 and node.serves()


def test_endless_fragments_end_the_association(start) -> None:
    node = start(object_megabytes=1, timeout=10.0)
    with node.connect() as connection:
        assert accepted(connection)
        fragment = struct.pack(">BxIIBB", 4, 65542, 65538, 1, 0) + bytes(65536)
        with pytest.raises(OSError):
            for _ in range(1000):  # 65 MB; the node's limit and the sockets' buffers are far less
                connection.sendall(fragment)
    assert node.serves()


def test_a_peer_that_drips_is_too_slow(start) -> None:
    node = start(timeout=1.0)
    with node.connect() as connection:
        with pytest.raises(OSError):
            for byte in request_pdu():  # each byte comes in time, the whole does not
                connection.sendall(bytes([byte]))
                time.sleep(0.1)
    assert node.serves()


def test_two_hundred_at_once_leave_the_node_serving(start) -> None:
    node = start(associations=5, timeout=2.0)
    connections = []
    for _ in range(200):
        connections.append(node.connect())
    for connection in connections[::2]:
        try:
            connection.sendall(request_pdu())
        except OSError:
            pass  # hung up already
    assert all(hung_up(connection, 60) for connection in connections)
    for connection in connections:
        connection.close()
    end = time.monotonic() + 60
    while not node.serves() and time.monotonic() < end:
        time.sleep(0.2)
    assert node.serves()


def test_connections_that_could_not_be_served_take_no_room_for_ever(start, monkeypatch) -> None:
    node = start()

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(ThreadedAssociationServer, "process_request", no_thread)
        for _ in range(20):
            with node.connect() as connection:
                assert hung_up(connection)
    assert node.serves()


def trickle(connection: socket.socket) -> None:
    """Associate, announce a long message, and send a little of it."""
    assert accepted(connection)
    connection.sendall(struct.pack(">BxIIBB", 4, 60_000, 59_996, 1, 0) + bytes(10))


ATTACKS = {
    "half requests": (36, lambda connection: connection.sendall(request_pdu()[:60])),
    "connections that say nothing": (45, lambda connection: None),
    "trickling associations": (10, trickle),
}


@pytest.mark.parametrize("kind", ATTACKS)
def test_an_echo_is_answered_while_one_peer_takes_all_it_can(start, kind: str) -> None:
    node = start(timeout=120.0, associations_per_address=10)
    count, attack = ATTACKS[kind]
    with ExitStack() as stack:
        for _ in range(count):
            attack(stack.enter_context(node.connect()))
        assert echo(node.port)


def test_an_echo_is_answered_after_many_that_connect_and_close(start) -> None:
    node = start(timeout=120.0)
    for _ in range(45):
        node.connect().close()
        with node.connect() as connection:
            connection.sendall(request_pdu())
    assert echo(node.port) and node.serves()


def test_those_who_hold_the_places_for_an_echo_lose_them_to_the_next(start) -> None:
    node = start(timeout=120.0)
    with ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(node.connect())
            connection.sendall(request_pdu(abstract=b"1.2.840.10008.1.1"))
            assert connection.recv(1) == b"\x02"
        assert echo(node.port)


def test_one_address_leaves_room_for_the_others(start) -> None:
    node = start(associations=4, associations_per_address=3, timeout=120.0)
    with ExitStack() as stack:
        for _ in range(3):
            assert accepted(stack.enter_context(node.connect()))
        assert store(node.port, film(1)) == [-1]
        other = stack.enter_context(socket.create_connection(
            ("127.0.0.1", node.port), 30, source_address=("127.0.0.2", 0)
        ))  # fmt: skip
        assert accepted(other)


def test_an_association_without_a_command_is_ended(start) -> None:
    node = start(timeout=1.0)
    with node.connect() as connection:
        assert accepted(connection) and hung_up(connection)


def test_a_message_in_small_pieces_has_its_time_as_a_whole(start) -> None:
    node = start(timeout=1.0)
    with node.connect() as connection:
        assert accepted(connection)
        with pytest.raises(OSError):
            for _ in range(1000):  # each piece is whole and in time, the message is not
                connection.sendall(struct.pack(">BxIIBB", 4, 16, 12, 1, 0) + bytes(10))
                time.sleep(0.1)
    assert node.serves()


def test_more_associations_than_allowed_are_told_to_come_back(start) -> None:
    node = start(associations=2, timeout=20.0)
    open_ones = [node.connect() for _ in range(2)]
    assert all(accepted(connection) for connection in open_ones)
    with node.connect() as third:
        third.sendall(request_pdu())
        assert third.recv(10, socket.MSG_WAITALL)[6:] == b"\0\x02\x03\x02"
    for connection in open_ones:
        connection.close()
