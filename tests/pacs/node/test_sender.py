"""The sender: what is recorded arrives, once a UID; refusals and outages end in dead letters."""

from __future__ import annotations

import io
import json
import socket
import threading
import time

import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import EnhancedSRStorage, SecondaryCaptureImageStorage

from detector.pacs.node.run_log import read_log
from detector.pacs.node.spool import Spool
from tests.support.pacs_stand_ins import Archive, answers, film, instance, record, sender

pytest_plugins = "tests.support.pacs_fixtures"


def test_answers_arrive_and_the_film_is_done(spool: Spool, archive: Archive) -> None:
    record(spool, 1, 2)
    one, _ = sender(spool, archive.address)
    assert one.step() and one.step() and not one.step()
    assert archive.got == dict.fromkeys(answers(1, 2), 1)
    assert spool.counts() == {"incoming": 0, "working": 0, "outgoing": 0, "done": 2, "failed": 0}
    assert [line["event"] for line in read_log(spool.folder / "run.jsonl")] == ["sent", "sent"]


def test_an_outage_is_waited_for_with_growing_pauses(spool: Spool, archive: Archive) -> None:
    record(spool, 1)
    status, address = archive.status, archive.address
    archive.close()
    one, clock = sender(spool, address, pause=4.0, longest_pause=10.0)
    assert one.step()
    for pause in (4, 8, 10, 10):
        clock.now += pause - 0.1
        assert not one.step(), "it did not wait"
        clock.now += 0.2
        assert one.step(), "it waited too long"
    assert status == 0 and spool.counts()["outgoing"] == 1  # never a dead letter so far


def test_after_the_outage_everything_arrives(spool: Spool, archive: Archive) -> None:
    record(spool, 1, 2)
    one, clock = sender(spool, "ARCHIVE@127.0.0.1:9", pause=1.0)
    assert one.step()
    clock.now += 2
    one._destination = type(one._destination).parse(archive.address)  # it is up again
    assert one.step() and one.step()
    assert archive.got == dict.fromkeys(answers(1, 2), 1)


def test_an_outage_without_end_makes_no_dead_letter_and_then_everything_arrives(
    spool: Spool, archive: Archive
) -> None:
    record(spool, 1)
    one, clock = sender(spool, "ARCHIVE@127.0.0.1:9", give_up_hours=1.0)
    for _ in range(4):
        clock.now += 86_400
        assert one.step()
    assert spool.counts()["outgoing"] == 1 and not one.reaches_destination
    one._destination = type(one._destination).parse(archive.address)
    clock.now += 86_400
    assert one.step() and archive.got == dict.fromkeys(answers(1), 1)
    assert one.reaches_destination


def test_a_refusal_is_a_dead_letter_at_once(spool: Spool, archive: Archive) -> None:
    record(spool, 1)
    archive.status = 0xC000
    one, _ = sender(spool, archive.address)
    assert one.step() and not one.step()
    (folder,) = (spool.folder / "failed").iterdir()
    assert json.loads((folder / "reason.json").read_text())["reason"] == "status 0xC000"
    assert len(list(folder.glob("[0-9]*.dcm"))) == 2


@pytest.mark.parametrize("status", [0xA700, 0xA7FF, 0x0110, 0x0213])
def test_a_destination_without_resources_is_asked_again_for_days(
    spool: Spool, archive: Archive, status: int
) -> None:
    record(spool, 1)
    archive.status = status
    one, clock = sender(spool, archive.address, pause=100.0, longest_pause=40_000.0,
                        give_up_hours=72.0)  # fmt: skip
    tries, start = 0, clock.now
    while spool.counts()["outgoing"]:
        tries += one.step()
        clock.now += 50
    assert 72 * 3600 <= clock.now - start < 90 * 3600
    assert 12 <= tries <= 20  # pauses grow: with the first one alone it would be 2592
    (folder,) = (spool.folder / "failed").iterdir()
    assert f"0x{status:04X}" in json.loads((folder / "reason.json").read_text())["reason"]


@pytest.mark.parametrize("shift", [-10 * 365 * 86_400, 10 * 365 * 86_400])
def test_a_clock_that_is_set_changes_nothing(
    spool: Spool, archive: Archive, monkeypatch: pytest.MonkeyPatch, shift: int
) -> None:
    record(spool, 1)
    archive.status = 0xA700
    one, clock = sender(spool, archive.address, pause=10.0, give_up_hours=1.0)
    assert one.step()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + shift)
    clock.now += 11
    assert one.step() and spool.counts()["outgoing"] == 1
    archive.status = 0
    clock.now += 21
    assert one.step() and archive.got == dict.fromkeys(answers(1), 1)


