"""The spool: each state of a film survives a crash, and no film is kept or answered twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.pacs.node.spool import MAX_CRASHES, Spool, SpoolFull, SpoolInUse


def after_crash(spool: Spool) -> Spool:
    """The same folder, as the next process finds it; the same object, for the fixture's sake."""
    spool.close()
    spool.__init__(spool.folder)
    return spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool")
    yield spool
    spool.close()


def states(spool: Spool) -> dict[str, int]:
    return {name: count for name, count in spool.counts().items() if count}


def test_a_film_goes_from_state_to_state(spool: Spool) -> None:
    assert spool.receive("1.2", [b"fi", memoryview(b"lm")])
    assert states(spool) == {"incoming": 1}
    key, file = spool.take()
    assert file.read_bytes() == b"film" and states(spool) == {"working": 1}
    spool.answer(key, [b"one", b"two"])
    assert states(spool) == {"outgoing": 1}
    answer = spool.next_answer()
    assert [f.read_bytes() for f in answer.files] == [b"one", b"two"] and answer.key == key
    for one in answer.files:
        spool.sent(one)
    spool.finish(key)
    assert states(spool) == {"done": 1}
    assert list((spool.folder / "done").iterdir())[0].stat().st_size == 0


def test_nothing_is_left_to_do_in_an_empty_spool(spool: Spool) -> None:
    assert spool.take() is None and spool.take(wait=0.01) is None
    assert spool.next_answer() is None and spool.next_answer(wait=0.01) is None


@pytest.mark.parametrize("state", ["incoming", "working", "outgoing", "done"])
def test_the_same_film_is_taken_once_in_every_state(spool: Spool, state: str) -> None:
    spool.receive("1.2", [b"film"])
    if state != "incoming":
        key, _ = spool.take()
    if state in ("outgoing", "done"):
        spool.answer(key, [b"one"])
    if state == "done":
        spool.finish(key)
    assert not spool.receive("1.2", [b"film"])
    spool = after_crash(spool)
    assert not spool.receive("1.2", [b"film"])
    assert sum(spool.counts().values()) == 1


def test_of_many_at_once_with_the_same_film_one_is_kept(spool: Spool) -> None:
    kept: list[bool] = []
    threads = [
        threading.Thread(target=lambda: kept.append(bool(spool.receive("1.2", [b"film" * 1000]))))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kept) == [False] * 11 + [True]
    assert spool.take() and spool.take() is None


def test_names_tell_nothing_of_the_film_and_hold_in_this_spool_alone(tmp_path: Path) -> None:
    first, second = Spool(tmp_path / "a"), Spool(tmp_path / "b")
    assert first.key("1.2.3") != second.key("1.2.3")
    assert first.key("1.2.3") == after_crash(first).key("1.2.3")
    assert "1.2.3" not in first.key("1.2.3")


def test_only_the_owner_may_look(spool: Spool) -> None:
    spool.receive("1.2", [b"film"])
    _, file = spool.take()
    assert file.stat().st_mode & 0o077 == 0
    assert (spool.folder / "key").stat().st_mode & 0o077 == 0
    assert spool.folder.stat().st_mode & 0o077 == 0


def test_a_film_in_work_at_a_crash_is_taken_up_again_behind_the_others(spool: Spool) -> None:
    spool.receive("1", [b"first"])
    spool.take()
    spool.receive("2", [b"second"])
    os.utime(spool.folder / "incoming" / f"{spool.key('2')}.dcm", (1, 1))
    spool = after_crash(spool)
    assert [spool.take()[1].read_bytes() for _ in range(2)] == [b"second", b"first"]


def test_a_crash_between_the_record_and_the_end_of_work_answers_once(spool: Spool) -> None:
    spool.receive("1", [b"film"])
    key, file = spool.take()
    spool.answer(key, [b"one"])
    file.write_bytes(b"film")  # as if it had not been deleted yet
    spool = after_crash(spool)
    assert spool.take() is None and states(spool) == {"outgoing": 1}
    assert spool.next_answer().key == key


def test_a_crash_between_the_mark_and_the_end_of_sending_sends_nothing(spool: Spool) -> None:
    spool.receive("1", [b"film"])
    key, _ = spool.take()
    spool.answer(key, [b"one"])
    (spool.folder / "done" / key).touch()
    spool = after_crash(spool)
    assert spool.next_answer() is None and states(spool) == {"done": 1}


def test_what_was_sent_before_a_crash_is_not_sent_again(spool: Spool) -> None:
    spool.receive("1", [b"film"])
    key, _ = spool.take()
    spool.answer(key, [b"one", b"two"])
    spool.sent(spool.next_answer().files[0])
    answer = after_crash(spool).next_answer()
    assert [f.read_bytes() for f in answer.files] == [b"two"]


