"""What the model says in English is told in every language, with the same figures."""

from __future__ import annotations

import re

import pytest

from detector.io.screenshot import NOT_FOUND
from detector.model import ood
from detector.model.familiarity import UNFAMILIAR
from detector.model.file_scope import NO_LIMB, NO_RADIOGRAPH
from detector.prediction import GROWTH_PLATES, NOWHERE
from detector.report.told import told
from detector.report.words import ENGLISH, LANGUAGES, Words, words_in
from detector.training.card.limitations import SUBGROUP_FRACTURED, limitations
from detector.training.card.source_names import SOURCES

OTHERS = [words_in(code) for code in LANGUAGES if code != "en"]


def figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value / 2, "high": value + 0.01}


def figures_that_miss_every_target() -> dict:
    point = {"sensitivity": figure(0.5), "specificity": figure(0.6), "confusion": {
        "true_positive": 10, "false_negative": 10, "true_negative": 12, "false_positive": 8,
    }}  # fmt: skip
    group = {"films": 40, "fractured": SUBGROUP_FRACTURED, "auc": figure(0.3),
             "operating_points": dict.fromkeys(("rule_out", "rule_in", "balanced"), point)}
    source = {
        **group, "auc": figure(0.8), "pointing": figure(0.4), "pointing_strict": figure(0.3),
        "calibration": {"ece_after": figure(0.3),
                        "ece_by_chance": {"mean": 0.05, "percentile_95": 0.1}},
        "subgroups": {"without hardware": group, "hand": group},
    }  # fmt: skip
    few = {"crops": 40, "fracture_likely": figure(0.4)}
    return {
        **dict.fromkeys(SOURCES, source), "ood": {"accepted": dict.fromkeys(SOURCES, figure(0.8))},
        "normal_crops": {"sources": dict.fromkeys(SOURCES, few)},
    }


@pytest.mark.parametrize("sentence", [
    ood.BLANK, ood.IN_COLOUR, ood.UNLIKE, NO_RADIOGRAPH.format("CT"), NO_LIMB.format("CHEST"),
    NOT_FOUND, UNFAMILIAR, GROWTH_PLATES, NOWHERE,
])  # fmt: skip
def test_reasons_and_warnings(sentence):
    assert told(sentence, ENGLISH) == sentence
    for words in OTHERS:
        said = told(sentence, words)
        assert said != sentence and "{" not in said
        for word in ("CT", "CHEST"):
            assert (word in said) == (word in sentence)


def test_limitations_with_their_figures():
    sentences = limitations(figures_that_miss_every_target())
    assert len(sentences) > 30
    for sentence in sentences:
        assert told(sentence, ENGLISH) == sentence
        for words in OTHERS:
            said = told(sentence, words)
            assert said != sentence and "{" not in said, (words.code, sentence)
            assert numbers(said) == numbers(sentence), (words.code, said)
    keys = Words("en")
    keys["limits"] = {key: key for key in ENGLISH["limits"]}
    assert {told(sentence, keys) for sentence in sentences} == set(ENGLISH["limits"])


def numbers(sentence: str) -> list[float]:
    """In order of size, in the digits of any script."""
    return sorted(map(float, re.findall(r"\d+(?:\.\d+)?", sentence.replace("sr2022", ""))))


def test_a_group_of_films_is_told_too():
    sentence = ("On FracAtlas films, hand, 98 of 112 normal films lie below the upper threshold "
                "(95 % interval 81 to 94 %), which was chosen for 95 %.")
    german = words_in("de")
    said = told(sentence, german)
    assert f"{german['films']['FracAtlas films']}, {german['groups']['hand']}" in said
    assert "98" in said and "112" in said


def test_what_has_no_translation_is_told_in_english():
    assert told("It is a cat.", words_in("fr")) == "It is a cat."
