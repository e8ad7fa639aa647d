"""The film's DICOM objects as a ZIP file, offered for DICOM films where the extra is installed."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr

from demo import cards
from demo.download import download
from demo.language import t
from demo.reader import Reader
from demo.reading import Reading
from demo.theme import html
from detector import RadiographError
from detector.io.radiograph import load_radiograph
from detector.report.words import words_in

INSTALLED = find_spec("highdicom") is not None  # the published Space, for one, has it not


class ObjectsBox:
    """The box below the report; shown when ``offered`` says so."""

    def __init__(self, language: gr.Textbox, reader: Reader) -> None:
        self.language, self.reader = language, reader
        with gr.Accordion(t("objects"), open=False, visible=False, elem_id="objects") as self.box:
            gr.Markdown(t("objects info"))
            self.save = gr.Button(t("save objects"))
            self.error = html(visible=False)

    def connect(self, reading: gr.State, saver: gr.HTML) -> None:
        """Let the button make the file of the film in view."""
        self.save.click(
            self.pack, [reading, self.language], [saver, self.error],
            concurrency_id="model", api_visibility="private",
        )  # fmt: skip

    def pack(self, reading: Reading | None, language: str) -> tuple[Any, ...]:
        """Make the ZIP file and hand it to the browser.

        Header and pixels are read anew from the upload, which is deleted by the page's rule for
        uploads: so no patient data is kept beside it, or longer.
        """
        words = words_in(language)

        def failed(sentence: str) -> tuple[Any, ...]:
            card = cards.error_card(sentence, words["no objects"], words)
            return gr.skip(), gr.update(value=card, visible=True)

        if reading is None or not reading.file or not Path(reading.file).is_file():
            return failed(words["objects gone"])
        from detector.pacs.objects import make as objects

        try:
            with self.reader.place_of(reading.prediction):
                frame = reading.prediction.film.facts.get("frame")
                film = load_radiograph(reading.file, frame=frame)
                prediction = replace(reading.prediction, film=film)
                source = objects.read_source(reading.file)
                packed = objects.zip_objects(objects.make_objects(source, prediction))
        except (objects.SourceError, RadiographError) as error:
            return failed(str(error))
        name = "fracture-objects.zip"
        return download(name, "application/zip", packed), gr.update(visible=False)


def offered(reading: Reading) -> bool:
    """Whether objects can be made of this film: an upload in DICOM, with the extra installed."""
    dicom = reading.prediction.film.facts.get("format") == "DICOM"
    return INSTALLED and dicom and reading.file is not None
