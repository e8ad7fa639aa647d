"""A study: several views of one patient, a verdict for each and one for all of them.

The rule: the study is as suspicious as its most suspicious view. One view with `fracture likely`
makes the study `fracture likely`; else one `uncertain` view makes it `uncertain`; it is `no
fracture seen` only if every view that the model can judge says so; with no such view it is `out of
scope`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from demo import cards, memory
from demo.film import HOUR, MODEL, QUICK, FilmTab, logger
from demo.language import t, tag
from demo.latest_only import Answer, LatestOnly
from demo.reading import Reading
from demo.source import Source, distinct_names, source_of
from demo.theme import asset, html
from demo.view import picture
from demo.viewer import viewer_asset
from detector import Prediction, RadiographError
from detector.errors import FilmTooLarge
from detector.model.calibration import Decision
from detector.report.words import ENGLISH, Words, words_in

MAX_VIEWS = 12
VIEW_SIDE = 520  # longest side of a view's picture, pixels
ORDER = tuple(Decision)  # the most urgent first
SIDE_BY_SIDE = (
    '<div class="fd-beside" hidden><label><input type="checkbox" data-link />'
    + tag("span", "link views")
    + '</label><div class="fd-panes"></div></div>'
    '<template class="fd-pane-model"><article class="fd-pane"><header><div class="fd-pane-head">'
    '</div><button type="button" class="fd-button" data-close data-t="close view">Close</button>'
    f"</header>{viewer_asset('viewer.html')}</article></template>"
)


@dataclass(frozen=True)
class View:
    """One film of a study: which it is, and its reading or why it could not be read.

    ``picture``: of the film with its heat, as a ``data:`` address.
    """

    source: Source
    result: Prediction | RadiographError
    picture: str = ""

    @property
    def rank(self) -> tuple[int, float]:
        """Sorts the leading view first: by decision, then by probability; unread ones last."""
        if isinstance(self.result, RadiographError):
            return 4, 0.0
        return ORDER.index(self.result.decision), -self.result.probability


def study_decision(views: Sequence[View]) -> str | None:
    """The study's decision by the rule above; None when no view could be read."""
    decisions = {view.result.decision for view in views if isinstance(view.result, Prediction)}
    return next((decision for decision in ORDER if decision in decisions), None)


def study_card(views: Sequence[View], words: Words = ENGLISH) -> str:
    """The study's verdict and its views, leading one first, as HTML. `views` are in that order."""
    decision = study_decision(views)
    if decision is None:
        head = cards.error_card(words["no study why"], words["no study"], words)
    else:
        style, icon = cards.LOOKS[decision]
        leading = views[0]
        lead = words.say("leading is", name=leading.source.name)
        if decision != Decision.OUT_OF_SCOPE:
            lead += f" ({cards.chance(leading.result)})"
        read = [view.result for view in views if isinstance(view.result, Prediction)]
        unread, missing = len(views) - len(read), sum(map(cards.incomplete, read))
        notes = [
            words.say("unread views", unread=unread, count=len(views)) if unread else "",
            words.say("missing views", count=missing) if missing else "",
        ]
        noted = "".join(f"<p><strong>{escape(note)}</strong></p>" for note in notes if note)
        heading = words.say("study", heading=words.heading(decision).lower())
        head = (
            f'<div class="fd-card fd-verdict fd-{style}" role="status" data-decision="{decision}">'
            f'<div class="fd-banner">{icon}<div><h2>{escape(heading)}</h2>'
            f'<p class="fd-sub" translate="no">{escape(lead)}</p></div></div><div class="fd-body">'
            f'{noted}<p class="fd-small">{escape(words["study rule"])}</p></div></div>'
        )
    return head + cards.views_grid([
        _view_card(view, index, words) for index, view in enumerate(views)
    ])  # fmt: skip


def _view_card(view: View, index: int, words: Words) -> str:
    name = f'<h3 translate="no" dir="auto">{escape(view.source.name)}</h3>'
    if isinstance(view.result, RadiographError):
        return (
            f'<article class="fd-view"><div class="in">{name}'
            f"<p>{escape(cards.error_sentence(view.result, words))}</p></div></article>"
        )
    prediction = view.result
    lead = f'<p class="fd-lead">{escape(words["leading"])}</p>' if index == 0 else ""
    missing = cards.missing_note(prediction, words)
    return (
        f'<article class="fd-view{" lead" if index == 0 else ""}">'
        f'<img src="{view.picture}" '
        f'alt="{escape(cards.describe(prediction, words))}"><div class="in">{lead}{name}'
        f"{_verdict(prediction, words)}{missing}<br>"
        f'<button type="button" class="fd-button" data-view="{index}" '
        f'data-name="{escape(view.source.name)}">{escape(words["open view"])}</button> '
        f'<button type="button" class="fd-button" data-beside="{index}">'
        f"{escape(words['beside'])}</button></div></article>"
    )


