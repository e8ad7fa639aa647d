"""A film in, grey levels out: ``load_radiograph`` reads a file, bytes, an image or an array.

    film = load_radiograph("wrist.dcm")
    film.pixels            # float32 (H, W) in [0, 1], bone bright, read-only
    film.facts             # format, size, bits, colourfulness, ...; never patient data
    film.warnings          # sentences: what was odd about the file, if anything

What a stored value becomes is decided in ``intensity.py``; the kinds of picture file in
``picture.py``; DICOM in ``dicom.py``; how large a film may be in ``limits.py``.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from detector.errors import FilmTooLarge, RadiographError, UnreadableFilm, UnsupportedFilm
from detector.io.deep_picture import deep_grey
from detector.io.intensity import ONE_SHADE
from detector.io.limits import Limits
from detector.io.log_filter import quiet
from detector.io.picture import Decoded, flatten, read_image, read_picture
from detector.io.screenshot import film_alone

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Radiograph:
    """One film, upright and grey.

    Attributes:
        pixels: float32 (H, W) in [0, 1], bone bright; read-only, at the film's full resolution.
        facts: JSON-ready facts of the file, never patient data: ``format``, ``mode`` or
            ``photometric``, ``bits``, ``width``, ``height`` (as stored, before an EXIF turn),
            ``colourfulness`` (0 for grey), and for DICOM ``window``, ``windows``, ``frames``,
            ``frame``, ``transfer_syntax``, ``modality``, ``body_part``, ``view``, ``laterality``.
            Of a film that is not whole, ``missing``: the share that its file lacks, in (0, 1].
            Where pixels are not square, ``pixel_aspect``: their height over their width. Of a
            screenshot, ``screenshot``: where in it the film was found.
        warnings: sentences about what was odd and how it was handled.
    """

    pixels: np.ndarray
    facts: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        """Rows of ``pixels``."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Columns of ``pixels``."""
        return self.pixels.shape[1]

    @property
    def missing(self) -> float:
        """The share of the film that its file lacks, in [0, 1]; 0 for a whole film."""
        return float(self.facts.get("missing", 0.0))

    @property
    def aspect(self) -> float:
        """Height of a pixel over its width; 1 for square pixels, as of every picture file."""
        return float(self.facts.get("pixel_aspect", 1.0))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the decoded pixels and their shape, in hexadecimal."""
        shape = f"{self.height}x{self.width} float32\n".encode()
        return hashlib.sha256(shape + self.pixels.astype("<f4", copy=False).tobytes()).hexdigest()


Source = str | Path | bytes | bytearray | memoryview | IO[bytes] | Image.Image | np.ndarray


def load_radiograph(
    source: Source | Radiograph, *, frame: int | None = None, limits: Limits = DEFAULT_LIMITS
) -> Radiograph:
    """Read one film.

    Args:
        source: a path, a file's bytes, an open binary file (read to its end), a PIL image, or an
            array (H, W) or (H, W, 3 or 4) of uint8, uint16, another integer type or floats (see
            ``intensity.py`` for their range). A ``Radiograph`` is returned as it is. Files are
            recognised by content, not by name: JPEG, PNG, TIFF, BMP, WebP, DICOM.
        frame: which frame (from 0) of a multi-frame file; None reads the only one.
        limits: how large the film may be.

    Returns:
        The film, its facts and warnings.

    Raises:
        RadiographError: a subclass per cause; ``str(error)`` tells a person what to do.
        TypeError: ``source`` is of another Python type.
    """
    if isinstance(source, Radiograph):
        return source
    try:
        with quiet():
            pixels, facts, warnings = _decode(source, frame, limits)
    except (RadiographError, TypeError):
        raise
    except MemoryError as error:
        raise FilmTooLarge(
            "There is not enough memory to read this film. Export it at a lower resolution."
        ) from error
    # Not of DICOM, whose objects speak of the file's own pixels.
    if facts["format"] != "DICOM" and facts["bits"] == 8:
        pixels, facts, warnings = film_alone(pixels, facts, warnings)
    limits.check_size(pixels.shape[1], pixels.shape[0])
    if pixels.min() == pixels.max():
        warnings = [*warnings, ONE_SHADE]
    pixels = np.ascontiguousarray(pixels, np.float32)
    pixels.setflags(write=False)
    return Radiograph(pixels, facts, tuple(warnings))


def _decode(source: Any, frame: int | None, limits: Limits) -> Decoded:
    if isinstance(source, np.ndarray):
        return _from_array(source, limits)
    if isinstance(source, Image.Image):
        return _from_image(source, frame, limits)
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        limits.check_bytes(len(data))
    elif isinstance(source, str | os.PathLike):
        data = _file_bytes(source, limits)
    elif hasattr(source, "read"):
        data = _stream_bytes(source, limits)
    else:
        raise TypeError(
            "a film is a path, bytes, a binary file, a PIL image or a numpy array, "
            f"not {type(source).__name__}"
        )
    return _from_bytes(data, frame, limits)


def _from_bytes(data: bytes, frame: int | None, limits: Limits) -> Decoded:
    if not data:
        raise UnreadableFilm("The file is empty. Export the film again.")
    kind = recognise(data)
    if kind == "picture":
        return read_picture(data, limits, frame)
    if kind == "dicom":
        from detector.io.dicom import (
            read_dicom,  # pydicom is heavy: loaded for the first DICOM film only
        )

        return read_dicom(data, limits, frame)
    raise UnreadableFilm(
        f"This is not a film: it looks like {kind}. Choose a JPEG, PNG, TIFF, BMP, WebP or DICOM "
        "file."
    )


_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM")
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"GIF8", "a GIF picture"),
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x00\x0cjP", "a bare JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a bare JPEG 2000 picture"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)


def recognise(data: bytes) -> str:
    """What the bytes are: "picture", "dicom", or a phrase for a person ("a PDF document")."""
    if data[128:132] == b"DICM":
        return "dicom"
    if data.startswith(_PICTURES) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return "picture"
    for magic, phrase in _OTHERS:
        if data.startswith(magic):
            return phrase
    if data[4:8] == b"ftyp":
        return "a HEIC or AVIF picture or a video"
    # DICOM without the 128-byte preamble starts with an element of group 2 or 8.
    if data[:2] in (b"\x02\0", b"\x08\0") or data[:3] == b"\0\x08\0":
        return "dicom"
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<?xml", b"<svg")):
        return "a web page or XML text"
    if head and all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        return "text"
    return "an unknown or damaged file"


def _file_bytes(path: str | os.PathLike[str], limits: Limits) -> bytes:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFilm("This is a folder or a device, not a file. Choose a film's file.")
        limits.check_bytes(status.st_size)
        with open(path, "rb") as file:
            data = file.read(limits.max_bytes + 1)
    except FileNotFoundError as error:
        raise UnreadableFilm("There is no such file. Check its name and folder.") from error
    except PermissionError as error:
        raise UnreadableFilm(
            "The file may not be read. Ask for the permission, or copy it elsewhere."
        ) from error
    except (OSError, ValueError) as error:
        if isinstance(error, RadiographError):
            raise
        raise UnreadableFilm("The file could not be opened. Check its name and disk.") from error
    limits.check_bytes(len(data))
    return data


def _stream_bytes(stream: IO[bytes], limits: Limits) -> bytes:
    try:
        data = stream.read(limits.max_bytes + 1)
    except MemoryError:
        raise
    except Exception as error:
        raise UnreadableFilm("The file could not be read to its end. Send it again.") from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError("a film's file must be opened in binary mode")
    limits.check_bytes(len(data))
    return bytes(data)


def _from_image(image: Image.Image, frame: int | None, limits: Limits) -> Decoded:
    try:
        return read_image(image, limits, frame)
    except (RadiographError, MemoryError):
        raise
    except Exception as error:
        raise UnreadableFilm(
            "The picture is damaged and could not be read. Export the film again."
        ) from error


def _from_array(array: np.ndarray, limits: Limits) -> Decoded:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise UnsupportedFilm(
            "The array must be (height, width) or (height, width, 3 or 4), one film at a time."
        )
    height, width = array.shape[:2]
    limits.check_size(width, height)
    if array.dtype.kind not in "buif":
        raise UnsupportedFilm(
            "The pixels are not plain numbers. Give whole numbers or floating-point values."
        )
    facts: dict[str, Any] = {
        "format": "array",
        "mode": "grey" if array.ndim == 2 or array.shape[2] == 1 else "colour",
        "width": width,
        "height": height,
        "bits": 8 * array.dtype.itemsize,
        "colourfulness": 0.0,
    }
    warnings: list[str] = []
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim == 3 and array.dtype == np.uint8:
        array, facts["colourfulness"] = flatten(array, warnings)
    pixels, colour, more = deep_grey(array)
    if array.ndim == 3:
        facts["colourfulness"] = colour
    return pixels.copy() if np.shares_memory(pixels, array) else pixels, facts, warnings + more
