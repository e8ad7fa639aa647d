"""The Grayscale Softcopy Presentation State: the regions as lines and words over the film itself.

A viewer that knows presentation states (Weasis, most clinical ones) draws them on the film when a
reader asks for them; the film stays as it is.
"""

from __future__ import annotations

from fractions import Fraction

from highdicom import PresentationLUTTransformation
from highdicom.color import CIELabColor
from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GraphicTypeValues,
    GrayscaleSoftcopyPresentationState,
    TextObject,
)

from detector.pacs.objects.object_context import PRESENTATION, PRODUCT, ObjectContext, outline
from detector.report.results import percent

_LAYER = GraphicLayer("FRACTURE", 1, "Fracture detector", CIELabColor(70, 40, 75))  # orange


def make_presentation_state(context: ObjectContext) -> GrayscaleSoftcopyPresentationState | None:
    """The regions of a film as closed polylines in its pixels; None where there is nothing to draw.

    There is nothing without a region, and a colour film has no grayscale presentation state.
    """
    header, prediction = context.single_frame_header(), context.prediction
    if not prediction.regions or header.get("SamplesPerPixel") != 1:
        return None
    outlines, words = [], [TextObject(
        f"{prediction.decision.capitalize()}, {percent(prediction.probability)}. "
        f"{PRODUCT} {prediction.model['version']}. Not a diagnosis.",
        AnnotationUnitsValues.DISPLAY, bounding_box=(0.01, 0.01, 0.99, 0.05),
    )]  # fmt: skip
    for number, region in enumerate(prediction.regions, 1):
        name, uid = f"Region {number}", context.uid("region", str(number))
        outlines.append(GraphicObject(
            GraphicTypeValues.POLYLINE, outline(region), AnnotationUnitsValues.PIXEL,
            tracking_id=name, tracking_uid=uid,
        ))  # fmt: skip
        words.append(TextObject(
            f"{name}: {percent(region.score)}", AnnotationUnitsValues.PIXEL,
            anchor_point=(region.x, region.y), anchor_point_visible=False,
            tracking_id=name, tracking_uid=uid,
        ))  # fmt: skip
    inverse = header.PhotometricInterpretation == "MONOCHROME1"  # a state does not look at this
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[header],
        content_label="FRACTURE",
        content_description="Regions of a fracture detector; not a diagnosis",
        graphic_layers=[_LAYER],
        graphic_annotations=[GraphicAnnotation(
            [header], _LAYER, graphic_objects=outlines, text_objects=words,
        )],
        presentation_lut_transformation=PresentationLUTTransformation(
            presentation_lut_shape="INVERSE" if inverse else "IDENTITY"
        ),
        **context.arguments(PRESENTATION),
    )  # fmt: skip
    state.Laterality = context.laterality
    context.complete_references(state)
    # Height to width of a pixel in whole numbers; highdicom takes every pixel for a square.
    aspect = Fraction(prediction.film.aspect).limit_denominator(1000)
    for area in state.DisplayedAreaSelectionSequence:
        area.PresentationPixelAspectRatio = [aspect.numerator, aspect.denominator]
    return state
