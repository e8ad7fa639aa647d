"""DICOM: from the file's bytes to grey levels, with nothing of the patient kept.

pydicom's plugins decode the pixels; ``dicom_header.py`` reads the header.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.pixels import pixel_array
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from detector.errors import (
    FilmTooLarge,
    RadiographError,
    SeveralFrames,
    UnreadableFilm,
    UnsupportedFilm,
)
from detector.io.codecs import decode_compressed, syntax_name
from detector.io.dicom_header import OVERLAY_BIT, read_header
from detector.io.dicom_intensity import LUT_SHAPES, eight_bits, grey_levels, is_inverted, numbers
from detector.io.dicom_words import is_child, words
from detector.io.intensity import from_uint8
from detector.io.limits import Limits
from detector.io.log_filter import silence
from detector.io.picture import Decoded, flatten

silence(name for name in logging.root.manager.loggerDict if name.startswith("pydicom"))

UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)

_SPACINGS = (
    "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"
)  # fmt: skip
# Presentation LUT shape -> the photometric interpretation that it goes with (PS3.3, C.8.11.1).


def read_dicom(data: bytes, limits: Limits, frame: int | None = None) -> Decoded:
    """Decode one frame of a DICOM file.

    Args:
        data: the file's bytes, with or without the 128-byte preamble.
        limits: checked against header and compressed stream before decoding.
        frame: frame from 0; None for the only one.

    Returns:
        float32 (H, W) in [0, 1], bone bright; JSON-ready facts without patient data; warnings.

    Raises:
        RadiographError: one of its subclasses, by cause; ``SeveralFrames`` asks for a frame.
    """
    try:
        dataset, stored_as = read_header(data, limits)
        return _read_pixels(dataset, stored_as, limits, frame)
    except RadiographError:
        raise
    except MemoryError as error:
        raise FilmTooLarge(
            "There is not enough memory to read this film. Export it at a lower resolution."
        ) from error
    except Exception:
        # Without the cause: a decoder's message may quote the header.
        raise UnreadableFilm(
            "The DICOM file is damaged and could not be read. Export the film again."
        ) from None


def _read_pixels(dataset: Dataset, stored_as: UID, limits: Limits, frame: int | None) -> Decoded:
    rows, columns = (_whole(dataset, keyword) for keyword in ("Rows", "Columns"))
    limits.check_size(columns, rows)
    samples = _whole(dataset, "SamplesPerPixel", 1)
    if samples not in (1, 3):
        raise UnsupportedFilm(
            f"The film has {samples} values per pixel; 1 (grey) or 3 (colour) are read here. "
            "Export it as JPEG or PNG."
        )
    frames = max(1, _whole(dataset, "NumberOfFrames", 1))
    if frame is None and frames > 1:
        raise SeveralFrames(frames)
    chosen = frame or 0
    if not 0 <= chosen < frames:
        raise UnsupportedFilm(
            f"The file has no frame {chosen}; its frames are 0 to {frames - 1}. Choose another."
        )
    warnings: list[str] = []
    photometric = str(dataset.get("PhotometricInterpretation") or "").strip().upper()
    if not photometric:
        photometric = "MONOCHROME2" if samples == 1 else "RGB"
        warnings.append("The file does not say how its grey levels are meant; high was bright.")
    dataset.PhotometricInterpretation = photometric
    dataset.SamplesPerPixel = samples
    _complete(dataset, rows * columns * samples * frames)
    if "NumberOfFrames" in dataset:
        dataset.NumberOfFrames = frames

    stored = _decode(dataset, chosen, frames, limits)
    if stored.shape[:2] != (rows, columns):
        raise UnreadableFilm("The film's size and its pixels disagree. Export the film again.")
    bits = _whole(dataset, "BitsStored", 8 * stored.dtype.itemsize)
    facts: dict[str, Any] = {
        "format": "DICOM",
        "photometric": _known(photometric),
        "bits": bits,
        "width": columns,
        "height": rows,
        "colourfulness": 0.0,
        "transfer_syntax": syntax_name(stored_as),
        "frames": frames,
        "frame": chosen,
        **words(dataset),
        **({"child": True} if is_child(dataset) else {}),
    }
    if (aspect := pixel_aspect(dataset)) != 1:
        facts["pixel_aspect"] = aspect
    if spacing := pixel_spacing(dataset):
        facts["pixel_spacing"] = spacing
    if dataset.get("PresentationIntentType") == "FOR PROCESSING":
        warnings.append(
            "The file is raw detector data, not meant for reading; use the processed film."
        )
    if photometric == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
        bits = 8 * stored.dtype.itemsize
    if stored.ndim == 3:
        grey, facts["colourfulness"] = flatten(eight_bits(stored, bits), warnings)
        return from_uint8(grey), facts, warnings
    stored = _used_bits(stored, dataset)
    pixels, window, more = grey_levels(stored, dataset, is_inverted(dataset, photometric))
    return pixels, facts | window, [*warnings, *more, *_contradictions(dataset, photometric)]


def _complete(dataset: Dataset, values: int) -> None:
    """Add what the header lacks of the pixels' form, as their number of bytes tells it."""
    if "BitsAllocated" not in dataset and "PixelData" in dataset and values:
        dataset.BitsAllocated = 16 if len(dataset.PixelData) >= 2 * values else 8
    if not _whole(dataset, "BitsStored"):
        dataset.BitsStored = _whole(dataset, "BitsAllocated", 8)
    if "HighBit" not in dataset:
        dataset.HighBit = dataset.BitsStored - 1
    if "PixelRepresentation" not in dataset:
        dataset.PixelRepresentation = 0


