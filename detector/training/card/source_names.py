"""The sources of films as a reader of the card knows them."""

from __future__ import annotations

SOURCES = {
    "fracatlas": "FracAtlas films",
    "wrist": "children's wrists and forearms",
    "other": "other fractured films from the web",
    "sr2022": "fractured limb films from the web (sr2022)",
}
FOLDER_KIND = "pictures in "  # and a folder's name: a kind of picture that is no film


def source_name(source: str) -> str:
    """What the card calls a source; its own name where the card has none for it."""
    return SOURCES.get(source, source)
