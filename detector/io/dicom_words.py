"""The standard's own words for what a film shows, and nothing else that a header may say.

A free text in such a field could name a patient, so only known words are repeated.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset

OTHER = "other"  # in place of a modality that the standard does not know

# PS3.3, C.7.3.1.1.1, without those that hold no picture.
MODALITIES = frozenset((
    "AR BI BMD CR CT DG DR DX ECG EPS ES GM HD IO IVOCT IVUS KER LEN LP LS MG MR NM OAM OCT OP OPM "
    "OPT OPV OSS OT PT PX RF RG RTIMAGE SC SEG SM TG US VA XA XC"
).split())  # fmt: skip
# PS3.16, annex L, and what devices write for it.
LIMB_PARTS = frozenset((
    "ANKLE ARM CALCANEUS CARPUS CLAVICLE ELBOW EXTREMITY FEMUR FIBULA FINGER FOOT FOREARM HAND "
    "HEEL HIP HUMERUS KNEE LEG LOWERLIMB METACARPUS METATARSUS PATELLA PELVIS RADIUS SCAPHOID "
    "SCAPULA SHOULDER TARSUS THIGH THUMB TIBIA TOE ULNA UPPERLIMB WRIST"
).split())  # fmt: skip
OTHER_PARTS = frozenset((
    "ABDOMEN ABDOMENPELVIS BLADDER BOWEL BRAIN BREAST CERVIX CHEST CHESTABDOMEN CHESTABDPELVIS "
    "COCCYX COLON CSPINE CTSPINE ESOPHAGUS EYE FACE HEAD HEADNECK HEART IAC JAW KIDNEY LIVER "
    "LSPINE LSSPINE LUNG MANDIBLE MAXILLA MEDIASTINUM NASAL NECK NOSE ORBIT PANCREAS PAROTID "
    "RIB RIBS SACRUM SELLA SINUS SKULL SPINE SPLEEN SSPINE STERNUM STOMACH TEETH THORAX THYROID "
    "TLSPINE TOOTH TSPINE UTERUS ZYGOMA"
).split())  # fmt: skip
PAIRS = frozenset((
    "HAND AND WRIST", "LOWER LEG", "UPPER ARM", "TIBIA FIBULA", "RADIUS ULNA"
))  # fmt: skip
_VIEWS = frozenset((
    "AP PA LL RL RLD LLD RLO LLO LAT LATERAL OBL OBLIQUE AXIAL TAN CC MLO"
).split())  # fmt: skip
_SIDES = frozenset("LRUB")
CHILD_BELOW = 16  # years; most growth plates of the limbs are open until about then


def words(dataset: Dataset) -> dict[str, str]:
    """Modality, body part, view and side of a film, as far as known words say them.

    A modality that is not known is ``OTHER``. A body part of several words is the first one that is
    no part of a limb, where none of them is.
    """
    modality = _upper(dataset.get("Modality"))
    found = {
        "modality": modality if modality in MODALITIES or not modality else OTHER,
        "body_part": _body_part(_upper(dataset.get("BodyPartExamined"))),
        "view": _upper(dataset.get("ViewPosition"), _VIEWS),
        "laterality": _upper(dataset.get("ImageLaterality"), _SIDES)
        or _upper(dataset.get("Laterality"), _SIDES),
    }
    return {name: word for name, word in found.items() if word}


def is_child(dataset: Dataset) -> bool:
    """Whether ``PatientAge`` says under 16 years; the age itself is not kept."""
    age = re.fullmatch(r"(\d{3})([DWMY])", _upper(dataset.get("PatientAge")))
    return bool(age) and int(age[1]) / {"D": 365, "W": 52, "M": 12, "Y": 1}[age[2]] < CHILD_BELOW


def _body_part(text: str) -> str:
    if text in LIMB_PARTS or text in OTHER_PARTS or text in PAIRS:
        return text
    parts = re.findall("[A-Z]+", text)
    joined = text.replace(" ", "").replace("-", "").replace("_", "")
    if any(part in LIMB_PARTS for part in parts):
        return ""
    return next((part for part in (joined, *parts) if part in OTHER_PARTS), "")


def _upper(value: Any, known: frozenset[str] | None = None) -> str:
    word = str(value or "").strip().upper()
    return word if known is None or word in known else ""