def _used_bits(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Integers with the unused bits of each cell taken away (PS3.5, 8.1.1): overlays and the like.

    A decoder hands over values without such bits, but for an overlay drawn above them.
    """
    bits, high = _whole(dataset, "BitsStored"), _whole(dataset, "HighBit")
    plain = dataset.file_meta.TransferSyntaxUID in (*UNCOMPRESSED, RLELossless)
    if stored.dtype.kind not in "iu" or not 0 < bits < 8 * stored.dtype.itemsize:
        return stored
    if not plain:
        overlay = numbers(dataset, OVERLAY_BIT)
        drawn = stored.dtype.kind == "u" and overlay and overlay[0] >= bits
        return stored & ((1 << bits) - 1) if drawn else stored
    up = max(0, 8 * stored.dtype.itemsize - 1 - high)
    # Up to the cell's top and down again, which takes the sign along.
    return (stored << up) >> (8 * stored.dtype.itemsize - bits)


def _contradictions(dataset: Dataset, photometric: str) -> list[str]:
    """What the header asks of whoever shows the film, and a reader should know."""
    said = []
    usual = LUT_SHAPES.get(dataset.get("PresentationLUTShape"), photometric)
    if photometric in LUT_SHAPES.values() and usual != photometric:
        said.append(
            "The header contradicts itself about which grey levels are bright. Look whether bone "
            "is bright."
        )
    if dataset.get("ShutterShape"):
        said.append("The header asks for parts of the film to be covered; all of it was read.")
    return said


def _decode(dataset: Dataset, frame: int, frames: int, limits: Limits) -> np.ndarray:
    """Stored values (H, W) or RGB (H, W, 3) of one frame."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in UNCOMPRESSED:
        return decode_compressed(dataset, frame, frames, limits)
    try:
        # pydicom would cut bits off as if the highest were always the one below ``BitsStored``.
        return pixel_array(dataset, index=frame, correct_unused_bits=False)
    except MemoryError:
        raise
    except Exception:
        raise UnreadableFilm(
            "The film's pixels are cut short or their number is wrong. Export the film again."
        ) from None


def pixel_aspect(dataset: Dataset) -> float:
    """Height of a pixel over its width; 1 for square ones and where the header does not say.

    The first that is there of PixelSpacing, ImagerPixelSpacing, NominalScannedPixelSpacing and
    PixelAspectRatio, each vertical then horizontal (PS3.3, 10.7.1.3 and C.7.6.3.1.7).
    """
    for keyword in _SPACINGS:
        pair = numbers(dataset, keyword)
        if len(pair) == 2 and min(pair) > 0:
            aspect = pair[0] / pair[1]
            # Nearer to square than this is rounding; farther from it than this, an error.
            return round(aspect, 4) if 1.01 < max(aspect, 1 / aspect) <= 10 else 1.0
    return 1.0


def pixel_spacing(dataset: Dataset) -> dict[str, Any] | None:
    """A pixel's size by the file: ``mm`` (down, across) and ``kind``, the plane it holds for.

    "calibrated": corrected for magnification; "imager": in the detector's plane, where the limb is
    larger than life; "stated": PixelSpacing, without a word of its plane. None: nothing is said
    (PS3.3, 10.7.1.1 and 10.7.1.3).
    """
    own, imager = (
        [float(v) for v in numbers(dataset, keyword)]
        for keyword in ("PixelSpacing", "ImagerPixelSpacing")
    )
    found = own if len(own) == 2 and min(own) > 0 else imager
    if len(found) != 2 or min(found) <= 0:
        return None
    if found is imager or own == imager:
        return {"mm": found, "kind": "imager"}
    calibrated = "PixelSpacingCalibrationType" in dataset or len(imager) == 2
    return {"mm": found, "kind": "calibrated" if calibrated else "stated"}


def _whole(dataset: Dataset, keyword: str, default: int = 0) -> int:
    found = numbers(dataset, keyword)
    return int(found[0]) if found and abs(found[0]) < 2**31 else default


def _known(photometric: str) -> str:
    known = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB")
    return photometric if photometric in known or photometric.startswith("YBR_") else "other"
