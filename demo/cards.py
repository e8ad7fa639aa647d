"""The page's pieces of HTML: verdict, gauge, regions, errors. Every text is escaped here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from secrets import token_hex
from typing import Any

from demo.theme import asset
from detector import Prediction, RadiographError
from detector.errors import SeveralFrames
from detector.model.calibration import Decision
from detector.report.regions import local, part_limitations, where
from detector.report.results import percent
from detector.report.told import told
from detector.report.words import ENGLISH, Words

_STROKE = (
    '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
    'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">'
)
# decision: style, icon. The words carry the verdict, shape and colour only repeat it.
LOOKS = {
    decision: (look["style"], f"{_STROKE}{look['icon']}</svg>")
    for decision, look in json.loads(asset("icons.json")).items()
}


def empty(words: Words = ENGLISH) -> str:
    """What stands in the verdict's place before the first film."""
    steps = "".join(f"<li>{escape(step)}</li>" for step in words["steps"])
    return (
        f'<div class="fd-card fd-empty"><h2>{escape(words["empty"])}</h2><ol>{steps}</ol></div>'
    )


def headline(
    prediction: Prediction, source: str = "", words: Words = ENGLISH
) -> str:
    """The verdict itself: icon, words, probability, what to do, and which film it is of."""
    style, icon = LOOKS[prediction.decision]
    number = ""
    if prediction.decision != Decision.OUT_OF_SCOPE:
        unit = escape(words["number"]).replace("\n", "<br>")
        number = f'<p class="fd-number"><b>{escape(chance(prediction))}</b><span>{unit}</span></p>'
    missing = missing_note(prediction, words)
    return (
        f'<div class="fd-card fd-verdict fd-{style}" role="status" data-once="{token_hex(4)}" '
        f'data-decision="{escape(prediction.decision)}"><div class="fd-banner">{icon}<div>'
        f"<h2>{escape(words.heading(prediction.decision))}</h2>"
        f'<p class="fd-sub">{escape(subline(prediction, words))}</p>{missing}</div>{number}</div>'
        f"{of_film(source)}</div>"
    )


def of_film(source: str) -> str:
    """The line that says which film it is; the browser keeps it from being translated."""
    return f'<p class="fd-source" translate="no" dir="auto">{escape(source)}</p>' if source else ""


def verdict_card(
    prediction: Prediction, metrics: Mapping[str, Any] = {}, said: str = "",
    synthetic: bool = False, words: Words = ENGLISH,
) -> str:  # fmt: skip
    """Below the headline: gauge, what it means, regions, and what stays weak.

    ``metrics``: those of ``config.json``; a sentence whose figure is absent is left out. ``said``:
    what radiologists said of an example.
    """
    parts = [gauge(prediction, words)] if prediction.decision != Decision.OUT_OF_SCOPE else []
    parts.append(f"<p>{escape(meaning(prediction, metrics, words))}</p>")
    if said:
        parts.append(f"<p><strong>{escape(said)}</strong></p>")
    if synthetic:
        parts.append(f'<p class="fd-small fd-note">{escape(words["synthetic"])}</p>')
    for warning in prediction.warnings:
        parts.append(f'<p class="fd-small fd-note">{in_words(warning, words)}</p>')
    if prediction.regions:
        parts.append(regions_list(prediction, words))
    parts.append(weak_points(metrics, words, part_limitations(prediction, metrics)))
    return f'<div class="fd-card"><div class="fd-body">{"".join(parts)}</div></div>'


def in_words(sentence: str, words: Words) -> str:
    """A sentence of the model as HTML, marked as English where it has no translation."""
    said = told(sentence, words)
    language = ' lang="en"' if said == sentence else ""
    return f"<span{language}>{escape(said)}</span>"


def incomplete(prediction: Prediction) -> bool:
    """Whether the film's file lacks part of the film."""
    return prediction.film.missing > 0


def missing_note(prediction: Prediction, words: Words = ENGLISH) -> str:
    """How much of the film its file lacks; empty for a whole film."""
    if not incomplete(prediction):
        return ""
    said = words.say("missing", share=_percent(prediction.film.missing, 1))
    return f'<p class="fd-missing"><strong>{escape(said)}</strong></p>'


def chance(prediction: Prediction) -> str:
    """The film's probability, with the digits that tell it from the two thresholds."""
    calibration = prediction.calibration
    return told_apart(prediction.probability, calibration.rule_out, calibration.rule_in)


