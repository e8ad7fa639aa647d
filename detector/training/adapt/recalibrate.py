"""A calibration for the films of one hospital, from some of them; the network stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

from detector.model.calibration import Calibration, Logistic
from detector.training.calibrate.operating_points import (
    conformal_rank,
    conformal_rule_in,
    conformal_rule_out,
)
from detector.training.heads.familiarity import FilmReadings

SENSITIVITY, SPECIFICITY = 0.95, 0.95
MIN_NORMAL = 20  # films to fit on; with fewer there is no specificity of 0.95
MIN_FRACTURED = 10  # from which the fractured films count for the probability


def recalibrate(usual: Calibration, films: FilmReadings, normal_log_odds: float) -> Calibration:
    """The usual calibration, moved to a hospital's films.

    With fractured films the probability's bias is fitted so that as many fractures are expected as
    there are (recalibration in the large, Steyerberg 2019, chapter 15), and holds at these films'
    own prevalence. With normal films alone it is moved so that their median log-odds is that of the
    normal films of val, ``normal_log_odds``: the fractured films are taken to move as far, which
    nothing measures, so it moves toward normal only.

    The operating points are conformal where there are enough films of their class. Where there are
    not, rule-in stays, and so does rule-out. Rule-in is never below 0.5, rule-out never above.

    Raises:
        ValueError: fewer than ``MIN_NORMAL`` normal films.
    """
    normal = ~films.fractured
    if normal.sum() < MIN_NORMAL:
        raise ValueError(
            f"{int(normal.sum())} normal films are too few to adapt to; {MIN_NORMAL} are needed "
            "beside those that judge, some 30 in all."
        )
    fractured = films.fractured
    counts = fractured.sum() >= MIN_FRACTURED
    if counts:
        shift = _shift_in_the_large(films.log_odds, fractured)
        prevalence = float(fractured.mean())
    else:
        shift = min(0.0, normal_log_odds - float(np.median(films.log_odds[normal])))
        prevalence = usual.prevalence
    image = Logistic(usual.image.scale, usual.image.bias + shift)
    moved = 1 / (1 + np.exp(-(films.log_odds + shift)))
    rule_in = max(conformal_rule_in(moved[normal], SPECIFICITY), 0.5)
    rule_out = usual.rule_out
    if counts and conformal_rank(int(fractured.sum()), SENSITIVITY) >= 1:
        rule_out = min(conformal_rule_out(moved[fractured], SENSITIVITY), 0.5)
    return replace(usual, image=image, rule_in=rule_in, rule_out=rule_out, prevalence=prevalence)


def _shift_in_the_large(log_odds: np.ndarray, fractured: np.ndarray) -> float:
    """What added to all log-odds makes the labels most likely."""

    def loss(shift: float) -> float:
        return float(np.mean(np.logaddexp(0, log_odds + shift) - fractured * (log_odds + shift)))

    return float(minimize_scalar(loss, bounds=(-15, 15), method="bounded").x)


def with_calibration(films: FilmReadings, usual: Calibration, own: Calibration) -> FilmReadings:
    """The films at another bias of the probability."""
    moved = films.log_odds + (own.image.bias - usual.image.bias)
    return replace(films, probabilities=1 / (1 + np.exp(-moved)))
