"""The page's DICOM objects: offered where they can be made, whole, and gone with the upload."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path

import gradio as gr
import pytest
from pydicom import Dataset, dcmread

import demo.objects
from demo.objects import ObjectsBox, offered
from demo.reader import Reader
from demo.reading import Reading
from detector import FractureDetector
from tests.demo.test_pieces import SOURCE
from tests.support import odd_films as odd
from tests.support.page_server import page_address
from tests.support.tiny import tiny_model

pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
STUDY = {"StudyInstanceUID": "1.2.826.0.1.3680043.8.498.90",
         "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.91"}  # fmt: skip


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.dcm"
    path.write_bytes(odd.dicom(odd.grey(160, 120), **STUDY))
    return path


@pytest.fixture
def box() -> ObjectsBox:
    with gr.Blocks():
        return ObjectsBox(gr.Textbox("en"), Reader(FractureDetector(tiny_model(), "torch")))


def reading(path: Path) -> Reading:
    prediction = FractureDetector(tiny_model(), "torch").predict(path)
    return Reading(prediction, SOURCE, file=str(path))


def unzipped(data: bytes) -> dict[str, Dataset]:
    """kind -> object"""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name.partition("-")[0]: dcmread(io.BytesIO(archive.read(name)))
                for name in archive.namelist()}  # fmt: skip


def test_the_zip_holds_the_films_objects(box: ObjectsBox, film: Path) -> None:
    shown = reading(film)
    drawn = {"presentation"} if shown.prediction.regions else set()
    message, error = box.pack(shown, "en")
    file = json.loads(message)
    assert file["name"] == "fracture-objects.zip" and error["visible"] is False
    objects = unzipped(base64.b64decode(file["data"]))
    assert set(objects) == {"report", "capture", "heatmap", *drawn}
    for dataset in objects.values():
        assert dataset.StudyInstanceUID == STUDY["StudyInstanceUID"]
        assert dataset.PatientName == odd.PATIENT


def test_nothing_is_left_when_the_upload_is_gone(box: ObjectsBox, film: Path) -> None:
    shown = reading(film)
    assert odd.PATIENT not in repr(shown) and odd.BIRTHDAY not in repr(shown)
    film.unlink()
    for gone in (shown, None):
        _, error = box.pack(gone, "en")
        assert error["visible"] and "no longer here" in error["value"]


def test_a_film_without_a_study_is_refused_in_a_sentence(box: ObjectsBox, film: Path) -> None:
    film.write_bytes(odd.dicom(odd.grey(160, 120)))
    _, error = box.pack(reading(film), "en")
    assert error["visible"] and "StudyInstanceUID" in error["value"]


def test_they_are_offered_for_uploaded_dicom_films_with_the_extra_only(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = reading(film)
    assert offered(shown)
    assert not offered(Reading(shown.prediction, SOURCE))  # an example, or a view of a study
    picture = tmp_path / "film.png"
    picture.write_bytes(odd.saved(odd.grey(160, 120), "PNG"))
    assert not offered(reading(picture))
    monkeypatch.setattr(demo.objects, "INSTALLED", False)
    assert not offered(shown)


def test_a_visitor_saves_them(chromium, detector: FractureDetector, film: Path) -> None:
    tab = chromium.new_context().new_page()
    tab.set_default_timeout(120_000)
    tab.goto(page_address())
    tab.locator("#drop input[type=file]").set_input_files(film)
    tab.wait_for_selector("#headline .fd-verdict")
    tab.get_by_role("button", name="DICOM objects (ZIP)").click()
    with tab.expect_download() as saved:
        tab.get_by_role("button", name="Save the DICOM objects").click()
    objects = unzipped(Path(saved.value.path()).read_bytes())
    prediction = detector.predict(film)
    in_scope = prediction.scope.in_scope
    drawn = {"presentation"} if prediction.regions else set()
    assert set(objects) == ({"report", "capture", "heatmap", *drawn} if in_scope else {"report"})
    assert objects["report"].StudyInstanceUID == STUDY["StudyInstanceUID"]
    tab.locator("#drop input[type=file]").set_input_files({
        "name": "film.png", "mimeType": "image/png", "buffer": odd.saved(odd.grey(160, 120), "PNG"),
    })  # fmt: skip
    tab.get_by_role("button", name="DICOM objects (ZIP)").wait_for(state="hidden")