def test_half_written_files_are_gone_after_a_crash(spool: Spool) -> None:
    (spool.folder / "new" / "abc").write_bytes(b"half")
    (spool.folder / "new" / "def").mkdir()
    (spool.folder / "new" / "def" / "00.dcm").write_bytes(b"half")
    spool = after_crash(spool)
    assert list((spool.folder / "new").iterdir()) == [] and states(spool) == {}


def test_a_film_that_kills_the_node_ends_among_the_dead_letters(spool: Spool) -> None:
    spool.receive("1", [b"poison"])
    for _ in range(MAX_CRASHES + 1):
        assert spool.take()
        spool = after_crash(spool)
    assert spool.take() is None and states(spool) == {"failed": 1}


def test_crashes_are_forgotten_when_the_film_is_answered(spool: Spool) -> None:
    spool.receive("1", [b"film"])
    spool.take()
    spool = after_crash(spool)
    key, _ = spool.take()
    spool.answer(key, [b"one"])
    assert list((spool.folder / "working").iterdir()) == []


def test_a_dead_film_keeps_its_reason_and_is_tried_when_sent_again(spool: Spool) -> None:
    spool.receive("1", [b"film"])
    key, _ = spool.take()
    spool.fail(key, "unreadable")
    note = json.loads((spool.folder / "failed" / key / "reason.json").read_text())
    assert note["reason"] == "unreadable" and states(spool) == {"failed": 1}
    assert spool.receive("1", [b"film again"])
    assert spool.take()[1].read_bytes() == b"film again" and states(spool) == {"working": 1}


def test_dead_answers_are_no_reason_to_read_the_film_again(spool: Spool) -> None:
    spool.receive("1", [b"film"])
    key, _ = spool.take()
    spool.answer(key, [b"one", b"two"])
    spool.sent(spool.next_answer().files[0])
    spool.fail(key, "status 0xC000")
    assert states(spool) == {"failed": 1, "done": 1}
    assert not spool.receive("1", [b"film"])
    spool = after_crash(spool)
    assert spool.retry_failed() == 1 and states(spool) == {"outgoing": 1}
    spool = after_crash(spool)  # and a crash now loses it no more than before
    assert [f.read_bytes() for f in spool.next_answer().files] == [b"two"]


def test_dead_films_are_taken_up_again_on_request(spool: Spool) -> None:
    spool.receive("1", [b"film"])
    key, _ = spool.take()
    spool.fail(key, "no memory")
    assert spool.retry_failed() == 1
    assert spool.take()[0] == key and states(spool) == {"working": 1}


def test_a_film_can_go_back_into_the_queue(spool: Spool) -> None:
    spool.receive("1", [b"1"])
    spool.receive("2", [b"2"])
    spool.put_back(spool.take()[0])
    assert [spool.take()[1].read_bytes() for _ in range(2)] == [b"2", b"1"]


def test_a_full_disk_refuses_the_film_and_keeps_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, free_bytes=2**62)
    with pytest.raises(SpoolFull):
        spool.receive("1", [b"film"])
    assert states(spool) == {} and list((tmp_path / "new").iterdir()) == []


def test_a_failing_disk_leaves_the_film_in_work(spool: Spool, monkeypatch) -> None:
    spool.receive("1", [b"film"])
    key, _ = spool.take()

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("detector.pacs.node.spool.write", broken)
        with pytest.raises(OSError):
            spool.answer(key, [b"one"])
    assert states(spool) == {"working": 1} and list((spool.folder / "new").iterdir()) == []


def broken_sync(folder: Path) -> None:
    raise OSError(5, "Input/output error")


