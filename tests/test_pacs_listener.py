"""The node on the network: who is let in, what is kept, and what hostile peers cannot do.

All is run against real peers: pynetdicom, raw sockets, and dcmtk where it is installed.
"""

from __future__ import annotations

import io
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import odd_films as odd
import pytest
from pacs_stand_ins import Archive, answers, film, instance, make_objects, predict, store
from pydicom import dcmread
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, AllStoragePresentationContexts
from pynetdicom.dimse_primitives import C_STORE

from detector import compressed, dicom
from detector.phantom import random_phantom
from detector.radiograph import load_radiograph
from pacs.listener import SYNTAXES, Listener, identify
from pacs.node import Node
from pacs.runlog import RunLog, read_log
from pacs.settings import Settings, read_settings
from pacs.spool import Spool

HERE = Path(__file__).resolve().parent
MISMATCH, NOT_UNDERSTOOD, NO_ROOM, NO_CONTEXT = 0xA900, 0xC000, 0xA700, -1


class Running:
    """A listener on a port of its own, and its spool."""

    def __init__(self, folder: Path, **settings):
        self.settings = Settings(
            "ARCHIVE@127.0.0.1:9", folder / "spool", port=0,
            **({"timeout": 5.0, "free_megabytes": 0} | settings),
        )  # fmt: skip
        self.spool = Spool(
            self.settings.spool, free_bytes=self.settings.free_megabytes * 1_000_000
        )
        self.listener = Listener(self.settings, self.spool, RunLog(self.settings.run_log))
        self.port = self.listener.start()

    @property
    def films(self) -> int:
        return self.spool.counts()["incoming"]

    def serves(self) -> bool:
        """Whether a film of its own is taken now."""
        return store(self.port, film(random.randrange(10**9, 10**12))) == [0]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@pytest.fixture
def start(tmp_path: Path) -> Iterator:
    running: list[Running] = []

    def one(**settings) -> Running:
        running.append(Running(tmp_path / str(len(running)), **settings))
        return running[-1]

    yield one
    for each in running:
        each.listener.stop(grace=0.0)
        each.spool.close()


# What is taken -------------------------------------------------------------------------------


def test_a_film_is_acknowledged_when_it_is_in_the_spool_byte_for_byte(start) -> None:
    node = start()
    assert store(node.port, film(1)) == [0]
    _, file = node.spool.take()
    kept, sent = dcmread(file), dcmread(io.BytesIO(film(1)))
    assert kept == sent
    assert kept.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
    (line,) = read_log(node.settings.run_log)
    assert (line["event"], line["film"]) == ("received", node.spool.key(instance(1)))


def test_the_same_film_twice_is_acknowledged_and_kept_once(start) -> None:
    node = start()
    assert store(node.port, film(1), film(1)) == [0, 0]
    assert store(node.port, film(1)) == [0]
    assert node.films == 1


def test_every_syntax_that_the_detector_reads_is_taken() -> None:
    read = {*compressed._PLUGINS, *dicom.UNCOMPRESSED, DeflatedExplicitVRLittleEndian}
    assert set(SYNTAXES) == read


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless,
     JPEGLSLossless, JPEG2000Lossless],
)  # fmt: skip
def test_a_film_in_another_syntax_arrives_as_it_was(start, syntax) -> None:
    node = start()
    data = odd.dicom(
        odd.DEEP, syntax, SOPInstanceUID=instance(1),
        SOPClassUID=DigitalXRayImageStorageForPresentation,
    )  # fmt: skip
    assert store(node.port, data) == [0]
    _, file = node.spool.take()
    np.testing.assert_array_equal(load_radiograph(file).pixels, load_radiograph(data).pixels)


def test_cr_and_both_kinds_of_dx_are_taken_and_captures_are_not(start) -> None:
    node = start()
    kinds = (DigitalXRayImageStorageForPresentation, DigitalXRayImageStorageForProcessing)
    for number, kind in enumerate(kinds):
        assert store(node.port, film(number, SOPClassUID=kind)) == [0]
    assert store(node.port, film(9, SOPClassUID=SecondaryCaptureImageStorage)) == [NO_CONTEXT]


def test_the_node_answers_an_echo(start) -> None:
    node = start()
    ae = AE("DEVICE")
    ae.add_requested_context("1.2.840.10008.1.1")
    association = ae.associate("127.0.0.1", node.port, ae_title="FRACTURE")
    assert association.send_c_echo().Status == 0
    association.release()


