"""TLS both ways: peers prove who they are, and answers go to the proven destination alone."""

from __future__ import annotations

import gc
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pynetdicom import AE, evt

from detector.pacs.node.sender import Sender
from detector.pacs.node.spool import Spool
from tests.support.pacs_stand_ins import Archive, Clock, answers, film, record, sender, store

pytest_plugins = "tests.support.pacs_fixtures"
# The archive: pynetdicom leaves a connection whose handshake failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <.*ocket:ResourceWarning")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with the certificates it signed, and a stranger with its own."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl on the PATH to make certificates with")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    for name in ("authority", "stranger"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2",
                "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1")  # fmt: skip
    for name in ("node", "device", "archive", "elsewhere"):
        host = "DNS:elsewhere.example" if name == "elsewhere" else "IP:127.0.0.1"
        (folder / "names").write_text(f"subjectAltName={host}")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "authority.pem", "-CAkey",
                "authority.key", "-CAcreateserial", "-out", f"{name}.pem", "-days", "2",
                "-extfile", "names")  # fmt: skip
    return folder


# From peers ------------------------------------------------------------------------------------


def associates_over_tls(port: int, folder: Path, own: str | None) -> bool:
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    if own:
        context.load_cert_chain(folder / f"{own}.pem", folder / f"{own}.key")
    ae = AE("DEVICE")
    ae.acse_timeout = ae.network_timeout = 10
    ae.add_requested_context("1.2.840.10008.1.1")
    association = ae.associate(
        "127.0.0.1", port, ae_title="FRACTURE", tls_args=(context, "127.0.0.1")
    )
    established = association.is_established and association.send_c_echo().get("Status") == 0
    association.abort()
    return established


def test_tls_asks_for_a_certificate_and_silence_blocks_nobody(start, certificates) -> None:
    node = start(
        tls_certificate=certificates / "node.pem", tls_key=certificates / "node.key",
        tls_clients=certificates / "authority.pem",
    )  # fmt: skip
    with node.connect(), node.connect():  # say nothing, not even hello
        assert associates_over_tls(node.port, certificates, "device")
        assert not associates_over_tls(node.port, certificates, "stranger")
        assert not associates_over_tls(node.port, certificates, None)
        assert store(node.port, film(1)) == [-1]  # no TLS at all
    assert associates_over_tls(node.port, certificates, "device")


# To the destination ----------------------------------------------------------------------------


