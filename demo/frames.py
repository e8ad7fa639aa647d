"""Previews of the frames of a file of several: one is chosen by its picture."""

from __future__ import annotations

from html import escape

import cv2
import numpy as np

from demo.reader import Reader
from demo.view import THUMB_QUALITY, data_uri, shrink
from detector import Radiograph
from detector.explain.overlay import to_grey8
from detector.report.words import ENGLISH, Words

MOST = 12  # previews; of more frames these are spread evenly, the first and the last among them
SIDE = 120  # longest side of a preview, pixels


def previews(reader: Reader, file: str, frames: int, words: Words = ENGLISH) -> str:
    """Buttons that ``page.js`` knows, as HTML; ``data-frame`` and the words count from 1."""
    spread = np.linspace(0, frames - 1, min(frames, MOST))
    pictures = reader.frames(file, [round(number) for number in spread], _small)
    buttons = "".join(
        f'<button type="button" data-frame="{number + 1}"><img src="{picture}" alt="">'
        f"{escape(words.say('frame', number=number + 1))}</button>"
        for number, picture in pictures.items()
    )
    return f'<div class="fd-frames">{buttons}</div>'


def _small(film: Radiograph) -> str:
    small = to_grey8(shrink(film.pixels, SIDE))
    return data_uri(small, "jpg", (cv2.IMWRITE_JPEG_QUALITY, THUMB_QUALITY))
