"""Figures of ``config.json`` as Markdown: numbers, shares and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

ABSENT = "–"
_LONGEST_LIST = 8  # longer ones are curves, drawn and not listed


def is_estimate(value: Any) -> bool:
    """Whether a value is a figure with its interval."""
    return isinstance(value, Mapping) and {"value", "low", "high"} <= set(value)


def number(figure: Mapping[str, float] | None, digits: int = 3) -> str:
    """``0.912 (0.87–0.95)``."""
    if not figure:
        return ABSENT
    low, high = figure["low"], figure["high"]
    return f"{figure['value']:.{digits}f} ({low:.2f}–{high:.2f})"


def percents(figure: Mapping[str, float] | None) -> str:
    """``91 % (87–95)``."""
    if not figure:
        return ABSENT
    return f"{100 * figure['value']:.0f} % ({100 * figure['low']:.0f}–{100 * figure['high']:.0f})"


def of(part: int, whole: int) -> str:
    """``12 of 70``."""
    return f"{part} of {whole}"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """A Markdown table as lines; columns of numbers are set flush right."""
    body = [[str(cell) for cell in row] for row in rows]
    rule = [
        "---:" if all(row[i][:1].isdigit() or row[i] == ABSENT for row in body) else "---"
        for i in range(len(head))
    ]
    return [_row(head), _row(rule), *map(_row, body)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def flat(figures: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Nested figures as (what, value) rows, in their order; curves are left out."""
    for name, value in figures.items():
        path = f"{above}, {_words(name)}" if above else _words(name)
        if is_estimate(value):
            yield path, number(value)
        elif isinstance(value, Mapping):
            yield from flat(value, path)
        elif isinstance(value, list | tuple):
            if len(value) <= _LONGEST_LIST and not any(isinstance(v, list | dict) for v in value):
                yield path, ", ".join(map(plain, value))
        else:
            yield path, plain(value)


def plain(value: Any) -> str:
    """A bare value; fractions to four digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _words(name: str) -> str:
    return str(name).replace("_", " ")
