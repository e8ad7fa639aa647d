"""From a DICOM film's stored values to grey levels: modality, window or range, polarity.

Every step is worked out once per possible stored value, as a table, and the film is looked up in
it: exact, and fast for the 16-bit films that make up most of a DICOM archive. The steps are those
of DICOM PS3.3 C.11 (modality LUT, VOI LUT) and PS3.3 C.7.6.3.1.2 (MONOCHROME1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydicom import Dataset

from detector.errors import UnsupportedFilm
from detector.io.dicom_tables import read_table
from detector.io.intensity import from_numbers, histogram, percentiles, robust_range

# A window that leaves less of the grey range than this, between nearly all of the film's pixels,
# shows black or white and no bone.
LEAST_SPREAD = 0.1

Mapping = tuple[np.ndarray, dict[str, Any]]  # grey level per table entry; what made it

# Presentation LUT Shape and the photometric interpretation that says the same.
LUT_SHAPES = {"IDENTITY": "MONOCHROME2", "INVERSE": "MONOCHROME1"}


def numbers(dataset: Dataset, keyword: str | int) -> list[float]:
    """The finite numbers of an element; none when it is absent or damaged."""
    try:
        value = dataset[keyword].value if keyword in dataset else None
        values = value if isinstance(value, list | tuple) or hasattr(value, "append") else [value]
        return [float(v) for v in values if v not in (None, "") and math.isfinite(float(v))]
    except Exception:
        return []


def is_inverted(dataset: Dataset, photometric: str) -> bool:
    """Whether low values are bright. The shape of the presentation LUT, the last step before the
    eye, decides where there is one (PS3.3, C.11.6), as in dcmtk and Weasis."""
    shape = dataset.get("PresentationLUTShape")
    return shape == "INVERSE" if shape in LUT_SHAPES else photometric == "MONOCHROME1"


def grey_levels(
    stored: np.ndarray, dataset: Dataset, inverted: bool
) -> tuple[np.ndarray, dict[str, Any], list[str]]:
    """The film's grey levels.

    Args:
        stored: (H, W) stored values, 8 or 16 bits, signed or not; 32-bit and float films are
            scaled by ``intensity.py`` and take no window.
        dataset: the DICOM header.
        inverted: whether low values are bright (MONOCHROME1).

    Returns:
        float32 (H, W) in [0, 1], bone bright; the facts ``window`` (used; ``black`` and ``white``
        are the rescaled values that became 0 and 1) and ``windows`` (offered by the file);
        warnings.
    """
    warnings: list[str] = []
    if stored.dtype.kind not in "iu" or stored.dtype.itemsize > 2:
        levels, warnings = from_numbers(stored)
        return (1 - levels if inverted else levels), {"window": None, "windows": []}, warnings
    index, ramp, counts = histogram(stored)
    padding = _padding(ramp, dataset)
    if counts[~padding].any():
        counts = np.where(padding, 0, counts)
    else:
        padding = np.zeros_like(padding)
        warnings.append("Every pixel is marked as padding; the mark was ignored.")

    values = _rescaled(ramp, dataset, warnings)
    offered = _windows(dataset)
    mapping = _by_range(stored.dtype, ramp if values is None else values, counts, dataset)
    if values is not None:  # a window is in units of the modality table: without it, none
        for own in _own_mappings(values, dataset, offered, warnings):
            if _spread(own, counts) >= LEAST_SPREAD or not _spread(mapping, counts):
                mapping = own
                break
            warnings.append("The file's own window shows nothing; another range was used instead.")
    table, fact = mapping
    if inverted:
        table = 1 - table
        fact["black"], fact["white"] = fact["white"], fact["black"]
    table = np.where(padding, 0, table).astype(np.float32)
    return table[index], {"window": fact, "windows": offered}, warnings


def _padding(ramp: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Which stored values mark the surroundings of the film (PS3.3 C.7.5.1.1.2)."""
    value = numbers(dataset, "PixelPaddingValue")
    if not value:
        return np.zeros(ramp.shape, bool)
    limit = numbers(dataset, "PixelPaddingRangeLimit") or value
    low, high = sorted((value[0], limit[0]))
    return (ramp >= low) & (ramp <= high)


def _spread(mapping: Mapping, counts: np.ndarray) -> float:
    """How much of the grey range the film fills, from its 0.1th to its 99.9th percentile."""
    low, high = percentiles(mapping[0], counts)
    return high - low


