"""What the viewer in the browser needs of one reading, as one JSON message.

The film travels lossless inside the message, as it was packed when it was read, so that windowing,
inverting, opacity and threshold need nothing more from the server, and no picture of it lies in any
file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from demo.packed_film import packed
from detector import Prediction
from detector.explain.heatmap import Heat
from detector.explain.overlay import colour_table, overlay, square_pixels, to_grey8
from detector.model.calibration import Calibration

HEAT_SIDE = 1024  # longest side of the heat map that is sent; it is smooth, and drawn smoothly
THUMB_QUALITY = 82

Box = tuple[float, float, float, float]  # x, y, width, height in film pixels


def data_uri(image: np.ndarray, kind: str = "png", options: Sequence[int] = ()) -> str:
    """A picture, grey (H, W) or RGB (H, W, 3) uint8, as a `data:` address."""
    picture = image if image.ndim == 2 else image[..., ::-1]
    encoded = cv2.imencode(f".{kind}", picture, list(options))[1]
    mime = "jpeg" if kind == "jpg" else kind
    return f"data:image/{mime};base64,{base64.b64encode(encoded.tobytes()).decode()}"


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    """The picture with its longest side at most `side` pixels; never enlarged."""
    factor = side / max(image.shape[:2])
    if factor >= 1:
        return image
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def picture(prediction: Prediction, side: int, *, with_heat: bool = True) -> str:
    """Film or overlay as a small JPEG in a `data:` address, for cards and lists."""
    grey = to_grey8(shrink(prediction.film.pixels, side))
    image = grey
    if with_heat:  # painted on the small film: a large one is not enlarged threefold for it
        image = overlay(grey, on_small(prediction.heat, *grey.shape), prediction.calibration)
    image = square_pixels(image, prediction.film.aspect)
    return data_uri(image, "jpg", (cv2.IMWRITE_JPEG_QUALITY, THUMB_QUALITY))


def on_small(heat: Heat, height: int, width: int) -> Heat:
    """The heat for the film shrunk to this size."""
    return replace(heat, letterbox=replace(heat.letterbox, height=height, width=width))


def viewer_message(
    prediction: Prediction,
    *,
    film_id: str,
    with_film: bool = True,
    upload: str | None = None,
    with_heat: bool = True,
    marking: bool = False,
    mark: tuple[float, float] | None = None,
    truth: Sequence[Box] = (),
    alt: str = "",
) -> str:
    """The JSON that `viewer.js` shows.

    Args:
        prediction: the reading of the film.
        film_id: the same for every message about one film; zoom and window are kept then.
        with_film: False leaves the film's pixels out: the viewer has them from the message before.
        upload: the path of the visitor's upload. Where a browser shows that file as the detector
            reads it, the message names it ("film": {"file": path}) instead of holding the pixels:
            the visitor's browser still has it.
        with_heat: False sends the film only: while a reader looks first, nothing of the result is
            in the browser.
        marking: whether a click marks the reader's place, and `mark` the place so far (x, y).
        truth: boxes by radiologists, of an example.
        alt: what the picture shows, in words.
    """
    kept = packed(prediction.film)
    film: Any = None
    if with_film and upload and shown_by_browsers(kept.facts) and kept.whole:
        film = {"file": upload}
    elif with_film:
        film = kept.uri()
    calibration = prediction.calibration
    message = {
        "id": film_id,
        "width": prediction.film.width,
        "height": prediction.film.height,
        "aspect": prediction.film.aspect,
        "deep": kept.deep,
        "film": film,
        "heat": None,
        "table": None,
        "regions": [],
        "truth": [],
        "relative": prediction.heat.scale is None,
        "marking": marking,
        "mark": mark,
        "rule_in": calibration.rule_in,
        "shown_from": calibration.display_threshold,
        "alt": alt,
        "spacing": kept.facts.get("pixel_spacing"),
        "frames": kept.facts.get("frames", 1),
    }
    if with_heat:
        # Not `heatmap`, which the prediction would keep: it is as large as the film.
        factor = min(1.0, HEAT_SIDE / max(kept.height, kept.width))
        size = (max(1, round(side * factor)) for side in (kept.height, kept.width))
        heat = on_small(prediction.heat, *size).on_film()
        message["heat"] = data_uri(cv2.convertScaleAbs(heat, alpha=255.0))
        message["table"] = base64.b64encode(shown_colours(calibration).tobytes()).decode()
        message["regions"] = prediction.to_dict()["regions"]
        message["truth"] = [dict(zip(("x", "y", "width", "height"), b, strict=True)) for b in truth]
    return json.dumps(message)


def shown_by_browsers(facts: Mapping[str, Any]) -> bool:
    """Whether a browser shows this file with the grey levels that the detector reads.

    Grey pictures of 8 bits, whole and upright: no colour to weigh, no depth to lose, no turn.
    """
    return (
        facts.get("format") in ("JPEG", "PNG", "WEBP", "BMP") and facts.get("mode") == "L"
        and not facts.get("turned_by_exif") and not facts.get("missing")
    )  # fmt: skip


def shown_colours(calibration: Calibration) -> np.ndarray:
    """The overlay's colours over the heat that is shown, uint8 RGB (256, 3) from floor to 1."""
    shown = max(1 - calibration.display_threshold, 1e-6)
    return colour_table(0.0, high=(calibration.rule_in - calibration.display_threshold) / shown)

