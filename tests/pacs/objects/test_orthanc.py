"""Beside the film in an archive: an Orthanc of our own takes film and objects, and shows them."""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread, uid

from detector import FractureDetector
from detector.explain.regions import Region
from detector.model.calibration import Decision
from tests.support import odd_films as odd
from tests.support.tiny import tiny_model

pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
pynetdicom = pytest.importorskip("pynetdicom", reason="the extra 'dicom' is not installed")

from detector.pacs.objects.make import make_objects, read_source  # noqa: E402

STUDY = "1.2.826.0.1.3680043.8.498.70"


@dataclass(frozen=True)
class Archive:
    """A running Orthanc."""

    dicom_port: int
    http_port: int

    def get(self, path: str, body: dict | None = None) -> Any:
        """The JSON answer of its REST API."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.http_port}{path}", data, timeout=10
        ) as answer:
            return json.load(answer)

    def store(self, datasets: list[Dataset]) -> list[int]:
        """C-STORE over one association; the statuses."""
        entity = pynetdicom.AE("TEST")
        for dataset in datasets:
            entity.add_requested_context(
                dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID
            )
        association = entity.associate("127.0.0.1", self.dicom_port, ae_title="ORTHANC")
        assert association.is_established
        try:
            return [association.send_c_store(dataset).Status for dataset in datasets]
        finally:
            association.release()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Archive]:
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if program is None:
        pytest.skip("no Orthanc on the PATH (Debian: apt-get install orthanc)")
    archive = Archive(free_port(), free_port())
    (tmp_path / "orthanc.json").write_text(json.dumps({
        "Name": "TEST", "StorageDirectory": str(tmp_path / "films"),
        "IndexDirectory": str(tmp_path / "index"), "Plugins": [],
        "DicomAet": "ORTHANC", "DicomPort": archive.dicom_port, "HttpPort": archive.http_port,
        "HttpBindAddresses": ["127.0.0.1"], "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "DicomAlwaysAllowStore": True,
        "OverwriteInstances": False,
    }))  # fmt: skip
    with (tmp_path / "orthanc.log").open("wb") as log:
        server = subprocess.Popen(
            [program, str(tmp_path / "orthanc.json")], stdout=log, stderr=log
        )
    try:
        for _ in range(240):
            try:
                archive.get("/system")
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "orthanc.log").read_text()
                time.sleep(0.25)
        yield archive
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def test_the_report_stands_beside_the_film(orthanc: Archive) -> None:
    data = odd.dicom(
        odd.grey(160, 120, 4095), BitsStored=12, StudyInstanceUID=STUDY,
        SeriesInstanceUID=STUDY + ".1", SOPClassUID=uid.ComputedRadiographyImageStorage,
        Modality="CR", StudyDate="20261121", StudyTime="101112", StudyID="1", AccessionNumber="A1",
    )  # fmt: skip
    prediction = replace(
        FractureDetector(tiny_model(), "torch").predict(data),
        decision=Decision.FRACTURE_LIKELY, probability=0.87654,
        regions=(Region(10, 20, 30, 40, 0.8125),),
    )  # fmt: skip
    film = dcmread(io.BytesIO(data))
    objects = make_objects(read_source(data), prediction)
    assert orthanc.store([film, *objects]) == [0x0000] * 5

    (study,) = orthanc.get("/tools/find", {
        "Level": "Study", "Query": {"StudyInstanceUID": STUDY}, "Expand": True,
    })  # fmt: skip
    assert study["PatientMainDicomTags"]["PatientID"] == odd.PATIENT
    series = [orthanc.get(f"/series/{name}") for name in study["Series"]]
    numbers = {s["MainDicomTags"]["Modality"]: s["MainDicomTags"].get("SeriesNumber")
               for s in series}  # fmt: skip
    assert numbers == {"CR": None, "SR": "9901", "OT": "9902", "SEG": "9903", "PR": "9904"}

    (report,) = [s for s in series if s["MainDicomTags"]["Modality"] == "SR"]
    (instance,) = report["Instances"]
    tags = orthanc.get(f"/instances/{instance}/simplified-tags")
    assert tags["SOPInstanceUID"] == objects[0].SOPInstanceUID
    text = json.dumps(tags)
    for part in ("87.65", "Fracture likely", "Not a diagnosis", film.SOPInstanceUID, "POLYLINE"):
        assert part in text

    # The same once more: nothing is stored twice.
    assert orthanc.store(make_objects(read_source(data), prediction)) == [0x0000] * 4
    assert orthanc.get("/statistics")["CountInstances"] == 5
