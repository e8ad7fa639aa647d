"""One film on the page: what the model says, and what the reader said before seeing it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from html import escape
from secrets import token_hex

from demo.cards import VERDICTS, describe, place
from demo.view import Box, viewer_message
from demo.words import WORDS, say
from detector import Prediction
from detector.model.calibration import Decision, post_test_probability
from detector.report.results import percent

PRESENT, ABSENT = WORDS["present"], WORDS["absent"]
NEAR = 0.04  # a mark this share of the film's longest side beside a region still counts as in it


@dataclass(frozen=True)
class Reading:
    """What one visitor's page holds of the film in view; it lives in that session only.

    ``said``: what radiologists said of an example; ``truth``: their boxes. ``own``: the reader's
    answer (``PRESENT``, ``ABSENT``) and ``mark``: where, in film pixels. ``revealed``: whether the
    result may be shown. ``file``: the upload, which the page deletes before long.
    """

    prediction: Prediction
    said: str = ""
    truth: tuple[Box, ...] = ()
    synthetic: bool = False
    own: str | None = None
    mark: tuple[float, float] | None = None
    revealed: bool = True
    file: str | None = None
    film_id: str = field(default_factory=lambda: token_hex(8))

    def message(self) -> str:
        """The viewer's message; before the reveal it holds the film only."""
        if self.revealed:
            alt = describe(self.prediction)
        else:
            alt = WORDS["hidden"]
        return viewer_message(
            self.prediction,
            film_id=self.film_id,
            with_heat=self.revealed and self.prediction.decision != Decision.OUT_OF_SCOPE,
            marking=not self.revealed,
            mark=self.mark,
            truth=self.truth if self.revealed else (),
            alt=alt,
        )

    def marked(self, x: float, y: float) -> Reading:
        """With the reader's mark moved; a mark says that there is something."""
        return replace(self, mark=(x, y), own=PRESENT)


def agreement(reading: Reading) -> str:
    """The reader's answer beside the model's, as a card; empty when none was given."""
    if reading.own is None:
        return ""
    prediction = reading.prediction
    heading = VERDICTS[prediction.decision][1]
    if prediction.decision in (Decision.FRACTURE_LIKELY, Decision.NO_FRACTURE_SEEN):
        same = (prediction.decision == Decision.FRACTURE_LIKELY) == (reading.own == PRESENT)
        title = WORDS["agree" if same else "disagree"]
        advice = "" if same else WORDS["look again"]
    else:
        title = WORDS["stands"]
        advice = WORDS["no side"]
    sentences = [say("both", yours=reading.own.lower(), models=heading.lower()), advice]
    if reading.mark is not None:
        sentences.append(where_marked(reading))
    body = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences if sentence)
    return f'<div class="fd-card" data-agreement="{escape(title)}"><h2>{title}</h2>{body}</div>'


def where_marked(reading: Reading) -> str:
    """How the reader's mark lies to the model's regions, in a sentence."""
    prediction, (x, y) = reading.prediction, reading.mark or (0.0, 0.0)
    regions = prediction.regions
    if not regions:
        return WORDS["model marks none"]
    slack = NEAR * max(prediction.film.width, prediction.film.height)
    distances = []
    for region in regions:
        dx = max(region.x - x, 0, x - region.x - region.width)
        dy = max(region.y - y, 0, y - region.y - region.height)
        distances.append((dx * dx + dy * dy) ** 0.5)
    nearest = min(range(len(distances)), key=distances.__getitem__)
    if distances[nearest] <= slack:
        return say("mark at", number=nearest + 1)
    return say("mark elsewhere", where=place(regions[0], prediction).lower())


def post_test(prediction: Prediction, pre_test_percent: float) -> str:
    """The film's likelihood ratio applied to the reader's own pre-test probability, as HTML."""
    calibration = prediction.calibration
    after = post_test_probability(
        prediction.probability, calibration.prevalence, pre_test_percent / 100
    )
    p = min(max(prediction.probability, 1e-6), 1 - 1e-6)
    ratio = p / (1 - p) * (1 - calibration.prevalence) / calibration.prevalence
    if 0.01 <= ratio <= 100:
        strength = f"{ratio:.2g}" if ratio < 10 else f"{ratio:.0f}"
    else:
        strength = WORDS["below" if ratio < 1 else "above"]
    words = say("post", before=f"{pre_test_percent:.0f}", ratio=strength)
    return (
        f'<div class="fd-post" role="status"><b>{escape(percent(after))}</b>'
        f"<span>{escape(words)}</span></div>"
    )


def starting_prevalence(prediction_prevalence: float, metrics: dict) -> float:
    """The share of fractured films in the test set; of val where the test set is not described."""
    try:
        test = metrics["test"]["fracatlas"]
        return test["fractured"] / test["films"]
    except (KeyError, TypeError, ZeroDivisionError):
        return prediction_prevalence