def told_apart(probability: float, *others: float) -> str:
    """``percent``, with one or two more digits where it would read the same as another figure."""
    for digits in range(3):
        shown = [_percent(value, digits) for value in (probability, *others)]
        if all(s != shown[0] for s, v in zip(shown[1:], others, strict=True) if v != probability):
            break
    return shown[0]


def _percent(probability: float, digits: int) -> str:
    return f"{100 * probability:.{digits}f} %" if digits else percent(probability)


def threshold(prediction: Prediction, name: str) -> str:
    """A threshold of the calibration, with the digits that tell it from the film's probability."""
    return told_apart(getattr(prediction.calibration, name), prediction.probability)


def subline(prediction: Prediction, words: Words = ENGLISH) -> str:
    """What to do with the verdict, in a sentence."""
    if prediction.decision == Decision.FRACTURE_LIKELY:
        if not prediction.regions:
            return words["sub without region"]
        if all(r.score < prediction.calibration.rule_in for r in prediction.regions):
            return words["sub weak regions"]
    return words["verdicts"][prediction.decision]["sub"]


def tag(decision: str, words: Words = ENGLISH) -> str:
    """A verdict as a small label: icon, colour and words."""
    style, icon = LOOKS[decision]
    return f'<span class="fd-tag fd-{style}">{icon}{escape(words.heading(decision))}</span>'


def gauge(prediction: Prediction, words: Words = ENGLISH) -> str:
    """The calibrated probability on a line from 0 to 100 % with both thresholds."""
    low, high = prediction.calibration.rule_out, prediction.calibration.rule_in
    zones = "".join(
        f'<i class="z{i}" style="flex:{max(width, 0.001):.4f} 0 0"></i>'
        for i, width in enumerate((low, high - low, 1 - high))
    )
    apart = high - low > 0.28
    ticks = "".join(
        f'<span class="fd-tick {side}" style="left:{100 * at:.2f}%">{escape(words[text])}<br>'
        f"{threshold(prediction, name)}</span>"
        for at, name, text, side in (
            (low, "rule_out", "rule out", "near" if low < 0.1 else "" if apart else "far"),
            (high, "rule_in", "rule in", "far" if high > 0.9 else "" if apart else "near"),
        )
    )
    said = words.say(
        "gauge", probability=chance(prediction), low=threshold(prediction, "rule_out"),
        high=threshold(prediction, "rule_in"),
    )  # fmt: skip
    return (
        f'<div class="fd-gauge" dir="ltr" role="img" aria-label="{escape(said)}">'
        f'<div class="fd-track">{zones}</div>'
        f'<div class="fd-needle" style="left:{100 * prediction.probability:.2f}%"></div>'
        f"{ticks}</div>"
    )


def meaning(
    prediction: Prediction, metrics: Mapping[str, Any], words: Words = ENGLISH
) -> str:
    """One or two sentences: where the film stands, and how this threshold did on test films."""
    if prediction.decision == Decision.OUT_OF_SCOPE:
        return words.say("means out of scope", reason=told(prediction.scope.reason, words))
    key, point = {
        Decision.FRACTURE_LIKELY: ("means likely", "rule_in"),
        Decision.NO_FRACTURE_SEEN: ("means none", "rule_out"),
        Decision.UNCERTAIN: ("means uncertain", "rule_out"),
    }[prediction.decision]
    return words.say(
        key, low=threshold(prediction, "rule_out"), high=threshold(prediction, "rule_in"),
        # The figures are of films that the model knows, at their operating points.
        figures="" if prediction.unfamiliar else _figures(metrics, point, words),
    )  # fmt: skip