def test_a_full_disk_is_said_and_nothing_is_acknowledged(start) -> None:
    node = start(free_megabytes=10**9)
    assert store(node.port, film(1)) == [NO_ROOM] and node.films == 0


def test_what_is_not_the_announced_film_is_refused(start) -> None:
    node = start()
    ae = AE("DEVICE")
    one = dcmread(io.BytesIO(film(1)))
    ae.add_requested_context(one.SOPClassUID, one.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", node.port, ae_title="FRACTURE")
    context = association.accepted_contexts[0].context_id
    association._reactor_checkpoint.clear()  # else it takes the response away from this test

    def send(data: bytes) -> int:
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = one.SOPClassUID, instance(1)
        request.DataSet = io.BytesIO(data)
        association.dimse.send_msg(request, context)
        return association.dimse.get_msg(block=True)[1].Status

    whole = film(2)
    assert send(whole[whole.index(b"\x08\x00\x16\x00") :]) == MISMATCH  # another film's number
    assert send(random.Random(1).randbytes(5000)) == NOT_UNDERSTOOD
    association.release()
    assert node.films == 0


def test_identifiers_behind_a_bomb_are_not_looked_for() -> None:
    deflate = zlib.compressobj(wbits=-15)
    bomb = deflate.compress(bytes(5_000_000)) + deflate.flush()
    assert identify(bomb, DeflatedExplicitVRLittleEndian) is None
    assert identify(b"\x08\x00\x05\x00UN\0\0\xff\xff\xff\xff" * 1000, SYNTAXES[0]) is None
    assert identify(b"", SYNTAXES[0]) is None


# Who is let in -------------------------------------------------------------------------------


def test_only_listed_titles_calling_the_right_one_are_served(start) -> None:
    node = start(peers=("DX1", "DX2"))
    assert store(node.port, film(1), calling="DX2") == [0]
    assert store(node.port, film(2), calling="OTHER") == [-1]
    assert store(node.port, film(3), calling="DX1", called="ARCHIVE") == [-1]
    assert node.films == 1


def test_only_listed_addresses_are_served(start) -> None:
    assert store(start(addresses=("127.0.0.0/8",)).port, film(1)) == [0]
    stranger = start(addresses=("10.0.0.0/8", "fd00::/8"))
    assert store(stranger.port, film(1)) == [-1]
    with stranger.connect() as connection:
        assert connection.recv(1) == b""  # hung up at once
    assert stranger.films == 0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with two certificates, and a stranger with its own."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl on the PATH to make certificates with")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    for name in ("authority", "stranger"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2",
                "-subj", f"/CN={name}")  # fmt: skip
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    for name in ("node", "device"):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "authority.pem", "-CAkey",
                "authority.key", "-CAcreateserial", "-out", f"{name}.pem", "-days", "2",
                "-extfile", "names")  # fmt: skip
    return folder


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


# Hostile peers -------------------------------------------------------------------------------


def request_pdu(called: bytes = b"FRACTURE") -> bytes:
    """An association request for verification, PS3.8, 9.3.2."""

    def item(kind: int, data: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(data)) + data

    context = b"\x01\0\0\0" + item(0x30, b"1.2.840.10008.5.1.4.1.1.1")
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


def test_more_associations_than_allowed_are_told_to_come_back(start) -> None:
    node = start(associations=2, timeout=20.0)
    open_ones = [node.connect() for _ in range(2)]
    assert all(accepted(connection) for connection in open_ones)
    with node.connect() as third:
        third.sendall(request_pdu())
        assert third.recv(10, socket.MSG_WAITALL)[6:] == b"\0\x02\x03\x02"
    for connection in open_ones:
        connection.close()


# The whole node ------------------------------------------------------------------------------


class Process:
    """A node of stand-ins in a process of its own, to be killed."""

    def __init__(self, spool: Path, place: str):
        self._spool, self._place = spool, place
        self._start()

    def _start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "pacs_stand_ins.py"), "--spool", str(self._spool),
             "--destination", self._place, "--port", "0", "--free-megabytes", "0",
             "--pause", "0.2", "--longest-pause", "1", "--timeout", "10"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def restart(self) -> None:
        self.kill()
        self._start()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self._end()

    def _end(self) -> int:
        code = self.process.wait(240)
        self.process.stdout.close()
        return code


