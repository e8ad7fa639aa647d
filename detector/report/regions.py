"""Marked regions in words, and the limitations of the part of the body that a film shows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detector.explain.regions import Region
from detector.prediction import Prediction
from detector.report.results import percent
from detector.report.words import ENGLISH, Words

# Part of the anatomy head -> what the card's limitations call the test films that show it.
GROUPS: dict[str, list[str]] = json.loads(
    (Path(__file__).parent / "parts.json").read_text(encoding="utf-8")
)


def where(region: Region, prediction: Prediction, words: Words = ENGLISH) -> str:
    """Where a region lies, in words: "Upper left of image (wrist or hand)".

    The part of the body stands there where the film's anatomy is named: on a familiar film only.
    """
    x = (region.x + region.width / 2) / prediction.film.width
    y = (region.y + region.height / 2) / prediction.film.height
    row, column = min(2, int(3 * y)), min(2, int(3 * x))
    said = words["centre"]
    if not row == column == 1:
        said = words.say("of the film", down=words["down"][row], across=words["across"][column])
    said = said[:1].upper() + said[1:]
    part = prediction.anatomy and prediction.anatomy.region
    if not part:
        return said
    return words.say("of a part", where=said, part=words["parts"].get(part, part))


def local(region: Region, prediction: Prediction) -> str:
    """A region's probability as shown: never more than its film's.

    The two are calibrated apart, on places and on films, so a place may come out higher. A fracture
    at a place is a fracture on the film: the film's figure is the bound.
    """
    return percent(min(region.score, prediction.probability))


def part_limitations(prediction: Prediction, metrics: Mapping[str, Any]) -> list[str]:
    """Those of the card's limitations that are of the part of the body which the film shows, in the
    card's order; none where the part is not named or no figure of it misses its target."""
    part = prediction.anatomy and prediction.anatomy.region
    groups = "|".join(map(re.escape, GROUPS.get(part or "", [])))
    if not groups:
        return []
    of_part = re.compile(rf"\b(?:{groups})\b")
    return [s for s in map(str, metrics.get("limitations", ())) if of_part.search(s)]
