"""The Secondary Capture: the film with its heatmap and boxes, for viewers that show pictures only.

A strip below the film says what it is, so that the picture cannot be taken for the film itself.
"""

from __future__ import annotations

import cv2
import numpy as np
from highdicom import PhotometricInterpretationValues
from highdicom.sc import ConversionTypeValues, SCImage
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from detector.pacs.objects.object_context import CAPTURE, PRODUCT, STATEMENT, ObjectContext
from detector.prediction import Prediction
from detector.report.results import percent

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def make_secondary_capture(context: ObjectContext) -> SCImage:
    """The overlay as RGB, 8 bits, at the film's own resolution."""
    header, prediction = context.header, context.prediction
    picture = np.concatenate([prediction.overlay(boxes=True), strip(prediction)])
    capture = SCImage(
        pixel_array=picture,
        photometric_interpretation=PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),  # highdicom asks for one; the film's own follows below
        study_instance_uid=header.StudyInstanceUID,
        patient_id=header.PatientID,
        patient_name=header.PatientName,
        patient_birth_date=header.PatientBirthDate,
        patient_sex=header.PatientSex,
        accession_number=header.AccessionNumber,
        study_id=header.StudyID,
        study_date=header.StudyDate or None,
        study_time=header.StudyTime or None,
        referring_physician_name=header.ReferringPhysicianName,
        specific_character_set=header.get("SpecificCharacterSet"),
        **context.arguments(CAPTURE),
    )
    capture.copy_patient_and_study_information(header)
    context.describe_image(capture)
    capture.Laterality = context.laterality
    capture.StudyDate, capture.StudyTime = header.StudyDate, header.StudyTime
    capture.ConversionType = ConversionTypeValues.WSD.value
    capture.BurnedInAnnotation = "YES" if header.get("BurnedInAnnotation") == "YES" else "NO"
    source = context.reference()
    source.PurposeOfReferenceCodeSequence = [
        CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    ]
    capture.SourceImageSequence = [source]
    capture.DerivationDescription = "Film with the heatmap of a fracture detector; display only"
    capture.ImageComments = STATEMENT
    for keyword in ("PixelAspectRatio", "PixelSpacing", "PixelSpacingCalibrationType",
                    "PixelSpacingCalibrationDescription"):  # fmt: skip
        if header.get(keyword):
            capture.add(header[keyword])
    return capture


def strip(prediction: Prediction) -> np.ndarray:
    """Two lines on black, uint8 RGB (h, W, 3): the reading, and that it is no diagnosis."""
    width = prediction.film.width
    lines = (
        f"{prediction.decision.capitalize()}. Probability of a fracture "
        f"{percent(prediction.probability)}.",
        f"{PRODUCT} {prediction.model['version']}. Not a diagnosis.",
    )
    (widest, tall), _ = cv2.getTextSize(max(lines, key=len), _FONT, 1.0, 2)
    scale = min(0.9 * width / widest, width / 1400)
    line = max(8, round(2 * tall * scale))
    band = np.zeros((2 * line + line // 2, width, 3), np.uint8)
    thick = max(1, round(2 * scale))
    for number, text in enumerate(lines, 1):
        at = (round(0.02 * width), number * line)
        cv2.putText(band, text, at, _FONT, scale, (235, 235, 235), thick, cv2.LINE_AA)
    return band
