"""`detector.bulk.cluster`, `command`: the same results from two machines, one of them lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import psutil
import pytest

import detector
from detector.bulk import OnRay, connected, score_archive
from detector.bulk.cluster import stay_on_this_machine
from detector.cli import main as cli
from detector.cli.options import BAD_USAGE, SOME_UNREAD
from tests.support.archive_stand_ins import lines_of, one_process, phantom_file

pytest_plugins = "tests.support.archive_fixtures"


def listeners(process: psutil.Process) -> list[tuple[str, int]]:
    found = []
    for one in [process, *process.children(recursive=True)]:
        try:
            found += [c.laddr for c in one.net_connections("inet") if c.status == "LISTEN"]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return [(place.ip.removeprefix("::ffff:"), place.port) for place in found]


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[tuple]:
    """A cluster of two nodes of one core on this machine, and its second node."""
    stay_on_this_machine()
    from ray.cluster_utils import Cluster

    each = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "node_ip_address": "127.0.0.1"}
    before = set(listeners(psutil.Process()))
    cluster = Cluster(initialize_head=True, head_node_args={**each, "include_dashboard": False})
    second = cluster.add_node(**each)
    yield cluster, second, before
    cluster.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_node_lost_half_way_loses_no_film(two_nodes, reader, tiny_weights, tmp_path):
    from ray._common.usage.usage_lib import usage_stats_enabled

    cluster, second, before = two_nodes
    names = [phantom_file(tmp_path / "films" / f"{seed:02d}.png", seed) for seed in range(39)]
    names.insert(20, str(tmp_path / "films" / "missing.png"))
    out = tmp_path / "out"
    with connected(cluster.address):
        running = score_archive(names, out, OnRay(str(tiny_weights)), form="jsonl", part_films=2)
        unread = 0
        for done, part in enumerate(running, start=1):
            unread += part.unread
            if done == 10:
                here = {ip for ip, _ in set(listeners(psutil.Process())) - before}
                cluster.remove_node(second, allow_graceful=False)
    assert unread == 1
    whole = one_process(reader, names, "jsonl").splitlines()
    assert sorted(lines_of(out, "jsonl")) == sorted(whole)
    assert lines_of(out, "jsonl") == whole  # parts keep the order of the films
    assert here == {"127.0.0.1"}, "Ray listens to others than this machine"
    assert not usage_stats_enabled()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_command_with_and_without_ray(archive, tiny_weights, tmp_path, capsys):
    common = ["predict", str(archive), "--model", str(tiny_weights), "--format", "csv"]
    assert cli.main([*common, "--out", str(tmp_path / "one.csv")]) == SOME_UNREAD
    on_ray = [*common, "--engine", "ray", "--workers", "1", "--out", str(tmp_path / "out")]
    assert cli.main(on_ray) == SOME_UNREAD
    assert "10 of 10 films done, 1 could not be read" in capsys.readouterr().err
    (part,) = (tmp_path / "out").iterdir()
    assert part.read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert cli.main(on_ray) == BAD_USAGE  # the folder is there
    assert "--continue" in capsys.readouterr().err
    assert cli.main([*on_ray, "--continue"]) == SOME_UNREAD
    assert "10 of 10 films are in the folder already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "ray", "--format", "csv"], "--out FOLDER"),
        (["--engine", "ray", "--out", "out"], "--format parquet"),
        (["--engine", "ray", "--format", "csv", "--out", "film.png"], "is a file"),
        (["--engine", "ray", "--workers", "0"], "1 or more"),
        (["--engine", "ray", "--dicom-out", "objects"], "one process"),
        (["--format", "parquet", "--out", "out"], "--engine ray"),
        (["--workers", "2"], "--engine ray"),
        (["--cluster", "127.0.0.1:1"], "--engine ray"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    phantom_file(tmp_path / "film.png", 0)
    assert cli.main(["predict", "film.png", *arguments]) == BAD_USAGE
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["film.png"]


def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("detector.bulk")]:
        monkeypatch.delitem(sys.modules, name)
    # An attribute as well, which the import below replaces.
    monkeypatch.setattr(detector, "bulk", detector.bulk)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert cli.main(["predict", "film.png", "--engine", "ray"]) == BAD_USAGE
    said = capsys.readouterr().err
    assert "pyarrow" in said and "pip install 'fracture-detector[cluster]'" in said


@pytest.mark.parametrize("address", [None, "nonsense"])
def test_a_ray_that_does_not_start_is_a_sentence(
    archive, tiny_weights, tmp_path, monkeypatch, capsys, address
):
    import ray

    def refused(*_, **__):
        raise Exception("The node timed out.\nMore about it.")

    monkeypatch.setattr(ray, "init", refused)
    arguments = ["predict", str(archive), "--model", str(tiny_weights), "--engine", "ray",
                 "--format", "csv", "--out", str(tmp_path / "out")]  # fmt: skip
    assert cli.main([*arguments, *(["--cluster", address] if address else [])]) == BAD_USAGE
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.endswith(": The node timed out.\n")
    assert ("nonsense" in said) == bool(address)
