"""A film's reading as DICOM objects: what is written comes back, whatever the film's header."""

from __future__ import annotations

import io
import logging
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import DataElement, Dataset, dcmread, uid
from pydicom.datadict import dictionary_VR

from detector import FractureDetector, Prediction
from detector.model.calibration import Decision
from tests.support import odd_films as odd

hd = pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")

from detector.pacs.objects.make import (  # noqa: E402
    SourceError,
    file_name,
    make_objects,
    read_source,
    write_objects,
    zip_objects,
)
from detector.pacs.objects.object_context import (  # noqa: E402
    CAPTURE,
    HEATMAP,
    PRESENTATION,
    REPORT,
    SERIES_NUMBER,
    STATEMENT,
)
from detector.pacs.objects.secondary_capture import strip  # noqa: E402
from tests.support.pacs_films import (  # noqa: E402
    DEEP,
    FILMS,
    REGIONS,
    WHEN,
    film,
    frame_of,
    likely,
    made,
    tiny_reader,
    unknown,
)


@pytest.fixture(scope="module")
def reader() -> FractureDetector:
    return tiny_reader()


def said(report: Dataset) -> list[str]:
    """The sentences of a report."""
    for item in report.ContentSequence:
        if item.ConceptNameCodeSequence[0].CodeValue == "C0034375":
            return [text.TextValue for text in item.ContentSequence]
    return []


def number(group, name: str = "122157") -> float | None:
    """The value of a group's measurement, in per cent."""
    for measurement in group.get_measurements():
        if measurement.name.value == name:
            assert measurement.unit.value == "%" and measurement.unit.scheme_designator == "UCUM"
            return measurement.value
    return None


def decision(group) -> str:
    """The code of a group's decision."""
    (value,) = [e.value for e in group.get_qualitative_evaluations() if e.name.value == "DECISION"]
    return value.value


@pytest.mark.parametrize("name", FILMS)
def test_what_was_read_comes_back(reader: FractureDetector, name: str, tmp_path: Path) -> None:
    data = FILMS[name]()
    prediction = likely(reader, data, frame_of(name))
    files = made(data, prediction, tmp_path)
    assert list(files) == [REPORT, CAPTURE, HEATMAP, PRESENTATION]
    source = read_source(data)

    content = hd.sr.srread(files[REPORT]).content
    (whole,) = content.get_image_measurement_groups()
    assert number(whole) == pytest.approx(100 * prediction.to_dict()["probability"], abs=1e-9)
    assert whole.finding_type.meaning == "Fracture of bone"
    assert decision(whole) == "FRACTURE_LIKELY"
    (image,) = whole.source_images
    assert image.referenced_sop_instance_uid == source.SOPInstanceUID
    groups = content.get_planar_roi_measurement_groups()
    assert [number(group) for group in groups] == [81.25, 25.0]
    for region, group in zip(REGIONS, groups, strict=True):
        right, bottom = region.x + region.width, region.y + region.height
        np.testing.assert_array_equal(
            group.roi.value,
            [[region.x, region.y], [right, region.y], [right, bottom], [region.x, bottom],
             [region.x, region.y]],
        )  # fmt: skip
        (image,) = group.roi.ContentSequence
        reference = image.ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert reference.get("ReferencedFrameNumber") == (2 if "frames" in name else None)

    capture = dcmread(files[CAPTURE])
    assert capture.PhotometricInterpretation == "RGB"
    picture = capture.pixel_array
    np.testing.assert_array_equal(picture[: len(DEEP)], prediction.overlay(boxes=True))
    np.testing.assert_array_equal(picture[len(DEEP) :], strip(prediction))
    assert picture[len(DEEP) :].max() > 100
    assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID

    heat = hd.seg.segread(files[HEATMAP])
    assert (heat.Rows, heat.Columns) == DEEP.shape
    values = heat.pixel_array / heat.MaximumFractionalValue
    np.testing.assert_allclose(values, prediction.heatmap, atol=0.5 / 255 + 1e-6)
    assert values.max() > 0.05
    assert heat.segmentation_fractional_type.value == "PROBABILITY"
    (derived,) = heat.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence
    (reference,) = derived.SourceImageSequence
    assert reference.ReferencedSOPClassUID == source.SOPClassUID
    assert reference.get("ReferencedFrameNumber") == (2 if "frames" in name else None)

    drawn = dcmread(files[PRESENTATION])
    (annotation,) = drawn.GraphicAnnotationSequence
    outlines = [np.reshape(one.GraphicData, (-1, 2)) for one in annotation.GraphicObjectSequence]
    for region, group, points in zip(REGIONS, groups, outlines, strict=True):
        np.testing.assert_array_equal(points, group.roi.value)
        assert points.min(axis=0).tolist() == [region.x, region.y]
    (series,) = drawn.ReferencedSeriesSequence
    (reference,) = series.ReferencedImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert reference.get("ReferencedFrameNumber") == (2 if "frames" in name else None)
    (area,) = drawn.DisplayedAreaSelectionSequence
    assert area.PresentationPixelAspectRatio == ([2, 1] if "oblong" in name else [1, 1])
    words = " ".join(one.UnformattedTextValue for one in annotation.TextObjectSequence)
    assert "Fracture likely, 88" in words and "Region 2: 25" in words and "Not a diagnosis" in words


