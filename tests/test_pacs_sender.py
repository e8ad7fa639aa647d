"""The sender: what is recorded arrives, once a UID; refusals and outages end in dead letters."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pacs_stand_ins import Archive, answers, film, instance, make_objects, predict
from pydicom import dcmread
from pynetdicom.sop_class import EnhancedSRStorage

from pacs.runlog import RunLog, read_log
from pacs.sender import Sender
from pacs.settings import Settings
from pacs.spool import Spool
from pacs.worker import Worker


class Clock:
    """A clock that is set by hand, so that pauses take no time."""

    def __init__(self, now: float):
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool")
    yield spool
    spool.close()


@pytest.fixture
def archive() -> Iterator[Archive]:
    archive = Archive()
    yield archive
    archive.close()


def record(spool: Spool, *numbers: int) -> None:
    for number in numbers:
        spool.receive(instance(number), [film(number)])
    worker = Worker(spool, predict, make_objects, RunLog(spool.folder / "worker.jsonl"))
    while worker.step():
        pass


def sender(spool: Spool, place: str, **settings) -> tuple[Sender, Clock]:
    clock = Clock(max(f.stat().st_mtime for f in spool.folder.rglob("*.dcm")))
    chosen = Settings(place, spool.folder, timeout=10, **settings)
    return Sender(chosen, spool, RunLog(chosen.run_log), clock=clock), clock


def test_answers_arrive_and_the_film_is_done(spool: Spool, archive: Archive) -> None:
    record(spool, 1, 2)
    one, _ = sender(spool, archive.place)
    assert one.step() and one.step() and not one.step()
    assert archive.got == dict.fromkeys(answers(1, 2), 1)
    assert spool.counts() == {"incoming": 0, "working": 0, "outgoing": 0, "done": 2, "failed": 0}
    assert [line["event"] for line in read_log(spool.folder / "run.jsonl")] == ["sent", "sent"]


def test_an_outage_is_waited_for_with_growing_pauses(spool: Spool, archive: Archive) -> None:
    record(spool, 1)
    status, place = archive.status, archive.place
    archive.close()
    one, clock = sender(spool, place, pause=4.0, longest_pause=10.0)
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
    one._destination = type(one._destination).parse(archive.place)  # it is up again
    assert one.step() and one.step()
    assert archive.got == dict.fromkeys(answers(1, 2), 1)


def test_an_outage_without_end_makes_dead_letters_that_can_be_sent_later(
    spool: Spool, archive: Archive
) -> None:
    record(spool, 1)
    one, clock = sender(spool, "ARCHIVE@127.0.0.1:9", give_up_hours=1.0)
    clock.now += 3601
    assert one.step()
    (folder,) = (spool.folder / "failed").iterdir()
    assert "reached" in json.loads((folder / "reason.json").read_text())["reason"]
    assert spool.retry_failed() == 1
    later, _ = sender(spool, archive.place)
    assert later.step()
    assert archive.got == dict.fromkeys(answers(1), 1)


def test_a_refusal_is_tried_again_a_stated_number_of_times(spool: Spool, archive: Archive) -> None:
    record(spool, 1)
    archive.status = 0xC000
    one, clock = sender(spool, archive.place, tries=3)
    tried = 0
    while spool.counts()["outgoing"]:
        tried += one.step()
        clock.now += 1000
    assert tried == 3
    (folder,) = (spool.folder / "failed").iterdir()
    assert json.loads((folder / "reason.json").read_text())["reason"] == "status 0xC000"
    assert len(list(folder.glob("[0-9]*.dcm"))) == 2


def test_a_refused_film_does_not_hold_up_the_next(spool: Spool, archive: Archive) -> None:
    record(spool, 1)
    archive.status = 0xA700
    one, clock = sender(spool, archive.place)
    one.step()
    archive.status = 0x0000
    record(spool, 2)
    assert one.step() and archive.got.keys() == answers(2)
    clock.now += 10
    assert one.step() and archive.got.keys() == answers(1, 2)


def test_what_the_destination_has_already_counts_as_sent(spool: Spool, archive: Archive) -> None:
    record(spool, 1)
    archive.status = 0x0111
    one, _ = sender(spool, archive.place)
    assert one.step() and spool.counts()["done"] == 1


def test_of_a_destination_that_takes_one_kind_the_rest_is_a_dead_letter(spool: Spool) -> None:
    record(spool, 1)
    narrow = Archive(kinds=[EnhancedSRStorage])
    try:
        one, clock = sender(spool, narrow.place, tries=2)
        one.step()
        clock.now += 1000
        one.step()
    finally:
        narrow.close()
    assert narrow.got == {f"{instance(1)}.0": 1}  # and not again with the second try
    (folder,) = (spool.folder / "failed").iterdir()
    (left,) = folder.glob("[0-9]*.dcm")
    assert dcmread(io.BytesIO(left.read_bytes())).SOPInstanceUID == f"{instance(1)}.1"
    assert "kind" in json.loads((folder / "reason.json").read_text())["reason"]


def test_a_damaged_answer_is_a_dead_letter_without_its_words(spool: Spool, archive: Archive):
    record(spool, 1)
    for file in (spool.folder / "outgoing").rglob("*.dcm"):
        file.write_bytes(b"PATIENT^NAME" * 20)
    one, _ = sender(spool, archive.place, tries=1)
    assert one.step()
    (note,) = (spool.folder / "failed").rglob("reason.json")
    assert "PATIENT" not in note.read_text()


def test_a_film_without_objects_is_done(spool: Spool, archive: Archive) -> None:
    spool.receive(instance(1), [film(1)])
    one, _ = sender(spool, archive.place)
    spool.answer(spool.take()[0], [])
    assert one.step() and spool.counts()["done"] == 1 and not archive.got
