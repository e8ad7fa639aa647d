"""What a film's file says against reading it: another kind of picture, no limb, a screenshot.

The network was trained on plain films of limbs. It cannot tell a slice of a CT from them reliably,
nor a chest film; the header can.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detector.io.dicom_words import OTHER_PARTS
from detector.io.screenshot import NOT_FOUND

# Plain films and what carries them: scanned (SC, OT) or taken under fluoroscopy (RF, XA).
RADIOGRAPHS = frozenset({"CR", "DX", "DR", "RG", "RF", "XA", "SC", "OT"})

# Why a file is out of scope, with the word of its header in place of {}.
NO_RADIOGRAPH = "The file's header says that the picture is not a plain radiograph (modality {})."
NO_LIMB = (
    "The file's header says that the film shows no limb (body part {}); the model was trained on "
    "limbs."
)


def file_objection(facts: Mapping[str, Any]) -> str:
    """Why the file puts a film out of scope, as a sentence for a person; empty if it does not.

    ``facts``: of a ``Radiograph``: ``modality``, ``body_part`` and ``screenshot`` are looked at.
    """
    if facts.get("screenshot") == []:
        return NOT_FOUND
    modality, part = str(facts.get("modality", "")), str(facts.get("body_part", ""))
    if modality and modality not in RADIOGRAPHS:
        return NO_RADIOGRAPH.format(modality)
    if part in OTHER_PARTS:
        return NO_LIMB.format(part)
    return ""
