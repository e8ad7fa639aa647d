"""Figures of merit: against values known by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from detector.training.evaluation import metrics

ALONE = [str(i) for i in range(200)]


def test_pointing_game_by_hand():
    heatmap = np.zeros((454, 300), np.float32)
    heatmap[100, 50] = 1.0
    assert metrics.hottest_pixel(heatmap) == (50.5, 100.5)
    on_it = np.array([[45.0, 95.0, 10.0, 10.0]])
    beside = np.array([[60.0, 95.0, 10.0, 10.0]])  # 9.5 px to the right: within 15 px
    far = np.array([[66.0, 95.0, 10.0, 10.0]])  # 15.5 px to the right
    assert metrics.pointing(heatmap, on_it) == (True, True)
    assert metrics.pointing(heatmap, beside) == (True, False)
    assert metrics.pointing(heatmap, far) == (False, False)
    assert metrics.pointing(heatmap, np.concatenate([far, on_it])) == (True, True)


def test_a_proportion_is_the_mean_and_its_interval_is_that_of_a_binomial():
    hits = np.array([True] * 150 + [False] * 50)
    got = metrics.proportion(hits, ALONE)
    assert got["value"] == 0.75
    assert (got["low"], got["high"]) == pytest.approx((0.69, 0.81), abs=0.015)


def test_a_proportion_without_a_miss_still_has_an_interval():
    got = metrics.proportion(np.ones(10, bool), ALONE[:10])
    assert got == {"value": 1.0, "low": 0.7225, "high": 1.0}
    assert metrics.proportion(np.zeros(10, bool), ALONE[:10]) == {"value": 0.0, "low": 0.0,
                                                             "high": 0.2775}


def test_copies_of_a_film_do_not_make_a_figure_more_certain():
    hits = np.repeat([True] * 15 + [False] * 5, 10)
    groups = np.repeat(np.arange(20), 10).astype(str)
    apart, together = metrics.proportion(hits, ALONE), metrics.proportion(hits, groups)
    few = metrics.proportion(hits[::10], ALONE[:20])
    assert apart["value"] == together["value"] == few["value"]
    width = {n: f["high"] - f["low"] for n, f in
             (("apart", apart), ("together", together), ("few", few))}
    assert width["together"] > 2.5 * width["apart"]
    assert width["together"] == pytest.approx(width["few"], abs=0.06)


def test_auc_is_scikit_learns_with_ties_and_its_interval_agrees_with_the_plain_bootstrap():
    rng = np.random.default_rng(1)
    labels = rng.random(200) < 0.3
    scores = np.round(rng.normal(labels * 1.2), 1)  # rounded: ties
    got = metrics.auc_estimate(labels, scores, ALONE)
    assert got["value"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-4)
    low, high = metrics.bootstrap(lambda i: metrics.auc(labels[i], scores[i]), ALONE, rounds=400)
    assert (got["low"], got["high"]) == pytest.approx((low, high), abs=0.02)
    assert got["low"] < got["value"] < got["high"]


def test_intervals_are_the_same_every_time():
    rng = np.random.default_rng(2)
    labels, scores = rng.random(60) < 0.5, rng.random(60)
    assert metrics.auc_estimate(labels, scores, ALONE[:60]) == metrics.auc_estimate(
        labels, scores, ALONE[:60]
    )


def test_calibration_error_by_hand():
    # Two bins: said 0.2 and 0 of 2 were fractured; said 0.8 and 1 of 2 were.
    labels, said = [0, 0, 1, 0], [0.2, 0.2, 0.8, 0.8]
    assert metrics.calibration_error(labels, said, bins=2) == pytest.approx((0.2 + 0.3) / 2)
    assert metrics.reliability(labels, said, bins=2) == [
        {"predicted": pytest.approx(0.2), "observed": 0.0, "films": 2},
        {"predicted": pytest.approx(0.8), "observed": 0.5, "films": 2},
    ]


def test_exact_probabilities_show_an_error_by_chance_that_falls_with_the_films():
    rng = np.random.default_rng(5)
    for count, rounds in ((48, 300), (4000, 100)):
        said = rng.beta(0.4, 1.6, size=count)
        drawn = [metrics.calibration_error(rng.random(count) < said, said) for _ in range(rounds)]
        chance = metrics.chance_calibration_error(metrics.reliability(said > 2, said))
        assert chance["mean"] == pytest.approx(np.mean(drawn), rel=0.15)
        assert chance["percentile_95"] == pytest.approx(np.percentile(drawn, 95), rel=0.2)
        assert (chance["mean"] > 0.05) == (count == 48)


def test_bins_hold_equal_mass_however_skewed_the_probabilities():
    said = np.random.default_rng(0).beta(0.3, 4, size=411)
    films = [row["films"] for row in metrics.reliability(said > 0.5, said)]
    assert len(films) == metrics.CALIBRATION_BINS
    assert max(films) - min(films) <= 1 and sum(films) == 411


def test_calibration_error_tells_honest_from_boastful_probabilities():
    rng = np.random.default_rng(3)
    said = rng.random(20_000)
    labels = rng.random(20_000) < said
    assert metrics.calibration_error(labels, said) < 0.02
    boastful = np.where(said > 0.5, 0.99, 0.01)
    assert metrics.calibration_error(labels, boastful) == pytest.approx(0.24, abs=0.02)


def test_brier_by_hand():
    assert metrics.brier([1, 0, 1], [1.0, 0.5, 0.2]) == pytest.approx([0, 0.25, 0.64])
