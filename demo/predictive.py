"""From a pre-test probability to what a result is worth: Bayes, predictive values, false alarms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from detector import Prediction
from detector.model.calibration import post_test_probability
from detector.report.results import percent
from detector.report.words import ENGLISH, Words

LEAST, MOST = 1, 99  # percent; at 0 and 100 no film could change anything


def in_range(before: Any, otherwise: float) -> float:
    """What was typed as a pre-test probability in percent, between ``LEAST`` and ``MOST``."""
    try:
        value = float(before)
    except (TypeError, ValueError):
        return otherwise
    return min(max(value, LEAST), MOST) if value == value else otherwise  # NaN is no number


def start(prevalence: float) -> int:
    """Where the slider starts, in percent: at the calibration's own share of fractures."""
    return round(100 * prevalence)


def post_test(
    prediction: Prediction, before: float, metrics: Mapping[str, Any], words: Words = ENGLISH
) -> str:
    """The film's likelihood ratio applied to a pre-test probability in percent, as HTML.

    Where the slider starts nothing is changed: the calibration's exact share is taken.
    """
    prevalence = prediction.calibration.prevalence
    p = min(max(prediction.probability, 1e-6), 1 - 1e-6)
    shown = f"{before:.3g}"
    if round(before) == start(prevalence) and before == round(before):
        after, said = prediction.probability, words.say("post as calibrated", before=shown)
        before = 100 * prevalence
    else:
        after = post_test_probability(prediction.probability, prevalence, before / 100)
        ratio = p / (1 - p) * (1 - prevalence) / prevalence
        said = words.say("post", before=shown, ratio=_ratio(ratio, words))
    lines = "".join(
        f"<li>{escape(line)}</li>" for line in of_a_hundred(metrics, before / 100, words)
    )
    heading = escape(words.say("of a hundred", before=shown))
    listed = (
        f'<div class="fd-worth fd-small"><p>{heading}</p><ul>{lines}</ul></div>' if lines else ""
    )
    return (
        f'<div class="fd-post" role="status"><b>{escape(percent(after))}</b>'
        f"<span>{escape(said)}</span></div>{listed}"
    )


def _ratio(ratio: float, words: Words) -> str:
    if 0.01 <= ratio <= 100:
        return f"{ratio:.2g}" if ratio < 10 else f"{ratio:.0f}"
    return words["below" if ratio < 1 else "above"]


def of_a_hundred(
    metrics: Mapping[str, Any], prevalence: float, words: Words = ENGLISH
) -> list[str]:
    """PPV, NPV and false alarms per 100 films, each with its interval, in a sentence.

    From the test set's sensitivity and specificity at each threshold. The interval is that of the
    worst and the best of both (Mercaldo 2007 gives narrower ones). Empty without measured figures.
    """
    try:
        points = metrics["test"]["fracatlas"]["operating_points"]
        rule_in, rule_out = points["rule_in"], points["rule_out"]
        figures = (
            ("ppv", positive, rule_in, 100), ("npv", negative, rule_out, 100),
            ("false alarms", false_alarms, rule_in, 0),
        )  # fmt: skip
        return [
            words.say(key, **_interval(rule, point, prevalence, bool(share)))
            for key, rule, point, share in figures
        ]
    except (KeyError, TypeError):
        return []


def _interval(
    rule: Callable[[float, float, float], float], point: Mapping[str, Any], prevalence: float,
    share: bool,
) -> dict[str, str]:  # fmt: skip
    values = {
        bound: rule(point["sensitivity"][bound], point["specificity"][bound], prevalence)
        for bound in ("value", "low", "high")
    }
    low, high = sorted((values["low"], values["high"]))
    if share:
        shown = f"{100 * low:.0f}", f"{100 * high:.0f}"
        return {"value": percent(values["value"]), "low": shown[0], "high": shown[1]}
    return {"value": f"{values['value']:.0f}", "low": f"{low:.0f}", "high": f"{high:.0f}"}


def positive(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Positive predictive value in [0, 1]."""
    true, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return true / (true + false) if true + false else 0.0


def negative(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Negative predictive value in [0, 1]."""
    true, false = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return true / (true + false) if true + false else 0.0


def false_alarms(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Films without a fracture that are called positive, per 100 films."""
    return 100 * (1 - specificity) * (1 - prevalence)
