"""How many pictures that are no limb films the out-of-distribution (OOD) check refuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector.errors import RadiographError
from detector.predictor import FractureDetector
from detector.training.card.source_names import FOLDER_KIND
from detector.training.data.ood_images import COUNT, drawn_images, folder_images
from detector.training.evaluation.metrics import proportion
from detector.training.evaluation.predictions import spread


def refusal_figures(
    detector: FractureDetector, outside: Sequence[Path] = (), workers: int = 1, count: int = COUNT
) -> dict[str, Any]:
    """Kind of picture -> how many there were, and the proportion that was refused.

    ``outside``: folders for ``folder_images``; a picture that cannot be read counts as refused.
    """
    kinds: dict[str, list[Any]] = dict(drawn_images(count))
    for folder in outside:
        kinds[f"{FOLDER_KIND}{folder.name}"] = folder_images(folder)

    def refused(picture: Any) -> bool:
        try:
            return not detector.predict(picture).scope.in_scope
        except RadiographError:
            return True

    figures = {}
    for kind, pictures in kinds.items():
        out = np.array(list(spread(refused, pictures, kind, workers)))
        if len(out):
            own = [str(number) for number in range(len(out))]
            figures[kind] = {"pictures": len(out), "refused": proportion(out, own)}
    return figures