def test_the_objects_are_filed_in_the_films_study(reader: FractureDetector) -> None:
    data = film()
    source = read_source(data)
    objects = make_objects(source, likely(reader, data), made_at=WHEN)
    for dataset in objects:
        for keyword in ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
                        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge",
                        "StudyDescription", "ReferringPhysicianName"):  # fmt: skip
            assert dataset[keyword].value == source[keyword].value, keyword
        assert dataset.InstanceNumber == 2
        date, time = ("PresentationCreationDate", "PresentationCreationTime") if (
            dataset.Modality == "PR") else ("ContentDate", "ContentTime")  # fmt: skip
        assert dataset[date].value == "20261122" and dataset[time].value == "101112"
    assert [d.SeriesNumber for d in objects] == [
        SERIES_NUMBER[kind] for kind in (REPORT, CAPTURE, HEATMAP, PRESENTATION)
    ]
    assert [d.Modality for d in objects] == ["SR", "OT", "SEG", "PR"]
    for keyword in ("SeriesInstanceUID", "SOPInstanceUID"):
        found = {dataset[keyword].value for dataset in [*objects, source]}
        assert len(found) == 5 and all(uid.UID(value).is_valid for value in found)
    report = objects[0]
    assert (report.CompletionFlag, report.PreliminaryFlag, report.VerificationFlag) == (
        "COMPLETE", "PRELIMINARY", "UNVERIFIED",
    )  # fmt: skip


def test_the_same_again_is_the_same_bytes_and_another_film_or_model_is_not(
    reader: FractureDetector,
) -> None:
    data, other = film(), film(SOPInstanceUID="1.2.826.0.1.3680043.8.498.2")
    prediction = likely(reader, data)
    newer = replace(prediction, model=prediction.model | {"sha256": "1" * 12})

    def packed(data: bytes, prediction: Prediction) -> bytes:
        return zip_objects(make_objects(read_source(data), prediction, made_at=WHEN))

    def uids(data: bytes, prediction: Prediction, keyword: str = "SOPInstanceUID") -> set[str]:
        return {d[keyword].value for d in make_objects(read_source(data), prediction)}

    with zipfile.ZipFile(io.BytesIO(packed(data, prediction))) as one:
        with zipfile.ZipFile(io.BytesIO(packed(data, prediction))) as two:
            assert len(one.namelist()) == 4 and one.namelist() == two.namelist()
            for name in one.namelist():
                assert one.read(name) == two.read(name)
    assert uids(data, prediction) == uids(data, prediction)
    assert not uids(data, prediction) & uids(other, prediction)
    assert not uids(data, prediction) & uids(data, newer)
    # Two films of one series share the new series; another model has its own.
    series = uids(data, prediction, "SeriesInstanceUID")
    assert series == uids(other, prediction, "SeriesInstanceUID")
    assert not series & uids(data, newer, "SeriesInstanceUID")


