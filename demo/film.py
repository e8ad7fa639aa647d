"""One film: in, verdict, viewer, read-first mode, pre-test probability, report."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from demo import cards
from demo.about import WHAT_IT_IS
from demo.download import download, saver
from demo.examples import Example, examples_strip
from demo.objects import ObjectsBox, offered
from demo.reading import ABSENT, PRESENT, Reading, agreement, post_test, starting_prevalence
from demo.theme import asset, html
from demo.turns import Turns
from demo.words import WORDS
from detector import FractureDetector, RadiographError
from detector.errors import SeveralFrames
from detector.explain.methods import DEFAULT, METHODS
from detector.model.calibration import Decision
from detector.report.pdf import make_report

logger = logging.getLogger(__name__)

HOUR = 3600
# Events that run the model share one bounded group; nothing but these uses the processor for long.
MODEL = {"concurrency_id": "model", "concurrency_limit": 2, "api_visibility": "private"}
# The others answer at once, past the queue.
QUICK = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
GONE = "The film is no longer in memory: it is dropped after an hour. Choose it again."
BROKEN = "Something went wrong inside the page. Try again; if it stays, try another film."


class FilmTab:
    """The tab's components and what they do; one instance per page, no state of any visitor."""

    def __init__(self, detector: FractureDetector, examples: Sequence[Example]) -> None:
        self.detector = detector
        self.examples = examples
        self.metrics = dict(detector.config.metrics)
        self._build()
        self._connect()

    def _build(self) -> None:
        self.reading = gr.State(None, time_to_live=HOUR)
        self.pending = gr.State(None, time_to_live=HOUR)
        self.turns = gr.State(Turns())
        with gr.Row(elem_id="film-in", equal_height=True):
            with gr.Column(scale=5, min_width=320):
                self.drop = gr.File(
                    label="X-ray film: JPEG, PNG, TIFF, BMP, WebP or DICOM, up to 200 MB",
                    height=118, elem_id="drop",
                )
            with gr.Column(scale=7, min_width=320):
                self.strip = html(
                    examples_strip(self.examples), elem_id="examples",
                    js_on_load="element.addEventListener('click', (e) => { const b = "
                    "e.target.closest('[data-example]'); if (b) trigger('pick', "
                    "{ index: Number(b.dataset.example) }); });",
                )
        with gr.Row(elem_id="film-row"):
            with gr.Column(scale=7, min_width=320, elem_id="film-view"):
                self.viewer = html(
                    "", html_template=asset("viewer.html"), js_on_load=asset("viewer.js"),
                    elem_id="viewer",
                )
                with gr.Row(visible=False, elem_id="method-row") as self.method_row:
                    self.method = gr.Dropdown(
                        [(title, name) for name, title in METHODS.items()], value=DEFAULT,
                        label="Method of the map", elem_id="method", filterable=False,
                        info="The verdict is the same for all. Only the first is on a fixed scale; "
                        "the others are relative to this film.",
                    )
                with gr.Accordion("What this map is, and what it is not", open=False):
                    gr.Markdown(WHAT_IT_IS)
            with gr.Column(scale=5, min_width=340, elem_id="film-result"):
                self.blind = gr.Checkbox(
                    False, label="Read first, then reveal",
                    info="Give your own reading before you see the model's: it guards against "
                    "following it blindly.", elem_id="blind",
                )
                self.verdict = html(cards.EMPTY, elem_id="verdict")
                with gr.Row(visible=False, elem_id="frame-row") as self.frame_row:
                    self.frame = gr.Number(0, label="Frame", precision=0, minimum=0, min_width=80)
                    self.read_frame = gr.Button("Read this frame", min_width=120)
                with gr.Group(visible=False, elem_id="own") as self.own:
                    self.answer = gr.Radio(
                        [PRESENT, ABSENT], label="Your reading",
                        info="If you see a fracture, also click the place on the film.",
                    )
                    self.reveal = gr.Button("Reveal the result", variant="primary")
                self.agreed = html("", visible=False, elem_id="agreement")
                with gr.Column(visible=False, elem_id="after") as self.after:
                    start = starting_prevalence(
                        self.detector.config.calibration.prevalence, self.metrics
                    )
                    with gr.Group():
                        self.before = gr.Slider(
                            1, 99, round(100 * start), step=1, info=WORDS["formula"],
                            elem_id="pre-test",
                            label="Probability of a fracture before the film (%)",
                        )
                        self.post = html(elem_id="post-test")
                    with gr.Accordion("Report (PDF, one page)", open=False, elem_id="report"):
                        gr.Markdown("Only what you type here is added; nothing of it is kept.")
                        self.patient = gr.Textbox(label="Patient or study", max_length=120)
                        self.question = gr.Textbox(label="Clinical question", max_length=300)
                        self.conclusion = gr.Textbox(
                            label="Your conclusion", lines=2, max_length=600
                        )
                        self.save = gr.Button("Save the report", variant="primary")
                        self.report_error = html(visible=False)
                    self.objects = ObjectsBox()
        self.saver = saver()

    def _connect(self) -> None:
        # What belongs to one film; a report's text too: it must not go on with the next patient.
        self.typed = [self.patient, self.question, self.conclusion]
        self.shown = [
            self.reading, self.viewer, self.verdict, self.own, self.agreed, self.after, self.post,
            self.answer, self.frame_row, self.pending, self.drop, self.method_row, self.method,
            self.objects.box, self.report_error, self.objects.error, *self.typed,
        ]  # fmt: skip
        # "multiple": a film asked for while another is being read is read too, and is the one shown
        on = {
            "show_progress_on": [self.verdict], "show_progress": "minimal",
            "trigger_mode": "multiple", **MODEL,
        }  # fmt: skip
        settings = [self.blind, self.before]
        self.drop.upload(self.dropped, [self.turns, self.drop, *settings], self.shown, **on)
        self.strip.pick(self.read_example, [self.turns, *settings], self.shown, **on)
        self.read_frame.click(
            self.read_pending, [self.turns, self.pending, self.frame, *settings], self.shown, **on
        )
        self.method.select(  # `input` comes twice for one choice
            self.explain, [self.turns, self.reading, self.method], [self.reading, self.viewer],
            show_progress="minimal", show_progress_on=[self.method], **MODEL,
        )
        self.viewer.mark(self.marked, self.reading, [self.reading, self.answer], **QUICK)
        own = [self.reading, self.answer, self.before]
        self.reveal.click(self.revealed, own, self.shown, **QUICK)
        moved = [self.reading, self.before]
        self.before.input(self.posted, moved, self.post, trigger_mode="always_last", **QUICK)
        self.save.click(
            self.report, [self.reading, *self.typed], [self.saver, self.report_error],
            concurrency_id="model", api_visibility="private",
        )
        self.objects.connect(self.reading, self.saver)

    # What the events do ------------------------------------------------------------------------

    def show(
        self, reading: Reading, before: float, *, pending: str | None = None, fresh: bool = True
    ) -> tuple[Any, ...]:
        """All of the tab for one reading; before the reveal nothing of the result is sent.

        `pending`: the file of several frames it is from. What was typed stays unless it is `fresh`.
        """
        prediction = reading.prediction
        if reading.revealed:
            verdict = cards.verdict_card(
                prediction, self.metrics, reading.said, reading.synthetic
            )
        else:
            verdict = cards.card(WORDS["your turn"], WORDS["read first"])
        told = agreement(reading) if reading.revealed else ""
        after = reading.revealed and prediction.decision != Decision.OUT_OF_SCOPE
        return (
            reading, reading.message(), verdict, gr.update(visible=not reading.revealed),
            gr.update(value=told, visible=bool(told)), gr.update(visible=reading.revealed),
            post_test(prediction, before) if after else "",
            reading.own, gr.update(visible=pending is not None), pending, None,
            gr.update(visible=after), prediction.method, gr.update(visible=offered(reading)),
            *[gr.update(visible=False)] * 2, *["" if fresh else gr.skip()] * len(self.typed),
        )  # fmt: skip

    def refuse(self, card: str, pending: str | None = None) -> tuple[Any, ...]:
        """The tab without a film, and why: an older film's verdict must not stand beside it."""
        hidden = gr.update(visible=False)
        return (
            None, "", card, hidden, gr.update(value="", visible=False), hidden, "", None,
            gr.update(visible=pending is not None), pending, None, hidden, DEFAULT,
            *[hidden] * 3, *[""] * len(self.typed),
        )  # fmt: skip

    def dropped(
        self, turns: Turns, file: str | None, blind: bool, before: float
    ) -> tuple[Any, ...]:
        """Read an uploaded film, and show it unless another one was asked for meanwhile."""
        return turns.ask(lambda: self.read(file, blind, before))

    def read(
        self, file: str | None, blind: bool, before: float, frame: int | None = None
    ) -> tuple[Any, ...]:
        """Read an uploaded film."""
        if not file:
            return self.refuse(cards.EMPTY)
        try:
            prediction = self.detector.predict(Path(file), frame=frame)
        except SeveralFrames as error:
            return self.refuse(cards.error_card(str(error), WORDS["which frame"]), file)
        except RadiographError as error:
            return self.refuse(cards.error_card(str(error)), file if frame is not None else None)
        except Exception as error:  # the page must live on; nothing of the film goes into the log
            logger.error("a film could not be read: %s", type(error).__name__)
            return self.refuse(cards.error_card(BROKEN))
        reading = Reading(prediction, revealed=not blind, file=file)
        return self.show(reading, before, pending=file if frame is not None else None)

    def read_example(
        self, turns: Turns, blind: bool, before: float, event: gr.EventData
    ) -> tuple[Any, ...]:
        """Read one of the examples."""
        example = self.examples[int(event.index) % len(self.examples)]

        def read() -> tuple[Any, ...]:
            try:
                prediction = self.detector.predict(Path(example.file))
            except RadiographError as error:
                return self.refuse(cards.error_card(str(error)))
            reading = Reading(
                prediction, example.said, example.truth, example.synthetic, revealed=not blind
            )
            return self.show(reading, before)

        return turns.ask(read)

    def read_pending(
        self, turns: Turns, file: str | None, frame: float | None, blind: bool, before: float
    ) -> tuple[Any, ...]:
        """Read the chosen frame of the multi-frame file that was dropped before."""
        if not file or not Path(file).is_file():
            return turns.ask(lambda: self.refuse(cards.error_card(GONE)))
        return turns.ask(lambda: self.read(file, blind, before, int(frame or 0)))

    def marked(self, reading: Reading | None, event: gr.EventData) -> tuple[Any, ...]:
        """The reader clicked a place on the film."""
        if reading is None or reading.revealed or event.film != reading.film_id:
            return reading, gr.skip()
        reading = reading.marked(float(event.x), float(event.y))
        return reading, reading.own

    def revealed(
        self, reading: Reading | None, answer: str | None, before: float
    ) -> tuple[Any, ...]:
        """Show the result, once the reader has answered."""
        if reading is None:
            return self.refuse(cards.error_card(GONE))
        if answer not in (PRESENT, ABSENT):
            waiting = list(self.show(reading, before, fresh=False))
            waiting[self.shown.index(self.verdict)] = cards.error_card(
                WORDS["choose first"], WORDS["your turn"]
            )
            return tuple(waiting)
        mark = reading.mark if answer == PRESENT else None
        reading = replace(reading, own=answer, mark=mark, revealed=True)
        return self.show(reading, before, fresh=False)

    def explain(self, turns: Turns, reading: Reading | None, method: str) -> tuple[Any, ...]:
        """The map by another method; the verdict stays."""
        if reading is None or not reading.revealed:
            return gr.skip(), gr.skip()

        def other() -> tuple[Any, ...]:
            prediction = self.detector.predict(reading.prediction.film, method=method)
            explained = replace(reading, prediction=prediction)
            return explained, explained.message()

        return turns.beside(other)

    def posted(self, reading: Reading | None, before: float) -> str:
        """The post-test probability for another pre-test probability."""
        if reading is None or not reading.revealed:
            return ""
        return post_test(reading.prediction, before)

    def report(
        self, reading: Reading | None, patient: str, question: str, conclusion: str
    ) -> tuple[Any, ...]:
        """Make the PDF and hand it to the browser."""
        if reading is None:
            return gr.skip(), gr.update(value=cards.error_card(GONE, "No report"), visible=True)
        fields = {"Patient or study": patient, "Clinical question": question}
        if reading.synthetic:
            fields["Film"] = "Synthetic, drawn by a program; no patient"
        try:
            pdf = make_report(
                reading.prediction, fields, metrics=self.metrics, conclusion=conclusion
            )
        except ValueError as error:
            card = cards.error_card(str(error), "The report was not made")
            return gr.skip(), gr.update(value=card, visible=True)
        return download("fracture-report.pdf", "application/pdf", pdf), gr.update(visible=False)
