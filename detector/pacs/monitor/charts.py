"""The monitor's charts as inline SVG: no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from detector.model.calibration import Decision
from detector.pacs.monitor.drift import Day, Reference, Rule, ScoredFilm

# Okabe and Ito's colours, told apart by people who are colour-blind too.
COLOURS = dict(zip(Decision, ("#d55e00", "#e69f00", "#009e73", "#7f7f7f"), strict=True))
_FIRST, _LATEST, _CARD = "#56b4e9", "#0072b2", "#000"
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 220, 44, 24, 10


def decisions_chart(days: Sequence[Day]) -> str:
    """Each day's decisions as a stacked bar."""
    parts, step = [_axis(0, 1, "{:.0%}")], (_WIDTH - _LEFT) / len(days)
    for index, day in enumerate(days):
        low = 0.0
        for name in Decision:
            proportion = day.decisions.get(name, 0) / day.films
            top, height = _y(low + proportion, 0, 1), _y(low, 0, 1) - _y(low + proportion, 0, 1)
            parts.append(
                f'<rect x="{_LEFT + index * step + 0.5:.1f}" y="{top:.1f}" '
                f'width="{max(step - 1, 0.5):.1f}" height="{height:.1f}" fill="{COLOURS[name]}">'
                f"<title>{day.day}: {name} {proportion:.0%} of {day.films} films</title></rect>"
            )
            low += proportion
    parts.append(_dates(days))
    return _svg("Decisions by day", parts) + _legend(COLOURS)


def scope_chart(days: Sequence[Day]) -> str:
    """Each day's scope scores, 10 to 90 %, with the median; 1 is the border."""
    top = max(1.2, *(day.scope[2] for day in days)) * 1.05
    parts, step = [_axis(0, top, "{:.1f}")], (_WIDTH - _LEFT) / len(days)
    for index, day in enumerate(days):
        x = _LEFT + (index + 0.5) * step
        low, middle, high = (_y(value, 0, top) for value in day.scope)
        parts.append(
            f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{_FIRST}" stroke-width="3"/>'
            f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="3" fill="{_LATEST}">'
            f"<title>{day.day}: median {day.scope[1]:.2f}, 10 to 90 %: {day.scope[0]:.2f} to "
            f"{day.scope[2]:.2f}</title></circle>"
        )
    border = _y(1, 0, top)
    parts.append(
        f'<path d="M{_LEFT} {border:.1f}H{_WIDTH}" stroke="{_CARD}" stroke-dasharray="5 4"/>'
    )
    parts.append(_dates(days))
    names = {"10 to 90 % of the day": _FIRST, "median": _LATEST, "border of the scope": _CARD}
    return _svg("Scope score by day", parts) + _legend(names)


def score_chart(scored: Sequence[ScoredFilm], reference: Reference, rule: Rule) -> str:
    """Proportion of films below each score: the latest, the first, and the card's points."""
    parts = [_axis(0, 1, "{:.0%}")]
    for films, colour in (
        (scored[: rule.baseline], _FIRST), (scored[-rule.window :], _LATEST),
    ):  # fmt: skip
        scores = np.sort([film.probability for film in films])
        path = f"M{_x(0):.1f} {_y(0, 0, 1):.1f}"
        for count, score in enumerate(scores, 1):
            path += f"H{_x(float(score)):.1f}V{_y(count / len(scores), 0, 1):.1f}"
        parts.append(f'<path d="{path}H{_x(1):.1f}" fill="none" stroke="{colour}"/>')
    for threshold, above in reference.points:
        parts.append(
            f'<circle cx="{_x(threshold):.1f}" cy="{_y(1 - above, 0, 1):.1f}" r="4" '
            f'fill="{_CARD}"><title>card: {1 - above:.0%} below {threshold:.3f}</title></circle>'
        )
    for value in (0, 0.25, 0.5, 0.75, 1):
        anchor = "end" if value == 1 else "middle"
        parts.append(_text(_x(value), _HEIGHT - 6, f"{value:.0%}", anchor))
    names = {
        f"first {min(rule.baseline, len(scored))} films": _FIRST,
        f"latest {min(rule.window, len(scored))} films": _LATEST,
        f"model card, {reference.source}": _CARD,
    }
    return _svg("Proportion of films below each probability", parts) + _legend(names)


def _x(proportion: float) -> float:
    return _LEFT + proportion * (_WIDTH - _LEFT)


def _y(value: float, low: float, high: float) -> float:
    return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _BOTTOM - _TOP)


def _axis(low: float, high: float, form: str) -> str:
    lines = []
    for value in np.linspace(low, high, 5):
        y = _y(float(value), low, high)
        lines.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH}" stroke="#ddd"/>')
        lines.append(_text(_LEFT - 6, y + 4, form.format(value), "end"))
    return "".join(lines)


def _dates(days: Sequence[Day]) -> str:
    first = _text(_LEFT, _HEIGHT - 6, str(days[0].day), "start")
    last = _text(_WIDTH, _HEIGHT - 6, str(days[-1].day), "end")
    return first + last if len(days) > 1 else first


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _legend(names: dict[str, str]) -> str:
    entries = (f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
               for name, colour in names.items())  # fmt: skip
    return f'<p class="legend">{"".join(entries)}</p>'
