"""The page's words: one file, ``words.json``, for this page and for the one without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parent / "words.json").read_text(encoding="utf-8")
)


def say(key: str, **values: Any) -> str:
    """A sentence with its values put in; one that is left empty at its end leaves no blank."""
    return WORDS[key].format(**values).strip()
