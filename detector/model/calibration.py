"""From the network's numbers to probabilities and a decision.

Two logistic maps are fitted on val: one of the film's logit (Platt 1999: a slope and a bias), one
of the evidence at a location. Two operating points on the film's probability are chosen on val with
a finite-sample correction. Between them the decision is 'uncertain'.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np


class Decision(StrEnum):
    """What is said of a film. The strings belong to the public face."""

    FRACTURE_LIKELY = "fracture likely"
    UNCERTAIN = "uncertain"
    NO_FRACTURE_SEEN = "no fracture seen"
    OUT_OF_SCOPE = "out of scope"


@dataclass(frozen=True)
class Logistic:
    """``probability = 1 / (1 + exp(-(scale * value + bias)))``; ``scale`` > 0 keeps the order."""

    scale: float
    bias: float

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf:
            raise ValueError(f"the scale of a calibration must be positive, not {self.scale}")
        if not math.isfinite(self.bias):
            raise ValueError(f"the bias of a calibration must be a number, not {self.bias}")

    def probability(self, value: Any) -> Any:
        """Values (any shape) -> probabilities in [0, 1], same shape and precision."""
        return 1.0 / (1.0 + np.exp(-np.clip(self.scale * value + self.bias, -60, 60)))

    def value(self, probability: float) -> float:
        """The value that has this probability; 0 and 1, which none has, count as 1e-9 from them."""
        probability = min(max(probability, 1e-9), 1 - 1e-9)
        return (float(np.log(probability / (1 - probability))) - self.bias) / self.scale


@dataclass(frozen=True)
class Calibration:
    """All that turns a network's output into what is shown.

    ``image``: logit -> P(fracture on the film). ``location``: evidence -> P(fracture there).
    ``rule_out`` <= ``rule_in``: the operating points, as probabilities of the film in [0, 1].
    ``extent``: a region reaches as far as the evidence stays within this of its peak.
    ``prevalence``: proportion of fractured films for which ``image`` holds (that of val).
    ``display_threshold``: probability of a location from which it is shown, in colour or as a
    region; never below ``rule_out``. Page, overlay, report and command line share it.
    """

    image: Logistic
    location: Logistic
    rule_out: float
    rule_in: float
    extent: float
    prevalence: float
    display_threshold: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.rule_out <= self.rule_in <= 1:
            raise ValueError(
                f"operating points must be ordered in [0, 1]: {self.rule_out}, {self.rule_in}"
            )
        if not 0 <= self.display_threshold <= 1:
            raise ValueError(
                f"the display threshold must be in [0, 1], not {self.display_threshold}"
            )
        if not 0 <= self.extent < math.inf:
            raise ValueError(f"the extent must be a number of at least 0, not {self.extent}")
        if not 0 < self.prevalence < 1:
            raise ValueError(f"the prevalence must lie between 0 and 1, not {self.prevalence}")
        shown_from = max(self.display_threshold, self.rule_out)
        object.__setattr__(self, "display_threshold", shown_from)

    def decide(self, probability: float, in_scope: bool = True) -> Decision:
        """The decision for a film's calibrated probability."""
        if not in_scope:
            return Decision.OUT_OF_SCOPE
        if probability >= self.rule_in:
            return Decision.FRACTURE_LIKELY
        if probability < self.rule_out:
            return Decision.NO_FRACTURE_SEEN
        return Decision.UNCERTAIN

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Calibration:
        """Raises KeyError or TypeError when a value is missing."""
        return cls(
            image=Logistic(**values["image"]),
            location=Logistic(**values["location"]),
            **{name: float(values[name]) for name in (
                "rule_out", "rule_in", "extent", "prevalence", "display_threshold"
            )},
        )


def post_test_probability(probability: float, prevalence: float, pre_test: float) -> float:
    """The film's likelihood ratio applied to another pre-test probability (Bayes).

    ``probability`` holds at ``prevalence``; all three in (0, 1), the ends give themselves.
    """
    if probability in (0.0, 1.0) or pre_test in (0.0, 1.0):
        return probability if pre_test not in (0.0, 1.0) else pre_test
    ratio = probability / (1 - probability) * (1 - prevalence) / prevalence
    odds = ratio * pre_test / (1 - pre_test)
    return odds / (1 + odds)
