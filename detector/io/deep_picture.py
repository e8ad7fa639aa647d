"""PNG and TIFF that Pillow cannot open or would cut down to 8 bits: OpenCV decodes them whole.

16 bits of colour or with an alpha channel, 64-bit floats, 16 and 32-bit TIFFs of either byte order
whose zero is white.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from detector.errors import FilmTooLarge, UnreadableFilm, UnsupportedFilm
from detector.io.damage import parts_are_there
from detector.io.intensity import colourfulness, from_numbers
from detector.io.limits import Limits

_PNG, _TIFF = b"\x89PNG\r\n\x1a\n", (b"II*\0", b"MM\0*")
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES = 256, 257, 258, 262, 274, 277

# It prints what it cannot decode; the caller gets an error.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

HIDDEN = "The picture's transparency hides all of it and was ignored."
FROM_ALPHA = "The film was taken from the picture's transparency."


def is_deep_colour(data: bytes) -> bool:
    """Whether a PNG or TIFF has several samples of 16 bits a pixel."""
    if data.startswith(_PNG):
        return len(data) > 25 and data[24] == 16 and data[25] in (2, 4, 6)
    tags = tiff_tags(data)
    return tags.get(_SAMPLES, 1) > 1 and _bits(tags) == 16


def tiff_tags(data: bytes) -> Mapping[int, Any]:
    """The tags of a TIFF's first picture, also of one that Pillow cannot open; else none."""
    if not data.startswith(_TIFF):
        return {}
    try:
        tags = ImageFileDirectory_v2(data[:8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        return tags
    except Exception:
        return {}


def read_deep(data: bytes, limits: Limits) -> tuple[np.ndarray, dict[str, Any], list[str], int]:
    """Decode a PNG or TIFF with OpenCV.

    Returns:
        float32 (H, W) in [0, 1]; facts; warnings; the orientation that the tags of a TIFF ask for.

    Raises:
        RadiographError: damaged, too large, or of a kind that OpenCV does not read either.
    """
    tags = tiff_tags(data)
    if tags:
        limits.check_size(int(tags.get(_WIDTH, 0)), int(tags.get(_HEIGHT, 0)))
        if int(tags.get(_TILE_WIDTH, 1)) * int(tags.get(_TILE_HEIGHT, 1)) > limits.max_pixels:
            raise FilmTooLarge("The TIFF declares tiles larger than can be read here.")
        if not parts_are_there(data, tags):
            raise UnreadableFilm("The TIFF is cut short. Copy or export it again.")
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    samples = tags.get(_SAMPLES, 1) if tags else 0
    if array is None or (
        tags and (8 * array.dtype.itemsize != _bits(tags) or array[0, 0].size != samples)
    ):
        raise UnsupportedFilm(
            "The picture is of an unusual kind that is not read here. Save it as an 8 or 16-bit "
            "grey PNG or TIFF."
        )
    facts: dict[str, Any] = {
        "format": "TIFF" if tags else "PNG",
        "mode": f"{array[0, 0].size} x {array.dtype}",
        "width": array.shape[1],
        "height": array.shape[0],
        "bits": 8 * array.dtype.itemsize,
    }
    if array.ndim == 3:
        array = array[..., [2, 1, 0, *range(3, array.shape[2])]]
    pixels, facts["colourfulness"], warnings = deep_grey(array)
    if tags.get(_PHOTOMETRIC) == 0:
        pixels = 1 - pixels
    return pixels, facts, warnings, int(tags.get(_ORIENTATION, 1))


def deep_grey(array: np.ndarray) -> tuple[np.ndarray, float, list[str]]:
    """(H, W), or RGB or RGBA (H, W, 3 or 4), of any number type -> grey at full depth.

    All colours share one range, by the rule of ``intensity.py``; alpha has its own and goes onto
    black.

    Returns:
        float32 (H, W) in [0, 1]; the colourfulness; warnings.
    """
    if array.ndim == 2:
        levels, warnings = from_numbers(array)
        return levels, 0.0, warnings
    colours, alpha = array[..., :3], array[..., 3:]
    if alpha.size and alpha.min() < alpha.max() and (colours == colours[0, 0]).all():
        levels, warnings = from_numbers(alpha[..., 0])
        return levels, 0.0, [*warnings, FROM_ALPHA]
    height, width = colours.shape[:2]
    flat, warnings = from_numbers(np.ascontiguousarray(colours).reshape(height, -1))
    levels = flat.reshape(height, width, 3)
    if alpha.size:
        full = np.iinfo(array.dtype).max if array.dtype.kind in "iu" else 1.0
        share = np.clip(np.nan_to_num(alpha.astype(np.float32)) / np.float32(full), 0, 1)
        if share.max() > 0:
            levels = levels * share
        else:
            warnings.append(HIDDEN)
    colour = colourfulness(np.rint(levels * 255).astype(np.uint8))
    if (levels[..., :1] == levels).all():
        return np.ascontiguousarray(levels[..., 0]), colour, warnings
    return levels @ np.array([0.299, 0.587, 0.114], np.float32), colour, warnings


def _bits(tags: Mapping[int, Any]) -> int:
    bits = tags.get(_BITS, 1)
    return int(bits[0] if isinstance(bits, tuple) else bits)
