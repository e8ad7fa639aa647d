"""The film's PDF report: what the reader types for it, and the button that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from demo import cards
from demo.download import download
from demo.language import t
from demo.packed_film import unpacked
from demo.reader import Reader
from demo.reading import Reading
from demo.theme import html
from detector.report.pdf import make_report
from detector.report.words import words_in


class ReportBox:
    """The box below the verdict. ``metrics``: those of ``config.json``."""

    def __init__(
        self, language: gr.Textbox, reader: Reader, metrics: Mapping[str, Any]
    ) -> None:
        self.language, self.reader, self.metrics = language, reader, metrics
        with gr.Accordion(t("report"), open=False, elem_id="report"):
            gr.Markdown(t("report info"))
            patient = gr.Textbox(label=t("patient"), max_length=120)
            question = gr.Textbox(label=t("question"), max_length=300)
            conclusion = gr.Textbox(label=t("conclusion"), lines=2, max_length=600)
            self.save = gr.Button(t("save report"), variant="primary")
            self.error = html(visible=False)
        # Of one film: what was typed must not go on with the next patient.
        self.typed = [patient, question, conclusion]

    def connect(self, reading: gr.State, saver: gr.HTML) -> None:
        """Let the button make the report of the film in view."""
        self.save.click(
            self.make, [reading, self.language, *self.typed], [saver, self.error],
            concurrency_id="model", api_visibility="private",
        )  # fmt: skip

    def make(
        self, reading: Reading | None, language: str, patient: str, question: str, conclusion: str
    ) -> tuple[Any, ...]:
        """Make the PDF and hand it to the browser."""
        words = words_in(language)

        def failed(sentence: str) -> tuple[Any, ...]:
            card = cards.error_card(sentence, words["no report"], words)
            return gr.skip(), gr.update(value=card, visible=True)

        if reading is None:
            return failed(words["gone"])
        fields = {words["page"]["patient"]: patient, words["page"]["question"]: question}
        if reading.synthetic:
            fields[words["pdf"]["fields"]] = words["pdf"]["synthetic"]
        try:
            with self.reader.place_of(reading.prediction):
                pdf = make_report(
                    unpacked(reading.prediction), fields, metrics=self.metrics,
                    conclusion=conclusion, source=reading.source.line(reading.prediction, words),
                    words=words,
                )
        except ValueError as error:
            return failed(str(error))
        return download("fracture-report.pdf", "application/pdf", pdf), gr.update(visible=False)
