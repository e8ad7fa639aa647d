"""One part of an archive through one detector: the same work with and without Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import cv2

from detector import FractureDetector
from detector.bulk.archive import fetched
from detector.bulk.rows import Rows
from detector.errors import RadiographError
from detector.explain.overlay import square_pixels
from detector.prediction import Prediction
from detector.report.file_names import free_name, picture_stem

THUMBNAIL = 512  # longest side of an overlay, px


@dataclass(frozen=True)
class Order:
    """What is wanted of every film.

    ``form``: one of ``rows.FORMATS``. ``folder``: where paths that are not absolute begin.
    ``frame``: of multi-frame files. ``overlays``: whether thumbnails are wanted.
    """

    form: str
    folder: str
    frame: int | None = None
    overlays: bool = False


@dataclass(frozen=True)
class Part:
    """Films that are scored one after another and written into one file."""

    number: int
    films: tuple[str, ...]


@dataclass(frozen=True)
class ScoredPart:
    """A part's result: its file's bytes, how many films it has and how many could not be read.

    ``overlays``: file name -> JPEG bytes, for the films that could be read.
    """

    number: int
    films: int
    unread: int
    data: bytes
    overlays: dict[str, bytes]


def divide(films: Sequence[str], size: int, *, first: int = 0) -> Iterator[Part]:
    """Parts of ``size`` films in order, the first of them with the number ``first``."""
    rest = iter(films)
    number = first
    while chosen := tuple(islice(rest, size)):
        yield Part(number, chosen)
        number += 1


def score_part(detector: FractureDetector, part: Part, order: Order) -> ScoredPart:
    """Read a part's films; a film that fails has a row with the reason, like any other."""
    rows = Rows(order.form)
    overlays: dict[str, bytes] = {}
    for film, reading in zip(part.films, _readings(detector, part.films, order), strict=True):
        rows.add(film, reading)
        if order.overlays and isinstance(reading, Prediction):
            overlays[_picture_name(film, overlays)] = thumbnail(reading)
    return ScoredPart(part.number, len(part.films), rows.unread, rows.data(), overlays)


def _readings(
    detector: FractureDetector, films: Sequence[str], order: Order
) -> Iterator[Prediction | RadiographError]:
    failed: dict[int, RadiographError] = {}

    def sources() -> Iterator[str | bytes]:
        found = fetched(films, detector.limits, folder=order.folder)
        for position, source in enumerate(found):
            if isinstance(source, RadiographError):
                failed[position] = source
            else:
                yield source

    position = 0
    for reading in detector.predict_batch(sources(), frame=order.frame):
        # Every film before this reading's has been fetched by now, so those that failed are known.
        while position in failed:
            yield failed.pop(position)
            position += 1
        yield reading
        position += 1
    yield from failed.values()


def thumbnail(prediction: Prediction) -> bytes:
    """The film with its heatmap and regions as JPEG, the longest side at most ``THUMBNAIL``."""
    painted = square_pixels(prediction.overlay(boxes=True), prediction.film.aspect)
    painted = cv2.cvtColor(painted, cv2.COLOR_RGB2BGR)
    scale = THUMBNAIL / max(painted.shape[:2])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in painted.shape[1::-1]]
        painted = cv2.resize(painted, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", painted, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return data.tobytes()


def _picture_name(film: str, taken: dict[str, bytes]) -> str:
    """The film's own name as a JPEG; two of one name in a part are told apart by a number."""
    used = {other.lower() for other in taken}  # some file systems do not tell cases apart
    return free_name(picture_stem(film), lambda name: f"{name}.jpg".lower() in used) + ".jpg"
