"""One film: in, verdict, viewer, read-first mode, pre-test probability."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from demo import cards
from demo.download import saver
from demo.examples import Example, examples_strip
from demo.frames import previews
from demo.language import t
from demo.latest_only import Answer, LatestOnly
from demo.objects import ObjectsBox, offered
from demo.predictive import LEAST, MOST, in_range, post_test, start
from demo.reader import Reader
from demo.reading import ANSWERS, PRESENT, Reading, agreement
from demo.report import ReportBox
from demo.source import source_of
from demo.theme import asset, html
from demo.viewer import viewer_asset
from detector import RadiographError
from detector.errors import SeveralFrames
from detector.explain.methods import DEFAULT, installed_methods
from detector.model.calibration import Decision
from detector.report.words import ENGLISH, Words, words_in

logger = logging.getLogger(__name__)

HOUR = 3600
# Events that run the model share one bounded group; nothing but these uses the processor for long.
MODEL = {"concurrency_id": "model", "concurrency_limit": 2, "api_visibility": "private"}
# The others answer at once, past the queue.
QUICK = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
HIDDEN = {"visible": False}


def pre_test_slider(prevalence: float) -> gr.Slider:
    """The slider of the pre-test probability; its field takes anything that is typed.

    Gradio refuses what is out of range with an error page, and a blank field too.
    """
    slider = gr.Slider(LEAST, MOST, start(prevalence), label=t("pre-test"), elem_id="pre-test")
    slider.preprocess = lambda typed: in_range(typed, slider.value)
    return slider


class FilmTab:
    """The tab's components and what they do; one instance per page, no state of any visitor."""

    def __init__(
        self, reader: Reader, examples: Sequence[Example], language: gr.Textbox
    ) -> None:
        self.reader = reader
        self.detector = reader.detector
        self.examples = examples
        self.language = language
        self.methods = installed_methods()
        self.metrics = dict(self.detector.config.metrics)
        self._build()
        self._connect()

    def _build(self) -> None:
        self.reading = gr.State(None, time_to_live=HOUR)
        self.pending = gr.State(None, time_to_live=HOUR)
        self.latest = gr.State(LatestOnly())
        with gr.Row(elem_id="film-in", equal_height=True):
            with gr.Column(scale=5, min_width=280):
                self.drop = gr.File(label=t("drop label"), height=118, elem_id="drop")
            with gr.Column(scale=7, min_width=280):
                self.strip = html(
                    examples_strip(self.examples), elem_id="examples",
                    js_on_load=asset("examples.js"),
                )
        with gr.Row(elem_id="film-row"):
            with gr.Column(scale=8, min_width=320, elem_id="film-view"):
                self.viewer = html(
                    "", html_template=viewer_asset("viewer.html"), elem_id="viewer",
                    js_on_load="fd.viewer(element, props, watch, (_, at) => trigger('mark', at));",
                )
                with gr.Row(visible=False, elem_id="method-row") as self.method_row:
                    self.method = gr.Dropdown(
                        [(title, name) for name, title in self.methods.items()], value=DEFAULT,
                        label=t("method"), info=t("method info"), elem_id="method",
                        filterable=False,
                    )
                with gr.Accordion(t("tips"), open=False, elem_id="tips"):
                    for tip in ("tip original", "tip one view", "tip whole"):
                        gr.Markdown(t(tip))
                with gr.Accordion(t("map"), open=False):
                    gr.Markdown(t("what it is"))
                    gr.Markdown(t("what it is not"))
            with gr.Column(scale=5, min_width=340, elem_id="film-result"):
                self.blind = gr.Checkbox(
                    False, label=t("blind"), info=t("blind info"), elem_id="blind"
                )
                # The browser's: what is on its way, what broke off.
                html('<div class="fd-status"></div>', elem_id="film-status")
                self.headline = html(
                    cards.empty(), elem_id="headline", js_on_load="fd.answers(element, watch);"
                )
                with gr.Row(visible=False, elem_id="frame-row") as self.frame_row:
                    self.frame = gr.Number(
                        1, label=t("frame"), precision=0, min_width=80, elem_id="frame"
                    )
                    self.read_frame = gr.Button(t("read frame"), min_width=120)
                self.frames = html("", elem_id="frames")
                with gr.Group(visible=False, elem_id="own") as self.own:
                    self.answer = gr.Radio(
                        choices(ENGLISH), label=t("own"), info=t("own info"), elem_id="answer"
                    )
                    self.reveal = gr.Button(t("reveal"), variant="primary", elem_id="reveal")
                self.agreed = html("", visible=False, elem_id="agreement")
                self.verdict = html("", elem_id="verdict")
                with gr.Column(visible=False, elem_id="after") as self.after:
                    with gr.Group():
                        self.before = pre_test_slider(
                            self.detector.config.calibration.prevalence
                        )
                        self.post = html(elem_id="post-test")
                        with gr.Accordion(t("how"), open=False, elem_id="formula"):
                            gr.Markdown(t("formula"))
                    self.findings = html(
                        "", html_template=asset("verdicts.html"), js_on_load=asset("verdicts.js"),
                        elem_id="verdicts",
                    )
                    self.report = ReportBox(self.language, self.reader, self.metrics)
                    self.objects = ObjectsBox(self.language, self.reader)
        self.saver = saver()

    def _connect(self) -> None:
        # What belongs to one film.
        self.shown = [
            self.reading, self.viewer, self.headline, self.verdict, self.own, self.agreed,
            self.after, self.post, self.findings, self.answer, self.frame_row, self.frames,
            self.pending, self.drop, self.method_row, self.method, self.objects.box,
            self.report.error, self.objects.error, *self.report.typed,
        ]  # fmt: skip
        # "multiple": a film asked for while another is being read is read too, and is the one shown
        on = {"show_progress": "hidden", "trigger_mode": "multiple", **MODEL}
        settings = [self.blind, self.before, self.language]
        self.drop.upload(self.dropped, [self.latest, self.drop, *settings], self.shown, **on)
        self.strip.pick(self.read_example, [self.latest, *settings], self.shown, **on)
        self.read_frame.click(
            self.read_pending, [self.latest, self.pending, self.frame, *settings], self.shown, **on
        )
        # `change` and not `select`: the keyboard tells of its choice by this event alone.
        self.method.change(
            self.explain, [self.latest, self.reading, self.method, self.language],
            [self.reading, self.viewer],
            show_progress="minimal", show_progress_on=[self.method], **MODEL,
        )
        self.viewer.mark(self.marked, self.reading, [self.reading, self.answer], **QUICK)
        own = [self.reading, self.answer, self.before, self.language]
        self.reveal.click(self.revealed, own, self.shown, **QUICK)
        self.blind.input(
            self.left, [self.blind, self.reading, self.before, self.language], self.shown, **QUICK
        )
        moved = [self.reading, self.before, self.language]
        self.before.input(self.posted, moved, self.post, trigger_mode="always_last", **QUICK)
        self.report.connect(self.reading, self.saver)
        self.objects.connect(self.reading, self.saver)

    # What the events do ------------------------------------------------------------------------

    def show(
        self, reading: Reading, before: float, words: Words = ENGLISH, *,
        pending: str | None = None, fresh: bool = True,
    ) -> tuple[Answer, Callable[[], Answer]]:
        """All of the tab for one reading, the viewer's picture apart: it is large, and comes later.

        Before the reveal nothing of the result is sent. ``pending``: the file of several frames it
        is from. What was typed stays, and the film is not sent again, unless it is ``fresh``.
        """
        prediction = reading.prediction
        source = reading.source.line(prediction, words)
        if reading.revealed:
            headline = cards.headline(prediction, source, words)
            verdict = cards.verdict_card(
                prediction, self.metrics, reading.said, reading.synthetic, words
            )
        else:
            headline = cards.card(words["your turn"], words["read first"]) + cards.of_film(source)
            verdict = ""
        told = agreement(reading, words) if reading.revealed else ""
        after = reading.revealed and prediction.decision != Decision.OUT_OF_SCOPE
        answer = {
            self.reading: reading,
            self.headline: asked(reading.asked, headline),
            self.verdict: verdict,
            self.own: gr.update(visible=not reading.revealed),
            self.agreed: gr.update(value=told, visible=bool(told)),
            self.after: gr.update(visible=reading.revealed),
            self.post: post_test(prediction, before, self.metrics, words) if after else "",
            self.findings: reading.findings(words),
            self.answer: gr.update(value=reading.own, choices=choices(words)),
            self.frame_row: gr.update(visible=pending is not None),
            self.frames: gr.skip() if pending else "",
            self.pending: pending,
            self.drop: None,
            self.method_row: gr.update(visible=after and len(self.methods) > 1),
            self.method: prediction.method,
            self.objects.box: gr.update(visible=offered(reading)),
            self.report.error: gr.update(**HIDDEN),
            self.objects.error: gr.update(**HIDDEN),
        }
        if fresh:
            answer |= dict.fromkeys(self.report.typed, "")
        return answer, lambda: {self.viewer: reading.message(words, again=not fresh)}

    def refuse(
        self, card: str, asked_as: str = "", pending: str | None = None
    ) -> tuple[Answer, Callable[[], Answer]]:
        """The tab without a film, and why: an older film's verdict must not stand beside it."""
        hidden = gr.update(**HIDDEN)
        boxes = (self.own, self.after, self.method_row, self.objects.box, self.report.error,
                 self.objects.error)  # fmt: skip
        answer = {
            self.reading: None, self.viewer: "", self.headline: asked(asked_as, card),
            self.verdict: "", self.agreed: gr.update(value="", **HIDDEN), self.post: "",
            self.findings: "",
            self.answer: None, self.frame_row: gr.update(visible=pending is not None),
            self.frames: gr.skip() if pending else "",
            self.pending: pending, self.drop: None, self.method: DEFAULT,
            **dict.fromkeys(boxes, hidden), **dict.fromkeys(self.report.typed, ""),
        }  # fmt: skip
        return answer, dict

    def dropped(
        self, latest: LatestOnly, file: str | None, blind: bool, before: float, language: str
    ) -> Iterator[Answer]:
        """Read an uploaded film, and show it unless another one was asked for meanwhile."""
        words = words_in(language)
        yield from latest.ask(lambda: self.read(file, blind, before, words))

    def read(
        self, file: str | None, blind: bool, before: float, words: Words = ENGLISH,
        frame: int | None = None, name: str = "", asked_as: str = "",
    ) -> tuple[Answer, Callable[[], Answer]]:
        """Read an uploaded film; ``frame`` is counted from 0.

        ``name`` and ``asked_as``: of a film of a list, what it is called there and in the browser.
        """
        if not file:
            return self.refuse(cards.empty(words))
        key = asked_as or (file if frame is None else f"frame:{frame + 1}")
        try:
            source = source_of(file, frame, name)
            prediction = self.reader.read(file, frame)
        except SeveralFrames as error:
            card = cards.error_card(
                cards.error_sentence(error, words), words["which frame"], words, source.name
            )
            count, (first, _) = error.frames, self.refuse(card, key, file)
            return {**first, self.frames: ""}, lambda: {
                self.frames: previews(self.reader, file, count, words)
            }
        except RadiographError as error:
            card = cards.film_error(error, words, source.name)
            return self.refuse(card, key, file if frame is not None else None)
        except Exception as error:  # the page must live on; nothing of the film goes into the log
            logger.error("a film could not be read: %s", type(error).__name__)
            return self.refuse(cards.error_card(words["broken"], None, words), key)
        reading = Reading(prediction, source, revealed=not blind, file=file, asked=key)
        return self.show(
            reading, before, words, pending=file if frame is not None else None
        )

    def read_example(
        self, latest: LatestOnly, blind: bool, before: float, language: str, event: gr.EventData
    ) -> Iterator[Answer]:
        """Read one of the examples."""
        index = int(event.index) % len(self.examples)
        example, key, words = self.examples[index], f"example:{index}", words_in(language)

        def read() -> tuple[Answer, Callable[[], Answer]]:
            try:
                source = source_of(example.file, name=example.title)
                prediction = self.reader.read(example.file)
            except RadiographError as error:
                return self.refuse(cards.film_error(error, words), key)
            reading = Reading(
                prediction, source, example.said, example.truth, example.synthetic,
                revealed=not blind, asked=key,
            )
            return self.show(reading, before, words)

        yield from latest.ask(read)

    def read_pending(
        self, latest: LatestOnly, file: str | None, frame: float | None, blind: bool,
        before: float, language: str,
    ) -> Iterator[Answer]:  # fmt: skip
        """Read the chosen frame of the multi-frame file that was dropped before."""
        words, number = words_in(language), round(frame or 1)
        if not file or not Path(file).is_file():
            gone = cards.error_card(words["gone"], None, words)
            yield from latest.ask(lambda: self.refuse(gone, f"frame:{number}"))
            return
        yield from latest.ask(lambda: self.read(file, blind, before, words, number - 1))

    def marked(self, reading: Reading | None, event: gr.EventData) -> tuple[Any, ...]:
        """The reader clicked a place on the film."""
        if reading is None or reading.revealed or event.film != reading.film_id:
            return reading, gr.skip()
        reading = reading.marked(float(event.x), float(event.y))
        return reading, reading.own

    def revealed(
        self, reading: Reading | None, answer: str | None, before: float, language: str
    ) -> Answer:
        """Show the result, once the reader has answered."""
        words = words_in(language)
        if reading is None:
            return self.refuse(cards.error_card(words["gone"], None, words))[0]
        if answer not in ANSWERS:
            return {
                self.headline: asked(
                    reading.asked,
                    cards.error_card(words["choose first"], words["your turn"], words),
                )
            }
        mark = reading.mark if answer == PRESENT else None
        return self._reveal(replace(reading, own=answer, mark=mark), before, words)

    def left(
        self, blind: bool, reading: Reading | None, before: float, language: str
    ) -> Answer:
        """Who leaves the mode gets the result of the film in view; no answer is asked for."""
        if blind or reading is None or reading.revealed:
            return gr.skip()
        return self._reveal(replace(reading, own=None, mark=None), before, words_in(language))

    def _reveal(self, reading: Reading, before: float, words: Words) -> Answer:
        first, rest = self.show(replace(reading, revealed=True), before, words, fresh=False)
        # The other frames can be read now as before.
        kept = (self.frame_row, self.frames, self.pending)
        return {name: value for name, value in first.items() if name not in kept} | rest()

    def explain(
        self, latest: LatestOnly, reading: Reading | None, method: str, language: str
    ) -> Answer:
        """The heatmap by another method; the verdict stays."""
        if reading is None or not reading.revealed or method == reading.prediction.method:
            return gr.skip()

        def other() -> Answer:
            prediction = self.reader.explain(reading.prediction, method)
            explained = replace(reading, prediction=prediction)
            message = explained.message(words_in(language), again=True)
            return {self.reading: explained, self.viewer: message}

        return latest.beside(other)

    def posted(self, reading: Reading | None, before: float, language: str) -> str:
        """The post-test probability for another pre-test probability."""
        if reading is None or not reading.revealed:
            return ""
        return post_test(reading.prediction, before, self.metrics, words_in(language))


def choices(words: Words) -> list[tuple[str, str]]:
    """The reader's possible answers, in words and as they are kept."""
    return [(words[key], key) for key in ANSWERS]


def asked(key: str, card: str) -> str:
    """A card as the answer to the browser's request of this name."""
    return f'<div data-asked="{escape(key)}">{card}</div>'

