"""The Structured Report: TID 1500, with one group of measurements for the film and one per region.

Every number is in it as a number with its unit, every region as coordinates on the film, the
decision as a code and as a sentence. It is complete, preliminary and unverified: no person has
signed it.
"""

from __future__ import annotations

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes

from detector.explain.regions import Region
from detector.model import calibration
from detector.pacs.objects.object_context import (
    FRACTURE,
    PRODUCT,
    REPORT,
    SCHEME,
    STATEMENT,
    ObjectContext,
    code,
    outline,
)
from detector.prediction import Prediction
from detector.report.results import percent

DECISION = code("DECISION", "Decision")
DECISIONS = {
    calibration.Decision.FRACTURE_LIKELY: code("FRACTURE_LIKELY", "Fracture likely"),
    calibration.Decision.UNCERTAIN: code("UNCERTAIN", "Uncertain"),
    calibration.Decision.NO_FRACTURE_SEEN: code("NO_FRACTURE_SEEN", "No fracture seen"),
    calibration.Decision.OUT_OF_SCOPE: code("OUT_OF_SCOPE", "Out of scope"),
}
PROBABILITY = CodedConcept("122157", "DCM", "Probability")
EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
_PLAIN_RADIOGRAPHY = CodedConcept("168537006", "SCT", "Plain radiography")


def make_structured_report(context: ObjectContext) -> ComprehensiveSR:
    """The report of one film, also of an uncertain one and of one out of scope."""
    prediction = context.prediction
    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=context.device, name=PRODUCT, manufacturer_name=PRODUCT,
            model_name=prediction.model["version"], serial_number=prediction.model["sha256"],
        ),
    )  # fmt: skip
    algorithm = _algorithm(prediction)
    regions = enumerate(prediction.regions if prediction.scope.in_scope else (), 1)
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=_PLAIN_RADIOGRAPHY,
        imaging_measurements=[
            _whole_film(context, algorithm),
            *(_region(context, algorithm, number, region) for number, region in regions),
        ],
    )
    report[0].ContentSequence.append(_sentences(prediction))
    return ComprehensiveSR(
        evidence=[context.header],
        content=report[0],
        is_complete=True,
        coding_schemes=[CodingSchemeIdentificationItem(
            SCHEME, name="Codes of the program fracture-detector",
            responsible_organization=PRODUCT,
        )],
        **context.arguments(REPORT),
    )  # fmt: skip


def _algorithm(prediction: Prediction) -> AlgorithmIdentification:
    points = prediction.calibration
    return AlgorithmIdentification(
        name=PRODUCT,
        version=prediction.model["version"],
        parameters=[
            f"model sha256 {prediction.model['sha256']}",
            f"lower threshold {points.rule_out:.4f}",
            f"upper threshold {points.rule_in:.4f}",
        ],
        family=codes.DCM.ArtificialIntelligence,
    )


def _probability(value: float) -> Measurement:
    """A probability in [0, 1] in per cent, with the precision of ``Prediction.to_dict``."""
    return Measurement(PROBABILITY, round(100 * round(value, 4), 2), codes.UCUM.Percent)


def _whole_film(
    context: ObjectContext, algorithm: AlgorithmIdentification
) -> MeasurementsAndQualitativeEvaluations:
    prediction = context.prediction
    in_scope = prediction.scope.in_scope
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(context.uid("film"), "Whole film"),
        finding_type=FRACTURE,
        algorithm_id=algorithm,
        # The model has no grounds for a number on a picture that it does not know.
        measurements=[_probability(prediction.probability)] if in_scope else None,
        qualitative_evaluations=[
            QualitativeEvaluation(DECISION, DECISIONS[prediction.decision])
        ],
        source_images=[SourceImageForMeasurementGroup(*_film(context))],
    )


def _region(
    context: ObjectContext, algorithm: AlgorithmIdentification, number: int, region: Region
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    drawn = ImageRegion(
        GraphicTypeValues.POLYLINE,
        outline(region),
        SourceImageForRegion(*_film(context)),
    )
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            context.uid("region", str(number)), f"Region {number}"
        ),
        referenced_region=drawn,
        finding_type=FRACTURE,
        algorithm_id=algorithm,
        measurements=[_probability(region.score)],
    )


def _film(context: ObjectContext) -> tuple[str, str, list[int] | None]:
    frames = [context.frame] if context.frame else None
    return context.header.SOPClassUID, context.header.SOPInstanceUID, frames


def _sentences(prediction: Prediction) -> ContainerContentItem:
    """What a person reads first: the reading in words, what was odd, and what this is not."""
    said = [_sentence(prediction)]
    if prediction.warnings:
        said.append("About the file: " + " ".join(prediction.warnings))
    said.append(STATEMENT)
    container = ContainerContentItem(EVALUATIONS, relationship_type=RelationshipTypeValues.CONTAINS)
    container.ContentSequence = ContentSequence(
        TextContentItem(codes.DCM.Comment, text, RelationshipTypeValues.CONTAINS) for text in said
    )
    return container


def _sentence(prediction: Prediction) -> str:
    decision = prediction.decision.capitalize()
    if not prediction.scope.in_scope:
        return f"{decision}: {prediction.scope.reason} No probability is given."
    meaning = {
        calibration.Decision.FRACTURE_LIKELY: "at or above the upper threshold",
        calibration.Decision.UNCERTAIN: (
            "between the two operating points, needs review"
            if prediction.probability < prediction.calibration.rule_in
            else "at or above the upper threshold, but no region stands out, needs review"
        ),
        calibration.Decision.NO_FRACTURE_SEEN:
            "below the lower threshold, which does not exclude a fracture",
    }[prediction.decision]
    count = len(prediction.regions)
    marked = {0: "No region is marked.", 1: "One region is marked."}.get(
        count, f"{count} regions are marked."
    )
    return (
        f"{decision}: the probability of a fracture is {percent(prediction.probability)}, "
        f"{meaning}. {marked}"
    )
