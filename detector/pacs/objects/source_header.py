"""From the film's DICOM header to the part that the objects made of it carry over.

Devices leave elements out and write values that the standard does not allow. What must be there
(type 2) is added empty, what cannot be written is left empty, and nothing of it is ever logged.
"""

from __future__ import annotations

import re
from copy import deepcopy
from datetime import datetime
from pathlib import Path

from highdicom import SpecificCharacterSetValues
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO

from detector.io.log_filter import quiet
from detector.io.radiograph import recognise

# Identification, patient, clinical trial, study and series, image, visit.
_GROUPS = (0x0008, 0x0010, 0x0012, 0x0020, 0x0028, 0x0032, 0x0038)
_TYPE_1 = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_TYPE_2 = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
# A projection has pixels, not a place in the patient's space; frames are named where they matter.
_LEFT_OUT = ("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient",
             "NumberOfFrames", "ContentDate", "ContentTime", "InstanceCreationDate",
             "InstanceCreationTime")  # fmt: skip
_DATES = {"PatientBirthDate": ("%Y%m%d",), "StudyDate": ("%Y%m%d",),
          "StudyTime": ("%H%M%S.%f", "%H%M%S", "%H%M", "%H")}  # fmt: skip


class SourceError(ValueError):
    """A film to which no DICOM objects can be filed; the sentence names no patient data."""


def read_source(film: str | Path | bytes) -> Dataset:
    """The header of a DICOM film, without its pixels.

    Args:
        film: path or content of a file.

    Raises:
        SourceError: the film is no DICOM file, or its header is damaged.
        OSError: the file cannot be read.
    """
    data = film if isinstance(film, bytes) else Path(film).read_bytes()
    if recognise(data) != "dicom":
        raise SourceError(
            "The film is not a DICOM file, so there is no study to file a report with. "
            "Export it as DICOM."
        )
    try:
        with quiet():
            return dcmread(DicomBytesIO(data), stop_before_pixels=True, force=True)
    except Exception:  # without the cause: a decoder's message may quote the header
        raise SourceError("The film's DICOM header is damaged. Export the film again.") from None


def study_header(source: Dataset) -> Dataset:
    """The source's header as the objects need it: complete, writable, without pixels.

    Raises:
        SourceError: an identifier is missing without which nothing can be filed beside the film.
    """
    header = Dataset()
    for tag in list(source.keys()):
        if tag.group in _GROUPS and not tag.is_private:
            try:
                header.add(deepcopy(source[tag]))  # the source itself stays as it is
            except Exception:  # damaged beyond reading: as good as not there
                continue
    if source.get("BodyPartExamined"):
        header.add(deepcopy(source["BodyPartExamined"]))
    for keyword in _LEFT_OUT:
        header.pop(keyword, None)
    missing = [keyword for keyword in _TYPE_1 if not _is_usable_uid(_text(header, keyword))]
    if missing:
        raise SourceError(
            f"The film's DICOM header has no usable {' and no '.join(missing)}, so nothing can be "
            "filed beside it. Export the film again from the archive."
        )
    for keyword in (*_TYPE_2, "Modality"):
        if keyword not in header:
            setattr(header, keyword, "")
    for keyword, formats in _DATES.items():
        if not _is_time(_text(header, keyword), formats):
            setattr(header, keyword, "")
    if _text(header, "PatientSex") not in ("M", "F", "O"):
        header.PatientSex = ""
    _set_character_set(header)
    return header


def _text(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip()


def _is_usable_uid(text: str) -> bool:
    """Whether an archive will know it again: components may have leading zeros, as devices write
    them against PS3.5, 9.1."""
    return len(text) <= 64 and re.fullmatch(r"[0-9]+(\.[0-9]+)*", text) is not None


def _is_time(text: str, formats: tuple[str, ...]) -> bool:
    for form in formats:
        try:
            datetime.strptime(text, form)
            return True
        except ValueError:
            continue
    return False


def _set_character_set(header: Dataset) -> None:
    """Keep the source's characters, or write Unicode where they are named in no standard way."""
    name = header.get("SpecificCharacterSet")
    known = [one.value for one in SpecificCharacterSetValues]
    if not name:
        header.pop("SpecificCharacterSet", None)
    # "ISO 2022 ..." may not stand alone (PS3.3, C.12.1.1.2), and yet devices write it so.
    elif name not in known or name.startswith("ISO 2022"):
        header.SpecificCharacterSet = "ISO_IR 192"
