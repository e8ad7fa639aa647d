"""Heat on a fixed scale, regions, and what a person sees of them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from detector.explain.grad_cam import grad_cam
from detector.explain.heatmap import Heat
from detector.explain.overlay import COLORMAPS, colour_table, overlay, to_grey8
from detector.explain.regions import (
    MAX_REGIONS,
    REGION_COLOUR,
    Region,
    candidate_regions,
    draw_regions,
    find_regions,
)
from detector.model.calibration import Logistic
from detector.model.letterbox import Letterbox
from tests.support.tiny import CALIBRATION

LOCATION = replace(CALIBRATION, location=Logistic(1.0, 0.0))
FILM = Letterbox.fit(448, 320, 448)  # film and canvas coincide: a cell is 8 px
GREY = np.full((448, 320), 100, np.uint8)


def _evidence(*spots: tuple[int, int, float], cold: float = -8.0) -> np.ndarray:
    """Evidence (56, 40): smooth spots (row, column, peak) on a cold film."""
    rows, cols = np.mgrid[:56, :40]
    values = np.full((56, 40), cold)
    for row, column, peak in spots:
        spot = np.exp(-((rows - row) ** 2 + (cols - column) ** 2) / 8)
        values = np.maximum(values, cold + (peak - cold) * spot)
    return values.astype(np.float32)


def _heat(*spots: tuple[int, int, float]) -> Heat:
    return Heat(_evidence(*spots), FILM, LOCATION.location)


def test_grad_cam_is_the_positive_evidence() -> None:
    np.testing.assert_array_equal(grad_cam(np.array([[-1.0, 2.0]])), [[0, 2]])


def test_heat_is_the_calibrated_probability_at_a_place() -> None:
    heat = Heat(np.full((56, 40), 2.0, np.float32), FILM, Logistic(0.5, -3.0)).on_film()
    assert heat.shape == (448, 320) and heat.dtype == np.float32
    np.testing.assert_allclose(heat, 1 / (1 + np.exp(2.0)), rtol=1e-5)


def test_heat_is_not_stretched_on_a_plain_film() -> None:
    assert _heat((20, 20, -4)).on_film().max() < 0.03
    assert _heat((20, 20, 4)).on_film().max() > 0.95


def test_heat_without_a_scale_stays_in_range() -> None:
    values = np.zeros((56, 40), np.float32)
    values[20:22, 20:22] = 1  # bicubic interpolation swings beyond both ends
    heat = Heat(values, FILM, None).on_film()
    assert heat.min() == 0 and heat.max() == 1


def test_a_clear_film_has_no_region() -> None:
    assert find_regions(_evidence(), FILM, LOCATION) == ()
    assert find_regions(_evidence((20, 20, -2.3)), FILM, LOCATION) == ()  # below rule-out, 0.1


def test_a_region_lies_around_its_spot() -> None:
    (region,) = find_regions(_evidence((20, 10, 3.0)), FILM, LOCATION)
    assert region.score == pytest.approx(1 / (1 + np.exp(-3.0)), abs=0.01)
    x, y = region.x + region.width / 2, region.y + region.height / 2
    np.testing.assert_allclose((x, y), (10.5 * 8, 20.5 * 8), atol=2)
    assert 8 < region.width < 48 and 8 < region.height < 48


def test_regions_come_strongest_first_and_at_most_five() -> None:
    spots = [(6 + 14 * (i // 2), 8 + 22 * (i % 2), 1 + 0.3 * i) for i in range(7)]
    regions = find_regions(_evidence(*spots), FILM, LOCATION)
    assert len(regions) == MAX_REGIONS
    scores = [r.score for r in regions]
    assert scores == sorted(scores, reverse=True)
    assert regions[0].score == pytest.approx(1 / (1 + np.exp(-2.8)), abs=0.01)


def test_a_region_stays_on_the_film() -> None:
    letterbox = Letterbox.fit(430, 300, 430)
    values = np.full((56, 40), -8.0, np.float32)
    values[:, -6:] = 3  # also in the padding
    values[-6:] = 3
    for region in find_regions(values, letterbox, LOCATION):
        assert region.x >= 0 and region.x + region.width <= 300 + 1e-9
        assert region.y >= 0 and region.y + region.height <= 430 + 1e-9
        assert region.width > 0 and region.height > 0


def test_a_wide_region_takes_in_the_place_it_covers() -> None:
    wide = replace(LOCATION, extent=6.0)
    regions = find_regions(_evidence((20, 10, 3.0), (20, 13, 1.0)), FILM, wide)
    assert len(regions) == 1


def test_a_bump_on_a_slope_is_no_place_of_its_own() -> None:
    """And the second of two hills is no ring around the first."""
    values = _evidence((20, 10, 3.0), (20, 18, 2.0))
    between = float(values[20, 10:19].min())
    for extent, count in ((0.5 * (2.0 - between), 2), (1.5 * (2.0 - between), 1)):
        regions = find_regions(values, FILM, replace(LOCATION, extent=extent))
        assert len(regions) == count
    first, second = find_regions(values, FILM, replace(LOCATION, extent=0.5 * (2.0 - between)))
    assert first.x + first.width <= second.x


def test_what_is_shown_begins_at_the_display_threshold() -> None:
    values = _evidence((20, 10, 3.0), (40, 30, 1.0))
    higher = replace(LOCATION, display_threshold=0.8)  # evidence 1 has 0.73
    assert len(find_regions(values, FILM, LOCATION)) == 2
    assert len(find_regions(values, FILM, higher)) == 1
    grey = np.random.default_rng(0).integers(0, 256, (448, 320), dtype=np.uint8)
    painted = overlay(grey, Heat(values, FILM, higher.location), higher, contour=False)
    changed = (painted != grey[..., None]).any(axis=2)
    assert changed[:240, :160].any() and not changed[240:].any()


def test_candidates_are_the_strongest_places_however_faint() -> None:
    spots = [(8, 8, 3.0), (30, 8, -4.0), (30, 30, -5.0)]
    shown = find_regions(_evidence(*spots), FILM, LOCATION)
    candidates = candidate_regions(_evidence(*spots), FILM, LOCATION)
    assert len(shown) == 1 and candidates[0] == shown[0]
    assert [round(r.score, 2) for r in candidates[:3]] == [0.95, 0.02, 0.01]
    assert len(candidates) <= MAX_REGIONS


def test_a_flat_map_is_one_place() -> None:
    (region,) = candidate_regions(np.zeros((56, 40), np.float32), FILM, LOCATION)
    assert (region.x, region.y, region.width, region.height) == (0, 0, 320, 448)


@pytest.mark.parametrize("points", [(0.0, 1.0), (1.0, 1.0)])
def test_operating_points_at_the_ends(points: tuple[float, float]) -> None:
    low, high = points
    calibration = replace(LOCATION, rule_out=low, rule_in=high, display_threshold=low)
    regions = find_regions(_evidence((20, 10, 3.0)), FILM, calibration)
    assert bool(regions) == (low == 0)
    assert overlay(GREY, _heat((20, 10, 3.0)), calibration).shape == (448, 320, 3)


def test_a_plain_film_is_left_as_it_is() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (448, 320), dtype=np.uint8)
    painted = overlay(grey, _heat((20, 10, -3.0)), LOCATION)
    np.testing.assert_array_equal(painted, np.repeat(grey[..., None], 3, axis=2))


def test_only_the_hot_part_is_painted() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (448, 320), dtype=np.uint8)
    painted = overlay(grey, _heat((20, 10, 3.0)), LOCATION)
    changed = (painted != grey[..., None]).any(axis=2)
    heat = _heat((20, 10, 3.0)).on_film()
    assert changed[heat > 0.2].all()
    assert not changed[heat < 0.05].any()


@pytest.mark.parametrize("shape", [(2000, 1500), (1777, 640), (97, 2001), (333, 250)])
def test_any_film_size_is_painted_where_its_heat_is(shape: tuple[int, int]) -> None:
    letterbox = Letterbox.fit(*shape, 448)
    values = np.full((letterbox.canvas[0] // 8, letterbox.canvas[1] // 8), -8.0, np.float32)
    values[: max(1, len(values) // 2), -4:] = 4
    heat = Heat(values, letterbox, LOCATION.location)
    painted = overlay(np.full(shape, 90, np.uint8), heat, LOCATION, contour=False)
    assert painted.shape == (*shape, 3) and painted.dtype == np.uint8
    hot = heat.on_film()
    colour = (painted != 90).any(axis=2)
    assert colour[hot > 0.25].all()
    assert not colour[hot < 0.01].any()


def test_blending_is_exact_to_two_levels() -> None:
    """Against a plain computation per pixel, on a film whose heat is even."""
    heat = Heat(np.full((56, 40), 0.7, np.float32), FILM, None)
    painted = overlay(GREY, heat, LOCATION, opacity=0.6, contour=False)
    alpha = 0.6 * np.sqrt((0.7 - 0.1) / 0.9)
    colour = colour_table(0.1, "inferno", 0.6)[round(0.7 * 255)].astype(float)
    assert np.abs(painted - (100 * (1 - alpha) + colour * alpha)).max() <= 2


def test_opacity_follows_the_evidence() -> None:
    seen = []
    for value in (0.15, 0.3, 0.6, 1.0):
        heat = Heat(np.full((56, 40), value, np.float32), FILM, None)
        dark, light = (
            overlay(np.full((448, 320), grey, np.uint8), heat, LOCATION, contour=False)[200, 150]
            for grey in (0, 200)
        )
        seen.append(float((light.astype(int) - dark).mean()) / 200)  # what is left of the bone
    assert seen == sorted(seen, reverse=True)
    assert seen[0] > 0.8 and seen[-1] == pytest.approx(0.5, abs=0.02)


def test_the_contour_lies_at_the_rule_in_point() -> None:
    spot = (20, 10, 3.0)
    plain = overlay(GREY, _heat(spot), LOCATION, contour=False).astype(int)
    lined = overlay(GREY, _heat(spot), LOCATION).astype(int)
    heat = _heat(spot).on_film()
    white = (lined.min(axis=2) > 220) & (plain.min(axis=2) < 200)
    assert white.sum() > 20
    assert heat[white].min() > 0.5 and heat[white].max() < 0.75
    np.testing.assert_array_equal(
        overlay(GREY, _heat((20, 10, 0.0)), LOCATION),
        overlay(GREY, _heat((20, 10, 0.0)), LOCATION, contour=False),
    )  # 0.5 is below rule-in


def test_a_map_that_is_relative_to_its_film_has_no_contour() -> None:
    heat = Heat(_heat((20, 10, 3.0)).on_film(8), FILM, None)
    assert heat.on_film().max() > LOCATION.rule_in
    np.testing.assert_array_equal(
        overlay(GREY, heat, LOCATION), overlay(GREY, heat, LOCATION, contour=False)
    )


@pytest.mark.parametrize("wrong", [{"opacity": 1.1}, {"opacity": -0.1}, {"threshold": 2},
                                   {"opacity": float("nan")}])  # fmt: skip
def test_shares_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="in \\[0, 1\\]"):
        overlay(GREY, _heat(), LOCATION, **wrong)


def test_an_unknown_colour_map_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="inferno, viridis, cividis"):
        overlay(GREY, _heat(), LOCATION, colormap="jet")


def _lightness(table: np.ndarray) -> np.ndarray:
    lab = cv2.cvtColor((table[None] / 255).astype(np.float32), cv2.COLOR_RGB2Lab)
    return lab[0, :, 0]


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_hotter_is_lighter_in_even_steps(colormap: str) -> None:
    """Lightness carries the scale, so that it can be read without telling hues apart."""
    table = colour_table(0.1, colormap)
    lightness = _lightness(table[26:])
    assert (np.diff(cv2.blur(lightness, (1, 9))[:, 0]) > -1e-3).all()
    assert lightness[-1] - lightness[0] > 40
    steps = np.diff(lightness[::23])
    assert steps.max() < 4 * steps.min()


def test_the_operating_points_have_one_colour_whatever_they_are() -> None:
    one, other = colour_table(0.1, "inferno", 0.6), colour_table(0.3, "inferno", 0.8)
    np.testing.assert_allclose(
        one[round(0.6 * 255)].astype(int), other[round(0.8 * 255)].astype(int), atol=6
    )
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[255], other[255])


def _drawn(score: float, region: tuple[float, ...] = (50, 60, 80, 100)) -> np.ndarray:
    rgb = np.full((448, 320, 3), 90, np.uint8)
    out = draw_regions(rgb, [Region(*region, score)], LOCATION)
    assert (rgb == 90).all()
    return (out == REGION_COLOUR).all(axis=2)


def test_a_likely_region_is_solid_and_an_uncertain_one_dashed() -> None:
    solid, dashed = _drawn(0.9), _drawn(0.3)
    assert solid[60, 50:131].all() and solid[60:161, 130].all()
    assert 0.3 < dashed[60, 50:131].mean() < 0.8
    assert dashed[60, 50] and dashed[160, 130]  # the corners are there
    assert not solid[65:155, 55:125].any() and not dashed[65:155, 55:125].any()


@pytest.mark.parametrize("region", [(0, 0, 320, 448), (310, 440, 50, 50), (5.3, 6.7, 0.4, 0.2)])
@pytest.mark.parametrize("score", [0.3, 0.9])
def test_boxes_at_the_edge_and_tiny_ones_are_seen(region: tuple, score: float) -> None:
    assert _drawn(score, region).any()


def test_no_region_draws_nothing() -> None:
    rgb = np.full((50, 40, 3), 90, np.uint8)
    np.testing.assert_array_equal(draw_regions(rgb, [], LOCATION), rgb)


def test_grey() -> None:
    grey = to_grey8(np.array([[0.0, 0.5, 1.0]], np.float32))
    assert grey.dtype == np.uint8 and grey.tolist() == [[0, 128, 255]]
