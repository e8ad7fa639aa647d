"""What the detector says of one film."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from detector.explain.heatmap import Heat
from detector.explain.overlay import overlay as paint
from detector.explain.overlay import to_grey8
from detector.explain.regions import Region, draw_regions
from detector.io.radiograph import Radiograph
from detector.model.anatomy import Anatomy
from detector.model.calibration import Calibration, Decision
from detector.model.familiarity import FamiliarityCheck
from detector.model.ood import ScopeCheck

FRACTURED, NOT_FRACTURED = "fractured", "not fractured"
NOWHERE = (
    "The probability is high, but no place on the film stands out. Without a place to look at the "
    "answer is uncertain."
)
GROWTH_PLATES = (
    "The patient is under 16: a growth plate can look like a fracture, and a fracture through one "
    "can be missed."
)


@dataclass(frozen=True, eq=False)
class Prediction:
    """The reading of one film.

    ``probability``: calibrated P(fracture) in [0, 1]. ``decision``: a
    ``detector.model.calibration.Decision``. ``regions``: film pixels, strongest first, none on a
    clear film. ``evidence`` (h, w): the network's map over the letterbox. ``method``: the
    explanation in ``heatmap``, a key of ``detector.explain.methods.METHODS``, made from ``heat``.
    ``calibration`` holds the operating points of this film: an unfamiliar one has others.
    ``model``: version, sha256 and, where it is known, the day it was trained. ``familiarity``,
    ``anatomy``: None where the weights cannot tell.
    """

    film: Radiograph
    probability: float
    decision: str
    regions: tuple[Region, ...]
    scope: ScopeCheck
    evidence: np.ndarray
    heat: Heat
    calibration: Calibration
    model: dict[str, str]
    method: str = "gradcam"
    familiarity: FamiliarityCheck | None = None
    anatomy: Anatomy | None = None

    @property
    def unfamiliar(self) -> bool:
        """Whether the film is known to differ from those that the model learnt from."""
        return self.familiarity is not None and not self.familiarity.familiar

    @property
    def label(self) -> str:
        """"fractured" when that is the more probable, else "not fractured"."""
        return FRACTURED if self.probability >= 0.5 else NOT_FRACTURED

    @property
    def confidence(self) -> float:
        """Calibrated probability of ``label``, in [0.5, 1]."""
        return max(self.probability, 1 - self.probability)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences: what was odd about the film's file, and about this reading of it."""
        said = list(self.film.warnings)
        likely = self.probability >= self.calibration.rule_in
        if likely and not self.regions and self.decision == Decision.UNCERTAIN:
            said.append(NOWHERE)
        if self.scope.in_scope and self.unfamiliar:
            said.append(self.familiarity.reason)
        if self.scope.in_scope and self.film.facts.get("child"):
            said.append(GROWTH_PLATES)
        return tuple(said)

    @cached_property
    def heatmap(self) -> np.ndarray:
        """float32 (H, W) of the film as read, in [0, 1].

        Of ``gradcam``: the calibrated probability of a fracture at each pixel, on one scale for
        all films. Other methods have no such scale: theirs is relative to the film's own maximum,
        times the film's probability.
        """
        return self.heat.on_film()

    @cached_property
    def grey(self) -> np.ndarray:
        """The film as uint8 (H, W)."""
        return to_grey8(self.film.pixels)

    def overlay(
        self,
        opacity: float = 0.5,
        colormap: str = "inferno",
        *,
        threshold: float | None = None,
        contour: bool = True,
        boxes: bool = False,
    ) -> np.ndarray:
        """The film with its heatmap, uint8 RGB (H, W, 3); see ``detector.explain.overlay``.

        With ``boxes`` also the regions: solid from the rule-in point on, dashed below it.
        """
        painted = paint(
            self.grey, self.heat, self.calibration, opacity=opacity, colormap=colormap,
            threshold=threshold, contour=contour,
        )
        if boxes:
            painted = draw_regions(painted, self.regions, self.calibration)
        return painted

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without pixels or patient data; numbers rounded so that they are stable."""
        return {
            "label": self.label,
            "probability": round(self.probability, 4),
            "confidence": round(self.confidence, 4),
            "decision": self.decision,
            "regions": [
                {
                    "x": round(r.x, 1), "y": round(r.y, 1),
                    "width": round(r.width, 1), "height": round(r.height, 1),
                    "score": round(r.score, 4),
                }
                for r in self.regions
            ],
            "scope": {
                "in_scope": self.scope.in_scope,
                "score": round(self.scope.score, 3),
                "reason": self.scope.reason,
            },
            "familiarity": self.familiarity and {
                "familiar": self.familiarity.familiar,
                "score": round(self.familiarity.score, 3),
                "reason": self.familiarity.reason,
            },
            "anatomy": self.anatomy and {
                "region": self.anatomy.region,
                "probability": round(self.anatomy.probability, 3),
            },
            "operating_points": {
                "rule_out": round(self.calibration.rule_out, 4),
                "rule_in": round(self.calibration.rule_in, 4),
            },
            "film": {
                "width": self.film.width, "height": self.film.height,
                **{
                    name: self.film.facts[name]
                    for name in ("missing", "pixel_aspect") if name in self.film.facts
                },
            },
            "warnings": list(self.warnings),
            "method": self.method,
            "model": dict(self.model),
        }