def serving(folder: Path, own: str, clients: str | None = None) -> ssl.SSLContext:
    """An archive's side of TLS: its own certificate, and whose clients it serves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{own}.pem", folder / f"{own}.key")
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / f"{clients}.pem")
    return context


@pytest.fixture
def archive_over_tls() -> Iterator[Callable[..., Archive]]:
    started: list[Archive] = []

    def one(context: ssl.SSLContext, **given) -> Archive:
        started.append(Archive(tls=context, **given))
        return started[-1]

    yield one
    for each in started:
        each.close()
    gc.collect()


def waits(spool: Spool, one: Sender, clock: Clock) -> bool:
    """Whether the answer waits, however often it is tried, and is no dead letter."""
    for _ in range(4):
        assert one.step()
        clock.now += 1000
    return spool.counts() == {"incoming": 0, "working": 0, "outgoing": 1, "done": 0, "failed": 0}


def test_answers_go_to_the_destination_over_tls(
    spool: Spool, certificates: Path, archive_over_tls
) -> None:
    archive = archive_over_tls(serving(certificates, "archive"))
    record(spool, 1)
    in_the_clear, clock = sender(spool, archive.address)
    assert waits(spool, in_the_clear, clock) and not archive.got  # it speaks TLS alone
    spool.close()
    spool.__init__(spool.folder)
    one, _ = sender(spool, archive.address, tls_destination=certificates / "authority.pem")
    assert one.step()
    assert archive.got == dict.fromkeys(answers(1), 1) and spool.counts()["done"] == 1


@pytest.mark.parametrize(
    ("own", "what"), [("stranger", "self-signed"), ("elsewhere", "IP address mismatch")]
)
def test_a_destination_that_does_not_prove_itself_gets_nothing(
    spool: Spool, certificates: Path, archive_over_tls, own: str, what: str
) -> None:
    """Of an unknown authority; of the right one, and for another host."""
    context = ssl.create_default_context(cafile=str(certificates / "authority.pem"))
    archive = archive_over_tls(serving(certificates, own))
    with socket.create_connection(("127.0.0.1", archive.port)) as connection:
        with pytest.raises(ssl.SSLCertVerificationError, match=what):  # and for no other reason
            context.wrap_socket(connection, server_hostname="127.0.0.1")
    record(spool, 1)
    one, clock = sender(spool, archive.address, tls_destination=certificates / "authority.pem")
    assert waits(spool, one, clock) and not archive.got


def test_a_destination_without_tls_gets_nothing(
    spool: Spool, certificates: Path, archive: Archive
) -> None:
    record(spool, 1)
    one, clock = sender(spool, archive.address, tls_destination=certificates / "authority.pem")
    assert waits(spool, one, clock) and not archive.got


def test_not_a_word_is_sent_before_the_destination_has_proved_itself(
    spool: Spool, certificates: Path
) -> None:
    record(spool, 1)
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def listen() -> None:
            connection, _ = listening.accept()
            with connection:
                while part := connection.recv(65536):  # and never says anything
                    heard.extend(part)

        ear = threading.Thread(target=listen)
        ear.start()
        one, _ = sender(
            spool, f"ARCHIVE@127.0.0.1:{listening.getsockname()[1]}", timeout=1.0,
            tls_destination=certificates / "authority.pem",
        )  # fmt: skip
        assert one.step()  # a destination that is silent does not hold it
        ear.join(30)
    assert not ear.is_alive() and spool.counts()["outgoing"] == 1
    kind, major, _, length = struct.unpack(">BBBH", heard[:5])
    assert (kind, major, length) == (22, 3, len(heard) - 5)  # one record: the client's hello
    assert b"FRACTURE" not in heard and b"ARCHIVE" not in heard


def test_a_destination_that_asks_is_shown_the_nodes_own_certificate(
    spool: Spool, certificates: Path, archive_over_tls
) -> None:
    shown: list[dict] = []
    archive = archive_over_tls(
        serving(certificates, "archive", clients="authority"),
        handlers=[(
            evt.EVT_ESTABLISHED,
            lambda event: shown.append(event.assoc.dul.socket.socket.getpeercert()),
        )],
    )  # fmt: skip
    record(spool, 1)
    one, _ = sender(
        spool, archive.address, tls_destination=certificates / "authority.pem",
        tls_certificate=certificates / "node.pem", tls_key=certificates / "node.key",
    )  # fmt: skip
    assert one.step() and archive.got == dict.fromkeys(answers(1), 1)
    assert [each["subject"] for each in shown] == [((("commonName", "node"),),)]


@pytest.mark.parametrize("own", [None, "stranger"])
def test_a_destination_that_does_not_know_the_node_gets_nothing(
    spool: Spool, certificates: Path, archive_over_tls, own: str | None
) -> None:
    archive = archive_over_tls(serving(certificates, "archive", clients="authority"))
    record(spool, 1)
    chosen = {} if own is None else {
        "tls_certificate": certificates / f"{own}.pem", "tls_key": certificates / f"{own}.key",
    }  # fmt: skip
    one, clock = sender(
        spool, archive.address, tls_destination=certificates / "authority.pem", **chosen
    )
    assert waits(spool, one, clock) and not archive.got


def test_without_the_authorities_it_does_not_start(spool: Spool, tmp_path: Path) -> None:
    record(spool, 1)
    with pytest.raises(OSError):
        sender(spool, "ARCHIVE@127.0.0.1:9", tls_destination=tmp_path / "missing.pem")
