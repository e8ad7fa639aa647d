"""What a person reads, in each language: one file of strings, ``strings/<language>.json``.

    words = words_in("de")
    words["missing"]                  a string, or a list or dict of strings
    words.say("post", before=20)      a sentence with its values put in

The page, the page without a server and the report read the same files. What a language does not
have yet is said in English. Strings of the programming interface (``Prediction.decision``) stay.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "strings"
LANGUAGES = ("en", *sorted({file.stem for file in FOLDER.glob("*.json")} - {"en"}))


class Words(dict):
    """The strings of one language, by key; ``code`` is its BCP 47 code."""

    def __init__(self, code: str) -> None:
        super().__init__(_filled(_read("en"), _read(code)))
        self.code = code

    def say(self, key: str, **values: Any) -> str:
        """A sentence with its values put in; one that is left empty at its end leaves no blank."""
        return self[key].format(**values).strip()

    def heading(self, decision: str) -> str:
        """How a person is told of a ``decision``."""
        return self["verdicts"][decision]["heading"]


def _read(code: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{code}.json").read_text(encoding="utf-8"))


def _filled(english: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """``own`` with what it lacks of ``english``."""
    return {
        key: _filled(value, own.get(key, {})) if isinstance(value, dict) else own.get(key, value)
        for key, value in english.items()
    }


@cache
def words_in(language: str = "en") -> Words:
    """The strings of a language given as a BCP 47 tag ("de-AT"); English for an unknown one."""
    code = str(language or "").lower().replace("_", "-").partition("-")[0]
    return Words(code if code in LANGUAGES else "en")


ENGLISH = words_in("en")