def test_a_film_whose_name_did_not_reach_the_disk_is_not_known_when_it_comes_again(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("detector.pacs.node.spool.sync", broken_sync)
        with pytest.raises(OSError):
            spool.receive("1", [b"film"])
    assert spool.receive("1", [b"film"])  # else it is acknowledged, and nobody reads it
    assert spool.take()[1].read_bytes() == b"film"


def test_answers_whose_name_did_not_reach_the_disk_are_recorded_anew(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.receive("1", [b"film"])
    key, _ = spool.take()

    def broken_for_answers(folder: Path) -> None:
        if folder.name == "outgoing":
            broken_sync(folder)

    with monkeypatch.context() as patch:
        patch.setattr("detector.pacs.node.spool.sync", broken_for_answers)
        with pytest.raises(OSError):
            spool.answer(key, [b"one"])
    spool.put_back(key)
    spool.answer(spool.take()[0], [b"one again"])
    assert [f.read_bytes() for f in spool.next_answer().files] == [b"one again"]
    assert states(spool) == {"outgoing": 1}


def test_a_film_that_failed_once_and_was_answered_then_is_not_taken_up_again(spool: Spool) -> None:
    spool.receive("1", [b"film"])
    key, _ = spool.take()
    spool.fail(key, "no memory")
    left = spool.folder / "failed" / key
    letter = {file.name: file.read_bytes() for file in left.iterdir()}
    spool.receive("1", [b"film"])
    left.mkdir()  # as if the node had died before it deleted the letter
    for name, data in letter.items():
        (left / name).write_bytes(data)
    spool = after_crash(spool)
    spool.answer(spool.take()[0], [b"one"])
    spool.sent(spool.next_answer().files[0])
    spool.finish(key)
    spool.retry_failed()
    assert spool.take() is None and states(spool) == {"done": 1}


def test_what_vanishes_while_old_things_are_forgotten_is_no_error(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = spool.folder / "failed" / "gone"  # its device has just sent the film again
    monkeypatch.setattr(spool, "_entries", lambda state: iter([gone]))
    assert spool.forget(older_than=2**40) == 0


def test_old_marks_are_forgotten_and_dead_letters_never(spool: Spool) -> None:
    for name in ("1", "2"):
        spool.receive(name, [b"film"])
    done, _ = spool.take()
    spool.answer(done, [])
    spool.finish(done)
    spool.fail(spool.take()[0], "unreadable")
    assert spool.forget(older_than=0) == 0 and states(spool) == {"done": 1, "failed": 1}
    assert spool.forget(older_than=2**40) == 1 and states(spool) == {"failed": 1}
    assert spool.receive("1", [b"film"])


def test_another_film_with_the_same_uid_is_kept_beside_the_first(spool: Spool) -> None:
    first = spool.receive("1.2", [b"film"], b"one content")
    second = spool.receive("1.2", [b"other film"], b"another")
    assert first == spool.key("1.2") and second not in (None, first)
    for content in (b"one content", b"another"):  # each is known from now on
        assert spool.receive("1.2", [b"again"], content) is None
    spool = after_crash(spool)
    assert spool.receive("1.2", [b"other film"], b"another") is None
    taken = {spool.take()[1].read_bytes(), spool.take()[1].read_bytes()}
    assert taken == {b"film", b"other film"}
    spool.fail(first, "unreadable")
    assert spool.receive("1.2", [b"third"], b"a third") not in (None, first, second)
    assert (spool.folder / "failed" / first / "film.dcm").read_bytes() == b"film"


def broken_move(*_: object, **__: object) -> None:
    raise OSError(30, "Read-only file system")


def test_a_film_that_could_not_be_moved_is_taken_when_the_disk_is_back(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.receive("1", [b"film"])
    with monkeypatch.context() as patch:
        patch.setattr("detector.pacs.node.spool.os.replace", broken_move)
        with pytest.raises(OSError):
            spool.take()
    key, _ = spool.take()
    with monkeypatch.context() as patch:
        patch.setattr("detector.pacs.node.spool.os.replace", broken_move)
        spool.put_back(key)
        with pytest.raises(OSError):
            spool.take()
    assert spool.take()[0] == key
    with monkeypatch.context() as patch:
        patch.setattr("detector.pacs.node.spool.os.replace", broken_move)
        with pytest.raises(OSError):
            spool.fail(key, "unreadable")
    spool.put_back(key)
    assert spool.take()[0] == key


def test_a_film_whose_answers_are_recorded_is_not_read_again_when_it_could_not_be_deleted(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.receive("1", [b"film"])
    key, _ = spool.take()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", broken_move)
        spool.answer(key, [b"one"])
    assert states(spool) == {"working": 1, "outgoing": 1}
    assert spool.take() is None and states(spool) == {"outgoing": 1}
    assert spool.next_answer().key == key


def test_what_is_put_into_the_folders_by_hand_is_found_and_what_is_taken_out_is_forgotten(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detector.pacs.node.folder_queue.RESCAN_SECONDS", 0.0)
    (spool.folder / "incoming" / "abc.dcm").write_bytes(b"film")
    assert spool.take()[0] == "abc" and spool.take() is None
    spool.receive("1", [b"film"])
    (spool.folder / "incoming" / f"{spool.key('1')}.dcm").unlink()
    assert spool.take() is None
    (spool.folder / "outgoing" / "def").mkdir()
    (spool.folder / "outgoing" / "def" / "00.dcm").write_bytes(b"one")
    assert spool.next_answer().key == "def" and spool.next_answer() is None


def test_a_second_process_is_kept_out(spool: Spool) -> None:
    with pytest.raises(SpoolInUse):
        Spool(spool.folder)
    code = f"from detector.pacs.node.spool import Spool; Spool({str(spool.folder)!r})"
    root = Path(__file__).resolve().parents[3]
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert "SpoolInUse" in other.stderr
