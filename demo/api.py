"""The page's programming interface: `/predict`, `/predict_batch` and `/model`, as stable JSON.

What each function's docstring says is what Gradio's API page and its MCP server show.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from demo.about import model_facts
from demo.reader import Reader
from detector import Prediction, RadiographError
from detector.report.results import record

MAX_BATCH = 100


def add_api(reader: Reader) -> None:
    """Add the three endpoints to the Blocks that is being built; nothing of them is visible."""

    def predict(film: str) -> dict[str, Any]:
        """Read one limb X-ray film and judge whether it shows a fracture.

        Decision support, not a diagnosis: a person who reads films must look at it.

        Args:
            film: the film's file: JPEG, PNG, TIFF, BMP, WebP or single-frame DICOM, up to 200 MB.

        Returns:
            JSON with "decision" ("fracture likely", "uncertain", "no fracture seen" or "out of
            scope"), calibrated "probability" of a fracture, "regions" (boxes in film pixels,
            strongest first), "scope", "operating_points" and "warnings". An unreadable film is
            an error whose message says what to do.
        """
        if not film:
            raise gr.Error("Send one film's file.", print_exception=False)
        try:
            return reader.use(film, Prediction.to_dict)
        except RadiographError as error:
            raise gr.Error(str(error), print_exception=False) from None

    def predict_batch(films: list[str]) -> list[dict[str, Any]]:
        """Read up to 100 limb X-ray films, each as `predict` does.

        Args:
            films: the files of the films.

        Returns:
            One JSON object per film, in order: that of `predict` with its "file", or "file" and
            an "error" with "kind" and "message". One broken film never stops the others.
        """
        if not films or len(films) > MAX_BATCH:
            raise gr.Error(f"Send 1 to {MAX_BATCH} films at a time.", print_exception=False)
        names = [Path(film).name for film in films]
        results = reader.each(films, lambda number, read: record(names[number], read))
        return [
            record(name, result) if isinstance(result, RadiographError) else result
            for name, result in zip(names, results, strict=True)
        ]

    def model() -> dict[str, Any]:
        """Describe the model that reads the films.

        Returns:
            JSON with its version, sha256, operating points, measured figures and provenance.
        """
        return model_facts(reader.detector)

    # Hidden components, and not plain functions: only Gradio's own file type checks that a path
    # in a request is a file that was uploaded here.
    with gr.Column(visible=False):
        film = gr.File(label="film", type="filepath")
        films = gr.File(label="films", type="filepath", file_count="multiple")
        one, many, card = gr.JSON(label="prediction"), gr.JSON(label="predictions"), gr.JSON(
            label="model")  # fmt: skip
        group = {"concurrency_id": "model", "concurrency_limit": 2}
        gr.Button("predict").click(predict, film, one, api_name="predict", **group)
        gr.Button("predict_batch").click(
            predict_batch, films, many, api_name="predict_batch",
            concurrency_id="worklist", concurrency_limit=1,
        )  # fmt: skip
        gr.Button("model").click(model, None, card, api_name="model", queue=False)
