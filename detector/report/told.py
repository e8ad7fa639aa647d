"""What the model and its card say in English, told in the reader's language.

``Prediction`` and ``config.json`` hold whole English sentences: reasons, warnings, limitations with
their figures. Each has its like among the strings, with fields for what it says in particular.
"""

from __future__ import annotations

import re

from detector.report.words import ENGLISH, Words

_FIELDS = {"word": ".+", "where": ".+"}  # of the sentences; any other field is a figure
_FIGURE = r"[\d.]+(?: %)?"


def told(sentence: str, words: Words) -> str:
    """The sentence in the language of ``words``; as it is where the strings have none like it."""
    for section in ("ood", "warnings", "limits"):
        for key, english in ENGLISH[section].items():
            if match := re.fullmatch(_pattern(english), sentence):
                values = match.groupdict()
                if "where" in values:
                    values["where"] = _films(values["where"], words)
                return words[section][key].format(**values)
    return sentence


def _pattern(english: str) -> str:
    parts = re.split(r"{(\w+)}", english)
    return "".join(
        f"(?P<{part}>{_FIELDS.get(part, _FIGURE)})" if index % 2 else re.escape(part)
        for index, part in enumerate(parts)
    )


def _films(where: str, words: Words) -> str:
    """Films of a source, or a group of them: "FracAtlas films, hand"."""
    films, _, group = where.partition(", ")
    named = words["films"].get(films, films)
    return f"{named}, {words['groups'].get(group, group)}" if group else named
