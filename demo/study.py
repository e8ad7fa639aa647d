"""A study: several views of one patient, a verdict for each and one for all of them.

The rule: the study is as suspicious as its most suspicious view. One view with `fracture likely`
makes the study `fracture likely`; else one `uncertain` view makes it `uncertain`; it is `no
fracture seen` only if every view that the model can judge says so; with no such view it is `out of
scope`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from demo import cards
from demo.film import BROKEN, GONE, HOUR, MODEL, QUICK, FilmTab, logger
from demo.reading import Reading
from demo.theme import html
from demo.turns import Turns
from demo.view import picture
from detector import Prediction, RadiographError
from detector.model.calibration import Decision
from detector.report.results import percent

MAX_VIEWS = 12
RULE = (
    "The study is as suspicious as its most suspicious view. It is 'no fracture seen' only if "
    "every view that could be judged says so. More views find more, and give more false alarms too."
)


@dataclass(frozen=True)
class View:
    """One film of a study: its name, and its reading or why it could not be read."""

    name: str
    result: Prediction | RadiographError

    @property
    def rank(self) -> tuple[int, float]:
        """Sorts the leading view first: by decision, then by probability; unread ones last."""
        if isinstance(self.result, RadiographError):
            return 4, 0.0
        order = (
            Decision.FRACTURE_LIKELY,
            Decision.UNCERTAIN,
            Decision.NO_FRACTURE_SEEN,
            Decision.OUT_OF_SCOPE,
        )
        return order.index(self.result.decision), -self.result.probability


def study_decision(views: Sequence[View]) -> str | None:
    """The study's decision by the rule above; None when no view could be read."""
    decisions = {view.result.decision for view in views if isinstance(view.result, Prediction)}
    for decision in (
        Decision.FRACTURE_LIKELY,
        Decision.UNCERTAIN,
        Decision.NO_FRACTURE_SEEN,
        Decision.OUT_OF_SCOPE,
    ):
        if decision in decisions:
            return decision
    return None


def study_card(views: Sequence[View]) -> str:
    """The study's verdict and its views, leading one first, as HTML. `views` are in that order."""
    decision = study_decision(views)
    if decision is None:
        head = cards.error_card("None of these files could be read; see each reason below.",
                                "No verdict for this study")  # fmt: skip
    else:
        style, heading, icon = cards.VERDICTS[decision]
        leading = views[0]
        unread = sum(isinstance(view.result, RadiographError) for view in views)
        lead = f"Leading view: {escape(leading.name)}"
        if decision != Decision.OUT_OF_SCOPE:
            lead += f" ({percent(leading.result.probability)})"
        missing = (
            f"<p><strong>{unread} of {len(views)} views could not be read and are not part of this "
            "verdict.</strong></p>" if unread else ""
        )  # fmt: skip
        head = (
            f'<div class="fd-card fd-verdict fd-{style}" role="status" data-decision="{decision}">'
            f'<div class="fd-banner">{icon}<div><h2>Study: {heading.lower()}</h2>'
            f'<p class="fd-sub">{lead}</p></div></div><div class="fd-body">'
            f'{missing}<p class="fd-small">{escape(RULE)}</p></div></div>'
        )
    return head + cards.views_grid([_view_card(view, index) for index, view in enumerate(views)])


def _view_card(view: View, index: int) -> str:
    name = escape(view.name)
    if isinstance(view.result, RadiographError):
        return (
            f'<article class="fd-view"><div class="in"><h3>{name}</h3><p>Not read. '
            f"{escape(str(view.result))}</p></div></article>"
        )
    prediction = view.result
    shown = prediction.decision != Decision.OUT_OF_SCOPE
    chance = f" <b>{percent(prediction.probability)}</b>" if shown else ""
    lead = '<p class="fd-lead">Leading view</p>' if index == 0 else ""
    return (
        f'<article class="fd-view{" lead" if index == 0 else ""}">'
        f'<img src="{picture(prediction, 520, with_heat=shown)}" '
        f'alt="{escape(cards.describe(prediction))}"><div class="in">{lead}<h3>{name}</h3>'
        f'{cards.tag(prediction.decision)}{chance}<br><button type="button" class="fd-button" '
        f'data-view="{index}">Open in the viewer</button></div></article>'
    )


class StudyTab:
    """The tab's components and what they do."""

    def __init__(self, film: FilmTab, tabs: gr.Tabs, film_tab: str) -> None:
        self.film, self.film_tab = film, film_tab
        self.views = gr.State(None, time_to_live=HOUR)
        html(
            '<p class="fd-hint">Several views of one patient at once: a verdict for each, and one '
            "for the study, with the leading view first.</p>"
        )
        self.drop = gr.File(
            label=f"The study's films, 2 to {MAX_VIEWS}", file_count="multiple", height=118,
            elem_id="study-drop",
        )  # fmt: skip
        self.result = html(
            elem_id="study-result",
            js_on_load="element.addEventListener('click', (e) => { const b = "
            "e.target.closest('[data-view]'); if (b) trigger('pick', "
            "{ index: Number(b.dataset.view) }); });",
        )
        self.drop.upload(
            self.read, self.drop, [self.views, self.result, self.drop],
            show_progress_on=[self.result], **MODEL,
        )  # fmt: skip
        self.result.pick(
            self.open, [film.turns, self.views, film.before], [tabs, *film.shown], **QUICK
        )

    def read(self, files: Sequence[str] | None) -> tuple[Any, ...]:
        """Read all views; one that cannot be read never stops the others."""
        if not files:
            return None, "", None
        if len(files) > MAX_VIEWS:
            sentence = (
                f"These are {len(files)} files; a study takes at most {MAX_VIEWS} views. "
                "For more films use the worklist."
            )
            return None, cards.error_card(sentence, "Too many films for one study"), None
        views = []
        paths = [Path(file) for file in files]
        try:
            for path, result in zip(paths, self.film.detector.predict_batch(paths), strict=True):
                views.append(View(path.name, result))
        except Exception as error:
            logger.error("a study could not be read: %s", type(error).__name__)
            return None, cards.error_card(BROKEN), None
        views.sort(key=lambda view: view.rank)
        return tuple(views), study_card(views), None

    def open(
        self, turns: Turns, views: tuple[View, ...] | None, before: float, event: gr.EventData
    ) -> tuple[Any, ...]:
        """Show one of the views in the film tab."""
        index, tab = int(event.index), gr.Tabs(selected=self.film_tab)
        if not views or not 0 <= index < len(views):
            answer = self.film.refuse(cards.error_card(GONE, "The study is gone"))
        elif isinstance(result := views[index].result, RadiographError):
            answer = self.film.refuse(cards.error_card(str(result)))
        else:
            answer = self.film.show(Reading(result), before)
        return turns.ask(lambda: (tab, *answer))
