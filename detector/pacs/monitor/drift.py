"""Drift: the latest films of a node against the model card's, and against the node's first ones.

After each day with films, the latest ``window`` films are tested:

1. their scores against the card's test films: a two-sample Kolmogorov-Smirnov test, evaluated at
   the operating points. The card states the distribution of its scores only there. Fewer points
   make the test miss more; they never make it alarm more.
2. their proportion out of scope against the card's: Fisher's exact test, two-sided.
3. their scores against the node's first ``baseline`` films: Kolmogorov-Smirnov.
4. their scope scores against the same first films: Kolmogorov-Smirnov.

The false-alarm rate of a day, ``alarm_rate``, is divided equally among its tests (Bonferroni). If
nothing has changed, at most that proportion of the days alarms on average; that the windows of
neighbouring days overlap does not change an average. Tests 1 and 2 say that the card's figures may
not hold for these films. Tests 3 and 4 say that something changed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from scipy.stats import fisher_exact, ks_2samp, kstwobign

from detector.model.calibration import Decision
from detector.pacs.node.run_log import READ, UNREAD

SCORE_CARD, SCOPE_CARD = "score, card", "out of scope, card"
SCORE_OWN, SCOPE_OWN = "score, first films", "scope score, first films"
TESTS = (SCORE_CARD, SCOPE_CARD, SCORE_OWN, SCOPE_OWN)


@dataclass(frozen=True)
class ScoredFilm:
    """One film of the run log, of the model that the log ends with."""

    time: datetime
    decision: str
    probability: float
    scope: float


@dataclass(frozen=True)
class Reference:
    """What the model card says of its test films of one source.

    ``points``: (threshold, proportion of the films at or above it).
    """

    source: str
    films: int
    out_of_scope: int
    points: tuple[tuple[float, float], ...]

    @classmethod
    def from_config(cls, config: Mapping[str, Any], source: str) -> Reference:
        """From ``config.json``; ValueError when its test has no such source."""
        test = config.get("metrics", {}).get("test", {})
        known = [name for name, figures in test.items()
                 if isinstance(figures, Mapping) and {"operating_points", "decided"} <= set(figures)
                 ]  # fmt: skip
        if source not in known:
            has = ", ".join(known) or "none, it was never evaluated"
            raise ValueError(f"the model card has no test films {source!r} (it has: {has})")
        figures = test[source]
        points = []
        for point in figures["operating_points"].values():
            confusion = point["confusion"]
            above = confusion["true_positive"] + confusion["false_positive"]
            points.append((float(point["threshold"]), above / point["films"]))
        out = figures["decided"]["decisions"][Decision.OUT_OF_SCOPE]["films"]
        return cls(source, int(figures["films"]), int(out), tuple(sorted(points)))


@dataclass(frozen=True)
class Rule:
    """The alarm rule: ``window`` and ``baseline`` in films, ``alarm_rate`` of days in (0, 1)."""

    window: int = 200
    baseline: int = 500
    alarm_rate: float = 0.01

    def __post_init__(self) -> None:
        if self.window < 20 or self.baseline < 20:
            raise ValueError("a window and a baseline need at least 20 films")
        if not 0 < self.alarm_rate < 1:
            raise ValueError(f"the alarm rate must lie between 0 and 1, not {self.alarm_rate}")


@dataclass(frozen=True)
class Day:
    """One day with films (UTC).

    ``p``: p-value by test, empty while the films do not fill a window. ``alarms``: the tests whose
    p-value lies below the day's false-alarm rate divided by the number of tests.
    """

    day: date
    decisions: Mapping[str, int]
    unread: int
    scope: tuple[float, float, float]  # 10 %, median and 90 % of the day's scope scores
    p: Mapping[str, float]
    alarms: tuple[str, ...]

    @property
    def films(self) -> int:
        return sum(self.decisions.values())


@dataclass(frozen=True)
class Drift:
    """A run log's days. ``others``: films that other models read, which are left out."""

    model: str
    scored: tuple[ScoredFilm, ...]
    others: int
    days: tuple[Day, ...]


def measure_drift(entries: Iterable[Mapping[str, Any]], reference: Reference, rule: Rule) -> Drift:
    """Lines of a run log -> its days. ValueError when no film was read."""
    films: dict[str, Mapping[str, Any]] = {}  # a line that a crash doubled counts once
    unread: dict[str, date] = {}
    for entry in entries:
        if entry["event"] == READ:
            films[str(entry["film"])] = entry
        elif entry["event"] == UNREAD:
            unread[str(entry["film"])] = _time(entry).date()
    if not films:
        raise ValueError("the log has no film that was read")
    ordered = sorted(films.values(), key=_time)
    sha256 = ordered[-1]["sha256"]
    scored = tuple(
        ScoredFilm(_time(e), str(e["decision"]), float(e["probability"]), float(e["scope"]))
        for e in ordered if e["sha256"] == sha256
    )  # fmt: skip
    days = _days(scored, Counter(unread.values()), reference, rule)
    model = f"{ordered[-1]['model']} ({sha256})"
    return Drift(model, scored, len(ordered) - len(scored), tuple(days))


def _time(entry: Mapping[str, Any]) -> datetime:
    time = datetime.fromisoformat(str(entry["time"]))
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _days(
    scored: Sequence[ScoredFilm], unread: Mapping[date, int], reference: Reference, rule: Rule
) -> Iterable[Day]:
    ends: dict[date, int] = {}
    for index, film in enumerate(scored):
        ends[film.time.date()] = index + 1
    first = scored[: rule.baseline]
    start = 0
    for day, end in ends.items():
        today = scored[start:end]
        start = end
        p: dict[str, float] = {}
        if end >= rule.window:
            latest = scored[end - rule.window : end]
            p = against_card(latest, reference)
            if end - rule.window >= rule.baseline:
                p |= against_first(latest, first)
        low, middle, high = np.quantile([r.scope for r in today], [0.1, 0.5, 0.9])
        yield Day(
            day=day,
            decisions=Counter(r.decision for r in today),
            unread=unread.get(day, 0),
            scope=(float(low), float(middle), float(high)),
            p=p,
            alarms=tuple(name for name, value in p.items() if value < rule.alarm_rate / len(p)),
        )


def against_card(films: Sequence[ScoredFilm], reference: Reference) -> dict[str, float]:
    """p-values of tests 1 and 2."""
    scores = np.array([film.probability for film in films])
    distance = max(abs(float(np.mean(scores >= t)) - above) for t, above in reference.points)
    size = len(films) * reference.films / (len(films) + reference.films)
    out = sum(film.decision == Decision.OUT_OF_SCOPE for film in films)
    table = [[out, len(films) - out],
             [reference.out_of_scope, reference.films - reference.out_of_scope]]  # fmt: skip
    return {
        SCORE_CARD: float(kstwobign.sf(distance * np.sqrt(size))),
        SCOPE_CARD: float(fisher_exact(table).pvalue),
    }


def against_first(films: Sequence[ScoredFilm], first: Sequence[ScoredFilm]) -> dict[str, float]:
    """p-values of tests 3 and 4."""
    return {
        SCORE_OWN: float(ks_2samp([f.probability for f in films],
                                  [f.probability for f in first]).pvalue),
        SCOPE_OWN: float(ks_2samp([f.scope for f in films], [f.scope for f in first]).pvalue),
    }  # fmt: skip