def test_two_films_with_one_uid_have_objects_of_their_own(reader: FractureDetector) -> None:
    films = [film(), film(PatientID="ANOTHER"), film(pixels=DEEP[::-1].copy()),
             film(SeriesInstanceUID="1.2.826.0.1.3680043.8.498.12")]  # fmt: skip
    made_of = [make_objects(read_source(data), likely(reader, data)) for data in films]
    assert len({one.SOPInstanceUID for objects in made_of for one in objects}) == 16


def test_only_the_objects_that_are_asked_for_are_made(reader: FractureDetector) -> None:
    data = film()
    prediction = likely(reader, data)
    kinds = [d.Modality for d in make_objects(read_source(data), prediction, kinds=["gsps", "sr"])]
    assert kinds == ["SR", "PR"]
    bare = replace(prediction, regions=())
    assert make_objects(read_source(data), bare, kinds=["gsps"]) == []


def test_a_film_whose_window_cannot_be_repeated_has_its_report_all_the_same(
    reader: FractureDetector,
) -> None:
    source = read_source(film())
    source.WindowCenter, source.WindowWidth = [1, 2], [3]
    made_of = make_objects(source, likely(reader, film()), kinds=["sr", "gsps"])
    assert [one.Modality for one in made_of] == ["SR"]


def test_the_model_and_that_it_is_no_diagnosis_are_in_the_report(reader: FractureDetector) -> None:
    data = film()
    prediction = likely(reader, data)
    report = make_objects(read_source(data), prediction)[0]
    text = []
    report.walk(lambda item, element: text.append(str(element.value)), recursive=True)
    model = f"model sha256 {prediction.model['sha256']}"
    for word in ("fracture-detector", "tiny", model, "upper threshold 0.6000"):
        assert any(word in value for value in text)
    assert said(report)[-1] == STATEMENT and "Not a diagnosis" in STATEMENT
    assert said(report)[0].startswith("Fracture likely: the probability of a fracture is 88 %")


def test_an_uncertain_film_and_one_out_of_scope_get_a_report_that_says_so(
    reader: FractureDetector,
) -> None:
    data = film()
    uncertain = replace(likely(reader, data), decision=Decision.UNCERTAIN, probability=0.3)
    objects = make_objects(read_source(data), uncertain)
    assert len(objects) == 4
    assert said(objects[0])[0].startswith("Uncertain: ") and "needs review" in said(objects[0])[0]
    nowhere = replace(uncertain, probability=0.9, regions=())
    sentence = said(make_objects(read_source(data), nowhere)[0])[0]
    assert "no region stands out" in sentence and "between" not in sentence

    (report,) = make_objects(read_source(data), unknown(uncertain))
    assert said(report)[0] == "Out of scope: It is blank. No probability is given."
    content = hd.sr.ComprehensiveSR.from_dataset(report).content
    (whole,) = content.get_image_measurement_groups()
    assert whole.get_measurements() == []
    assert decision(whole) == "OUT_OF_SCOPE"
    assert content.get_planar_roi_measurement_groups() == []


def test_the_heatmap_is_the_models_own_whatever_was_looked_at(reader: FractureDetector) -> None:
    data = film()
    own, other = (reader.predict(data, method=method) for method in ("gradcam", "eigencam"))
    assert not np.allclose(own.heatmap, other.heatmap, atol=0.01)
    values = [
        make_objects(read_source(data), each, made_at=WHEN)[2].PixelData for each in (own, other)
    ]
    assert values[0] == values[1]