def _figures(metrics: Mapping[str, Any], point: str, words: Words) -> str:
    """How a threshold did on the main test set; empty when that was not measured."""
    try:
        test = metrics["test"]["fracatlas"]
        measured = test["operating_points"][point]
        sensitivity, specificity = (
            words.say(
                "interval", value=percent(measured[name]["value"]),
                low=f"{100 * measured[name]['low']:.0f}",
                high=f"{100 * measured[name]['high']:.0f}",
            )
            for name in ("sensitivity", "specificity")
        )
        fractured = int(test["fractured"])
        return words.say(
            f"figures {point}", films=int(measured["films"]), fractured=fractured,
            found=round(measured["sensitivity"]["value"] * fractured), sensitivity=sensitivity,
            specificity=specificity,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        return ""


def weak_points(
    metrics: Mapping[str, Any], words: Words = ENGLISH, of_part: Sequence[str] = ()
) -> str:
    """What stays weak, with its figures, where the evaluation wrote it down; and the limits.

    ``of_part``: those of the part of the body that the film shows; they come first.
    """
    found = [*of_part, *(s for s in metrics.get("limitations", ()) if s not in of_part)]
    weak = [in_words(str(sentence), words) for sentence in found]
    first = f'<p class="fd-small fd-note">{weak[0]}</p>' if weak else ""
    rest = "".join(
        f"<li>{sentence}</li>" for sentence in [*weak[1:], *map(escape, words["always weak"])]
    )
    return (
        f'{first}<details class="fd-more"><summary>{escape(words["weak"])}'
        f"</summary><ul>{rest}</ul></details>"
    )


def regions_list(prediction: Prediction, words: Words = ENGLISH) -> str:
    """The regions, strongest first; each a button that shows it in the viewer."""
    rule_in = prediction.calibration.rule_in
    rows = "".join(
        f'<li><button type="button" data-region="{index}"><span class="n">{index + 1}</span>'
        f"<span>{escape(where(region, prediction, words))}<br><small>{region.width:.0f} &times; "
        f"{region.height:.0f} px"
        f"{', ' + escape(words['dashed']) if region.score < rule_in else ''}"
        f'</small></span><span class="p">{local(region, prediction)}</span></button></li>'
        for index, region in enumerate(prediction.regions)
    )
    above = any(region.score > prediction.probability for region in prediction.regions)
    note = f'<p class="fd-small">{escape(words["local how"])}</p>' if above else ""
    return (
        f'<h3 class="fd-marked">{escape(words["regions"])} <small>{escape(words["local"])}</small>'
        f'</h3><ul class="fd-regions">{rows}</ul>{note}'
    )


def describe(prediction: Prediction, words: Words = ENGLISH) -> str:
    """The picture in words, for those who cannot see it."""
    found = [where(region, prediction, words) for region in prediction.regions]
    size = words.say("size", width=prediction.film.width, height=prediction.film.height)
    if not found:
        return f"{size} {words['no place marked']}"
    return f"{size} {words.say('places marked', places='; '.join(found))}"


def error_sentence(error: RadiographError, words: Words = ENGLISH) -> str:
    """An error for a person: in English its own sentence, else the one of its kind."""
    if isinstance(error, SeveralFrames):
        return words.say("choose frame", frames=error.frames)
    return str(error) if words.code == "en" else words["errors"][error.kind]


def error_card(
    sentence: str, heading: str | None = None, words: Words = ENGLISH, source: str = ""
) -> str:
    """What went wrong and the way out, as sentences."""
    title = words["not read"] if heading is None else heading
    return (
        f'<div class="fd-card fd-error" role="alert" data-once="{token_hex(4)}">'
        f"<h2>{escape(title)}</h2><p>{escape(sentence)}</p>{of_film(source)}</div>"
    )


def film_error(error: RadiographError, words: Words = ENGLISH, source: str = "") -> str:
    """The card of a film that could not be read; in another language the exact words stay below."""
    card = error_card(error_sentence(error, words), None, words, source)
    if words.code == "en" or isinstance(error, SeveralFrames):
        return card
    return card.replace(
        "</div>", f'<p class="fd-small" lang="en" dir="ltr">{escape(str(error))}</p></div>'
    )


def card(heading: str, *sentences: str) -> str:
    """A plain card."""
    paragraphs = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return (
        f'<div class="fd-card" data-once="{token_hex(4)}"><h2>{escape(heading)}</h2>'
        f"{paragraphs}</div>"
    )


def progress(done: int, total: int, said: str, words: Words = ENGLISH) -> str:
    """A progress bar with its words."""
    share = 100 * done / max(total, 1)
    return (
        f'<div class="fd-progress"><p class="fd-hint" role="status">{escape(said)}</p>'
        f'<div class="bar" role="progressbar" aria-label="{escape(words["films read"])}" '
        f'aria-valuemin="0" aria-valuemax="{total}" aria-valuenow="{done}">'
        f'<i style="width:{share:.1f}%"></i></div></div>'
    )


def views_grid(cards: Sequence[str]) -> str:
    """Cards side by side."""
    return f'<div class="fd-views">{"".join(cards)}</div>'
