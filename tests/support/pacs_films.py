"""DICOM films of every kind that objects are made of, and readings whose values are known."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom import uid

from detector import FractureDetector, Prediction
from detector.explain.regions import Region
from detector.model.calibration import Decision
from detector.model.ood import ScopeCheck
from detector.pacs.objects.make import make_objects, read_source, write_objects
from tests.support import odd_films as odd
from tests.support.tiny import tiny_model

WHEN = datetime(2026, 11, 22, 10, 11, 12)
IDS = {
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.10",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.11",
    "StudyDate": "20261121", "StudyTime": "101112", "StudyID": "S7", "AccessionNumber": "A42",
    "PatientSex": "F", "PatientAge": "044Y", "StudyDescription": "Wrist", "InstanceNumber": 2,
    "ReferringPhysicianName": "REFERRER^RUTH", "PatientOrientation": ["L", "F"],
}  # fmt: skip
CR = {"SOPClassUID": uid.ComputedRadiographyImageStorage, "Modality": "CR"}
DEEP = odd.grey(160, 120, 4095)
REGIONS = (Region(10.25, 20.5, 30.0, 40.125, 0.8125), Region(0.0, 0.0, 120.0, 160.0, 0.25))


def film(syntax: uid.UID = uid.ExplicitVRLittleEndian, pixels: np.ndarray = DEEP, **given) -> bytes:
    return odd.dicom(pixels, syntax, **({"BitsStored": 12} | IDS | given))


FILMS = {
    "DX": lambda: film(),
    "CR, MONOCHROME1": lambda: film(PhotometricInterpretation="MONOCHROME1", **CR),
    "CR, JPEG 2000": lambda: film(uid.JPEG2000Lossless, **CR),
    "DX, JPEG-LS, spacing": lambda: film(
        uid.JPEGLSLossless, PixelSpacing=["0.15", "0.15"], ImagerPixelSpacing=["0.16", "0.16"],
        FrameOfReferenceUID="1.2.826.0.1.3680043.8.498.12",
    ),
    "DX, RLE, lossy once": lambda: film(
        uid.RLELossless, LossyImageCompression="01", LossyImageCompressionRatio="10",
        LossyImageCompressionMethod="ISO_10918_1",
    ),
    "bare of what may be missing": lambda: film(remove=(
        "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "PatientSex", "PatientName",
        "PatientID", "PatientBirthDate", "ReferringPhysicianName", "PatientOrientation",
        "Laterality", "BodyPartExamined", "ViewPosition", "Modality", "InstanceNumber",
    )),
    "CR, oblong pixels": lambda: film(PixelAspectRatio=["2", "1"], **CR),
    "second of two frames": lambda: film(
        pixels=np.stack([DEEP[::-1], DEEP]), frames=2, Modality="OT",
        SOPClassUID=uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    ),
}  # fmt: skip


def likely(reader: FractureDetector, data: bytes, frame: int | None = None) -> Prediction:
    """A reading with two regions of known boxes."""
    prediction = reader.predict(data, frame=frame)
    return replace(
        prediction, decision=Decision.FRACTURE_LIKELY, probability=0.87654, regions=REGIONS
    )


def unknown(prediction: Prediction) -> Prediction:
    return replace(
        prediction, decision=Decision.OUT_OF_SCOPE, regions=(),
        scope=ScopeCheck(False, 3.0, "It is blank."),
    )


def made(data: bytes, prediction: Prediction, folder: Path) -> dict[str, Path]:
    """kind -> file"""
    objects = make_objects(read_source(data), prediction, made_at=WHEN)
    files = write_objects(objects, folder)
    return {path.name.partition("-")[0]: path for path in files}


def frame_of(name: str) -> int | None:
    return 1 if "frames" in name else None


def tiny_reader() -> FractureDetector:
    return FractureDetector(tiny_model(), "torch")
