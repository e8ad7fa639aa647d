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
from pydicom.sr.codedict import codes

from detector.explain.heatmap import Heat
from detector.explain.methods import DEFAULT
from detector.pacs.objects.object_context import FRACTURE, HEATMAP, PRODUCT, ObjectContext
from detector.prediction import Prediction

LEVELS = 255  # of probability 1: what one byte holds


def make_segmentation(context: ObjectContext) -> Segmentation:
    """The calibrated probability of a fracture at each pixel, in steps of 1/255.

    Rows and columns are the film's; ``rescale_fractional`` of highdicom's reader gives [0, 1].
    """
    prediction = context.prediction
    algorithm = AlgorithmIdentificationSequence(
        name=PRODUCT, version=prediction.model["version"],
        family=codes.DCM.ArtificialIntelligence, source=PRODUCT,
        parameters={"model sha256": prediction.model["sha256"]},
    )  # fmt: skip
    segment = SegmentDescription(
        segment_number=1,
        segment_label="Fracture, probability",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=FRACTURE,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=context.uid("segment"),
        tracking_id="Whole film",
    )
    source = context.single_frame_header()
    # highdicom cannot read back a spacing without a slice thickness; a projection has none.
    source.pop("PixelSpacing", None)
    made = Segmentation(
        source_images=[source],
        pixel_array=probabilities(prediction)[None],
        segmentation_type=SegmentationTypeValues.FRACTIONAL,
        fractional_type=SegmentationFractionalTypeValues.PROBABILITY,
        max_fractional_value=LEVELS,
        segment_descriptions=[segment],
        content_label="FRACTURE",
        content_description="Probability of a fracture at each pixel; not a diagnosis",
        omit_empty_frames=False,
        **context.arguments(HEATMAP),
    )
    context.describe_image(made)
    organisation = context.uid("dimensions")
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = organisation
    context.complete_references(made)
    return made


def probabilities(prediction: Prediction) -> np.ndarray:
    """float32 (H, W) in [0, 1]: the model's own map, whatever explanation was being looked at.

    The other explanations have no common scale, so they are no probabilities.
    """
    if prediction.method == DEFAULT:
        return prediction.heatmap
    heat = prediction.heat
    return Heat(prediction.evidence, heat.letterbox, prediction.calibration.location).on_film()