@pytest.fixture
def archive() -> Iterator[Archive]:
    archive = Archive()
    yield archive
    archive.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_random_moments_it_loses_nothing_and_answers_nothing_twice(
    tmp_path: Path, archive: Archive
) -> None:
    moments = random.Random(9)
    node = Process(tmp_path / "spool", archive.place)
    acknowledged: set[int] = set()
    left = list(range(1, 21))
    stop = threading.Event()

    def device() -> None:
        """Sends until each film is acknowledged, as devices do."""
        while left and not stop.is_set():
            try:
                status = store(node.port, film(left[0]))
            except Exception:
                status = [-1]
            if status == [0]:
                acknowledged.add(left.pop(0))
            else:
                time.sleep(0.05)

    sending = threading.Thread(target=device)
    sending.start()
    try:
        for _ in range(4):
            time.sleep(moments.uniform(0.2, 1.2))
            node.restart()
        sending.join(120)
        # One more, when all is acknowledged and some of it unanswered.
        node.restart()
        archive.wait_for(answers(*range(1, 21)))
    finally:
        stop.set()
        node.stop()
    assert acknowledged == set(range(1, 21))
    assert archive.got.keys() == answers(*acknowledged)
    # What was in flight at a kill may come again, with its UID: it is the same object.
    assert sum(count - 1 for count in archive.got.values()) <= 5
    spool = Spool(tmp_path / "spool")
    assert spool.counts() == {"incoming": 0, "working": 0, "outgoing": 0, "done": 20, "failed": 0}
    spool.close()


def test_sigterm_ends_it_and_keeps_what_is_left(tmp_path: Path) -> None:
    node = Process(tmp_path / "spool", "ARCHIVE@127.0.0.1:9")
    assert store(node.port, film(1), film(2)) == [0, 0]
    assert node.stop() == 0
    spool = Spool(tmp_path / "spool")
    counts = spool.counts()
    spool.close()
    assert counts["working"] == counts["failed"] == 0
    assert counts["incoming"] + counts["outgoing"] == 2


