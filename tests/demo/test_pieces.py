"""The page's parts without a browser: what the cards say, the rules, the list, the examples."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from demo import cards, examples
from demo.__main__ import parse
from demo.predictive import of_a_hundred, post_test
from demo.reading import ABSENT, PRESENT, UNSURE, Reading, agreement
from demo.server import BUSY, Guard
from demo.source import Source, distinct_names, given_name, source_of
from demo.study import View, study_card, study_decision
from demo.view import shrink, viewer_message
from demo.worklist import UNREAD, make_row, sorted_rows, summary, table, to_csv, to_json
from detector import Prediction, RadiographError, Region, ScopeCheck
from detector.explain.heatmap import Heat
from detector.explain.overlay import colour_table
from detector.io.radiograph import load_radiograph
from detector.model.anatomy import Anatomy
from detector.model.calibration import Calibration, Decision, Logistic
from detector.model.letterbox import Letterbox
from detector.report.regions import where
from detector.report.words import ENGLISH, LANGUAGES, words_in

CALIBRATION = Calibration(Logistic(1, 0), Logistic(1, 0), 0.1, 0.6, 1.5, 0.2)
REGION = Region(10, 20, 30, 20, 0.7)
SOURCE = Source("wrist.png", "0123456789abcdef")
METRICS = {
    "test": {"fracatlas": {"films": 400, "fractured": 100, "operating_points": {
        name: {
            "films": 400,
            "sensitivity": {"value": 0.91, "low": 0.84, "high": 0.96},
            "specificity": {"value": 0.87, "low": 0.83, "high": 0.9},
        } for name in ("rule_out", "rule_in")
    }}},
    "limitations": ["Wrists of children: specificity 0.71.", "Films <of> other styles."],
}  # fmt: skip


def reading_of(probability: float = 0.7, decision: str | None = None, **more) -> Prediction:
    """A prediction without a model, of a film of 96 x 64 pixels with a peak at its region."""
    pixels = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (96, 1))
    film = more.pop("film", None) or load_radiograph(pixels)
    letterbox = Letterbox.fit(film.height, film.width, 96)
    evidence = np.full((6, 4), -9, np.float32)
    evidence[1, 1] = 2
    decision = decision or CALIBRATION.decide(probability)
    in_scope = decision != Decision.OUT_OF_SCOPE
    return Prediction(
        film=film, probability=probability, decision=decision,
        regions=(REGION,) if decision in (Decision.FRACTURE_LIKELY, Decision.UNCERTAIN) else (),
        scope=ScopeCheck(in_scope, 0.5 if in_scope else 2, "" if in_scope else "It is a cat."),
        evidence=evidence, heat=Heat(evidence, letterbox, CALIBRATION.location),
        calibration=CALIBRATION, model={"version": "1", "sha256": "abc"}, **more,
    )  # fmt: skip


def words(html: str) -> str:
    parts: list[str] = []
    parser = HTMLParser()
    parser.handle_data = parts.append
    parser.feed(html)
    return " ".join(" ".join(parts).split())


@pytest.mark.parametrize("decision", Decision)
def test_each_verdict_has_words_an_icon_and_a_style_of_its_own(decision):
    html = cards.headline(reading_of(decision=decision))
    style, icon = cards.LOOKS[decision]
    assert f"<h2>{ENGLISH.heading(decision)}</h2>" in html and icon in html
    assert f"fd-{style}" in html
    others = [cards.LOOKS[other] for other in Decision if other != decision]
    assert all(icon != other[1] and style != other[0] for other in others)


def test_the_verdict_states_the_figures_of_its_threshold():
    said = words(cards.verdict_card(reading_of(0.7), METRICS))
    assert "91 of 100 fractures in 400 test films" in said
    assert "sensitivity 91 % (84 to 96)" in said
    assert "specificity 87 % (83 to 90)" in said and "upper threshold (60 %)" in said
    assert "Wrists of children: specificity 0.71." in said


def test_an_indeterminate_film_is_told_which_of_the_two_thresholds_the_figures_are_of():
    said = words(cards.verdict_card(reading_of(0.3), METRICS))
    assert "At the lower threshold, 91 of 100 fractures" in said


def test_without_measured_figures_the_sentence_is_left_out():
    prediction = reading_of(0.05)
    assert "test films" not in words(cards.verdict_card(prediction, {}))
    assert "does not exclude a fracture" in words(cards.headline(prediction))


def test_without_a_result_the_reason_is_shown_and_no_probability():
    prediction = reading_of(0.7, Decision.OUT_OF_SCOPE)
    html = cards.headline(prediction) + cards.verdict_card(prediction, METRICS)
    assert "It is a cat." in html and "70 %" not in html and "fd-gauge" not in html


def test_the_gauge_names_the_probability_and_both_thresholds():
    html = cards.gauge(reading_of(0.42))
    assert 'left:42.00%' in html
    for text in ("Probability of fracture 42 %", "Lower threshold 10 %", "upper threshold 60 %"):
        assert text in html


def test_a_probability_beside_a_threshold_has_the_digits_that_tell_them_apart():
    calibration = replace(CALIBRATION, rule_out=0.03603)
    prediction = replace(reading_of(0.0372), calibration=calibration)
    assert cards.chance(prediction) == "3.7 %"
    assert cards.threshold(prediction, "rule_out") == "3.6 %"
    close = replace(prediction, probability=0.03611)
    assert cards.chance(close) == "3.61 %" and cards.threshold(close, "rule_out") == "3.60 %"
    assert cards.chance(reading_of(0.3)) == "30 %"


def test_a_region_never_shows_more_than_its_film_and_says_why():
    prediction = replace(reading_of(0.61), regions=(Region(1, 2, 3, 4, 0.97),))
    said = words(cards.regions_list(prediction))
    assert "61 %" in said and "97" not in said and "no higher than it" in said
    assert "no higher than it" not in words(cards.regions_list(reading_of(0.9)))


def test_a_likely_fracture_with_dashed_boxes_alone_says_so():
    weak = replace(reading_of(0.7), regions=(Region(1, 2, 3, 4, 0.44),))
    assert "no single region does" in words(cards.headline(weak))
    assert "including the marked regions" in words(cards.headline(reading_of(0.7)))


def test_a_film_of_which_part_is_missing_says_so_wherever_its_verdict_stands():
    whole = reading_of(0.7)
    film = replace(whole.film, facts={**whole.film.facts, "missing": 0.104})
    torn = replace(whole, film=film)
    said = "10.4 % of this film is missing"
    assert said in cards.headline(torn) and said not in cards.headline(whole)
    assert said in study_card([View(SOURCE, torn)]) and "in 1 of the views" in study_card(
        [View(SOURCE, torn), View(SOURCE, whole)]
    )
    assert said in table([make_row("a.png", torn)])


def test_a_card_says_which_film_it_is_of():
    line = replace(SOURCE, frame=3).line(reading_of())
    assert line.startswith("wrist.png · frame 3 · 64 × 96 px · sha256 01234567 · 2")
    assert line in cards.headline(reading_of(), line)


def test_films_of_one_name_are_told_apart_by_folder_or_number(tmp_path):
    class Upload(str):
        given_name: str

    def upload(name: str) -> Upload:
        path = Upload("/somewhere/IM0001")
        path.given_name = name
        return path

    files = [upload(n) for n in ("left/IM1", "right/IM1", "IM1", "IM1", "IM1 (2)", "IM1")]
    assert distinct_names(files) == [
        "left/IM1", "right/IM1", "IM1", "IM1 (3)", "IM1 (2)", "IM1 (4)"
    ]  # fmt: skip
    assert given_name(upload("a\nb" + "c" * 200)) == "ab" + "c" * 58 + "…" + "c" * 59
    file = tmp_path / "film"
    file.write_bytes(b"abc")
    assert source_of(str(file)).sha256.startswith("ba7816bf") and source_of(str(file)).frame is None


def test_the_page_shows_heat_from_the_floor_and_the_regions_of_the_reading():
    reading = replace(reading_of(), calibration=replace(CALIBRATION, display_threshold=0.2))
    message = json.loads(viewer_message(reading, film_id="1"))
    assert message["shown_from"] == 0.2 and len(message["regions"]) == 1
    assert cards.verdict_card(reading).count("data-region") == 1
    # The same colours as the overlay: of what is shown, the rule-in point lies half way up.
    table = np.frombuffer(base64.b64decode(message["table"]), np.uint8).reshape(256, 3)
    expected = colour_table(0.2, high=0.6)[round(0.6 * 255)].astype(int)
    np.testing.assert_allclose(table[round(0.5 * 255)].astype(int), expected, atol=4)


def test_a_likely_fracture_without_a_region_sends_nobody_to_marked_regions():
    html = cards.headline(replace(reading_of(0.7), regions=()))
    assert "No single region stands out" in html and "marked regions" not in html


def test_every_text_is_escaped():
    evil = '<img src=x onerror="alert(1)">'
    error = RadiographError(evil)
    prediction = reading_of()
    film = replace(prediction.film, warnings=(evil,))
    pages = [
        cards.error_card(evil), cards.card(evil, evil), cards.progress(1, 2, evil),
        cards.verdict_card(
            replace(prediction, film=film), {"limitations": [evil, evil]}, said=evil
        ),
        cards.headline(prediction, evil), cards.film_error(error, source=evil),
        study_card([View(Source(evil, ""), prediction), View(Source(evil, ""), error)]),
        table([make_row(evil, prediction), make_row(evil, error)]),
    ]  # fmt: skip
    for html in pages:
        assert "<img src=x" not in html and "&lt;img" in html


def test_places_are_named_by_thirds():
    prediction = reading_of()
    assert where(Region(0, 0, 4, 4, 1), prediction) == "Upper left of image"
    assert where(Region(30, 46, 4, 4, 1), prediction) == "Centre"
    assert where(Region(60, 46, 4, 4, 1), prediction) == "Middle right of image"
    assert "Upper middle" in cards.describe(prediction)


def test_the_warning_beside_the_verdict_is_of_the_part_that_the_film_shows():
    metrics = {"limitations": [
        "On FracAtlas films, 64 of 70 fractures are found.", "On FracAtlas films, leg, 20 of 25.",
        "On children's wrists and forearms, 15 of 16.", "FracAtlas films, hip: AUC 0.80.",
    ]}  # fmt: skip

    def first(part: str | None) -> str:
        said = words(cards.verdict_card(reading_of(anatomy=Anatomy(part, 0.9)), metrics))
        assert all(said.count(sentence) == 1 for sentence in metrics["limitations"])
        return said[: said.index(ENGLISH["weak"])].strip()

    assert first("knee").endswith("leg, 20 of 25.")
    assert first("wrist or hand").endswith("15 of 16.")
    assert first("hip").endswith("hip: AUC 0.80.")
    assert first("shoulder").endswith("64 of 70 fractures are found.")
    assert first(None).endswith("64 of 70 fractures are found.")


def test_a_region_is_told_with_the_part_of_the_body_where_that_is_named(detector):
    named = reading_of(anatomy=Anatomy("wrist or hand", 0.9))
    assert "Upper middle of image (wrist or hand)" in words(cards.regions_list(named))
    assert "(wrist or hand)" in cards.describe(named)
    unsure = reading_of(anatomy=Anatomy(None, 0.7))
    assert "(" not in where(REGION, unsure)
    elsewhere = Reading(named, SOURCE).marked(60, 90)
    assert "upper middle of image (wrist or hand)" in words(agreement(elsewhere))
    german = agreement(elsewhere, words_in("de"))
    assert "oben mittig im Bild (Handgelenk oder Hand)" in words(german)
    for language in LANGUAGES:  # each part that the shipped head can name
        assert set(detector.config.heads["anatomy"]["regions"]) <= set(words_in(language)["parts"])


@pytest.mark.parametrize(
    ("decision", "own", "title"),
    [
        (Decision.FRACTURE_LIKELY, PRESENT, "You and the model agree"),
        (Decision.FRACTURE_LIKELY, ABSENT, "You and the model disagree"),
        (Decision.NO_FRACTURE_SEEN, ABSENT, "You and the model agree"),
        (Decision.NO_FRACTURE_SEEN, PRESENT, "You and the model disagree"),
        (Decision.UNCERTAIN, PRESENT, "Your reading stands"),
        (Decision.OUT_OF_SCOPE, ABSENT, "Your reading stands"),
        (Decision.FRACTURE_LIKELY, UNSURE, "You were not sure"),
    ],
)
def test_agreement(decision, own, title):
    assert title in agreement(Reading(reading_of(decision=decision), SOURCE, own=own))


def test_the_readers_mark_is_compared_with_the_regions():
    reading = Reading(reading_of(), SOURCE).marked(20, 30)
    assert reading.own == PRESENT
    assert "at the model's region 1" in words(agreement(reading))
    assert "lies elsewhere" in words(agreement(reading.marked(60, 90)))
    assert agreement(Reading(reading_of(), SOURCE)) == ""


def test_before_the_reveal_nothing_of_the_result_is_sent():
    hidden = json.loads(Reading(reading_of(), SOURCE, revealed=False).message())
    shown = json.loads(Reading(reading_of(), SOURCE).message())
    assert hidden["heat"] is None and hidden["regions"] == [] and hidden["marking"]
    assert shown["heat"] and len(shown["regions"]) == 1 and not shown["marking"]
    assert "Upper" not in hidden["alt"]


def test_the_post_test_probability_follows_bayes():
    # The ratio of 0.5 at a prevalence of 0.2 is 4; from 1 in 2 it makes 4 in 5.
    said = words(post_test(reading_of(0.5), 50, {}))
    assert said.startswith("80 %") and "likelihood ratio of this image is 4." in said


def test_where_the_slider_starts_nothing_is_changed():
    calibration = replace(CALIBRATION, prevalence=0.2243)
    prediction = replace(reading_of(0.94), calibration=calibration)
    said = words(post_test(prediction, 22, METRICS))
    assert said.startswith("94 %") and "it is the probability above" in said


def test_a_likelihood_ratio_is_a_number_that_people_read():
    low, high = (words(post_test(reading_of(p), 50, {})) for p in (1e-6, 1.0))
    assert "likelihood ratio of this image is below 0.01." in low
    assert "likelihood ratio of this image is above 100." in high


def test_predictive_values_and_false_alarms_follow_from_the_thresholds_figures():
    # Of 1000, 100 fractured: 91 found; of 900 others 117 called.
    ppv, npv, alarms = of_a_hundred(METRICS, 0.1)
    assert ppv.startswith("44 % of those called 'fracture likely'") and "35 to 52" in ppv
    assert npv.startswith("99 % of those called 'no fracture detected'") and "98 to" in npv
    assert alarms.startswith("12 of 100") and "9 to 15" in alarms
    assert of_a_hundred({}, 0.1) == []


def pixels_of(uri: str) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)


def test_the_viewer_gets_the_film_lossless_in_8_and_in_16_bits():
    prediction = reading_of()
    eight = load_radiograph(np.arange(4096, dtype=np.uint32).reshape(64, 64).astype(np.uint8))
    message = json.loads(viewer_message(reading_of(film=eight), film_id="a"))
    assert not message["deep"]
    assert (pixels_of(message["film"]) == np.rint(eight.pixels * 255)).all()
    message = json.loads(viewer_message(prediction, film_id="a"))
    assert message["deep"] and (message["width"], message["height"]) == (64, 96)
    picture = pixels_of(message["film"]).astype(int)  # blue, green, red
    values = picture[..., 2] * 256 + picture[..., 1]
    assert np.abs(values / 65535 - prediction.film.pixels).max() < 1e-5
    heat = pixels_of(message["heat"]) / 255
    assert np.abs(heat - prediction.heatmap).max() < 0.01


def test_shrinking_never_enlarges():
    image = np.zeros((40, 20), np.uint8)
    assert shrink(image, 100) is image and shrink(image, 20).shape == (20, 10)


ORDER = [
    (
        [Decision.FRACTURE_LIKELY, Decision.NO_FRACTURE_SEEN, Decision.UNCERTAIN],
        Decision.FRACTURE_LIKELY,
    ),
    ([Decision.UNCERTAIN, Decision.NO_FRACTURE_SEEN], Decision.UNCERTAIN),
    ([Decision.NO_FRACTURE_SEEN, Decision.NO_FRACTURE_SEEN], Decision.NO_FRACTURE_SEEN),
    ([Decision.NO_FRACTURE_SEEN, Decision.OUT_OF_SCOPE], Decision.NO_FRACTURE_SEEN),
    ([Decision.OUT_OF_SCOPE], Decision.OUT_OF_SCOPE),
]


@pytest.mark.parametrize(("decisions", "expected"), ORDER)
def test_a_study_is_as_suspicious_as_its_most_suspicious_view(decisions, expected):
    views = [View(Source(str(n), ""), reading_of(decision=d)) for n, d in enumerate(decisions)]
    assert study_decision(views) == expected
    assert study_decision([*views, View(SOURCE, RadiographError("no"))]) == expected


def test_a_study_without_a_readable_view_has_no_verdict():
    views = [View(SOURCE, RadiographError("Export it again."))]
    assert study_decision(views) is None
    assert "No verdict" in study_card(views) and "Export it again." in study_card(views)


def test_the_leading_view_is_the_most_probable_of_the_most_urgent():
    views = [
        View(Source(name, ""), result) for name, result in (
            ("a", reading_of(0.3)), ("b", reading_of(0.7)), ("c", reading_of(0.9)),
            ("d", RadiographError("no")), ("e", reading_of(0.99, Decision.OUT_OF_SCOPE)),
        )
    ]  # fmt: skip
    assert [view.source.name for view in sorted(views, key=lambda v: v.rank)] == list("cbaed")


def some_rows():
    return [
        make_row("clear.png", reading_of(0.02)), make_row("=broken", RadiographError("No film.")),
        make_row("sure.png", reading_of(0.9)), make_row("maybe.png", reading_of(0.3)),
        make_row("cat.png", reading_of(0.5, Decision.OUT_OF_SCOPE)),
        make_row("sure2.png", reading_of(0.8)),
    ]  # fmt: skip


def test_a_worklist_is_sorted_by_urgency():
    names = [row.entry["file"] for row in sorted_rows(some_rows())]
    assert names == ["sure.png", "sure2.png", "maybe.png", "./=broken", "cat.png", "clear.png"]
    html = table(some_rows())
    assert html.index("sure.png") < html.index("maybe.png") < html.index("clear.png")
    assert "No film." in html and html.count("<img") == 5
    assert "2 fracture likely" in summary(some_rows()) and f"1 {UNREAD}" in summary(some_rows())


def test_a_worklist_as_csv_and_json():
    listed = list(csv.DictReader(io.StringIO(to_csv(some_rows()).decode("utf-8-sig"))))
    assert [row["file"] for row in listed][3] == "./=broken"
    assert listed[0]["decision"] == Decision.FRACTURE_LIKELY
    assert float(listed[0]["probability"]) == 0.9
    entries = json.loads(to_json(some_rows()))
    assert [entry["file"] for entry in entries][3] == "./=broken"
    assert entries[3]["error"]["message"] == "No film."


async def _full(scope, receive, send):
    app = Starlette(routes=[
        Route("/gradio_api/queue/join", lambda _: JSONResponse({"detail": "full"}, 503),
              methods=["POST"]),
        Route("/other", lambda _: JSONResponse({"detail": "kept"}, 503)),
    ])  # fmt: skip
    await app(scope, receive, send)


def test_every_answer_is_guarded_and_a_full_queue_says_so_politely():
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=Guard(_full))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await client.post("/gradio_api/queue/join"), await client.get("/other")]

    full, other = asyncio.run(ask())
    assert full.status_code == 503 and full.json() == {"detail": BUSY}
    assert other.json() == {"detail": "kept"}
    for answer in (full, other):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy and "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_examples_are_synthetic_where_there_are_no_films(tmp_path):
    drawn = examples.draw_examples(tmp_path)
    assert len(drawn) >= 6 and all(example.synthetic for example in drawn)
    assert all("ynthetic" in example.title for example in drawn)
    assert {bool(example.truth) for example in drawn} == {True, False}
    assert all(load_radiograph(example.file).width >= 400 for example in drawn)
    assert examples.real_examples(tmp_path / "none") == []


def test_eight_test_films_with_attribution_become_examples(fracatlas, tmp_path):
    chosen = examples.copy_examples(fracatlas, tmp_path / "examples")
    assert len(chosen) == 8 and len({example.file for example in chosen}) == 8
    assert [bool(example.truth) for example in chosen].count(True) == 4
    with (fracatlas / "manifest.csv").open() as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert {rows[example.file]["split"] for example in chosen} == {"test"}
    assert "CC BY 4.0" in (tmp_path / "examples" / "ATTRIBUTION.txt").read_text()
    shown = examples.real_examples(tmp_path / "examples")
    assert len(shown) == 8 and all("Radiologists:" in example.said for example in shown)
    assert not any(example.synthetic for example in shown)


def test_a_folder_that_is_not_fracatlas_is_refused_with_a_sentence(tmp_path, capsys):
    assert examples.main(["--from", str(tmp_path)]) == 2
    assert "No examples were made" in capsys.readouterr().err


def test_the_command_line(monkeypatch, capsys):
    for name in ("FRACTURE_USER", "FRACTURE_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    chosen = parse(["--host", "0.0.0.0", "--port", "1234", "--model", "user/model", "--mcp",
                    "--allow-host", "films.example.org", "--root-path", "/films",
                    "--engine", "torch",
                    "--precision", "bfloat16"])  # fmt: skip
    assert vars(chosen) == {
        "host": "0.0.0.0", "port": 1234, "model": "user/model", "mcp": True,
        "allow_host": ["films.example.org"], "root_path": "/films",
        "engine": "torch", "precision": "bfloat16", "digest": None,
    }  # fmt: skip
    monkeypatch.setenv("FRACTURE_USER", "reader")
    with pytest.raises(SystemExit):
        parse([])
    assert "FRACTURE_PASSWORD" in capsys.readouterr().err
