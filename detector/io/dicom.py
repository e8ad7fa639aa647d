"""DICOM: from the file's bytes to grey levels, with nothing of the patient kept.

pydicom reads the header and its plugins decode the pixels. Only the elements named here are read;
names, dates and identifiers are skipped unread. Everything that a hostile header could blow up
(deflate, element counts, declared sizes) is bounded before it is believed.
"""

from __future__ import annotations

import io
import logging
import zlib
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import data_element_generator, read_dataset, read_partial
from pydicom.pixels import pixel_array
from pydicom.pixels.processing import apply_color_lut
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from detector.errors import (
    FilmTooLarge,
    NoPixels,
    RadiographError,
    SeveralFrames,
    UnreadableFilm,
    UnsupportedFilm,
)
from detector.io.codecs import decode_compressed, syntax_name
from detector.io.dicom_intensity import eight_bits, grey_levels, numbers
from detector.io.intensity import from_uint8
from detector.io.limits import Limits
from detector.io.log_filter import silence
from detector.io.picture import Decoded, flatten

silence(name for name in logging.root.manager.loggerDict if name.startswith("pydicom"))

UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)

# A film has a few hundred elements; reading stops at this many read calls.
MAX_READS = 400_000

_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_KEYWORDS = (
    "SpecificCharacterSet", "SOPClassUID", "Modality", "PresentationIntentType", "BodyPartExamined",
    "ViewPosition", "Laterality", "ImageLaterality", "SamplesPerPixel",
    "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope",
    "VOILUTFunction", "ModalityLUTSequence", "VOILUTSequence", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths", "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
)  # fmt: skip
_OVERLAY_BIT = 0x60000102
_WANTED = [Tag(keyword) for keyword in _KEYWORDS] + [Tag(_OVERLAY_BIT), *map(Tag, _PIXELS)]

# Only the standard's own words are repeated: a free text in such a field could name a patient.
_WORDS = {
    "Modality": frozenset({"CR", "DX", "DR", "RG", "XA", "RF", "PX", "IO", "MG", "OT", "SC", "CT",
                           "MR", "US", "NM", "PT", "XC", "ES", "SEG"}),
    "BodyPartExamined": frozenset({
        "ANKLE", "ARM", "CALCANEUS", "CHEST", "CLAVICLE", "ELBOW", "EXTREMITY", "FEMUR", "FINGER",
        "FOOT", "FOREARM", "HAND", "HEEL", "HIP", "HUMERUS", "KNEE", "LEG", "LOWERLIMB", "PATELLA",
        "PELVIS", "RADIUS", "SCAPULA", "SHOULDER", "SKULL", "SPINE", "THUMB", "TIBIA", "TOE",
        "ULNA", "UPPERLIMB", "WRIST", "ABDOMEN", "CSPINE", "LSPINE", "TSPINE", "RIB", "STERNUM",
        "HAND AND WRIST", "LOWER LEG", "UPPER ARM", "THIGH", "TIBIA FIBULA", "RADIUS ULNA",
    }),
    "ViewPosition": frozenset({"AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LAT", "LATERAL",
                               "OBL", "OBLIQUE", "AXIAL", "TAN", "CC", "MLO"}),
    "Laterality": frozenset({"L", "R", "U", "B"}),
}  # fmt: skip


