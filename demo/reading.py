"""One film on the page: what the model says, and what the reader said before seeing it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from html import escape
from secrets import token_hex

from demo.cards import describe
from demo.source import Source
from demo.view import Box, viewer_message
from detector import Prediction
from detector.model.calibration import Decision
from detector.report.regions import where
from detector.report.words import ENGLISH, Words

PRESENT, ABSENT, UNSURE = "present", "absent", "unsure"
ANSWERS = (PRESENT, ABSENT, UNSURE)  # keys of the strings too
NEAR = 0.04  # a mark this share of the film's longest side beside a region still counts as in it


@dataclass(frozen=True)
class Reading:
    """What one visitor's page holds of the film in view; it lives in that session only.

    ``source``: which film it is. ``said``: what radiologists said of an example; ``truth``: their
    boxes. ``own``: the reader's answer, one of ``ANSWERS``, and ``mark``: where, in film pixels.
    ``revealed``: whether the result may be shown. ``file``: the upload, which the page deletes
    before long. ``asked``: what the browser calls its request for this film; an answer shows itself
    only where that request still stands.
    """

    prediction: Prediction
    source: Source
    said: str = ""
    truth: tuple[Box, ...] = ()
    synthetic: bool = False
    own: str | None = None
    mark: tuple[float, float] | None = None
    revealed: bool = True
    file: str | None = None
    asked: str = ""
    film_id: str = field(default_factory=lambda: token_hex(8))

    def message(self, words: Words = ENGLISH, *, again: bool = False) -> str:
        """The viewer's message; before the reveal it holds the film only.

        ``again``: the viewer has this film already, so its pixels are not sent.
        """
        return viewer_message(
            self.prediction,
            film_id=self.film_id,
            with_film=not again,
            upload=self.file if self.asked == self.file else None,
            with_heat=self.revealed and self.prediction.decision != Decision.OUT_OF_SCOPE,
            marking=not self.revealed,
            mark=self.mark,
            truth=self.truth if self.revealed else (),
            alt=describe(self.prediction, words) if self.revealed else words["hidden"],
        )

    def findings(self, words: Words = ENGLISH) -> str:
        """The message of what a reader can agree with: the verdict on the film, and each region.

        JSON, without the film's name: its file's sha256 stands for it. Empty before the reveal.
        """
        if not self.revealed:
            return ""
        said, page = self.prediction.to_dict(), words["page"]
        whole = page["verdict film"].format(decision=words.heading(said["decision"]))
        places = [where(region, self.prediction, words) for region in self.prediction.regions]
        regions = [
            {"finding": f"region {n}", "said": f"{n}: {place}", **box}
            for n, (place, box) in enumerate(zip(places, said["regions"], strict=True), 1)
        ]
        return json.dumps({
            "sha256": self.source.sha256, "frame": self.source.frame,
            "model_version": said["model"]["version"], "model_sha256": said["model"]["sha256"],
            "decision": said["decision"], "probability": said["probability"],
            "findings": [{"finding": "film", "said": whole}, *regions],
        })  # fmt: skip

    def marked(self, x: float, y: float) -> Reading:
        """With the reader's mark moved; a mark says that there is something."""
        return replace(self, mark=(x, y), own=PRESENT)


def agreement(reading: Reading, words: Words = ENGLISH) -> str:
    """The reader's answer beside the model's, as a card; empty when none was given."""
    if reading.own is None:
        return ""
    prediction = reading.prediction
    decided = prediction.decision in (Decision.FRACTURE_LIKELY, Decision.NO_FRACTURE_SEEN)
    advice = ""
    if reading.own == UNSURE:
        title = words["was unsure"]
    elif decided:
        same = (prediction.decision == Decision.FRACTURE_LIKELY) == (reading.own == PRESENT)
        title = words["agree" if same else "disagree"]
        advice = "" if same else words["look again"]
    else:
        title = words["stands"]
        advice = words["no side"] if prediction.decision != Decision.OUT_OF_SCOPE else ""
    models = words.heading(prediction.decision)
    said = [words.say("both", yours=words[reading.own].lower(), models=models.lower()), advice]
    if reading.mark is not None:
        said.append(where_marked(reading, words))
    body = "".join(f"<p>{escape(sentence)}</p>" for sentence in said if sentence)
    shown = escape(title)
    return f'<div class="fd-card" data-agreement="{shown}"><h2>{shown}</h2>{body}</div>'


def where_marked(reading: Reading, words: Words = ENGLISH) -> str:
    """How the reader's mark lies to the model's regions, in a sentence."""
    prediction, (x, y) = reading.prediction, reading.mark or (0.0, 0.0)
    regions = prediction.regions
    if not regions:
        return words["model marks none"]
    slack = NEAR * max(prediction.film.width, prediction.film.height)
    distances = []
    for region in regions:
        dx = max(region.x - x, 0, x - region.x - region.width)
        dy = max(region.y - y, 0, y - region.y - region.height)
        distances.append((dx * dx + dy * dy) ** 0.5)
    nearest = min(range(len(distances)), key=distances.__getitem__)
    if distances[nearest] <= slack:
        return words.say("mark at", number=nearest + 1)
    strongest = where(regions[0], prediction, words)
    return words.say("mark elsewhere", where=strongest[:1].lower() + strongest[1:])
