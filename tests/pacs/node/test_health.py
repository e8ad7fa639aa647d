"""Health and metrics: what an administrator sees from outside, and that it names no film."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.pacs.node.health import Health, measure, to_prometheus
from detector.pacs.node.node import Node
from detector.pacs.node.run_log import read_log
from detector.pacs.node.settings import Settings
from detector.pacs.node.spool import Spool
from tests.support import odd_films as odd
from tests.support.pacs_stand_ins import (
    Archive,
    answers,
    film,
    instance,
    make_objects,
    predict,
    store,
)

pytest_plugins = "tests.support.pacs_fixtures"

WELL = {"works": True, "reaches_destination": True, "conflicts": 0}


@pytest.fixture
def running(tmp_path: Path, archive: Archive) -> Iterator:
    nodes: list[Node] = []

    def start(**given) -> Node:
        settings = Settings(archive.address, tmp_path / "spool", port=0, health_port=0,
                            **({"free_megabytes": 0} | given))  # fmt: skip
        nodes.append(Node(settings, predict, make_objects))
        nodes[-1].start()
        return nodes[-1]

    yield start
    for node in nodes:
        node.stop()


def get(node: Node, path: str) -> tuple[int, str]:
    try:
        address = f"http://127.0.0.1:{node._health.port}{path}"
        with urllib.request.urlopen(address, timeout=30) as got:
            return got.status, got.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_health_and_metrics_are_told_over_http_without_a_name(
    running, archive: Archive, tmp_path: Path
) -> None:
    node = running(peers=("DEVICE",))
    assert store(node.port, film(1)) == [0]
    archive.wait_for(answers(1))
    code, text = get(node, "/health")
    told = json.loads(text)
    assert code == 200 and told["takes_films"] and told["works"] and told["entries"]["failed"] == 0
    code, metrics = get(node, "/metrics")
    assert code == 200 and 'fracture_films{state="failed"} 0\n' in metrics
    assert "fracture_works 1\n" in metrics
    assert get(node, "/elsewhere")[0] == 404
    (received, *_) = read_log(tmp_path / "spool" / "run.jsonl")
    assert received["title"] == "DEVICE" and received["address"] == "127.0.0.1"
    for secret in (odd.PATIENT, instance(1)):
        assert secret not in text + metrics + (tmp_path / "spool" / "run.jsonl").read_text()


def test_a_disk_below_the_watermark_refuses_films_and_says_so(running, tmp_path: Path) -> None:
    node = running(free_megabytes=10**9)
    assert store(node.port, film(1)) == [0xA700]
    code, text = get(node, "/health")
    assert code == 503 and "too full" in " ".join(json.loads(text)["problems"])
    (line,) = read_log(tmp_path / "spool" / "run.jsonl")
    assert line["event"] == "rejected" and "title" not in line  # no peer's title is in the settings


def test_what_waits_and_what_is_dead_is_counted_and_said(spool: Spool) -> None:
    for number in (1, 2, 3):
        spool.receive(instance(number), [film(number)])
    key, _ = spool.take()
    spool.fail(key, "unreadable")
    for file in (spool.folder / "incoming").iterdir():
        os.utime(file, (1, 1))
    health = measure(spool, works=True, reaches_destination=False, conflicts=2)
    assert health.entries == {"incoming": 2, "working": 0, "outgoing": 0, "done": 0, "failed": 1}
    assert health.oldest_seconds["incoming"] > 10**8
    told = " ".join(health.problems())
    for part in ("1 dead letters", "cannot be reached", "incoming for more than an hour",
                 "2 films came with"):  # fmt: skip
        assert part in told
    assert 'fracture_films{state="incoming"} 2\n' in to_prometheus(health).decode()


def test_a_clock_that_was_set_back_makes_no_negative_age(spool: Spool) -> None:
    spool.receive(instance(1), [film(1)])
    for file in (spool.folder / "incoming").iterdir():
        os.utime(file, (2**33, 2**33))
    health = measure(spool, **WELL)
    assert health.oldest_seconds["incoming"] == 0 and health.problems() == []


@pytest.mark.parametrize(("free", "part"), [(50, "refused"), (150, "soon"), (250, "")])
def test_the_disk_is_warned_of_before_films_are_refused(free: int, part: str) -> None:
    health = Health(dict.fromkeys(("incoming", "failed"), 0), {}, free, 100, True, True, 0)
    assert health.takes_films == (free >= 100)
    assert part in " ".join(health.problems()) and bool(part) == bool(health.problems())


def test_a_node_whose_threads_are_gone_says_so(spool: Spool) -> None:
    health = measure(spool, **(WELL | {"works": False}))
    assert "Restart it" in health.problems()[0]