class _Metered(io.BytesIO):
    """The file's bytes, with a bounded number of reads, so that no header can read forever."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MAX_READS:
            raise FilmTooLarge("The DICOM header is far too long. Export the film again.")
        return super().read(size)


def read_dicom(data: bytes, limits: Limits, frame: int | None = None) -> Decoded:
    """Decode one frame of a DICOM file.

    Args:
        data: the file's bytes, with or without the 128-byte preamble.
        limits: checked against header and compressed stream before decoding.
        frame: frame from 0; None for the only one.

    Returns:
        float32 (H, W) in [0, 1], bone bright; JSON-ready facts without patient data; warnings.

    Raises:
        RadiographError: one of its subclasses, by cause; `SeveralFrames` asks for a frame.
    """
    try:
        dataset, stored_as = _read_header(data, limits)
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


def _read_header(data: bytes, limits: Limits) -> tuple[Dataset, UID]:
    """The wanted elements up to the pixels, inflated, and the file's transfer syntax."""
    preamble = 132 if data[128:132] == b"DICM" else 0
    source = _Metered(data)
    source.seek(preamble)
    meta = FileMetaDataset()
    for element in data_element_generator(
        source, False, True, stop_when=lambda tag, vr, length: tag.group != 2
    ):
        if element.tag == 0x00020010:
            meta[element.tag] = element
    stored_as = meta.get("TransferSyntaxUID")
    if stored_as == DeflatedExplicitVRLittleEndian:
        inflated = _inflate(data, source.tell(), limits)
        dataset = read_dataset(
            _Metered(inflated), False, True, stop_when=_past_pixels, specific_tags=_WANTED
        )
        dataset.set_original_encoding(False, True)
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
    else:
        source.seek(0)
        dataset = read_partial(source, stop_when=_past_pixels, force=True, specific_tags=_WANTED)
        if "TransferSyntaxUID" in dataset.file_meta:
            meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
        else:
            implicit, little = dataset.original_encoding
            explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    dataset.file_meta = meta
    if not any(tag in dataset for tag in _PIXELS):
        if not preamble and "Rows" not in dataset:
            raise UnreadableFilm(
                "This is not a film: it looks like an unknown or damaged file. Choose a JPEG, "
                "PNG, TIFF, BMP, WebP or DICOM file."
            )
        raise NoPixels(
            "The DICOM file holds no picture (it may be a report, a presentation state or a "
            "directory). Choose the file of the film itself."
        )
    return dataset, stored_as or meta.TransferSyntaxUID


def _past_pixels(tag: int, vr: str | None, length: int) -> bool:
    return tag > 0x7FE00010


def _inflate(data: bytes, start: int, limits: Limits) -> bytes:
    """The deflated rest of the file, at most `limits.max_bytes` of it."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = stream.decompress(memoryview(data)[start:], limits.max_bytes + 1)
    limits.check_bytes(len(inflated))
    return inflated


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
    if "PixelRepresentation" not in dataset:
        dataset.PixelRepresentation = 0
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
        **_words(dataset),
    }
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
    overlay = numbers(dataset, _OVERLAY_BIT)
    if stored.dtype.kind == "u" and overlay and overlay[0] >= bits:
        stored = stored & ((1 << bits) - 1)  # an overlay drawn in the unused high bits
    pixels, window, more = grey_levels(stored, dataset, photometric == "MONOCHROME1")
    return pixels, facts | window, warnings + more


def _decode(dataset: Dataset, frame: int, frames: int, limits: Limits) -> np.ndarray:
    """Stored values (H, W) or RGB (H, W, 3) of one frame."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in UNCOMPRESSED:
        return decode_compressed(dataset, frame, frames, limits)
    try:
        return pixel_array(dataset, index=frame)
    except MemoryError:
        raise
    except Exception:
        raise UnreadableFilm(
            "The film's pixels are cut short or their number is wrong. Export the film again."
        ) from None


def _whole(dataset: Dataset, keyword: str, default: int = 0) -> int:
    found = numbers(dataset, keyword)
    return int(found[0]) if found and abs(found[0]) < 2**31 else default


def _known(photometric: str) -> str:
    known = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB")
    return photometric if photometric in known or photometric.startswith("YBR_") else "other"


def _words(dataset: Dataset) -> dict[str, str]:
    """Modality, body part, view and side, where the file uses the standard's own words."""
    found = {}
    names = (
        ("modality", "Modality", "Modality"),
        ("body_part", "BodyPartExamined", "BodyPartExamined"),
        ("view", "ViewPosition", "ViewPosition"),
        ("laterality", "ImageLaterality", "Laterality"),
        ("laterality", "Laterality", "Laterality"),
    )
    for name, keyword, words in names:
        try:
            word = str(dataset.get(keyword) or "").strip().upper()
        except Exception:
            continue
        if word in _WORDS[words]:
            found.setdefault(name, word)
    return found
