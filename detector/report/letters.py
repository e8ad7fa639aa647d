"""Letters of any script on a PDF: the fonts that have them, their shapes and their direction.

DejaVu comes with matplotlib, which grad-cam brings in: Latin, Greek, Cyrillic, Hebrew and Arabic.
Devanagari, Bengali and Chinese take a font of the system (Debian: ``fonts-noto-core``,
``fonts-wqy-microhei``; or Droid Sans Fallback). Arabic letters are joined by ``arabic_reshaper``,
lines are set from right to left by ``python-bidi``; HarfBuzz shapes Indic letters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.lib.enums import TA_LEFT, TA_RIGHT
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Paragraph

PLAIN, BOLD = "DejaVuSans", "DejaVuSans-Bold"
SYSTEM = (  # for each script the files that have it, the first one found is taken
    ("NotoSansDevanagari-Regular.ttf", "Lohit-Devanagari.ttf"),
    ("NotoSansBengali-Regular.ttf", "Lohit-Bengali.ttf"),
    ("wqy-microhei.ttc", "DroidSansFallbackFull.ttf"),
)


@cache
def register_fonts() -> tuple[str, ...]:
    """Register the fonts; returns the names of those beside DejaVu that this system has."""
    import matplotlib
    from matplotlib.font_manager import findSystemFonts

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    for name in (PLAIN, BOLD):
        pdfmetrics.registerFont(TTFont(name, folder / f"{name}.ttf"))
    pdfmetrics.registerFontFamily(PLAIN, PLAIN, BOLD)
    files = {Path(file).name: file for file in findSystemFonts()}
    found = []
    for names in SYSTEM:
        file = next((files[name] for name in names if name in files), None)
        if file:
            pdfmetrics.registerFont(TTFont(Path(file).stem, file))
            found.append(Path(file).stem)
    return tuple(found)


def missing_letters(texts: Iterable[str]) -> list[str]:
    """The letters that no font here has."""
    return sorted({letter for letter in "".join(texts) if _font(letter, PLAIN) is None})


def _font(letter: str, base: str) -> str | None:
    """The font for a letter, ``base`` if that has it or nothing is drawn for it."""
    if letter.isspace() or unicodedata.category(letter) in ("Cf", "Cc"):
        return base
    for name in (base, PLAIN, *register_fonts()):
        if ord(letter) in pdfmetrics.getFont(name).face.charToGlyph:
            return name
    return None


def _turned(letter: str) -> bool:
    return unicodedata.bidirectional(letter) in ("R", "AL")


def _right_to_left(text: str) -> bool:
    """Whether a line runs from right to left: its first strong letter says so."""
    strong = (unicodedata.bidirectional(letter) for letter in text)
    return next((kind for kind in strong if kind in ("L", "R", "AL")), "L") != "L"


class Text(Flowable):
    """A paragraph in any script; lines are broken where the text breaks them, and for the width."""

    def __init__(self, text: str, style: ParagraphStyle) -> None:
        super().__init__()
        self.text, self.style = text, style

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        turned = any(map(_turned, self.text))
        wide = any(unicodedata.east_asian_width(letter) in ("W", "F") for letter in self.text)
        own = self.style.fontName
        indic = not wide and any(_font(letter, own) not in (own, None) for letter in self.text)
        lines = [line for part in self.text.splitlines() for line in self._lines(part, width)]
        style = ParagraphStyle(
            "", parent=self.style, wordWrap="CJK" if wide else None,
            # What is turned is drawn letter by letter: HarfBuzz would turn it once more. And Latin
            # letters need no shaping: it would join some, and words could not be searched for.
            shaping=int(indic and not turned),
            alignment=TA_RIGHT if _right_to_left(self.text) else TA_LEFT,
        )  # fmt: skip
        self._paragraph = Paragraph("<br/>".join(map(self._marked, lines)), style)
        self.width, self.height = self._paragraph.wrap(width, height)
        return self.width, self.height

    def draw(self) -> None:
        self._paragraph.drawOn(self.canv, 0, 0)

    def _lines(self, text: str, width: float) -> list[str]:
        """A line as it is drawn from left to right; several where it is set from right to left."""
        if not any(map(_turned, text)):
            return [text]
        from arabic_reshaper import reshape
        from bidi.algorithm import get_display

        broken, line = [], ""
        for word in reshape(text).split():
            longer = f"{line} {word}".strip()
            size = self.style.fontSize
            if line and pdfmetrics.stringWidth(longer, self.style.fontName, size) > 0.97 * width:
                broken.append(line)
                longer = word
            line = longer
        direction = "R" if _right_to_left(text) else "L"
        return [get_display(part, base_dir=direction) for part in (*broken, line)]

    def _marked(self, line: str) -> str:
        """The line with each word that the style's font cannot print in a font that can.

        A word stays in one font as far as it goes, with its punctuation: where the font changes
        within a shaped word, reportlab draws wrong letters.
        """
        return " ".join(self._word(word) for word in line.split(" "))

    def _word(self, word: str) -> str:
        own = self.style.fontName
        fonts = [_font(letter, own) for letter in word]
        other = next((font for font in fonts if font not in (own, None)), own)
        runs = groupby(word, key=lambda letter: _font(letter, other) or own)
        return "".join(
            escape(text) if font == own else f'<font name="{font}">{escape(text)}</font>'
            for font, text in ((font, "".join(letters)) for font, letters in runs)
        )
