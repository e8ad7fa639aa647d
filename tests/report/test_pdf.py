"""The one-page PDF: what is on it, and what is not."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pypdf import PdfReader

from detector.explain.regions import Region
from detector.model import calibration
from detector.model.anatomy import Anatomy
from detector.model.ood import ScopeCheck
from detector.phantom import random_phantom
from detector.report import pdf as report
from detector.report.letters import missing_letters
from detector.report.pdf import make_report
from detector.report.words import ENGLISH, LANGUAGES, words_in

NOON = datetime(2026, 3, 4, 12, 30)
METRICS = {
    "test": {"fracatlas": {"films": 411, "fractured": 70, "operating_points": {
        "rule_out": {"threshold": 0.1, "films": 411,
                     "sensitivity": {"value": 0.9612, "low": 0.88, "high": 0.99},
                     "specificity": {"value": 0.6, "low": 0.55, "high": 0.65}},
        "rule_in": {"threshold": 0.6, "films": 411,
                    "sensitivity": {"value": 0.7, "low": 0.58, "high": 0.79},
                    "specificity": {"value": 0.9741, "low": 0.95, "high": 0.99}},
    }}}
}  # fmt: skip


@pytest.fixture(scope="module")
def prediction(detector):
    """A fracture with two regions, whatever the shipped weights think of a phantom."""
    reading = detector.predict(random_phantom(0, fractured=True).pixels)
    return replace(
        reading, probability=0.934, decision=calibration.Decision.FRACTURE_LIKELY,
        scope=ScopeCheck(True, 0.5), anatomy=None, familiarity=None,
        regions=(Region(180, 300, 60, 40, 0.91), Region(20, 30, 50, 50, 0.4)),
        model={"version": "1.2.3", "sha256": "0123456789ab"},
    )  # fmt: skip


def read(pdf: bytes) -> tuple[PdfReader, str]:
    reader = PdfReader(io.BytesIO(pdf))
    return reader, re.sub(r"\s+", " ", reader.pages[0].extract_text())


def test_one_page_says_what_was_found(prediction):
    reader, text = read(make_report(prediction, made_at=NOON))
    assert len(reader.pages) == 1
    for words in (
        "Fracture likely", "Probability of fracture: 93 %", "lower", "upper",
        "version 1.2.3, sha256 0123456789ab", "2026-03-04 12:30",
        "x 180, y 300, 60 x 40 px, local probability 91 %", "2: Upper left of image, x 20",
        "The reader's own conclusion", "Signature", "Not a medical device",
    ):  # fmt: skip
        assert words in text
    assert re.sub(r"\s+", " ", ENGLISH["pdf"]["limits"]) in text


def test_the_part_of_the_body_is_named_with_its_limitation(prediction):
    metrics = {**METRICS, "limitations": [
        "On FracAtlas films, 1 of 2.", "FracAtlas films, hip: AUC 0.80.",
    ]}  # fmt: skip
    hip = replace(prediction, anatomy=Anatomy("hip", 0.9))
    _, text = read(make_report(hip, metrics=metrics))
    assert "2: Upper left of image (hip), x 20" in text
    assert f"{ENGLISH['weak']}. FracAtlas films, hip: AUC 0.80." in text
    assert "1 of 2" not in text
    _, text = read(make_report(replace(prediction, anatomy=None), metrics=metrics))
    assert "(hip)" not in text and ENGLISH["weak"] not in text


def test_film_and_overlay_are_both_on_it(prediction):
    reader, _ = read(make_report(prediction))
    film, overlay = (np.asarray(i.image.convert("RGB")) for i in reader.pages[0].images)
    height, width = prediction.grey.shape
    assert film.shape[:2] == overlay.shape[:2] == (height, width)
    assert np.abs(film.astype(int) - prediction.grey[..., None]).mean() < 4
    assert np.abs(overlay.astype(int) - prediction.overlay()).mean() < 4


def test_a_large_film_makes_no_large_file(prediction):
    film = replace(prediction.film, pixels=np.tile(prediction.film.pixels, (6, 6)))
    large = replace(prediction, film=film, scope=ScopeCheck(False, 3, "Not a film."))
    reader, _ = read(make_report(large))
    assert max(reader.pages[0].images[0].image.size) == 1400


def test_measured_figures_stand_there_only_when_there_are_any(prediction):
    prediction = replace(prediction, familiarity=None)  # figures are of familiar films
    _, without = read(make_report(prediction))
    assert "Sensitivity" not in without and "test films" not in without
    _, text = read(make_report(prediction, metrics=METRICS))
    assert "0.96 (0.88 to 0.99)" in text and "0.97 (0.95 to 0.99)" in text
    assert "411 FracAtlas test films (70 with a fracture" in text


def test_only_what_was_typed_in_is_said_of_the_patient(prediction):
    _, text = read(make_report(prediction, {"Patient": "Żółć & <Ж>", "Ward": "  "}))
    assert "Patient" in text and "Żółć & <Ж>" in text and "Ward" not in text
    _, text = read(make_report(prediction))
    assert "Patient" not in text
    facts = {**prediction.film.facts, "body_part": "SECRET"}
    film = replace(prediction.film, facts=facts)
    assert b"SECRET" not in make_report(replace(prediction, film=film))


def test_letters_that_no_font_has_are_refused_and_named(prediction):
    with pytest.raises(ValueError, match="cannot print these characters: 𓀀"):
        make_report(prediction, {"Patient": "𓀀 Li"})


def test_an_arabic_name_is_joined_and_runs_from_right_to_left(prediction):
    _, text = read(make_report(prediction, {"Patient": "محمد 12 بن"}))
    # In the form that its neighbours give each letter. pypdf turns what it finds drawn from right
    # to left: letters drawn in the order of typing would stand here backwards.
    assert "\ufee3\ufea4\ufee4\ufeaa" in text
    _, text = read(make_report(prediction, {"Patient": "אברהם"}))
    assert "אברהם" in text


def test_long_arabic_text_is_broken_into_lines_before_it_is_turned(prediction):
    typed = " ".join(f"كسر{number}" for number in range(60))
    reader = PdfReader(io.BytesIO(make_report(prediction, conclusion=typed)))
    text = reader.pages[0].extract_text()
    lines = [line for line in text.splitlines() if "\ufedb\ufeb4\ufeae" in line]
    assert len(lines) > 1
    assert "59" in lines[-1] and "59" not in lines[0] and "10" in lines[0]


@pytest.mark.parametrize("name", ["张伟", "मोहन", "আহমেদ"])
def test_scripts_with_a_font_of_the_system_are_printed(prediction, name):
    if missing_letters([name]):
        pytest.skip("no font for it (Debian: fonts-noto-core, fonts-wqy-microhei)")
    assert len(read(make_report(prediction, {"Patient": name}))[0].pages) == 1


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_report_speaks_every_language_on_one_page(prediction, code):
    words = words_in(code)
    if missing_letters(words["machine"]):
        pytest.skip("no font for it (Debian: fonts-noto-core, fonts-wqy-microhei)")
    reader, _ = read(make_report(prediction, metrics=METRICS, words=words, source="a.png"))
    assert len(reader.pages) == 1


def test_accents_typed_apart_are_letters(prediction):
    _, text = read(make_report(prediction, {"Patient": "Zo\u0065\u0308"}))
    assert "Zo\u00eb" in text


def test_the_readers_conclusion_stands_where_one_would_write_it_line_by_line(prediction):
    reader = PdfReader(io.BytesIO(make_report(prediction, conclusion="1. Shaft\n2. No other")))
    lines = [line.strip() for line in reader.pages[0].extract_text().splitlines()]
    assert lines.index("The reader's own conclusion") < lines.index("1. Shaft")
    assert "2. No other" in lines
    with pytest.raises(ValueError, match="cannot print"):
        make_report(prediction, conclusion="𓀀")


def test_a_map_without_the_fixed_scale_is_not_said_to_show_probabilities(prediction):
    heat = replace(prediction.heat, values=np.ones_like(prediction.heat.values), scale=None)
    other = replace(prediction, heat=heat, method="eigencam")
    _, text = read(make_report(other))
    assert "EigenCAM, relative to this image" in text and "white line" not in text


def test_the_time_names_its_zone(prediction):
    noon = NOON.replace(tzinfo=UTC)
    assert "2026-03-04 12:30 UTC" in read(make_report(prediction, made_at=noon))[1]


def test_fields_that_would_need_a_second_page_are_refused(prediction):
    with pytest.raises(ValueError, match="one page"):
        make_report(prediction, {"History": "long " * 2000})


def test_out_of_scope_gives_no_probability_and_no_overlay(prediction):
    strange = replace(
        prediction, decision=calibration.Decision.OUT_OF_SCOPE, regions=(),
        scope=ScopeCheck(False, 3.0, "The picture is in colour."),
    )  # fmt: skip
    reader, text = read(make_report(strange))
    assert "No result" in text and "The picture is in colour." in text
    assert "93 %" not in text and len(reader.pages[0].images) == 1


@pytest.mark.parametrize("decision", calibration.Decision)
def test_every_decision_has_its_words(prediction, decision):
    _, text = read(make_report(replace(prediction, decision=decision)))
    assert ENGLISH.heading(decision) in text


def test_the_model_is_dated_where_that_is_known(prediction):
    dated = replace(prediction, model={**prediction.model, "trained": "2026-02-03"})
    assert "trained 2026-02-03" in read(make_report(dated))[1]
    assert "trained" not in read(make_report(prediction))[1].split("film:")[0]


def test_the_caption_names_the_floor_of_what_is_shown(prediction):
    points = replace(prediction.calibration, rule_out=0.02, display_threshold=0.13)
    assert "colour from 13 %" in read(make_report(replace(prediction, calibration=points)))[1]


def test_a_clear_film_is_not_said_to_exclude_a_fracture(prediction):
    clear = replace(prediction, decision=calibration.Decision.NO_FRACTURE_SEEN, regions=())
    _, text = read(make_report(clear))
    assert "does not exclude a fracture" in text and "Regions." not in text


def test_the_fonts_are_in_the_file(prediction):
    reader, _ = read(make_report(prediction))
    fonts = reader.pages[0]["/Resources"]["/Font"]
    used = [fonts[name].get_object() for name in fonts]
    embedded = [f for f in used if "FontFile2" in str(f.get("/FontDescriptor", {}))]
    assert len(embedded) >= 2


def test_only_the_report_needs_reportlab():
    package = Path(report.__file__).parents[1]
    users = {p.name for p in package.rglob("*.py") if "import reportlab" in p.read_text()
             or "from reportlab" in p.read_text()}  # fmt: skip
    assert users == {"letters.py", "pdf.py"}


def test_what_a_film_lacks_stands_in_the_verdict(prediction):
    film = replace(prediction.film, facts={**prediction.film.facts, "missing": 0.0483})
    _, text = read(make_report(replace(prediction, film=film)))
    assert "At or above the upper threshold. 4.8 % of this film is missing." in text
    assert "missing" not in read(make_report(prediction))[1]


def test_it_says_which_film_it_is_of(prediction):
    _, text = read(make_report(prediction, source="wrist é.png · sha256 01234567"))
    assert "film: wrist é.png · sha256 01234567 · " in text
    assert f"{prediction.film.width} × {prediction.film.height} px" in text


def test_pictures_of_oblong_pixels_are_square_on_the_page(prediction):
    facts = {**prediction.film.facts, "pixel_aspect": 0.5}
    wide = make_report(replace(prediction, film=replace(prediction.film, facts=facts)))
    drawn = PdfReader(io.BytesIO(wide)).pages[0].get_contents().get_data()
    sizes = re.findall(rb"([\d.]+) 0 0 ([\d.]+) [\d.]+ [\d.]+ cm", drawn)
    width, height = max((float(w), float(h)) for w, h in sizes)
    film = prediction.film
    assert width / height == pytest.approx(2 * film.width / film.height, rel=0.01)
