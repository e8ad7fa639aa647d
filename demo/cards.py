"""The page's pieces of HTML: verdict, gauge, regions, errors. Every text is escaped here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from demo.words import WORDS, say
from detector import Prediction, Region
from detector.model.calibration import Decision
from detector.report.results import percent

_STROKE = (
    '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
    'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">'
)
# decision: style, heading, icon. The words carry the verdict, shape and colour only repeat it.
VERDICTS = {
    decision: (verdict["style"], verdict["heading"], f"{_STROKE}{verdict['icon']}</svg>")
    for decision, verdict in WORDS["verdicts"].items()
}
EMPTY = (
    f'<div class="fd-card fd-empty"><h2>{WORDS["empty"]}</h2><ol>'
    f"{''.join(f'<li>{step}</li>' for step in WORDS['steps'])}</ol></div>"
)


def verdict_card(
    prediction: Prediction, metrics: Mapping[str, Any] = {}, said: str = "", synthetic: bool = False
) -> str:
    """Verdict, probability, gauge, what it means, regions, and what stays weak.

    `metrics`: those of `config.json`; a sentence whose figure is absent is left out. `said`: what
    radiologists said of an example.
    """
    style, heading, icon = VERDICTS[prediction.decision]
    in_scope = prediction.decision != Decision.OUT_OF_SCOPE
    number = (
        f'<p class="fd-number"><b>{escape(percent(prediction.probability))}</b>'
        f"<span>{WORDS['number']}</span></p>" if in_scope else ""
    )  # fmt: skip
    parts = [gauge(prediction)] if in_scope else []
    parts.append(f"<p>{escape(meaning(prediction, metrics))}</p>")
    if said:
        parts.append(f"<p><strong>{escape(said)}</strong></p>")
    if synthetic:
        parts.append(f'<p class="fd-small fd-note">{escape(WORDS["synthetic"])}</p>')
    parts += [
        f'<p class="fd-small fd-note">{escape(warning)}</p>' for warning in prediction.warnings
    ]
    if prediction.regions:
        parts.append(regions_list(prediction))
    parts.append(weak_points(metrics))
    return (
        f'<div class="fd-card fd-verdict fd-{style}" role="status" data-decision="'
        f'{escape(prediction.decision)}"><div class="fd-banner">{icon}<div><h2>{heading}</h2>'
        f'<p class="fd-sub">{escape(subline(prediction))}</p></div>{number}</div>'
        f'<div class="fd-body">{"".join(parts)}</div></div>'
    )


def subline(prediction: Prediction) -> str:
    """What to do with the verdict, in a sentence."""
    if prediction.decision == Decision.FRACTURE_LIKELY and not prediction.regions:
        return WORDS["sub without place"]
    return WORDS["verdicts"][prediction.decision]["sub"]


def tag(decision: str) -> str:
    """A verdict as a small label: icon, colour and words."""
    style, heading, icon = VERDICTS[decision]
    return f'<span class="fd-tag fd-{style}">{icon}{heading}</span>'


def gauge(prediction: Prediction) -> str:
    """The calibrated probability on a line from 0 to 100 % with both operating points."""
    low, high = prediction.calibration.rule_out, prediction.calibration.rule_in
    zones = "".join(
        f'<i class="z{i}" style="flex:{max(width, 0.001):.4f} 0 0"></i>'
        for i, width in enumerate((low, high - low, 1 - high))
    )
    apart = high - low > 0.28
    ticks = "".join(
        f'<span class="fd-tick {side}" style="left:{100 * at:.2f}%">{text}<br>{percent(at)}</span>'
        for at, text, side in (
            (low, WORDS["rule out"], "near" if low < 0.1 else "" if apart else "far"),
            (high, WORDS["rule in"], "far" if high > 0.9 else "" if apart else "near"),
        )
    )
    words = say(
        "gauge", probability=percent(prediction.probability), low=percent(low), high=percent(high)
    )
    return (
        f'<div class="fd-gauge" role="img" aria-label="{escape(words)}">'
        f'<div class="fd-track">{zones}</div>'
        f'<div class="fd-needle" style="left:{100 * prediction.probability:.2f}%"></div>'
        f"{ticks}</div>"
    )


def meaning(prediction: Prediction, metrics: Mapping[str, Any]) -> str:
    """One or two sentences: where the film stands, and how this point did on test films."""
    if prediction.decision == Decision.OUT_OF_SCOPE:
        return say("means out of scope", reason=prediction.scope.reason)
    key, point = {
        Decision.FRACTURE_LIKELY: ("means likely", "rule_in"),
        Decision.NO_FRACTURE_SEEN: ("means none", "rule_out"),
        Decision.UNCERTAIN: ("means uncertain", "rule_out"),
    }[prediction.decision]
    calibration = prediction.calibration
    return say(
        key, low=percent(calibration.rule_out), high=percent(calibration.rule_in),
        figures=_figures(metrics, point),
    )  # fmt: skip


def _figures(metrics: Mapping[str, Any], point: str) -> str:
    """How an operating point did on the main test set; empty when that was not measured."""
    try:
        measured = metrics["test"]["fracatlas"]["operating_points"][point]
        sensitivity, specificity = (
            say(
                "interval", value=percent(measured[name]["value"]),
                low=f"{100 * measured[name]['low']:.0f}",
                high=f"{100 * measured[name]['high']:.0f}",
            )
            for name in ("sensitivity", "specificity")
        )
        films = int(measured["films"])
    except (KeyError, TypeError, ValueError):
        return ""
    return say(
        "figures", films=films, point=point.replace("_", "-"), sensitivity=sensitivity,
        specificity=specificity,
    )  # fmt: skip


def weak_points(metrics: Mapping[str, Any], *, unfolded: bool = False) -> str:
    """What stays weak, with its figures, where the evaluation wrote it down; and the limits."""
    weak = [str(sentence) for sentence in metrics.get("limitations") or ()]
    first = f'<p class="fd-small fd-note">{escape(weak[0])}</p>' if weak else ""
    rest = "".join(
        f"<li>{escape(sentence)}</li>" for sentence in [*weak[1:], *WORDS["always weak"]]
    )
    return (
        f'{first}<details class="fd-more"{" open" * unfolded}><summary>{WORDS["weak"]}</summary>'
        f"<ul>{rest}</ul></details>"
    )


def regions_list(prediction: Prediction) -> str:
    """The regions, strongest first; each a button that shows it in the viewer."""
    rows = "".join(
        f'<li><button type="button" data-region="{index}"><span class="n">{index + 1}</span>'
        f"<span>{escape(place(region, prediction))}<br><small>{region.width:.0f} &times; "
        f"{region.height:.0f} px{WORDS['dashed'] * (region.score < prediction.calibration.rule_in)}"
        f'</small></span><span class="p">{percent(region.score)}</span></button></li>'
        for index, region in enumerate(prediction.regions)
    )
    return f'<h3 style="margin-top:16px">{WORDS["regions"]}</h3><ul class="fd-regions">{rows}</ul>'


def place(region: Region, prediction: Prediction) -> str:
    """Where a region lies, in words: "upper left", "centre"."""
    x = (region.x + region.width / 2) / prediction.film.width
    y = (region.y + region.height / 2) / prediction.film.height
    row, column = min(2, int(3 * y)), min(2, int(3 * x))
    where = f"{WORDS['down'][row]} {WORDS['across'][column]}"
    where = WORDS["centre"] if row == column == 1 else where
    return say("of the film", where=f"{where[0].upper()}{where[1:]}")


def describe(prediction: Prediction) -> str:
    """The picture in words, for those who cannot see it."""
    found = [place(region, prediction) for region in prediction.regions]
    size = say("size", width=prediction.film.width, height=prediction.film.height)
    if not found:
        return f"{size} {WORDS['no place marked']}"
    return f"{size} {say('places marked', places='; '.join(found))}"


def error_card(sentence: str, heading: str = WORDS["not read"]) -> str:
    """What went wrong and the way out, as sentences."""
    return (
        f'<div class="fd-card fd-error" role="alert"><h2>{escape(heading)}</h2>'
        f"<p>{escape(sentence)}</p></div>"
    )


def card(heading: str, *sentences: str) -> str:
    """A plain card."""
    paragraphs = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return f'<div class="fd-card"><h2>{escape(heading)}</h2>{paragraphs}</div>'


def progress(done: int, total: int, words: str) -> str:
    """A progress bar with its words."""
    share = 100 * done / max(total, 1)
    return (
        f'<div class="fd-progress"><p class="fd-hint" role="status">{escape(words)}</p>'
        f'<div class="bar" role="progressbar" aria-label="Films read" aria-valuemin="0" '
        f'aria-valuemax="{total}" aria-valuenow="{done}"><i style="width:{share:.1f}%"></i></div>'
        "</div>"
    )


def views_grid(cards: Sequence[str]) -> str:
    """Cards side by side."""
    return f'<div class="fd-views">{"".join(cards)}</div>'