def test_answers_that_could_not_be_moved_are_sent_when_the_disk_is_back(
    spool: Spool, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(spool, 1, 2)
    one, clock = sender(spool, archive.address)

    def broken(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    for part in ("sent", "finish"):
        with monkeypatch.context() as patch:
            patch.setattr(spool, part, broken)
            for _ in range(2):
                with pytest.raises(OSError):
                    one.step()
        clock.now += 10
    while one.step():
        pass
    assert archive.got.keys() == answers(1, 2) and spool.counts()["done"] == 2


def test_a_refused_film_does_not_hold_up_the_next(spool: Spool, archive: Archive) -> None:
    record(spool, 1)
    archive.status = 0xA700
    one, clock = sender(spool, archive.address)
    one.step()
    archive.status = 0x0000
    record(spool, 2)
    assert one.step() and archive.got.keys() == answers(2)
    clock.now += 10
    assert one.step() and archive.got.keys() == answers(1, 2)


def test_what_the_destination_has_already_counts_as_sent(spool: Spool, archive: Archive) -> None:
    record(spool, 1)
    archive.status = 0x0111
    one, _ = sender(spool, archive.address)
    assert one.step() and spool.counts()["done"] == 1


@pytest.mark.parametrize("first", [True, False])
def test_of_a_destination_that_takes_one_kind_only_a_film_without_its_report_is_a_dead_letter(
    spool: Spool, first: bool
) -> None:
    record(spool, 1)
    taken = EnhancedSRStorage if first else SecondaryCaptureImageStorage
    narrow = Archive(kinds=[taken])
    try:
        one, _ = sender(spool, narrow.address)
        assert one.step() and not one.step()
    finally:
        narrow.close()
    assert narrow.got == {f"{instance(1)}.{0 if first else 1}": 1}
    events = [line["event"] for line in read_log(spool.folder / "run.jsonl")]
    if first:
        assert spool.counts()["done"] == 1 and spool.counts()["failed"] == 0
        assert events == ["refused", "sent"]
    else:
        (folder,) = (spool.folder / "failed").iterdir()
        (left,) = folder.glob("[0-9]*.dcm")
        assert dcmread(io.BytesIO(left.read_bytes())).SOPInstanceUID == f"{instance(1)}.0"
        assert "kind" in json.loads((folder / "reason.json").read_text())["reason"]
        assert events == ["failed"]


def test_a_damaged_answer_is_a_dead_letter_without_its_words(spool: Spool, archive: Archive):
    record(spool, 1)
    for file in (spool.folder / "outgoing").rglob("*.dcm"):
        file.write_bytes(b"PATIENT^NAME" * 20)
    one, _ = sender(spool, archive.address)
    assert one.step()
    (note,) = (spool.folder / "failed").rglob("reason.json")
    assert "PATIENT" not in note.read_text()


def test_a_film_without_objects_is_done(spool: Spool, archive: Archive) -> None:
    spool.receive(instance(1), [film(1)])
    one, _ = sender(spool, archive.address)
    spool.answer(spool.take()[0], [])
    assert one.step() and spool.counts()["done"] == 1 and not archive.got


def test_a_name_that_cannot_be_looked_up_is_an_outage_and_no_refusal(
    spool: Spool, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(spool, 1)
    one, clock = sender(spool, archive.address)

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", unknown)
        for _ in range(4):
            assert one.step()
            clock.now += 1000
    assert spool.counts()["failed"] == 0
    assert one.step() and archive.got == dict.fromkeys(answers(1), 1)


HANGS = {
    "with half an acceptance": (evt.EVT_REQUESTED, b"\x02\0\0"),
    "with half a response": (evt.EVT_C_STORE, b"\x04\0\0"),
    "reading no more": (evt.EVT_PDU_RECV, b""),
}


@pytest.mark.parametrize("how", HANGS)
def test_a_destination_that_hangs_does_not_hold_the_sender(spool: Spool, how: str) -> None:
    record(spool, 1, size=20_000_000)  # more than the sockets' buffers take
    event, part = HANGS[how]
    over = threading.Event()

    def hang(event: evt.Event) -> int:
        if not hasattr(event, "pdu") or isinstance(event.pdu, P_DATA_TF):
            event.assoc.dul.socket.socket.sendall(part)
            over.wait(120)
        return 0xC000

    hanging = Archive(handlers=[(event, hang)])
    one, _ = sender(spool, hanging.address, timeout=2.0)
    sending = threading.Thread(target=one.step, daemon=True)
    sending.start()
    try:
        sending.join(60)
        assert not sending.is_alive()
    finally:
        over.set()
        hanging.close()
    assert spool.counts()["outgoing"] == 1


def test_a_destination_may_read_the_oldest_syntax_alone(spool: Spool) -> None:
    record(spool, 1)
    old = Archive(syntaxes=[ImplicitVRLittleEndian])
    try:
        one, _ = sender(spool, old.address)
        assert one.step()
    finally:
        old.close()
    assert old.got == dict.fromkeys(answers(1), 1)