def _verdict(prediction: Prediction, words: Words) -> str:
    shown = prediction.decision != Decision.OUT_OF_SCOPE
    chance = f" <b>{escape(cards.chance(prediction))}</b>" if shown else ""
    return cards.tag(prediction.decision, words) + chance


def pane(view: View, index: int, words: Words = ENGLISH) -> str:
    """What ``study.js`` needs to put a view beside the others: its verdict and its film."""
    name = f'<h3 translate="no" dir="auto">{escape(view.source.name)}</h3>'
    head = name + _verdict(view.result, words) + cards.missing_note(view.result, words)
    message = Reading(view.result, view.source).message(words)
    return json.dumps({"index": index, "head": head, "message": message})


class StudyTab:
    """The tab's components and what they do."""

    def __init__(self, film: FilmTab, tabs: gr.Tabs, film_tab: str) -> None:
        self.film, self.tabs, self.film_tab = film, tabs, film_tab
        self.views = gr.State(None, time_to_live=HOUR)
        html(tag("p", "study info", class_="fd-hint"), js_on_load="fd.translate(element);")
        self.drop = gr.File(
            label=t("study drop"), file_count="multiple", height=118, elem_id="study-drop"
        )
        self.result = html(
            elem_id="study-result",
            js_on_load="element.addEventListener('click', (e) => { const b = "
            "e.target.closest('[data-view]'), c = e.target.closest('[data-beside]'); "
            "if (b) trigger('pick', { index: Number(b.dataset.view) }); "
            "if (c) trigger('beside', { index: Number(c.dataset.beside) }); });",
        )
        self.panes = html(
            html_template=SIDE_BY_SIDE, js_on_load=asset("study.js"), elem_id="study-panes"
        )
        self.drop.upload(
            self.read, [self.drop, film.language], [self.views, self.result, self.drop, self.panes],
            show_progress_on=[self.result], **MODEL,
        )  # fmt: skip
        self.result.pick(
            self.open, [film.latest, self.views, film.before, film.language],
            [tabs, *film.shown], show_progress="hidden", **MODEL,
        )  # fmt: skip
        self.result.beside(
            self.put_beside, [self.views, film.language], [self.panes, self.result],
            trigger_mode="multiple", **QUICK,
        )  # fmt: skip

    def read(self, files: Sequence[str] | None, language: str) -> tuple[Any, ...]:
        """Read all views; one that cannot be read never stops the others."""
        words = words_in(language)
        if not files:
            return None, "", None, ""
        if len(files) > MAX_VIEWS:
            sentence = words.say("too many views", count=len(files), most=MAX_VIEWS)
            return None, cards.error_card(sentence, words["no study"], words), None, ""
        views = []
        names = distinct_names(files)
        room = self.film.reader.kept.most * memory.PER_VISITOR
        try:
            results = self.film.reader.each(files, self._keep_view)
            for file, name, result in zip(files, names, results, strict=True):
                source = source_of(file, name=name)
                if isinstance(result, RadiographError):
                    views.append(View(source, result))
                    continue
                prediction, shown = result
                room -= len(prediction.film.png)
                full = FilmTooLarge(memory.STUDY) if room < 0 else None
                views.append(View(source, full or prediction, shown))
        except Exception as error:
            logger.error("a study could not be read: %s", type(error).__name__)
            return None, cards.error_card(words["broken"], None, words), None, ""
        views.sort(key=lambda view: view.rank)
        return tuple(views), study_card(views, words), None, ""

    def put_beside(
        self, views: tuple[View, ...] | None, language: str, event: gr.EventData
    ) -> tuple[Any, Any]:
        """Show one of the views in a viewer beside those that are shown so."""
        words, index = words_in(language), int(event.index)
        if not views or not 0 <= index < len(views) or isinstance(
            views[index].result, RadiographError
        ):
            return "", cards.error_card(words["gone"], words["study gone"], words)
        return pane(views[index], index, words), gr.skip()

    def _keep_view(self, _: int, prediction: Prediction) -> tuple[Prediction, str]:
        shown = prediction.decision != Decision.OUT_OF_SCOPE
        card = picture(prediction, VIEW_SIDE, with_heat=shown)
        return self.film.reader.keep(prediction), card

    def open(
        self, latest: LatestOnly, views: tuple[View, ...] | None, before: float, language: str,
        event: gr.EventData,
    ) -> Iterator[Answer]:  # fmt: skip
        """Show one of the views in the film tab."""
        words, index = words_in(language), int(event.index)
        key = f"view:{index}"

        def view() -> tuple[Answer, Callable[[], Answer]]:
            if not views or not 0 <= index < len(views):
                gone = cards.error_card(words["gone"], words["study gone"], words)
                return self.film.refuse(gone, key)
            chosen = views[index]
            if isinstance(chosen.result, RadiographError):
                card = cards.film_error(chosen.result, words, chosen.source.name)
                return self.film.refuse(card, key)
            return self.film.show(Reading(chosen.result, chosen.source, asked=key), before, words)

        for answer in latest.ask(view):
            opened = self.film.headline in answer
            yield {self.tabs: gr.Tabs(selected=self.film_tab), **answer} if opened else answer
