"""The heatmap itself, as a fractional Segmentation: the probability at every pixel of the film.

Why not a Parametric Map: its frames must have a position and an orientation in the patient's space
(PS3.3, A.75), which a projection does not have; dciodvfy finds the map invalid without them, and
inventing them would be false. A Segmentation may do without. Of its two forms the fractional one
keeps the heatmap; a binary one at an operating point would keep an outline only.
"""

from __future__ import annotations

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationFractionalTypeValues,
    SegmentationTypeValues,
    SegmentDescription,
)
from pydicom import DataElement, Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SecondaryCaptureImageStorage

from detector.explain.heatmap import Heat
from detector.explain.methods import DEFAULT
from detector.pacs.objects.object_context import FRACTURE, HEATMAP, PRODUCT, Stamp
from detector.prediction import Prediction

LEVELS = 255  # of probability 1: what one byte holds


def make_heatmap(stamp: Stamp) -> Segmentation:
    """The calibrated probability of a fracture at each place, in steps of 1/255.

    Rows and columns are the film's; ``rescale_fractional`` of highdicom's reader gives [0, 1].
    """
    prediction = stamp.prediction
    algorithm = AlgorithmIdentificationSequence(
        name=PRODUCT, version=prediction.model["version"],
        family=codes.DCM.ArtificialIntelligence, source=PRODUCT,
        parameters={"weights sha256": prediction.model["sha256"]},
    )  # fmt: skip
    segment = SegmentDescription(
        segment_number=1,
        segment_label="Fracture, probability",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=FRACTURE,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=stamp.uid("segment"),
        tracking_id="Whole film",
    )
    # highdicom wants places in space of a multi-frame source (the read frame is named below), and
    # cannot read back a spacing without a slice thickness, which a projection does not have.
    source = Dataset(stamp.header)
    source.add_new("SOPClassUID", "UI", SecondaryCaptureImageStorage)
    source.pop("PixelSpacing", None)
    made = Segmentation(
        source_images=[source],
        pixel_array=probabilities(prediction)[None],
        segmentation_type=SegmentationTypeValues.FRACTIONAL,
        fractional_type=SegmentationFractionalTypeValues.PROBABILITY,
        max_fractional_value=LEVELS,
        segment_descriptions=[segment],
        content_label="FRACTURE",
        content_description="Probability of a fracture at each place; not a diagnosis",
        omit_empty_frames=False,
        **stamp.arguments(HEATMAP),
    )
    stamp.describe_image(made)
    organisation = stamp.uid("dimensions")
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = organisation
    made.walk(lambda item, element: _refer(item, element, stamp))
    return made


def _refer(item: Dataset, element: DataElement, stamp: Stamp) -> None:
    """Give a reference to the film its class and, where it has several, its frame."""
    if element.keyword == "ReferencedSOPInstanceUID":
        item.ReferencedSOPClassUID = stamp.header.SOPClassUID
        if stamp.frame:
            item.ReferencedFrameNumber = stamp.frame


def probabilities(prediction: Prediction) -> np.ndarray:
    """float32 (H, W) in [0, 1]: the model's own map, whatever explanation was being looked at.

    The other explanations have no common scale, so they are no probabilities.
    """
    if prediction.method == DEFAULT:
        return prediction.heatmap
    heat = prediction.heat
    return Heat(prediction.evidence, heat.letterbox, prediction.calibration.location).on_film()
