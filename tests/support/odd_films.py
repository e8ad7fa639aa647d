"""Films in every form that ``load_radiograph`` reads, small and synthetic, made in memory.

The tests read them; the fuzzer in ``benchmarks/`` breaks them. No real film, no real patient.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

PATIENT = "DOE^JANE SECRET"
BIRTHDAY = "19610203"


def grey(height: int = 64, width: int = 48, top: int = 255) -> np.ndarray:
    """A bright bone on dark tissue, (H, W), 0 to ``top``: uint8, or uint16 above 255."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    bone = np.exp(-(((x - width / 2 - 3 * np.sin(y / 9)) / (width / 7)) ** 2))
    levels = 0.05 + 0.3 * x / width + 0.6 * bone + 0.04 * np.sin(x * y / 11)
    return np.clip(levels * top, 0, top).astype(np.uint8 if top < 256 else np.uint16)


def colour(height: int = 64, width: int = 48) -> np.ndarray:
    """A colourful picture, uint8 (H, W, 3)."""
    y, x = np.mgrid[:height, :width]
    return np.stack([5 * x % 256, 3 * y % 256, 255 - 5 * x % 256], axis=2).astype(np.uint8)


def saved(image: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    """A picture file of ``kind`` (Pillow's name)."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_orientation(image: Image.Image | np.ndarray, kind: str, orientation: int) -> bytes:
    """A picture file whose EXIF asks the reader to turn it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(image, kind, exif=exif)


def png(width: int, height: int, data: bytes, depth: int = 8, colour_type: int = 0) -> bytes:
    """A PNG with any header and any image data, which need not fit together."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data, 9))
        + chunk(b"IEND", b"")
    )


def tiff(width: int, height: int, tags: dict[int, int], data: bytes = b"") -> bytes:
    """An 8-bit grey TIFF of one strip or tile, with any further ``tags`` (32-bit values)."""
    entries = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 277: 1} | tags
    start = 8 + 2 + 12 * len(entries) + 4
    entries = {tag: start if tag in (273, 324) else value for tag, value in entries.items()}
    body = b"".join(struct.pack("<HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + data


def deep_tiff(values: np.ndarray, order: str = "II", photometric: int = 1) -> bytes:
    """An uncompressed TIFF of any number type, (H, W) or (H, W, samples), in either byte order."""
    end = {"II": "<", "MM": ">"}[order]
    samples = 1 if values.ndim == 2 else values.shape[2]
    data = values.astype(values.dtype.newbyteorder(end)).tobytes()
    start = 8 + 2 + 12 * 10 + 4  # the end of ten tags

    def short(*numbers: int) -> bytes:
        return struct.pack(f"{end}{len(numbers)}H", *numbers)

    lists = [short(*[8 * values.dtype.itemsize] * samples),
             short(*[{"u": 1, "i": 2, "f": 3}[values.dtype.kind]] * samples)]  # fmt: skip
    if len(lists[0]) > 4:
        behind = b"".join(lists)
        lists = [struct.pack(f"{end}I", start + at) for at in (0, len(lists[0]))]
    else:
        behind = b""
    tags = {
        256: values.shape[1], 257: values.shape[0], 258: lists[0], 259: short(1),
        262: short(photometric), 273: start + len(behind), 277: short(samples),
        278: values.shape[0], 279: len(data), 339: lists[1],
    }  # fmt: skip
    body = b"".join(
        struct.pack(f"{end}HHII", tag, 4, 1, value) if isinstance(value, int)
        else struct.pack(f"{end}HHI", tag, 3, samples if tag in (258, 339) else 1)
        + value.ljust(4, b"\0")
        for tag, value in tags.items()
    )  # fmt: skip
    head = order.encode() + struct.pack(f"{end}HIH", 42, 8, len(tags))
    return head + body + bytes(4) + behind + data


def header(pixels: np.ndarray, frames: int = 1, **elements) -> Dataset:
    """A complete DICOM header for stored values (H, W), (H, W, 3) or (frames, H, W)."""
    film = Dataset()
    film.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    film.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    film.PatientName, film.PatientID, film.PatientBirthDate = PATIENT, PATIENT, BIRTHDAY
    film.Modality, film.BodyPartExamined, film.ViewPosition = "DX", "WRIST", "PA"
    film.Laterality = "L"
    in_colour = pixels.ndim == 3 and frames == 1
    film.Rows, film.Columns = pixels.shape[:2] if frames == 1 else pixels.shape[1:]
    film.SamplesPerPixel = 3 if in_colour else 1
    film.PhotometricInterpretation = "RGB" if in_colour else "MONOCHROME2"
    if in_colour:
        film.PlanarConfiguration = 0
    if frames > 1:
        film.NumberOfFrames = frames
    film.BitsAllocated = film.BitsStored = 8 * pixels.dtype.itemsize
    film.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in elements.items():
        setattr(film, keyword, value)
    film.HighBit = max(film.BitsStored - 1, 0)
    return film


def dicom(
    pixels: np.ndarray,
    syntax: UID = ExplicitVRLittleEndian,
    *,
    frames: int = 1,
    stream: bytes | None = None,
    remove: tuple[str, ...] = (),
    **elements,
) -> bytes:
    """A DICOM file; ``stream`` is its compressed picture where pydicom cannot compress."""
    film = header(pixels, frames, **elements)
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = syntax
    compress = syntax.is_encapsulated and stream is None
    if stream is not None:
        film.PixelData = encapsulate([stream])
        film["PixelData"].VR = "OB"
        film["PixelData"].is_undefined_length = True
    else:
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        values = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        film.PixelData = values + b"\0" * (len(values) % 2)
        film["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    if compress:
        film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        film.compress(syntax, generate_instance_uid=False)
    for keyword in remove:
        delattr(film, keyword)
    file = io.BytesIO()
    dcmwrite(file, film, enforce_file_format=True)
    return file.getvalue()


def lossless_jpeg(pixels: np.ndarray, bits: int = 16) -> bytes:
    """JPEG lossless, process 14, predictor 1 (ITU-T T.81, annex H), of uint8 or uint16 (H, W).

    No library at hand writes this, the commonest compression of old DICOM archives. The Huffman
    code is the plainest one: the 17 difference categories as 5-bit codes 0 to 16.
    """
    height, width = pixels.shape
    values = pixels.astype(np.int64)
    guess = np.empty_like(values)
    guess[:, 1:] = values[:, :-1]
    guess[1:, 0] = values[:-1, 0]
    guess[0, 0] = 1 << (bits - 1)
    difference = (values - guess + 32768) % 65536 - 32768
    written = []
    for step in difference.ravel().tolist():
        size = abs(step).bit_length() if step != -32768 else 16
        written.append(f"{size:05b}")
        if 0 < size < 16:
            written.append(f"{step if step > 0 else step + (1 << size) - 1:0{size}b}")
    text = "".join(written)
    text += "1" * (-len(text) % 8)
    body = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    return (
        b"\xff\xd8"
        + b"\xff\xc3" + struct.pack(">HBHHB3B", 11, bits, height, width, 1, 1, 0x11, 0)
        + b"\xff\xc4" + struct.pack(">HB", 36, 0) + bytes([0] * 4 + [17] + [0] * 11 + [*range(17)])
        + b"\xff\xda" + struct.pack(">HB2B3B", 8, 1, 1, 0, 1, 0, 0)
        + body
        + b"\xff\xd9"
    )  # fmt: skip


def extended_jpeg(levels: np.ndarray) -> bytes:
    """12-bit JPEG (SOF1) of 8 x 8 blocks, each of one level 0 to 4095; ``levels`` is per block."""
    rows, columns = levels.shape
    # With a quantiser of 1, a block of level v has the DC coefficient 8 (v - 2048).
    coefficients = 8 * (levels.astype(np.int64).ravel() - 2048)
    written = []
    for step in np.diff(coefficients, prepend=0).tolist():
        size = abs(step).bit_length()
        written.append(f"{size:05b}")
        if size:
            written.append(f"{step if step > 0 else step + (1 << size) - 1:0{size}b}")
        written.append("0")  # end of block
    text = "".join(written)
    text += "1" * (-len(text) % 8)
    body = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    return (
        b"\xff\xd8"
        + b"\xff\xdb" + struct.pack(">HB", 67, 0) + bytes([1] * 64)
        + b"\xff\xc1" + struct.pack(">HBHHB3B", 11, 12, 8 * rows, 8 * columns, 1, 1, 0x11, 0)
        + b"\xff\xc4" + struct.pack(">HB", 35, 0) + bytes([0] * 4 + [16] + [0] * 11 + [*range(16)])
        + b"\xff\xc4" + struct.pack(">HB", 20, 0x10) + bytes([1] + [0] * 15 + [0])
        + b"\xff\xda" + struct.pack(">HB2B3B", 8, 1, 1, 0, 0, 63, 0)
        + body
        + b"\xff\xd9"
    )  # fmt: skip


def palette() -> Image.Image:
    """A palette picture with its colours."""
    return Image.fromarray(colour()).quantize(32)


def voi_table(entries: np.ndarray, first: int, bits: int = 16) -> list[Dataset]:
    """A LUT sequence (modality or VOI) from stored value ``first`` on."""
    item = Dataset()
    item.add_new(0x00283002, "US" if first >= 0 else "SS", [len(entries) % 65536, first, bits])
    item.add_new(0x00283006, "OW", entries.astype("<u2").tobytes())
    item.ModalityLUTType = "US"
    return [item]


def with_alpha() -> np.ndarray:
    """uint8 RGBA whose left half is transparent."""
    alpha = np.full((64, 48, 1), 255, np.uint8)
    alpha[:, :24] = 0
    return np.concatenate([np.repeat(grey()[..., None], 3, axis=2), alpha], axis=2)


def animation(kind: str) -> bytes:
    """Three different pictures in one file."""
    pictures = [Image.fromarray(np.roll(grey(), 7 * i, axis=1)) for i in range(3)]
    options = {"lossless": True} if kind == "WEBP" else {}
    return saved(pictures[0], kind, save_all=True, append_images=pictures[1:], **options)


DEEP = grey(top=4095)

FILMS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: saved(grey(), "JPEG"),
    "jpeg progressive": lambda: saved(grey(), "JPEG", progressive=True),
    "jpeg colour": lambda: saved(colour(), "JPEG"),
    "jpeg cmyk": lambda: saved(Image.fromarray(colour()).convert("CMYK"), "JPEG"),
    "jpeg turned": lambda: with_orientation(grey(), "JPEG", 6),
    "png": lambda: saved(grey(), "PNG"),
    "png 16": lambda: saved(DEEP, "PNG"),
    "png 1": lambda: saved(Image.fromarray(grey()).convert("1"), "PNG"),
    "png colour": lambda: saved(colour(), "PNG"),
    "png palette": lambda: saved(palette(), "PNG"),
    "png alpha": lambda: saved(with_alpha(), "PNG"),
    "png grey alpha": lambda: saved(Image.fromarray(with_alpha()).convert("LA"), "PNG"),
    "png animated": lambda: animation("PNG"),
    "tiff": lambda: saved(grey(), "TIFF"),
    "tiff 16": lambda: saved(DEEP, "TIFF"),
    "tiff float": lambda: saved(Image.fromarray(DEEP.astype(np.float32)), "TIFF"),
    "tiff 64-bit": lambda: deep_tiff(DEEP.astype(np.float64)),
    "tiff 16 colour": lambda: deep_tiff(np.repeat(DEEP[..., None], 3, axis=2), "MM", 2),
    "tiff lzw": lambda: saved(colour(), "TIFF", compression="tiff_lzw"),
    "tiff deflate": lambda: saved(grey(), "TIFF", compression="tiff_adobe_deflate"),
    "tiff jpeg": lambda: saved(grey(), "TIFF", compression="jpeg"),
    "tiff fax": lambda: saved(Image.fromarray(grey()).convert("1"), "TIFF", compression="group4"),
    "tiff packbits": lambda: saved(grey(), "TIFF", compression="packbits"),
    "tiff cmyk": lambda: saved(Image.fromarray(colour()).convert("CMYK"), "TIFF"),
    "tiff pages": lambda: animation("TIFF"),
    "tiff turned": lambda: with_orientation(grey(), "TIFF", 8),
    "bmp": lambda: saved(grey(), "BMP"),
    "bmp colour": lambda: saved(colour(), "BMP"),
    "webp": lambda: saved(colour(), "WEBP"),
    "webp lossless": lambda: saved(with_alpha(), "WEBP", lossless=True),
    "webp animated": lambda: animation("WEBP"),
    "dicom": lambda: dicom(DEEP, BitsStored=12, WindowCenter=2000, WindowWidth=3000),
    "dicom implicit": lambda: dicom(DEEP, ImplicitVRLittleEndian, BitsStored=12),
    "dicom big endian": lambda: dicom(DEEP, ExplicitVRBigEndian),
    "dicom deflated": lambda: dicom(DEEP, DeflatedExplicitVRLittleEndian),
    "dicom 8": lambda: dicom(grey()),
    "dicom signed": lambda: dicom(
        DEEP.astype(np.int16) - 2048, RescaleSlope=2, RescaleIntercept=-5, PixelPaddingValue=-2000
    ),
    "dicom monochrome1": lambda: dicom(grey(), PhotometricInterpretation="MONOCHROME1"),
    "dicom colour": lambda: dicom(colour()),
    "dicom frames": lambda: dicom(np.stack([grey(), grey()[::-1]]), frames=2),
    "dicom voi": lambda: dicom(
        DEEP, VOILUTSequence=voi_table(np.arange(4096)[::-1] * 16, first=0)
    ),
    "dicom modality": lambda: dicom(
        DEEP, ModalityLUTSequence=voi_table(np.arange(4096) ** 2 // 256, first=0)
    ),
    "dicom bare": lambda: dicom(DEEP)[132:],
    "dicom rle": lambda: dicom(DEEP, RLELossless),
    "dicom jpeg": lambda: dicom(grey(), JPEGBaseline8Bit, stream=saved(grey(), "JPEG")),
    "dicom jpeg colour": lambda: dicom(
        colour(), JPEGBaseline8Bit, stream=saved(colour(), "JPEG"),
        PhotometricInterpretation="YBR_FULL_422",
    ),
    "dicom jpeg 12": lambda: dicom(
        np.zeros((64, 48), np.uint16), JPEGExtended12Bit, BitsStored=12,
        stream=extended_jpeg(DEEP[::8, ::8]),
    ),
    "dicom jpeg lossless": lambda: dicom(DEEP, JPEGLosslessSV1, stream=lossless_jpeg(DEEP)),
    "dicom jpeg-ls": lambda: dicom(DEEP, JPEGLSLossless),
    "dicom jpeg-ls near": lambda: dicom(DEEP, JPEGLSNearLossless),
    "dicom jpeg 2000": lambda: dicom(DEEP, JPEG2000Lossless),
    "dicom jpeg 2000 colour": lambda: dicom(colour(), JPEG2000Lossless),
}  # fmt: skip
