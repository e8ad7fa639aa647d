"""JPEG, PNG, TIFF, BMP and WebP: from the file's bytes to grey levels.

Pillow decodes; this module decides what the picture's kinds (palette, alpha, CMYK, 16 bit,
rotated, cut short, animated) mean for a film, and looks at every declared size first.
"""

from __future__ import annotations

import io
import logging
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from detector.errors import FilmTooLarge, NoPixels, RadiographError, UnreadableFilm, UnsupportedFilm
from detector.io import jpeg
from detector.io.damage import missing_of
from detector.io.deep_picture import FROM_ALPHA, HIDDEN, is_deep_colour, read_deep, tiff_tags
from detector.io.intensity import colourfulness, from_numbers, from_uint8, luma
from detector.io.limits import Limits
from detector.io.log_filter import silence

silence(name for name in logging.root.manager.loggerDict if name.startswith("PIL"))

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")

# EXIF orientation (tag 0x0112) to the array operation that puts the film upright.
_UPRIGHT = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}

Decoded = tuple[np.ndarray, dict[str, Any], list[str]]


def read_picture(data: bytes, limits: Limits, frame: int | None = None) -> Decoded:
    """Decode a picture file.

    Args:
        data: the file's bytes.
        limits: checked against the declared size before decoding.
        frame: page of a TIFF or picture of an animation; None for the first, with a warning.

    Returns:
        float32 (H, W) in [0, 1], upright; JSON-ready facts; warnings.

    Raises:
        RadiographError: one of its subclasses, by cause.
    """
    try:
        if data.startswith(jpeg.START):
            jpeg.refuse_unusual(data)
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError:
            if not tiff_tags(data):
                raise
            return _read_deep(data, None, limits, frame)
        return read_image(image, limits, frame)
    except RadiographError:
        raise
    except Image.DecompressionBombError as error:
        raise FilmTooLarge(
            "The picture declares more pixels than can be read here. Export it at a lower "
            "resolution."
        ) from error
    except MemoryError as error:
        raise FilmTooLarge(
            "There is not enough memory to read this film. Export it at a lower resolution."
        ) from error
    except Exception as error:
        raise UnreadableFilm(
            "The picture is damaged and could not be read. Export the film again as JPEG, PNG "
            "or DICOM."
        ) from error


def read_image(image: Image.Image, limits: Limits, frame: int | None = None) -> Decoded:
    """Decode an opened Pillow image; like ``read_picture``, but other exceptions may pass."""
    limits.check_size(*image.size)
    _check_tiles(image, limits)
    warnings = _choose_frame(image, frame, limits)
    facts: dict[str, Any] = {
        "format": "JPEG" if image.format == "MPO" else image.format or "image",
        "mode": image.mode,
        "width": image.width,
        "height": image.height,
    }
    # Pillow turns 0-is-white into 0-is-black for 8 bits but not for deeper samples.
    tags = getattr(image, "tag_v2", {})
    white_is_zero = image.mode.startswith(("I", "F")) and tags.get(262) == 0
    file = _file_bytes(image)
    if not frame and is_deep_colour(file):
        image.load()  # looks for damage, which OpenCV passes over
        return _read_deep(file, image, limits, frame)
    try:
        image.load()
    except OSError:
        if facts["format"] != "JPEG" or not file:
            raise
        image = Image.open(io.BytesIO(file + jpeg.END), formats=FORMATS)
        image.load()
    missing = round(missing_of(facts["format"], file, tags), 4)
    if missing:
        facts["missing"] = missing
        warnings.append(
            f"The JPEG file is cut short: {100 * missing:.1f} % of the film is missing and was "
            "read as blank."
        )
    values, facts["colourfulness"] = _to_grey(image, warnings)
    facts["bits"] = 8 * values.dtype.itemsize
    if values.dtype == np.uint8:
        pixels = from_uint8(values)
    else:
        pixels, more = from_numbers(values)
        warnings += more
    if white_is_zero:
        pixels = 1 - pixels
    return _upright(pixels, _orientation(image), facts), facts, warnings


def _upright(pixels: np.ndarray, turn: int, facts: dict[str, Any]) -> np.ndarray:
    if turn not in _UPRIGHT:
        return pixels
    facts["turned_by_exif"] = turn
    return np.ascontiguousarray(_UPRIGHT[turn](pixels))


