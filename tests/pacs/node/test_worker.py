"""The worker: each film ends answered or as a dead letter with its reason; logs name nobody."""

from __future__ import annotations

import io
import json
import logging
import threading
from pathlib import Path

import pytest
from pydicom import dcmread

from detector.pacs.node.run_log import RunLog, read_log
from detector.pacs.node.spool import Spool
from detector.pacs.node.worker import Worker
from tests.support import odd_films as odd
from tests.support.pacs_stand_ins import answers, film, instance, make_objects, predict

pytest_plugins = "tests.support.pacs_fixtures"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def put(spool: Spool, number: int, **elements) -> str:
    assert spool.receive(instance(number), [film(number, **elements)])
    return spool.key(instance(number))


def test_a_film_is_read_and_its_objects_recorded(spool: Spool, log: Path) -> None:
    key = put(spool, 1)
    worker = Worker(spool, predict, make_objects, RunLog(log))
    assert worker.step() and not worker.step()
    answer = spool.next_answer()
    written = [dcmread(io.BytesIO(file.read_bytes())) for file in answer.files]
    assert {one.SOPInstanceUID for one in written} == answers(1)
    assert all(one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID for one in written)
    (line,) = read_log(log)
    assert line.pop("time") and line.pop("seconds") >= 0
    assert line == {
        "event": "read", "film": key, "decision": "uncertain", "probability": 0.25, "scope": 0.5,
        "in_scope": True, "model": "stand-in", "sha256": "0" * 12,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("part", "event", "reason"),
    [("BROKEN", "unread", "unreadable"), ("BUG", "failed", "RuntimeError at pacs_stand_ins.py:")],
)
def test_a_film_that_cannot_be_read_stops_nothing(
    spool: Spool, log: Path, part: str, event: str, reason: str
) -> None:
    bad, good = put(spool, 1, BodyPartExamined=part), put(spool, 2)
    worker = Worker(spool, predict, make_objects, RunLog(log))
    assert worker.step() and worker.step()
    note = json.loads((spool.folder / "failed" / bad / "reason.json").read_text())
    assert note["reason"].startswith(reason)
    assert spool.next_answer().key == good and spool.next_answer() is None
    first, second = read_log(log)
    assert (first["event"], second["event"]) == (event, "read")
    assert first["reason"].startswith(reason)


def test_objects_that_cannot_be_made_are_a_dead_letter(spool: Spool, log: Path) -> None:
    key = put(spool, 1)
    Worker(spool, predict, lambda source, prediction: [source["NoSuch"]], RunLog(log)).step()
    assert (spool.folder / "failed" / key / "film.dcm").exists()


def test_a_full_disk_puts_the_film_back(spool: Spool, log: Path, monkeypatch) -> None:
    key = put(spool, 1)
    worker = Worker(spool, predict, make_objects, RunLog(log))
    worker.stop()  # so that it does not wait for the disk to empty

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(spool, "answer", broken)
        worker.step()
    assert spool.take()[0] == key


def test_no_log_and_no_name_tells_who_it_was(
    spool: Spool, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for number, part in enumerate(("WRIST", "BROKEN", "BUG"), 1):
        put(spool, number, BodyPartExamined=part)
    worker = Worker(spool, predict, make_objects, RunLog(log))
    while worker.step():
        pass
    names = "".join(str(path) for path in spool.folder.rglob("*"))
    notes = "".join(path.read_text() for path in spool.folder.rglob("reason.json"))
    for text in (caplog.text, log.read_text(), names, notes):
        for secret in (odd.PATIENT, odd.BIRTHDAY, instance(1), instance(3)):
            assert str(secret) not in text


def test_told_to_stop_it_finishes_the_film_in_work(spool: Spool, log: Path) -> None:
    put(spool, 1)
    put(spool, 2)
    started, go_on = threading.Event(), threading.Event()

    def waiting(file: Path):
        started.set()
        assert go_on.wait(30)
        return predict(file)

    worker = Worker(spool, waiting, make_objects, RunLog(log))
    worker.start()
    assert started.wait(30)
    worker.stop()
    go_on.set()
    worker.join(30)
    assert not worker.is_alive()
    counts = spool.counts()
    assert (counts["outgoing"], counts["working"], counts["incoming"]) == (1, 0, 1)


def test_a_log_line_cut_short_by_a_crash_is_left_out(log: Path) -> None:
    RunLog(log).write("read", "a")
    with log.open("a") as stream:
        stream.write('{"time": "2026-01-0')
    assert [line["film"] for line in read_log(log)] == ["a"]


def test_the_line_after_one_that_was_cut_short_is_whole(log: Path) -> None:
    RunLog(log).write("read", "a")
    with log.open("a") as stream:
        stream.write('{"time": "2026-01-0')  # the power went, or the disk was full
    RunLog(log).write("read", "b")
    RunLog(log).write("read", "c")
    assert [line["film"] for line in read_log(log)] == ["a", "b", "c"]


def test_a_log_may_be_rotated_and_a_full_disk_costs_no_film(log: Path, tmp_path: Path) -> None:
    run_log = RunLog(log)
    run_log.write("read", "a")
    log.rename(tmp_path / "old.jsonl")
    run_log.write("read", "b")
    assert [line["film"] for line in read_log(log)] == ["b"]
    log.unlink()
    log.mkdir()
    run_log.write("read", "c")  # cannot be written; says so in the log, and goes on
