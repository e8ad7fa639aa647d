"""What the objects of one film share: identifiers, equipment, series, the time they were made."""

from __future__ import annotations

import hashlib
import uuid
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from highdicom.sr import CodedConcept
from pydicom import DataElement, Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from detector import __version__
from detector.explain.regions import Region
from detector.prediction import Prediction

PRODUCT = "fracture-detector"
STATEMENT = (
    "Not a diagnosis and not a medical device: the output of a computer program, for people who "
    "read films. A person must look at the film. It judges this one film, looks for fractures "
    "only, misses some of them and marks some intact bones."
)
# Codes of this program, where the standard has none.
SCHEME = "99FRACTURE"
FRACTURE = CodedConcept("125605004", "SCT", "Fracture of bone")

REPORT, CAPTURE, HEATMAP, PRESENTATION = "report", "capture", "heatmap", "presentation"
# One new series per kind of object and series of films, behind the numbers that devices give.
SERIES_NUMBER = {REPORT: 9901, CAPTURE: 9902, HEATMAP: 9903, PRESENTATION: 9904}
SERIES_DESCRIPTION = {
    REPORT: "Fracture detector: report",
    CAPTURE: "Fracture detector: overlay",
    HEATMAP: "Fracture detector: heatmap",
    PRESENTATION: "Fracture detector: regions over the film",
}
_SINGLE_FRAME = (
    ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing, SecondaryCaptureImageStorage,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ObjectContext:
    """One film's header (see ``source_header.study_header``), its reading, and when it was filed.

    ``content``: a digest of patient and pixels, see ``content_digest``.
    """

    header: Dataset
    prediction: Prediction
    made_at: datetime
    content: str

    @property
    def frame(self) -> int | None:
        """The frame that was read, from 1; None where the standard knows a single one only."""
        frames = int(self.prediction.film.facts.get("frames", 1))
        several = frames > 1 and self.header.SOPClassUID not in _SINGLE_FRAME
        return self._read + 1 if several else None

    @property
    def _read(self) -> int:
        return int(self.prediction.film.facts.get("frame", 0))

    @property
    def laterality(self) -> str:
        """``L`` or ``R``, or the empty string."""
        side = self.header.get("ImageLaterality") or self.header.get("Laterality")
        return side if side in ("L", "R") else ""

    @property
    def device(self) -> str:
        """The UID of this program with this model."""
        return self._derived("device")

    def uid(self, *parts: str) -> str:
        """A UID that depends on the film, the model and ``parts`` alone (PS3.5, B.2).

        The film is its UID and its content: two films that a device gave one UID have objects of
        their own.
        """
        return self._derived(self.header.SOPInstanceUID, self.content, str(self._read), *parts)

    def _derived(self, *parts: str) -> str:
        model = self.prediction.model
        name = "|".join((PRODUCT, __version__, model["version"], model["sha256"], *parts))
        return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"

    def arguments(self, kind: str) -> dict[str, Any]:
        """What every highdicom object of this ``kind`` is made with."""
        number = str(self.header.get("InstanceNumber") or "")
        return {
            "series_instance_uid": self._derived(self.header.SeriesInstanceUID, kind),
            "series_number": SERIES_NUMBER[kind],
            "series_description": SERIES_DESCRIPTION[kind],
            "sop_instance_uid": self.uid(kind),
            "instance_number": max(1, int(number)) if number.isdecimal() else 1,
            "manufacturer": PRODUCT,
            "manufacturer_model_name": PRODUCT,
            "software_versions": [__version__, self.prediction.model["version"]],
            "device_serial_number": self.prediction.model["sha256"],
        }

    def reference(self) -> Dataset:
        """The film as an item of a reference sequence."""
        item = Dataset()
        item.ReferencedSOPClassUID = self.header.SOPClassUID
        item.ReferencedSOPInstanceUID = self.header.SOPInstanceUID
        if self.frame:
            item.ReferencedFrameNumber = self.frame
        return item

    def single_frame_header(self) -> Dataset:
        """A copy of the header for highdicom, which asks of a multi-frame class what a projection
        does not have (a position in space); ``complete_references`` puts the film's own back."""
        header = deepcopy(self.header)
        header.SOPClassUID = SecondaryCaptureImageStorage
        return header

    def complete_references(self, made: Dataset) -> None:
        """Give each reference to the film its class and, where it has several, its frame."""

        def complete(item: Dataset, element: DataElement) -> None:
            if element.keyword == "ReferencedSOPInstanceUID":
                item.ReferencedSOPClassUID = self.header.SOPClassUID
            elif self.frame and element.keyword in ("SourceImageSequence",
                                                    "ReferencedImageSequence"):  # fmt: skip
                element.value = deepcopy(element.value)  # highdicom puts one item in two sequences
                for image in element.value:
                    image.ReferencedFrameNumber = self.frame

        made.walk(complete)

    def finish(self, made: Dataset, name: Any) -> None:
        """Set what highdicom takes from the clock or draws at random, and the patient's ``name``.

        The same film and time then give the same bytes.
        """
        made.add_new("PatientName", "PN", name)
        date, time = self.made_at.strftime("%Y%m%d"), self.made_at.strftime("%H%M%S")
        made.InstanceCreationDate, made.InstanceCreationTime = date, time
        for keyword in ("ContentDate", "DateOfSecondaryCapture", "PresentationCreationDate"):
            if keyword in made:
                setattr(made, keyword, date)
        for keyword in ("ContentTime", "TimeOfSecondaryCapture", "PresentationCreationTime"):
            if keyword in made:
                setattr(made, keyword, time)
        for item in made.get("ContributingEquipmentSequence", ()):
            item.ContributionDateTime = date + time

    def describe_image(self, made: Dataset) -> None:
        """Orientation and body part as the film has them."""
        made.PatientOrientation = self.header.get("PatientOrientation") or ""
        if self.header.get("BodyPartExamined"):
            made.BodyPartExamined = self.header.BodyPartExamined


def content_digest(header: Dataset, pixels: np.ndarray) -> str:
    """What tells a film from another one with its UID: patient, study, series, pixels; hex."""
    digest = hashlib.blake2b(digest_size=16)
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID",
                    "SeriesInstanceUID"):  # fmt: skip
        digest.update(f"{header.get(keyword)}|".encode(errors="surrogateescape"))
    digest.update(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def outline(region: Region) -> np.ndarray:
    """A region as a closed polyline, float64 (5, 2): column and row, with 0, 0 at the upper left
    corner of the film's first pixel."""
    left, top = region.x, region.y
    right, bottom = left + region.width, top + region.height
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])


def code(value: str, meaning: str) -> CodedConcept:
    """A code of this program's own scheme."""
    return CodedConcept(value, SCHEME, meaning)
