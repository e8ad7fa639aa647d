"""What the page needs to know of the model and of the detector's rules, as one JSON.

Every number and sentence comes from where the detector or the page with a server has it: none is
written down here again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydicom.uid import AllTransferSyntaxes

from demo.examples import Example
from demo.view import shown_colours
from detector import prediction
from detector.explain import regions
from detector.io import dicom_words, screenshot
from detector.io.limits import Limits
from detector.model import familiarity, file_scope, ood
from detector.model.weights import Model
from detector.report.regions import GROUPS
from detector.report.results import COLUMNS
from detector.report.words import ENGLISH

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE_WORDS: dict[str, Any] = json.loads((HERE / "page" / "words.json").read_text(encoding="utf-8"))


def settings(model: Model, examples: Sequence[Example] = ()) -> dict[str, Any]:
    """JSON-ready; ``config.json``'s parts keep their names."""
    config = model.config.to_dict()
    metrics = config["metrics"]
    test = metrics.get("test", {}).get("fracatlas", {})
    return {
        "model": {
            "version": model.config.version,
            "sha256": model.digest[:12],
            "trained": str(config["provenance"].get("trained", "")),
        },
        "preprocessing": config["preprocessing"],
        "calibration": config["calibration"],
        "ood": {
            **config["ood"],
            "direction": model.ood.direction.tolist(),
            "least_detail": ood.LEAST_DETAIL,
            "max_colourfulness": ood.MAX_COLOURFULNESS,
            "words": {"blank": ood.BLANK, "colour": ood.IN_COLOUR, "unlike": ood.UNLIKE},
        },
        "heads": _heads(model),
        "file_scope": {
            "radiographs": sorted(file_scope.RADIOGRAPHS),
            "other_parts": sorted(dicom_words.OTHER_PARTS),
            "words": {
                "screenshot": screenshot.NOT_FOUND,
                "modality": file_scope.NO_RADIOGRAPH,
                "part": file_scope.NO_LIMB,
            },
        },
        "dicom_words": {
            "modalities": sorted(dicom_words.MODALITIES), "other": dicom_words.OTHER,
            "limb_parts": sorted(dicom_words.LIMB_PARTS),
            "other_parts": sorted(dicom_words.OTHER_PARTS),
            "pairs": sorted(dicom_words.PAIRS), "child_below": dicom_words.CHILD_BELOW,
        },
        "notes": {
            "nowhere": prediction.NOWHERE, "growth_plates": prediction.GROWTH_PLATES,
            "unfamiliar": familiarity.UNFAMILIAR,
        },
        "screenshot": screenshot.RULES,
        "regions": {
            "most": regions.MAX_REGIONS, "faint": regions.FAINT, "fine": regions.FINE,
        },
        "metrics": {
            "limitations": list(metrics.get("limitations") or ()), "parts": GROUPS,
            "operating_points": test.get("operating_points", {}),
            "fractured": test.get("fractured", 0),
        },
        "table_text": base64.b64encode(shown_colours(model.config.calibration).tobytes()).decode(),
        "limits": asdict(Limits()),
        "columns": list(COLUMNS),
        "syntaxes": {str(uid): uid.name for uid in AllTransferSyntaxes},
        "sentences": json.loads((HERE / "io" / "sentences.json").read_text(encoding="utf-8")),
        "words": {**ENGLISH, "here": PAGE_WORDS},
        "looks": json.loads((ROOT / "demo" / "icons.json").read_text(encoding="utf-8")),
        "examples": [
            {
                "title": example.title, "said": example.said, "synthetic": example.synthetic,
                "truth": [dict(zip(("x", "y", "width", "height"), box, strict=True))
                          for box in example.truth],
            }
            for example in examples
        ],
    }  # fmt: skip


def _heads(model: Model) -> dict[str, Any]:
    """The heads with their numbers; none where the weights have none."""
    settings = model.heads.settings()
    if (known := model.familiarity) is not None:
        settings["familiarity"] |= {
            "mean": known.mean.tolist(), "components": known.components.tolist()
        }
    if (head := model.anatomy) is not None:
        settings["anatomy"] |= {"weight": head.weight.tolist(), "bias": head.bias.tolist()}
    return settings
