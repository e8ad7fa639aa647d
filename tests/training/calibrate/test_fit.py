"""Calibration, operating points and regions' extent on data whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from detector.explain.regions import find_regions
from detector.model.letterbox import Letterbox
from detector.training.calibrate.display_threshold import find_peaks
from detector.training.calibrate.fit import fit_calibration
from detector.training.calibrate.ood_fit import fit_ood
from detector.training.calibrate.operating_points import conformal_rule_in, conformal_rule_out
from detector.training.calibrate.platt_scaling import fit_logistic
from detector.training.calibrate.region_extent import fit_extent


def test_platt_recovers_a_known_scale_and_bias() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-(0.6 * logits - 0.8)))
    fitted = fit_logistic(logits, labels)
    assert fitted.scale == pytest.approx(0.6, abs=0.02)
    assert fitted.bias == pytest.approx(-0.8, abs=0.05)
    assert fitted.probability(logits).mean() == pytest.approx(labels.mean(), abs=0.002)


def test_platt_stays_finite_on_separable_films_and_keeps_the_order() -> None:
    fitted = fit_logistic(np.array([-2.0, -1, 1, 2]), np.array([0, 0, 1, 1]))
    assert 0 < fitted.scale < 20 and fitted.probability(2.0) < 0.999
    backwards = fit_logistic(np.array([-2.0, -1, 1, 2]), np.array([1, 1, 0, 0]))
    assert backwards.scale > 0  # never turns the model's order around


def test_one_class_cannot_be_calibrated() -> None:
    with pytest.raises(ValueError, match="fractured and normal"):
        fit_logistic(np.array([1.0, 2.0]), np.array([1, 1]))


@pytest.mark.parametrize("count", [19, 74, 99])
def test_conformal_cuts_cover_new_films(count: int) -> None:
    """Over many calibration sets a new film is on the right side with the promised chance."""
    rng = np.random.default_rng(1)
    sets = rng.random((4000, count))  # uniform scores: the cut is its own quantile
    found = np.mean([1 - conformal_rule_out(s) for s in sets])
    assert 0.95 - 0.003 < found < 0.95 + 1 / (count + 1) + 0.003
    kept = np.mean([conformal_rule_in(s) for s in sets])
    assert 0.95 - 0.003 < kept < 0.95 + 1 / (count + 1) + 0.003


def test_conformal_cuts_promise_nothing_on_too_few_films() -> None:
    assert conformal_rule_out(np.linspace(0.1, 0.9, 18)) == 0
    assert conformal_rule_in(np.linspace(0.1, 0.9, 18)) == 1
    assert conformal_rule_in(np.ones(40)) == 1  # a cut above one would be no probability


def test_conformal_cuts_are_on_the_safe_side_of_their_own_film() -> None:
    scores = np.linspace(0.01, 0.99, 99)
    assert (scores >= conformal_rule_out(scores)).mean() >= 0.95
    assert (scores < conformal_rule_in(scores)).mean() >= 0.95


def bump(box: np.ndarray, peak: float, shape: tuple[int, int] = (32, 24)) -> np.ndarray:
    """Evidence whose level 'peak - 2' runs along the box (a map of stride 8, film pixels)."""
    rows, cols = (np.mgrid[: shape[0], : shape[1]] + 0.5) * 8
    x, y, width, height = box
    across, down = (2 * (cols - x) / width - 1) ** 2, (2 * (rows - y) / height - 1) ** 2
    return (peak - 2 * (across + down)).astype(np.float32)


def films(count: int, decoys: float = -1.0) -> dict:
    """Half fractured: a bump on the box, and a weaker one elsewhere; normal: a weak one.

    ``decoys``: the weak ones' mean evidence.
    """
    rng = np.random.default_rng(2)
    logits, labels, evidence, letterboxes, boxes = [], [], [], [], []
    for index in range(count):
        fractured = index % 2 == 0
        box = np.array([*rng.uniform(20, 50, 2), *rng.uniform(48, 72, 2)])
        decoy = np.array([*rng.uniform(110, 130, 2), 30, 30])
        background = -9 + 0.1 * np.arange(32)[:, None]  # no plateau: it has no peak
        values = np.maximum(bump(decoy, rng.normal(decoys, 1)), background)
        if fractured:
            values = np.maximum(values, bump(box, rng.normal(3, 1)))
        logits.append(values.max() + rng.normal())
        labels.append(fractured)
        evidence.append(values)
        letterboxes.append(Letterbox.fit(256, 192, 256))
        boxes.append(box[None] if fractured else np.zeros((0, 4)))
    return {"logits": np.array(logits), "labels": np.array(labels), "evidence": evidence,
            "letterboxes": letterboxes, "boxes": boxes}


def test_fit_calibration_finds_points_places_and_extent() -> None:
    val = films(120)
    calibration = fit_calibration(**val)
    assert 0 < calibration.rule_out <= 0.5 <= calibration.rule_in < 1
    assert calibration.prevalence == 0.5
    # At the place of a fracture the evidence is about 3, at a decoy about -1.
    assert calibration.location.probability(3.5) > 0.8
    assert calibration.location.probability(-2) < 0.2
    assert 1.25 <= calibration.extent <= 2.5
    found = find_regions(val["evidence"][0], val["letterboxes"][0], calibration)[0]
    assert [found.x, found.y, found.width, found.height] == pytest.approx(val["boxes"][0][0], abs=9)


def test_most_normal_films_are_left_plain_by_the_display_threshold() -> None:
    val = films(200, decoys=1.0)
    val["logits"] = np.where(val["labels"], 4.0, -2.0) + 0.01 * np.arange(200)
    val["logits"][:12:2] = -5  # missed fractures: the rule-out point is low
    calibration = fit_calibration(**val)
    assert calibration.rule_out < calibration.display_threshold < 0.5
    normal = np.flatnonzero(~val["labels"])
    plain = [not find_regions(val["evidence"][i], val["letterboxes"][i], calibration)
             for i in normal]
    assert 0.72 <= np.mean(plain) <= 0.8
    fractured = np.flatnonzero(val["labels"])
    shown = [bool(find_regions(val["evidence"][i], val["letterboxes"][i], calibration))
             for i in fractured]
    assert np.mean(shown) > 0.8


def test_the_extent_follows_the_boxes() -> None:
    val = films(60)
    usual = fit_calibration(**val).extent
    for box in val["boxes"]:
        box[:, :2] += box[:, 2:] / 4  # half as wide and high, around the same place
        box[:, 2:] /= 2
    assert fit_calibration(**val).extent < usual


def test_a_region_reaches_no_further_than_it_has_to() -> None:
    """An extent that fits hardly better than a smaller one is not taken."""
    rows, cols = np.mgrid[:8, :8] - 3.4
    evidence = np.full((32, 24), -9, np.float32) + 0.1 * np.arange(32, dtype=np.float32)[:, None]
    evidence[8:16, 8:16] = 3 - 0.002 * (rows**2 + cols**2)  # region from 1.5 on, wider from 3 on
    letterbox = Letterbox.fit(256, 192, 256)
    narrow, wide = np.array([[68.0, 68, 56, 56]]), np.array([[66.0, 66, 60, 60]])

    def extent(*boxes: np.ndarray) -> float:
        return fit_extent([evidence] * len(boxes), [letterbox] * len(boxes), boxes)

    assert extent(wide, wide) == 3
    assert extent(narrow, narrow, wide, wide, wide) == 1.5  # 3 fits three of five, by a little
    assert extent(np.zeros((0, 4))) == 1


def test_few_films_rule_nothing_out() -> None:
    calibration = fit_calibration(**films(12))
    assert 0 < calibration.rule_out < 1e-5 and calibration.rule_in == 1
    assert 0 < calibration.display_threshold <= 0.5


def test_fractured_films_without_boxes_are_left_out_of_the_places() -> None:
    val = films(80)
    with_boxes = fit_calibration(**val).location
    val["boxes"][0] = val["boxes"][2] = np.zeros((0, 4))
    assert fit_calibration(**val).location != with_boxes
    val["boxes"] = [np.zeros((0, 4))] * 80  # known: the normal films alone, where nothing hits
    place = fit_calibration(**val).location
    assert place.scale == 1 and place.probability(-3.0) < 0.1


def test_peaks_are_found_between_cells_and_not_in_the_padding() -> None:
    letterbox = Letterbox.fit(500, 300, 250)  # canvas 256 x 160, film pixels twice as fine
    values = np.maximum(bump(np.array([40.0, 60, 30, 30]), 2.0, (32, 20)),
                        bump(np.array([90.0, 150, 30, 30]), 1.0, (32, 20)))
    values[-1, -1] = 9  # beyond the film
    (first, highest), (second, lower), *_ = find_peaks(values, letterbox)
    assert first == pytest.approx((110, 150), abs=5) and highest == pytest.approx(2, abs=0.3)
    assert second == pytest.approx((210, 330), abs=5) and lower == pytest.approx(1, abs=0.3)


class Cloud:
    """Embeddings of six numbers: films about 0, other pictures ``apart`` along the first."""

    def __init__(self, apart: float, seed: int = 0) -> None:
        self.rng, self.apart = np.random.default_rng(seed), apart
        self.mixing = np.linalg.qr(self.rng.standard_normal((6, 6)))[0] * [1, 3, 1, 2, 1, 0.5]

    def draw(self, count: int, *moved: float) -> np.ndarray:
        """``moved``: by how much along each of the first numbers."""
        shift = np.array([*moved, *[0.0] * (6 - len(moved))])
        return (self.rng.standard_normal((count, 6)) + shift) @ self.mixing.T

    def others(self, count: int) -> np.ndarray:
        return self.draw(count, self.apart)


def test_the_scope_lets_unknown_styles_in_and_other_pictures_out() -> None:
    cloud = Cloud(apart=8)
    films = cloud.draw(600)
    scope = fit_ood(films, cloud.others(500), np.arange(500), films, cloud.draw(400))

    def let_in(embeddings: np.ndarray) -> float:
        return float(np.mean([scope.score(e) <= 1 for e in embeddings]))

    assert let_in(cloud.draw(1000)) > 0.99
    assert let_in(cloud.others(1000)) < 0.02
    # A style as far from the films as the other pictures are, but in another direction.
    assert let_in(cloud.draw(1000, 0, 0, 8)) > 0.99
    assert min(scope.score(e) for e in films) == 0 and scope.zero < scope.threshold


def test_where_films_and_other_pictures_overlap_films_come_first() -> None:
    cloud = Cloud(apart=2)
    films = cloud.draw(600)
    scope = fit_ood(films, cloud.others(500), np.arange(500), films, cloud.draw(400))
    assert np.mean([scope.score(e) <= 1 for e in cloud.draw(2000)]) > 0.98
    assert np.mean([scope.score(e) <= 1 for e in cloud.others(2000)]) > 0.1


def test_many_views_of_one_picture_move_the_border_as_one() -> None:
    cloud = Cloud(apart=10)
    films, others, held_out = cloud.draw(600), cloud.others(400), cloud.draw(400)
    views = cloud.draw(100, 6)  # of a picture that is nearly a film: over 1 % of all rows
    every = np.concatenate([others, views])
    once = fit_ood(films, every, [*range(400), *[400] * 100], films, held_out)
    apart = fit_ood(films, every, np.arange(500), films, held_out)

    def let_in(scope) -> float:
        return float(np.mean([scope.score(e) <= 1 for e in cloud.draw(500, 5)]))

    assert let_in(once) > let_in(apart) + 0.2
