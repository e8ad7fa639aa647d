"""What the page says of itself: figures, versions, the model card."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import gradio as gr
import numpy as np

from demo.about import (
    about_tab,
    drawings,
    figures_card,
    footer,
    model_card,
    model_facts,
    part_shown,
)
from demo.reading import Reading
from detector import FractureDetector
from detector.model.anatomy import Anatomy
from detector.model.hub import shipped_weights
from detector.report.words import words_in
from tests.demo.test_pieces import SOURCE, reading_of, words


def test_the_model_describes_itself_in_json(detector):
    facts = model_facts(detector)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["sha256"] == detector.model.digest and facts["operating_points"]["rule_in"] > 0


def test_the_page_and_the_api_say_in_what_the_network_runs(detector):
    torch = FractureDetector(detector.model, "torch")
    with gr.Blocks() as page, gr.Tab() as tab:
        about_tab(torch, None, tab, gr.State(), gr.Textbox())
    said = words("".join(str(getattr(b, "value", "")) for b in page.blocks.values()))
    assert "runs in torch, float32" in said and "runs in torch, float32" in footer(torch)
    assert model_facts(torch)["engine"] == {"name": "torch", "precision": "float32"}


def test_about_begins_with_the_figures_of_films_like_the_open_one(detector):
    metrics = detector.config.metrics
    leg = metrics["test"]["fracatlas"]["subgroups"]["leg"]["films"]
    shown = words(figures_card(metrics, "knee"))
    first = shown.index(f"Films like the one that is open (leg): {leg} test films")
    assert first < shown.index("All films: ")
    for part in ("", "elbow"):  # not named, or without figures
        assert "like the one" not in figures_card(metrics, part)
        assert "AUC" in figures_card(metrics, part)
    assert "Kennzahlen" in figures_card(metrics, "", words_in("de"))


def test_about_takes_the_part_from_a_film_whose_result_is_told():
    told = Reading(reading_of(anatomy=Anatomy("knee", 0.9)), SOURCE)
    assert part_shown(told) == "knee" and part_shown(replace(told, revealed=False)) == ""
    assert part_shown(None) == "" == part_shown(Reading(reading_of(), SOURCE))


def test_the_model_card_shows_its_own_pictures_and_no_other_file(tmp_path):
    cv2.imwrite(str(tmp_path / "roc.png"), np.zeros((2, 2), np.uint8))
    card = "---\ntags: [x]\n---\n# Card\n![ROC](roc.png) ![secret](../secret.png)"
    (tmp_path / "README.md").write_text(card)
    cv2.imwrite(str(tmp_path.parent / "secret.png"), np.zeros((2, 2), np.uint8))
    text = model_card(tmp_path)
    assert text.startswith("# Card") and "![ROC](data:image/png;base64," in text
    assert text.endswith(" secret") and "tags" not in text
    assert model_card(tmp_path / "none") == "" and model_card(None) == ""


def test_the_weights_bring_their_two_drawings(tmp_path):
    assert drawings(shipped_weights()).count("data:image/svg+xml") == 2
    assert drawings(tmp_path) == drawings(None) == ""
