"""A film within a viewer's window: cut out and read alone, or out of scope."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from detector.io.radiograph import load_radiograph
from detector.io.screenshot import window_shades
from detector.phantom import random_phantom
from tests.support import odd_films as odd

FILM = np.rint(random_phantom(6, fractured=True).pixels * 255).astype(np.uint8)


def window(*lefts: int, scale: float = 1.6) -> np.ndarray:
    """A viewer's window with tool bar, list and text, and the film from these columns on."""
    shot = np.full((1000, 1600), 24, np.uint8)
    shot[:60], shot[60:, :280] = 58, 42
    for k in range(12):
        cv2.rectangle(shot, (300 + k * 60, 12), (344 + k * 60, 48), 98, -1)
        cv2.putText(shot, f"Series {k}", (20, 110 + k * 70), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 200, 1)
    film = cv2.resize(FILM, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    for left in lefts:
        shot[80 : 80 + len(film), left : left + film.shape[1]] = film
    cv2.putText(shot, "W 4096 / L 2048", (300, 980), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 220, 1)
    return shot


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "array"])
def test_the_film_in_a_viewers_window_is_read_alone(kind: str, detector) -> None:
    shot = window(700)
    prediction = detector.predict(shot if kind == "array" else odd.saved(shot, kind))
    film = prediction.film
    height, width = (round(1.6 * side) for side in FILM.shape)
    assert film.facts["screenshot"] == pytest.approx([700, 80, width, height], abs=6)
    assert film.pixels.shape == tuple(film.facts["screenshot"][:1:-1])
    assert "screenshot" in film.warnings[-1]
    alone = detector.predict(cv2.resize(FILM, (width, height), interpolation=cv2.INTER_CUBIC))
    assert prediction.decision == alone.decision == "fracture likely" and prediction.regions
    assert prediction.probability == pytest.approx(alone.probability, abs=0.05)


@pytest.mark.parametrize("lefts", [(), (300, 1000)])
def test_a_window_without_a_film_or_with_two_is_out_of_scope(lefts, detector) -> None:
    prediction = detector.predict(window(*lefts, scale=0.8))
    assert prediction.decision == "out of scope" and "screenshot" in prediction.scope.reason


def test_films_are_no_screenshots() -> None:
    large = cv2.resize(FILM, None, fx=3, fy=3)
    bordered = cv2.copyMakeBorder(large, 90, 90, 90, 90, cv2.BORDER_CONSTANT, value=60)
    for film in (large, bordered, 255 - large, np.full((600, 600), 90, np.uint8)):
        assert window_shades(film) == []
        assert load_radiograph(film).pixels.shape == film.shape


@pytest.mark.films
def test_no_film_of_fracatlas_is_taken_for_a_screenshot(fracatlas) -> None:
    files = sorted((fracatlas / "images").glob("*.jpg"))[::20]
    large = [grey for file in files if min((grey := cv2.imread(str(file), 0)).shape) >= 480]
    assert len(large) > 10 and not any(map(window_shades, large))
