"""``fracture-detector listen`` as a user starts it: films in, all of their objects out."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ComputedRadiographyImageStorage
from pynetdicom import AllStoragePresentationContexts

from detector.pacs.node.run_log import read_log
from detector.phantom import random_phantom
from tests.support import odd_films as odd
from tests.support.pacs_stand_ins import Archive, instance, store

ROOT = Path(__file__).resolve().parents[3]


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
    """``fracture-detector listen`` as a user starts it, towards a given destination."""
    started: list[subprocess.Popen] = []

    def start(address: str) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = tmp_path / "node.toml"
        config.write_text(
            f'destination = "{address}"\nport = {port}\nspool = "{tmp_path / "spool"}"\n'
            f'model = "{tiny_weights}"\nfree_megabytes = 0\npeers = ["DEVICE"]\n'
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "detector.cli", "listen", "--config", str(config)],
            cwd=ROOT, stderr=subprocess.PIPE, text=True,
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
        assert store(listening(archive.address), phantom_film(1)) == [0]
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
