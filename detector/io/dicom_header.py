"""The header of a DICOM file: the elements that are read, also of files that are out of order.

pydicom parses. Only the elements named here are kept; names, dates and identifiers are skipped
unread. Everything that a hostile header could blow up (deflate, element counts, declared sizes) is
bounded before it is believed.
"""

from __future__ import annotations

import io
import zlib

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import data_element_generator, read_dataset, read_partial
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from detector.errors import FilmTooLarge, NoPixels, UnreadableFilm
from detector.io.limits import Limits

# A film has a few hundred elements; reading stops at this many read calls.
MAX_READS = 400_000

_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_KEYWORDS = (
    "SpecificCharacterSet", "SOPClassUID", "Modality", "PresentationIntentType", "BodyPartExamined",
    "ViewPosition", "Laterality", "ImageLaterality", "PatientAge", "SamplesPerPixel",
    "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "PixelSpacing", "PixelSpacingCalibrationType",
    "ImagerPixelSpacing", "NominalScannedPixelSpacing",
    "PixelAspectRatio", "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope",
    "VOILUTFunction", "PresentationLUTShape", "ShutterShape", "ModalityLUTSequence",
    "VOILUTSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
)  # fmt: skip
OVERLAY_BIT = 0x60000102
_WANTED = [Tag(keyword) for keyword in _KEYWORDS] + [Tag(OVERLAY_BIT), *map(Tag, _PIXELS)]

class _Metered(io.BytesIO):
    """The file's bytes, with a bounded number of reads, so that no header can read forever."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MAX_READS:
            raise FilmTooLarge("The DICOM header is far too long. Export the film again.")
        return super().read(size)


def read_header(data: bytes, limits: Limits, *, inner: bool = False) -> tuple[Dataset, UID]:
    """The wanted elements up to the pixels, inflated, and the file's transfer syntax.

    ``inner``: the data are those of a file found within another one.
    """
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
        source = _Metered(inflated)
        dataset = read_dataset(
            source, False, True, stop_when=_past_pixels, specific_tags=_WANTED
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
    if not _has_pixels(dataset):
        _read_on(dataset, source)
    if not _has_pixels(dataset):
        again = data.find(b"DICM\x02\0", 132)
        if again >= 128 and not inner:
            return read_header(data[again - 128 :], limits, inner=True)
        if not preamble and "Rows" not in dataset:
            raise UnreadableFilm(
                "This is not a film: it looks like an unknown or damaged file. Choose a JPEG, "
                "PNG, TIFF, BMP, WebP or DICOM file."
            )
        if source.tell() > len(data) or len(source.read(8)) == 8:
            raise UnreadableFilm(
                "The DICOM file's header is damaged, so that the picture behind it is not found. "
                "Export the film again."
            )
        raise NoPixels(
            "The DICOM file holds no picture (it may be a report, a presentation state or a "
            "directory). Choose the file of the film itself."
        )
    return dataset, stored_as or meta.TransferSyntaxUID


def _past_pixels(tag: int, vr: str | None, length: int) -> bool:
    return tag > 0x7FE00010


def _has_pixels(dataset: Dataset) -> bool:
    return any(tag in dataset for tag in _PIXELS)


def _read_on(dataset: Dataset, source: _Metered) -> None:
    """Add what lies behind a stray delimiter or out of order, where pydicom stops reading."""
    implicit, little = dataset.original_encoding
    start = -1
    while not _has_pixels(dataset) and source.tell() > start:
        start = source.tell()
        while source.read(8)[:2] in (b"\xfe\xff", b"\xff\xfe"):  # a delimiter has no value
            start += 8
        source.seek(start)  # pydicom would tell the encoding from a delimiter, wrongly
        dataset.update(read_dataset(source, implicit, little, specific_tags=_WANTED))


def _inflate(data: bytes, start: int, limits: Limits) -> bytes:
    """The deflated rest of the file, at most ``limits.max_bytes`` of it."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = stream.decompress(memoryview(data)[start:], limits.max_bytes + 1)
    limits.check_bytes(len(inflated))
    return inflated
