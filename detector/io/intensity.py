"""From stored values to grey levels in [0, 1]: the one place where a range is chosen.

The rule, for pictures, arrays and DICOM alike:

- 8-bit values are divided by 255 and never stretched: what is grey on screen stays that grey.
- Deeper integers have no agreed white (a 12-bit detector fills a sixteenth of a 16-bit file), so
  the range in use becomes [0, 1]: linear from the 0.1th to the 99.9th percentile, so that a dead
  pixel or a lead marker does not set the contrast of the bone.
- Floats that lie in [0, 1] are taken as they are; others go linearly from their smallest to
  their largest finite value. NaN becomes black, the infinities the nearest end of the range.
"""

from __future__ import annotations

import cv2
import numpy as np

from detector.errors import NoPixels, UnsupportedFilm

LOW, HIGH = 0.001, 0.999

ONE_SHADE = "The whole picture is one shade; there may be no film in it."


def from_uint8(values: np.ndarray) -> np.ndarray:
    """uint8 (H, W) to float32 in [0, 1]: divided by 255."""
    return np.multiply(values, np.float32(1 / 255), dtype=np.float32)


def histogram(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count integers of 8 or 16 bits, signed or not.

    Returns:
        index: ``values`` as unsigned integers (their bits), to look up in a table.
        ramp: every value of the type, in the order of ``index``, (256,) or (65536,).
        counts: how often each value of ``ramp`` occurs.
    """
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    unsigned = np.dtype(f"u{values.dtype.itemsize}")
    index = values.view(unsigned)
    size = 1 << 8 * unsigned.itemsize
    ramp = np.arange(size, dtype=unsigned).view(values.dtype)
    counts = np.zeros(size)
    # In strips, because cv2 counts in float32, which is exact to 16 million only.
    strip = max(1, (1 << 24) // max(1, index.shape[1]))
    for top in range(0, index.shape[0], strip):
        counts += cv2.calcHist([index[top : top + strip]], [0], None, [size], [0, size]).ravel()
    return index, ramp, counts


def robust_range(values: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """The 0.1th and 99.9th percentile of ``values``, each occurring ``counts`` times; both 1-D.

    Falls back to smallest and largest when the percentiles coincide (a film that is nearly all
    background).
    """
    low, high = percentiles(values, counts)
    there = values[counts > 0]
    return (low, high) if low < high else (float(there.min()), float(there.max()))


def percentiles(values: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """The 0.1th and 99.9th percentile of ``values``, each occurring ``counts`` times; both 1-D."""
    there = counts > 0
    order = np.argsort(values[there], kind="stable")
    values, below = values[there][order], np.cumsum(counts[there][order])
    low, high = values[np.searchsorted(below, [LOW * below[-1], HIGH * below[-1]])]
    return float(low), float(high)


def stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Linear from ``low`` to ``high``, clipped to [0, 1], float32; all 0 where they coincide."""
    if not high > low:
        return np.zeros(values.shape, np.float32)
    # Halved, because the range of float64 itself does not fit into float64.
    wide = values.astype(np.float64) if values.dtype.itemsize > 2 else values.astype(np.float32)
    scaled = (wide * 0.5 - low * 0.5) / (high * 0.5 - low * 0.5)
    return np.clip(scaled, 0, 1, out=scaled).astype(np.float32, copy=False)


def from_floats(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Float (H, W) to float32 in [0, 1] by the module's rule, with warnings."""
    warnings = []
    finite = np.isfinite(values)
    if not finite.all():
        if not finite.any():
            raise NoPixels(
                "The picture holds no finite value (only NaN or infinity). Export the film again."
            )
        low, high = values[finite].min(), values[finite].max()
        values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
        warnings.append(
            f"{int(finite.size - finite.sum())} pixels were not finite numbers and were replaced."
        )
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return values.astype(np.float32), warnings
    return stretch(values, low, high), warnings


def from_numbers(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(H, W) of any number type to float32 in [0, 1] by the module's rule, with warnings."""
    if values.dtype == np.bool_:
        return values.astype(np.float32), []
    if values.dtype == np.uint8:
        return from_uint8(values), []
    if values.dtype.kind in "iu":
        if values.dtype.itemsize > 2:
            return stretch(values, *np.quantile(values.astype(np.float64), [LOW, HIGH])), []
        index, ramp, counts = histogram(values)
        return stretch(ramp, *robust_range(ramp, counts))[index], []
    if values.dtype.kind == "f":
        return from_floats(values)
    raise UnsupportedFilm(
        "The pixels are not plain numbers. Give whole numbers or floating-point values."
    )


def colourfulness(rgb: np.ndarray) -> float:
    """How coloured uint8 RGB (H, W, 3) is: 0 for grey, above about 0.1 for a colour photograph.

    Hasler and Suesstrunk, "Measuring colourfulness in natural images" (2003), on values in
    [0, 1] and on at most about 256 x 256 pixels. An even tint counts less than many hues.
    """
    step = max(1, -(-max(rgb.shape[:2]) // 256))
    sample = rgb[::step, ::step].astype(np.float32) / 255
    red, green, blue = sample[..., 0], sample[..., 1], sample[..., 2]
    warm, cold = red - green, (red + green) / 2 - blue
    spread = np.hypot(warm.std(), cold.std())
    return float(spread + 0.3 * np.hypot(warm.mean(), cold.mean()))


def luma(rgb: np.ndarray) -> np.ndarray:
    """uint8 RGB (H, W, 3) to uint8 (H, W), ITU-R BT.601 luma."""
    return cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