def _rescaled(ramp: np.ndarray, dataset: Dataset, warnings: list[str]) -> np.ndarray | None:
    """The modality LUT or rescale slope and intercept, on every stored value; None where the file
    has a LUT that cannot be used."""
    if dataset.get("ModalityLUTSequence"):
        table = read_table(dataset, "ModalityLUTSequence", signed=bool(ramp.min() < 0))
        if table is not None:
            return table.look_up(ramp)
        warnings.append(
            "The file's modality table is damaged and was ignored, and its window with it."
        )
        return None
    slope = numbers(dataset, "RescaleSlope") or [1.0]
    if not (0 < abs(slope[0]) < 1e30):
        warnings.append("The file's rescale slope is not usable and was ignored.")
        return ramp.astype(np.float64)
    intercept = numbers(dataset, "RescaleIntercept") or [0.0]
    return ramp.astype(np.float64) * slope[0] + np.clip(intercept[0], -1e30, 1e30)


def _windows(dataset: Dataset) -> list[dict[str, float]]:
    """The windows that the file offers, in rescaled units."""
    pairs = zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth"), strict=False)
    return [
        {"center": center, "width": width}
        for center, width in pairs
        if 0 < width < 1e30 and abs(center) < 1e30
    ]


def _own_mappings(
    values: np.ndarray,
    dataset: Dataset,
    offered: list[dict[str, float]],
    warnings: list[str],
) -> Iterator[Mapping]:
    """The file's own ways from value to grey, best first: its first window, then its VOI LUT."""
    if offered:
        yield _windowed(values, function=str(dataset.get("VOILUTFunction") or ""), **offered[0])
    elif numbers(dataset, "WindowWidth"):
        warnings.append("The file's own window is not usable and was ignored.")
    if dataset.get("VOILUTSequence"):
        voi = read_table(dataset, "VOILUTSequence", signed=bool(values.min() < 0))
        if voi is not None:
            fact = _fact("table", "TABLE", float(values.min()), float(values.max()))
            yield np.clip(voi.look_up(values) / voi.top, 0, 1), fact
        else:
            warnings.append("The file's VOI table is damaged and was ignored.")


def _windowed(values: np.ndarray, center: float, width: float, function: str) -> Mapping:
    """PS3.3 C.11.2.1.2 (linear) and C.11.2.1.3 (exact, sigmoid), with output 0 to 1."""
    function = function.strip().upper()
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            table = 1 / (1 + np.exp(-4 * (values - center) / width))
        low, high = center - width / 2, center + width / 2
    else:
        if function == "LINEAR_EXACT" or width < 1:
            function, low, high = "LINEAR_EXACT", center - width / 2, center + width / 2
        else:
            function = "LINEAR"
            low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
        if high > low:
            table = np.clip((values - low) / (high - low), 0, 1)
        else:  # a width of 1 is a threshold
            table = (values > low).astype(np.float64)
    return table, _fact("film", function, low, high, center, width)


def _by_range(
    stored: np.dtype, values: np.ndarray, counts: np.ndarray, dataset: Dataset
) -> Mapping:
    """Grey levels of a film that brings no usable window, by the rule of ``intensity.py``."""
    plain = not dataset.get("ModalityLUTSequence") and not numbers(dataset, "RescaleSlope")
    if stored == np.uint8 and plain:
        low, high = 0.0, 255.0
    else:
        low, high = robust_range(values, counts)
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return np.clip(scaled, 0, 1), _fact("range", "LINEAR", low, high)


def _fact(
    source: str,
    function: str,
    black: float,
    white: float,
    center: float | None = None,
    width: float | None = None,
) -> dict[str, Any]:
    return {
        "source": source,
        "function": function,
        "center": (black + white) / 2 if center is None else center,
        "width": white - black if width is None else width,
        "black": black,
        "white": white,
    }


def eight_bits(stored: np.ndarray, bits: int) -> np.ndarray:
    """Colour (H, W, 3) of ``bits`` per sample to uint8."""
    if stored.dtype == np.uint8:
        return stored
    if stored.dtype.kind != "u" or not 1 <= bits <= 16:
        raise UnsupportedFilm(
            "The film is a colour picture of an unusual depth. Export it as JPEG or PNG."
        )
    return np.clip(stored.astype(np.float32) * (255 / (2**bits - 1)), 0, 255).astype(np.uint8)