def test_stopping_waits_for_an_association_to_end(start) -> None:
    node = start()
    ae = AE("DEVICE")
    one = dcmread(io.BytesIO(film(1)))
    ae.add_requested_context(one.SOPClassUID, one.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", node.port, ae_title="FRACTURE")
    stopping = threading.Thread(target=node.listener.stop, args=(30.0,))
    stopping.start()
    assert association.send_c_store(one).Status == 0
    association.release()
    stopping.join(30)
    assert not stopping.is_alive() and node.films == 1
    with pytest.raises(OSError):
        node.connect()


def phantom_film(number: int) -> bytes:
    pixels = random_phantom(number, size=(320, 256)).pixels
    return odd.dicom(
        (pixels * 4095).astype(np.uint16), SOPInstanceUID=instance(number),
        SOPClassUID=ComputedRadiographyImageStorage,
        StudyInstanceUID=instance(77), SeriesInstanceUID=instance(78), BitsStored=12,
        PatientSex="", StudyDate="", StudyTime="", AccessionNumber="", StudyID="",
        ReferringPhysicianName="", SeriesNumber=1, InstanceNumber=1, Modality="CR",
    )  # fmt: skip


@pytest.fixture
def listening(tmp_path: Path, tiny_weights: Path) -> Iterator:
    """`fracture-detector listen` as a user starts it, towards a given destination."""
    started: list[subprocess.Popen] = []

    def start(place: str) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = tmp_path / "node.toml"
        config.write_text(
            f'destination = "{place}"\nport = {port}\nspool = "{tmp_path / "spool"}"\n'
            f'model = "{tiny_weights}"\nfree_megabytes = 0\npeers = ["DEVICE"]\n'
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "detector.cli", "listen", "--config", str(config)],
            cwd=HERE.parent, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        for line in process.stderr:
            if "listens" in line:
                return port
        pytest.fail(f"it ended: {process.wait()}")

    yield start
    for process in started:
        process.terminate()
        errors = process.communicate(timeout=240)[1]
        assert process.returncode == 0, errors
        assert odd.PATIENT not in errors


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_command_answers_a_film_with_all_its_objects(listening, tmp_path: Path) -> None:
    kinds = [context.abstract_syntax for context in AllStoragePresentationContexts]
    archive = Archive(kinds)
    try:
        assert store(listening(archive.place), phantom_film(1)) == [0]
        log = tmp_path / "spool" / "run.jsonl"
        end = time.monotonic() + 180
        events: dict[str, dict] = {}
        while not {"sent", "failed", "unread"} & events.keys() and time.monotonic() < end:
            time.sleep(0.2)
            events = {line["event"]: line for line in read_log(log)}
    finally:
        archive.close()
    assert events.keys() == {"received", "read", "sent"}, events
    assert len(archive.got) == events["sent"]["objects"] >= 2
    assert set(archive.got.values()) == {1}


@pytest.mark.slow
@pytest.mark.dicom
@pytest.mark.timeout(900)
def test_dcmtk_sends_to_the_node_and_receives_its_answers(listening, tmp_path: Path) -> None:
    tools = [shutil.which(name) for name in ("echoscu", "storescu", "storescp")]
    if not all(tools):
        pytest.skip("no dcmtk on the PATH (Debian: apt-get install dcmtk)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        there = probe.getsockname()[1]
    received = tmp_path / "received"
    received.mkdir()
    (tmp_path / "film.dcm").write_bytes(phantom_film(2))
    archive = subprocess.Popen([tools[2], "-aet", "ARCHIVE", "-od", str(received), str(there)])
    try:
        port = str(listening(f"ARCHIVE@127.0.0.1:{there}"))
        names = ["-aet", "DEVICE", "-aec", "FRACTURE", "127.0.0.1", port]
        subprocess.run([tools[0], *names], check=True, timeout=60)
        subprocess.run([tools[1], *names, str(tmp_path / "film.dcm")], check=True, timeout=60)
        wrong = ["-aet", "STRANGER", "-aec", "FRACTURE", "127.0.0.1", port]
        refused = subprocess.run([tools[0], *wrong], capture_output=True, timeout=60)
        assert refused.returncode != 0
        log, end, sent = tmp_path / "spool" / "run.jsonl", time.monotonic() + 180, []
        while not sent and time.monotonic() < end:
            time.sleep(0.2)
            sent = [line for line in read_log(log) if line["event"] in ("sent", "failed")]
    finally:
        archive.terminate()
        archive.wait(30)
    assert sent[0]["event"] == "sent"
    objects = [dcmread(file) for file in received.iterdir()]
    assert len(objects) == sent[0]["objects"] >= 2
    assert {one.StudyInstanceUID for one in objects} == {instance(77)}


# Settings ------------------------------------------------------------------------------------


def test_settings_come_from_the_file_and_flags_go_first(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(
        'destination = "A@archive:104"\nspool = "s"\npeers = ["DX1", "DX2"]\nport = 104\n'
        "timeout = 7\nretry_failed = true\n"
    )
    found = read_settings(["--config", str(file), "--port", "11113", "--title", "READER"], "")
    assert found == Settings(
        "A@archive:104", Path("s"), "READER", port=11113, peers=("DX1", "DX2"), timeout=7,
        retry_failed=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "line",
    ['destination = "archive:104"', 'destination = "A@host:0"', "port = 70000", 'title = ""',
     'title = "LONGER THAN SIXTEEN"', 'addresses = ["here"]', 'peers = "DX1"', "associations = 0",
     "timeout = -1", "timeout = true", "colour = 1", 'tls_certificate = "a.pem"',
     'tls_clients = "a.pem"', "pdu_bytes = 10", "free_megabytes = -1"],
)  # fmt: skip
def test_a_wrong_setting_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "node.toml"
    name = line.split()[0]
    start = "" if name == "destination" else 'destination = "A@host:104"\n'
    file.write_text(f'{start}spool = "s"\n{line}\n')
    with pytest.raises(ValueError) as problem:
        read_settings(["--config", str(file)], "")
    assert name.split("_")[0][:6] in str(problem.value)


def test_without_a_destination_the_usage_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as gone:
        read_settings([], "")
    assert gone.value.code == 2 and "destination and spool" in capsys.readouterr().err


def test_a_node_takes_dead_letters_up_when_asked(tmp_path: Path) -> None:
    settings = Settings("A@127.0.0.1:9", tmp_path, port=0, free_megabytes=0, retry_failed=True)
    spool = Spool(tmp_path)
    spool.receive(instance(1), [film(1)])
    spool.fail(spool.take()[0], "no memory")
    spool.close()
    node = Node(settings, predict, make_objects)
    assert node.spool.counts()["incoming"] == 1
    node.spool.close()
