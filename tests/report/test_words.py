"""The strings that people read: whole in English, and the same sentences in every language."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from detector.model.calibration import Decision
from detector.report.words import ENGLISH, FOLDER, LANGUAGES, words_in

OTHERS = [code for code in LANGUAGES if code != "en"]


def leaves(value: Any, path: tuple = ()) -> dict[tuple, str]:
    """Every string below a dict or list, by its path."""
    if isinstance(value, str):
        return {path: value}
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    return {k: v for key, inner in pairs for k, v in leaves(inner, (*path, key)).items()}


def own(code: str) -> dict[tuple, str]:
    return leaves(json.loads((FOLDER / f"{code}.json").read_text(encoding="utf-8")))


def test_there_are_nine_languages_and_each_decision_has_words():
    assert set(LANGUAGES) == {"en", "de", "es", "fr", "pt", "hi", "bn", "ar", "zh"}
    assert set(ENGLISH["verdicts"]) == set(ENGLISH["pdf"]["means"]) == set(Decision)


@pytest.mark.parametrize("code", OTHERS)
def test_a_translation_has_no_string_that_english_lacks_and_the_same_values_in_each(code):
    english = own("en")
    for path, text in own(code).items():
        assert path in english, f"{path} is not in en.json"
        fields = sorted(set(re.findall(r"{\w*}", text)))
        assert fields == sorted(set(re.findall(r"{\w*}", english[path]))), path
        assert text.count("**") == english[path].count("**")


@pytest.mark.parametrize("code", OTHERS)
def test_every_language_is_whole_but_for_the_products_name(code):
    strings = own(code)
    assert set(own("en")) - set(strings) <= {("title",)}
    assert strings["machine",] and strings["direction",] == ("rtl" if code == "ar" else "ltr")


def test_a_language_is_known_by_its_tag_and_an_unknown_one_is_english():
    assert words_in("pt-BR").code == "pt" and words_in("zh_CN").code == "zh"
    assert words_in("xx").code == words_in("").code == "en"
    assert words_in("de")["title"] == ENGLISH["title"]