def _read_deep(
    data: bytes, image: Image.Image | None, limits: Limits, frame: int | None
) -> Decoded:
    """What Pillow cannot open, or opens with the loss of bits."""
    if frame:
        raise UnsupportedFilm(
            f"The file has no picture number {frame} (the first is 0). Choose another."
        )
    pixels, facts, warnings, turn = read_deep(data, limits)
    if image is not None and image.format == "PNG":
        turn = _orientation(image)
    return _upright(pixels, turn, facts), facts, warnings


def _file_bytes(image: Image.Image) -> bytes:
    """The file that an image which is not loaded yet will be decoded from; else nothing."""
    file = getattr(image, "fp", None)
    if file is None:
        return b""
    at = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(at)
    return data


def _check_tiles(image: Image.Image, limits: Limits) -> None:
    """Refuse a TIFF whose tiles alone would need more memory than the limits allow."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return
    width, length = tags.get(322, 1), tags.get(323, 1)
    if not isinstance(width, int) or not isinstance(length, int):
        raise UnreadableFilm("The TIFF's tiles are damaged. Export the film again.")
    if width * length > limits.max_pixels:
        raise FilmTooLarge(
            "The TIFF declares tiles larger than can be read here. Save it again without tiles."
        )


def _choose_frame(image: Image.Image, frame: int | None, limits: Limits) -> list[str]:
    several = image.format != "MPO" and bool(getattr(image, "is_animated", False))
    if frame is not None and frame != 0:
        try:
            if frame < 0 or not several:
                raise EOFError
            image.seek(frame)
        except EOFError as error:
            raise UnsupportedFilm(
                f"The file has no picture number {frame} (the first is 0). Choose another."
            ) from error
        limits.check_size(*image.size)
        _check_tiles(image, limits)
    elif several and frame is None:
        return ["The file holds several pictures; only the first was read."]
    return []


def _to_grey(image: Image.Image, warnings: list[str]) -> tuple[np.ndarray, float]:
    """The loaded image as (H, W) numbers with bone as stored, and its colourfulness."""
    mode = image.mode
    if mode in ("P", "PA"):
        image = image.convert("RGBA" if mode == "PA" or "transparency" in image.info else "RGB")
    elif mode in ("CMYK", "YCbCr", "HSV", "RGBX"):
        image = image.convert("RGB")
    elif mode == "LAB":
        image = image.getchannel("L")
    elif mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[mode])
    elif mode == "1":
        image = image.convert("L")
    array = np.asarray(image)
    if array.size == 0:
        raise NoPixels("The picture is empty: it has no pixels. Export the film again.")
    if array.ndim == 2:
        return array, 0.0
    return flatten(array, warnings)


def flatten(array: np.ndarray, warnings: list[str]) -> tuple[np.ndarray, float]:
    """uint8 (H, W, 1 to 4) to uint8 (H, W) and the colourfulness; alpha goes onto black.

    Black, because that is a film's background. A picture of one shade that lives in its alpha
    channel alone is read from there.
    """
    if array.shape[2] in (2, 4):
        alpha = array[..., -1]
        one_shade = all((array[..., i] == array[0, 0, i]).all() for i in range(array.shape[2] - 1))
        if one_shade and alpha.min() < alpha.max():
            warnings.append(FROM_ALPHA)
            return np.ascontiguousarray(alpha), 0.0
        if alpha.max() > 0:
            array = _on_black(array)
        else:
            warnings.append(HIDDEN)
            array = array[..., :-1]
    if array.shape[2] == 1:
        return np.ascontiguousarray(array[..., 0]), 0.0
    return luma(array), colourfulness(array)


def _on_black(array: np.ndarray) -> np.ndarray:
    """uint8 (H, W, colours + alpha) to (H, W, colours), composited onto black."""
    flat = np.empty((*array.shape[:2], array.shape[2] - 1), np.uint8)
    for top in range(0, len(array), 256):  # in strips: the products take twice the memory
        strip = array[top : top + 256]
        product = strip[..., :-1].astype(np.uint16) * strip[..., -1:]
        flat[top : top + 256] = (product + 127) // 255
    return flat


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation 1 to 8; damaged EXIF counts as upright, it is not worth a film."""
    try:
        # TIFF files were turned by Pillow while loading, and no longer say so.
        return int(image.getexif().get(0x0112, 1))
    except Exception:
        return 1
