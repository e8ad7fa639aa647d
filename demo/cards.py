"""The page's pieces of HTML: verdict, gauge, regions, errors. Every text is escaped here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from detector import Prediction, Region
from detector.model.calibration import FRACTURE_LIKELY, NO_FRACTURE_SEEN, OUT_OF_SCOPE, UNCERTAIN
from detector.report.results import percent

_STROKE = (
    '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
    'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">'
)
# decision: style, heading, icon. The words carry the verdict, shape and colour only repeat it.
VERDICTS = {
    FRACTURE_LIKELY: (
        "likely", "Fracture likely",
        _STROKE + '<path d="M12 3 22 20H2Z"/><path d="M12 10v4.5M12 17.4v.1"/></svg>',
    ),
    UNCERTAIN: (
        "uncertain", "Uncertain, needs review",
        _STROKE + '<circle cx="12" cy="12" r="9.5"/><path d="M9 9.4a3 3 0 1 1 4.3 2.7c-.9.5'
        '-1.3 1-1.3 2M12 17.2v.1"/></svg>',
    ),
    NO_FRACTURE_SEEN: (
        "none", "No fracture seen",
        _STROKE + '<circle cx="10.5" cy="10.5" r="7.5"/>'
        '<path d="m16 16 5.5 5.5M7.5 10.5h6"/></svg>',
    ),
    OUT_OF_SCOPE: (
        "scope", "Out of scope",
        _STROKE + '<circle cx="12" cy="12" r="9.5"/><path d="m5.3 5.3 13.4 13.4"/></svg>',
    ),
}  # fmt: skip
SUBLINES = {
    FRACTURE_LIKELY: "Look at the marked places first.",
    UNCERTAIN: "The model cannot decide this film.",
    NO_FRACTURE_SEEN: "This does not exclude a fracture.",
    OUT_OF_SCOPE: "The model has no grounds for an answer.",
}
EMPTY = (
    '<div class="fd-card fd-empty"><h2>No film yet</h2><ol>'
    "<li>Drop a limb film, or choose an example.</li>"
    "<li>Read the verdict; compare film and overlay.</li>"
    "<li>Decide yourself: this is a second look, not a diagnosis.</li></ol></div>"
)


def verdict_card(
    prediction: Prediction, metrics: Mapping[str, Any] = {}, said: str = "", synthetic: bool = False
) -> str:
    """Verdict, probability, gauge, what it means, regions, and what stays weak.

    `metrics`: those of `config.json`; a sentence whose figure is absent is left out. `said`: what
    radiologists said of an example.
    """
    style, heading, icon = VERDICTS[prediction.decision]
    in_scope = prediction.decision != OUT_OF_SCOPE
    number = (
        f'<p class="fd-number"><b>{escape(percent(prediction.probability))}</b>'
        "<span>probability<br>of a fracture</span></p>" if in_scope else ""
    )  # fmt: skip
    parts = [gauge(prediction)] if in_scope else []
    parts.append(f"<p>{escape(meaning(prediction, metrics))}</p>")
    if said:
        parts.append(f"<p><strong>{escape(said)}</strong></p>")
    if synthetic:
        parts.append(
            '<p class="fd-small fd-note">A synthetic film: it is drawn by a program, no patient. '
            "The model was trained on real films, so its answer here proves nothing.</p>"
        )
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
    if prediction.decision == FRACTURE_LIKELY and not prediction.regions:
        return "No single place stands out: look at the whole film."
    return SUBLINES[prediction.decision]


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
            (low, "rule out", "near" if low < 0.1 else "" if apart else "far"),
            (high, "rule in", "far" if high > 0.9 else "" if apart else "near"),
        )
    )
    words = (
        f"Probability of a fracture {percent(prediction.probability)}. Rule-out point "
        f"{percent(low)}, rule-in point {percent(high)}."
    )
    return (
        f'<div class="fd-gauge" role="img" aria-label="{escape(words)}">'
        f'<div class="fd-track">{zones}</div>'
        f'<div class="fd-needle" style="left:{100 * prediction.probability:.2f}%"></div>'
        f"{ticks}</div>"
    )


def meaning(prediction: Prediction, metrics: Mapping[str, Any]) -> str:
    """One or two sentences: where the film stands, and how this point did on test films."""
    calibration = prediction.calibration
    if prediction.decision == OUT_OF_SCOPE:
        return (
            f"{prediction.scope.reason} Use a plain X-ray film of a limb; "
            "the model says nothing about this picture."
        )
    rule_in, rule_out = percent(calibration.rule_in), percent(calibration.rule_out)
    if prediction.decision == FRACTURE_LIKELY:
        return f"At or above the rule-in point ({rule_in}). {_figures(metrics, 'rule_in')}".strip()
    if prediction.decision == NO_FRACTURE_SEEN:
        figures = _figures(metrics, "rule_out")
        return f"Below the rule-out point ({rule_out}). {figures}".strip()
    return (
        f"Between the rule-out point ({rule_out}) and the rule-in point ({rule_in}): it needs a "
        f"reader's decision. {_figures(metrics, 'rule_out')}"
    ).strip()


def _figures(metrics: Mapping[str, Any], point: str) -> str:
    """How an operating point did on the main test set; empty when that was not measured."""
    try:
        measured = metrics["test"]["fracatlas"]["operating_points"][point]
        sensitivity, specificity = (
            f"{percent(measured[name]['value'])} ({100 * measured[name]['low']:.0f} to "
            f"{100 * measured[name]['high']:.0f})"
            for name in ("sensitivity", "specificity")
        )
        films = int(measured["films"])
    except (KeyError, TypeError, ValueError):
        return ""
    return (
        f"On {films} test films that the model never saw, the {point.replace('_', '-')} point had "
        f"a sensitivity of {sensitivity} and a specificity of {specificity}; 95 % intervals in "
        "brackets."
    )


def weak_points(metrics: Mapping[str, Any], *, unfolded: bool = False) -> str:
    """What stays weak, with its figures, where the evaluation wrote it down; and the limits."""
    weak = [str(sentence) for sentence in metrics.get("weak") or ()]
    first = f'<p class="fd-small fd-note">{escape(weak[0])}</p>' if weak else ""
    rest = "".join(f"<li>{escape(sentence)}</li>" for sentence in weak[1:])
    return (
        f'{first}<details class="fd-more"{" open" * unfolded}><summary>Where it is weak</summary>'
        f"<ul>{rest}"
        "<li>It judges this one film: no history, no examination, no earlier films.</li>"
        "<li>It looks for fractures only; not for dislocation, tumour or infection.</li>"
        "<li>Hairline, buckle and growth-plate fractures are the likeliest to be missed.</li>"
        "</ul></details>"
    )


def regions_list(prediction: Prediction) -> str:
    """The regions, strongest first; each a button that shows it in the viewer."""
    rows = "".join(
        f'<li><button type="button" data-region="{index}"><span class="n">{index + 1}</span>'
        f"<span>{escape(place(region, prediction))}<br><small>{region.width:.0f} &times; "
        f"{region.height:.0f} px{', dashed box' * (region.score < prediction.calibration.rule_in)}"
        f'</small></span><span class="p">{percent(region.score)}</span></button></li>'
        for index, region in enumerate(prediction.regions)
    )
    return f'<h3 style="margin-top:16px">Places to look at</h3><ul class="fd-regions">{rows}</ul>'


def place(region: Region, prediction: Prediction) -> str:
    """Where a region lies, in words: "upper left", "centre"."""
    x = (region.x + region.width / 2) / prediction.film.width
    y = (region.y + region.height / 2) / prediction.film.height
    down = ("upper", "middle", "lower")[min(2, int(3 * y))]
    across = ("left", "middle", "right")[min(2, int(3 * x))]
    words = f"{down} {across}".replace("middle middle", "centre")
    return f"{words[0].upper()}{words[1:]} of the film"


def describe(prediction: Prediction) -> str:
    """The picture in words, for those who cannot see it."""
    found = [place(region, prediction) for region in prediction.regions]
    size = f"X-ray film, {prediction.film.width} by {prediction.film.height} pixels."
    if not found:
        return f"{size} No place is marked on it."
    return f"{size} Marked places, strongest first: {'; '.join(found)}."


def error_card(sentence: str, heading: str = "This film was not read") -> str:
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