ODD = {
    "no element of type 2": {},
    "dates": {"StudyDate": "21.11.26", "StudyTime": "ten", "PatientBirthDate": "1961"},
    "sex": {"PatientSex": "X"},
    "one word": {"PatientName": "SECRET"},
    "latin": {"PatientName": "Ménard^Zoé", "SpecificCharacterSet": "ISO_IR 100"},
    "unknown letters": {"PatientName": "Doe^J", "SpecificCharacterSet": "ISO_IR 999"},
    "unicode": {"PatientName": "Wang^XiaoDong=王^小東", "SpecificCharacterSet": "ISO_IR 192"},
    "two alphabets": {"PatientName": "Yamada^Tarou=山田^太郎",
                      "SpecificCharacterSet": ["", "ISO 2022 IR 87"]},
    "one alphabet, named as one of two": {"PatientName": "Ménard^Zoé",
                                          "SpecificCharacterSet": "ISO 2022 IR 100"},
    "several values": {"PatientID": "A\\B", "AccessionNumber": "1\\2"},
    "private": {"Manufacturer": "SECRET"},
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_headers_are_carried_over_without_a_word_of_the_patient(
    reader: FractureDetector, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    data = film()
    source = read_source(data)
    if name == "no element of type 2":
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID",
                        "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
            del source[keyword]  # fmt: skip
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for keyword, value in ODD[name].items():
            source[keyword] = DataElement(
                keyword, dictionary_VR(keyword), value, validation_mode=pydicom.config.IGNORE
            )
        objects = make_objects(source, likely(reader, data), made_at=WHEN)
        files = write_objects(objects, tmp_path)
    kept = dcmread(files[0])
    if "PatientName" in ODD[name]:
        assert str(kept.PatientName) == ODD[name]["PatientName"]
    if name in ("dates", "sex"):
        assert not any(kept[keyword].value for keyword in ODD[name])
    told = caplog.text + " ".join(str(w.message) for w in warned)
    told += " ".join(path.name for path in files)
    for secret in ("SECRET", "DOE", "JANE", odd.BIRTHDAY, "Ménard", "A42", "REFERRER"):
        assert secret not in told


def test_a_film_that_nothing_can_be_filed_with_is_refused(reader: FractureDetector) -> None:
    data = film()
    prediction = likely(reader, data)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        with pytest.raises(SourceError, match=keyword):
            make_objects(read_source(film(remove=(keyword,))), prediction)
    with pytest.raises(SourceError, match="not that of the film"):
        make_objects(read_source(film(pixels=odd.grey(64, 48, 4095))), prediction)
    with pytest.raises(SourceError, match="not a DICOM file"):
        read_source(odd.saved(odd.grey(), "PNG"))
    unheard_of = read_source(data)
    unheard_of.SOPClassUID = "1.2.3.4"
    with pytest.raises(SourceError) as caught:
        make_objects(unheard_of, prediction)
    assert caught.value.__cause__ is None and "DOE" not in str(caught.value)


def test_a_uid_with_leading_zeros_is_referred_to_as_it_is(reader: FractureDetector) -> None:
    data = film(SOPInstanceUID="1.2.826.0.010.007", StudyInstanceUID="1.2.826.0.01")
    (capture,) = make_objects(read_source(data), likely(reader, data), kinds=["sc"])
    assert capture.StudyInstanceUID == "1.2.826.0.01"
    assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.826.0.010.007"


def test_files_have_names_without_patient_data_and_are_written_whole(
    reader: FractureDetector, tmp_path: Path
) -> None:
    data = film()
    objects = make_objects(read_source(data), likely(reader, data))
    for _ in range(2):  # a repetition replaces
        files = write_objects(objects, tmp_path / "new" / "folder")
        assert sorted(files) == sorted((tmp_path / "new" / "folder").iterdir())
    for path, dataset in zip(files, objects, strict=True):
        assert path.name == file_name(dataset)
        assert path.name.endswith(f"-{dataset.SOPInstanceUID}.dcm")
        assert dcmread(path).SOPInstanceUID == dataset.SOPInstanceUID
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OSError):
        write_objects(objects, blocked)
