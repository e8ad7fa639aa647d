"""One film's reading as a one-page PDF, for the reader to conclude and sign.

    pdf = make_report(prediction, {"Patient": "..."}, metrics=detector.config.metrics)

Nothing about the patient is on it but what is handed in through ``fields``.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import cv2
import numpy as np
from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, Spacer, Table, TableStyle

from detector.explain.methods import METHODS
from detector.model import calibration
from detector.prediction import Prediction
from detector.report.results import percent

MARGIN = 16 * mm
WIDTH = A4[0] - 2 * MARGIN
LEAST_PICTURE, MOST_PICTURE = 55 * mm, 105 * mm  # height of the two pictures
PICTURE_PIXELS = 1400  # longest side of a picture in the file: about 300 dots per inch

INK, FAINT, RULE = HexColor("#1b2430"), HexColor("#5a6675"), HexColor("#c5ccd6")
VERDICTS = {
    # decision: its colour, and what it means. The words carry it; the colour only repeats them.
    calibration.Decision.FRACTURE_LIKELY: ("#a3201d", "At or above the rule-in point."),
    calibration.Decision.UNCERTAIN: ("#8a5a00", "Between the two operating points: needs review."),
    calibration.Decision.NO_FRACTURE_SEEN: (
        "#1f6b4a",
        "Below the rule-out point. This does not exclude a fracture.",
    ),
    calibration.Decision.OUT_OF_SCOPE: (
        "#4a5568",
        "The model has no grounds for an answer on this film.",
    ),
}
LIMITS = (
    "Not a medical device. Decision support for people who read films; it must not be the only "
    "ground for a diagnosis or for sending a patient home. It judges this one film, without "
    "history, examination or earlier films; it looks for fractures only; it misses some, most of "
    "all hairline, buckle and growth-plate fractures, and it marks some intact bones. Marks show "
    "where the model's evidence lies, not the outline of an injury."
)
POINTS = {"rule_out": "rule-out", "rule_in": "rule-in"}


def make_report(
    prediction: Prediction,
    fields: Mapping[str, str] | None = None,
    *,
    metrics: Mapping[str, Any] | None = None,
    conclusion: str = "",
    made_at: datetime | None = None,
) -> bytes:
    """The report as the bytes of a PDF of one page.

    Args:
        prediction: the reading of the film.
        fields: what the reader typed in for this report, title -> text; empty ones are left out.
        metrics: ``detector.config.metrics``; without it no sensitivity or specificity is stated.
        conclusion: the reader's own; where there is none, the report has lines to write it on.
        made_at: the date on the report; now, if None.

    Raises:
        ValueError: the fields hold characters that the report's font lacks, or are too long for
            one page; the sentence can be shown to a person.
    """
    _register_fonts()
    typed = {_typed(k): _typed(v) for k, v in (fields or {}).items() if v and v.strip()}
    concluded = _typed(conclusion)
    _check_characters((*typed, *typed.values(), concluded))
    now = made_at or datetime.now().astimezone()
    above = [*_head(prediction, typed, now), *_verdict(prediction)]
    below = [
        *_operating_points(prediction, metrics or {}), *_notes(prediction),
        *_conclusion(concluded),
    ]  # fmt: skip
    heights = [block.wrap(WIDTH, A4[1])[1] for block in (*above, *below)]
    room = A4[1] - 2 * MARGIN - sum(heights) - 8 * mm
    if room < LEAST_PICTURE:
        raise ValueError("The fields are too long for a report of one page. Shorten them.")
    page = io.BytesIO()
    canvas = Canvas(page, pagesize=A4, pageCompression=1)
    canvas.setTitle("Fracture detector: reading of one film")
    canvas.setSubject(prediction.decision)
    y = _draw(canvas, above, A4[1] - MARGIN)
    y = _draw_pictures(canvas, prediction, y, min(room, MOST_PICTURE))
    _draw(canvas, below, y)
    canvas.showPage()
    canvas.save()
    return page.getvalue()


# Text ---------------------------------------------------------------------------------------------


@cache
def _register_fonts() -> None:
    # DejaVu comes with matplotlib, which grad-cam brings in: Latin, Greek and Cyrillic, embedded.
    import matplotlib

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    for name in ("DejaVuSans", "DejaVuSans-Bold"):
        pdfmetrics.registerFont(TTFont(name, folder / f"{name}.ttf"))
    pdfmetrics.registerFontFamily("DejaVuSans", "DejaVuSans", "DejaVuSans-Bold")


def _typed(text: str) -> str:
    """Without blanks around it, and with each letter and its accent as one character."""
    return unicodedata.normalize("NFC", text).strip()


def _check_characters(typed: Sequence[str]) -> None:
    # The font has Hebrew and Arabic letters too, but they would stand in the wrong order.
    known = pdfmetrics.getFont("DejaVuSans").face.charToGlyph
    missing = sorted({
        c for c in "".join(typed) if not c.isspace()
        and (ord(c) not in known or unicodedata.bidirectional(c) in ("R", "AL"))
    })  # fmt: skip
    if missing:
        raise ValueError(
            f"The report cannot print these characters: {' '.join(missing[:10])}. "
            "Write the fields in Latin, Greek or Cyrillic letters."
        )


def _style(size: float, colour: Color = INK, *, bold: bool = False) -> ParagraphStyle:
    font = "DejaVuSans-Bold" if bold else "DejaVuSans"
    return ParagraphStyle("", fontName=font, fontSize=size, leading=1.35 * size, textColor=colour)


def _paragraph(text: str, size: float = 8, colour: Color = INK, *, bold: bool = False) -> Paragraph:
    lines = escape(text).splitlines()
    return Paragraph("<br/>".join(lines), _style(size, colour, bold=bold))


def _head(prediction: Prediction, fields: Mapping[str, str], now: datetime) -> list[Flowable]:
    model = ", ".join(f"{name} {value}" for name, value in prediction.model.items())
    film = f"{prediction.film.width} x {prediction.film.height} px"
    made = f"{now:%Y-%m-%d %H:%M %Z}".rstrip()
    blocks: list[Flowable] = [
        _paragraph("Fracture detector: reading of one film", 14, bold=True),
        Spacer(0, 1 * mm),
        _paragraph(f"Report of {made} · model: {model} · film: {film}", 7.5, FAINT),
        Spacer(0, 2 * mm),
    ]
    if fields:
        cells = [[_paragraph(k, 7.5, FAINT), _paragraph(v, 9)] for k, v in fields.items()]
        if len(cells) % 2:
            cells.append(["", ""])
        pairs = [left + right for left, right in zip(cells[::2], cells[1::2], strict=True)]
        blocks += [
            Table(pairs, [WIDTH * part for part in (0.15, 0.35, 0.15, 0.35)], style=_PLAIN),
            Spacer(0, 2 * mm),
        ]
    return blocks


def _verdict(prediction: Prediction) -> list[Flowable]:
    colour, meaning = VERDICTS[prediction.decision]
    if prediction.film.missing:
        meaning += f" {100 * prediction.film.missing:.1f} % of the film is missing."
    if prediction.scope.in_scope:
        figure = f"Probability of a fracture: {percent(prediction.probability)}"
        note = (
            f"Calibrated where {percent(prediction.calibration.prevalence)} of films show a "
            "fracture; elsewhere it shifts with that share."
        )
    else:
        figure, note = "No probability is given.", prediction.scope.reason
    cells = [
        [_paragraph(prediction.decision.capitalize(), 15, white, bold=True),
         _paragraph(figure, 11, white, bold=True)],
        [_paragraph(meaning, 8, white), _paragraph(note, 7.5, white)],
    ]
    band = TableStyle([
        ("BACKGROUND", (0, 0), (-1, -1), HexColor(colour)),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("LEFTPADDING", (0, 0), (-1, -1), 4 * mm),
        ("BOTTOMPADDING", (0, 1), (-1, 1), 2.5 * mm),
        ("TOPPADDING", (0, 0), (-1, 0), 2.5 * mm),
        ("TOPPADDING", (0, 1), (-1, 1), 0),
    ])  # fmt: skip
    return [Table(cells, [WIDTH * 0.47, WIDTH * 0.53], style=band), Spacer(0, 3 * mm)]


def _operating_points(prediction: Prediction, metrics: Mapping[str, Any]) -> list[Flowable]:
    test = metrics.get("test", {}).get("fracatlas", {})
    measured = test.get("operating_points", {})
    head = ["Operating point", "Probability"]
    if measured:
        head += ["Sensitivity (95 % interval)", "Specificity (95 % interval)"]
    rows: list[list[str]] = [head]
    for name, title in POINTS.items():
        cells = [title, percent(getattr(prediction.calibration, name))]
        if measured:
            cells += [_interval(measured[name][part]) for part in ("sensitivity", "specificity")]
        rows.append(cells)
    parts = (0.2, 0.16, 0.32, 0.32)
    blocks: list[Flowable] = [
        Table(
            [[_paragraph(cell, 8, bold=not index) for cell in row]
             for index, row in enumerate(rows)],
            [WIDTH * part for part in parts[: len(head)]], style=_RULED, hAlign="LEFT",
        ),
    ]  # fmt: skip
    if measured:
        source = (
            f"Measured on {test['films']} FracAtlas test films ({test['fractured']} fractured) "
            "that the model never saw; other hospitals, devices and patients may differ."
        )
        blocks += [Spacer(0, 1 * mm), _paragraph(source, 7.5, FAINT)]
    return [*blocks, Spacer(0, 3 * mm)]


def _interval(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})"


def _notes(prediction: Prediction) -> list[Flowable]:
    blocks: list[Flowable] = []
    if prediction.regions:
        places = "; ".join(
            f"{number}: x {r.x:.0f}, y {r.y:.0f}, {r.width:.0f} x {r.height:.0f} px, "
            f"score {percent(r.score)}"
            for number, r in enumerate(prediction.regions, 1)
        )
        blocks += [_paragraph(f"Regions. {places}.", 7.5), Spacer(0, 1.5 * mm)]
    if prediction.warnings:
        blocks += [
            _paragraph("About the file. " + " ".join(prediction.warnings), 7.5),
            Spacer(0, 1.5 * mm),
        ]
    return [*blocks, _paragraph(LIMITS, 7.5), Spacer(0, 4 * mm)]


def _conclusion(typed: str) -> list[Flowable]:
    titles = [_paragraph(t, 7.5, FAINT) for t in ("Name", "Signature", "Date and time")]
    text = [Spacer(0, 1.5 * mm), _paragraph(typed, 9)] if typed else [Table(
        [[""], [""], [""]], [WIDTH], 9 * mm,
        style=TableStyle([("LINEBELOW", (0, 0), (-1, -1), 0.5, RULE)]),
    )]  # fmt: skip
    signature = Table(
        [["", "", ""], titles], [WIDTH * part for part in (0.36, 0.36, 0.28)], [10 * mm, 5 * mm],
        style=TableStyle([("LINEABOVE", (0, 1), (-1, 1), 0.5, INK)]),
    )  # fmt: skip
    return [_paragraph("The reader's own conclusion", 10, bold=True), *text, signature]


_PLAIN = TableStyle([
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 1),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
])  # fmt: skip
_RULED = TableStyle([
    ("LINEBELOW", (0, 0), (-1, -1), 0.5, RULE),
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 1.5),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
])  # fmt: skip


# Drawing ------------------------------------------------------------------------------------------


def _draw(canvas: Canvas, blocks: Sequence[Flowable], y: float) -> float:
    for block in blocks:
        y -= block.wrap(WIDTH, A4[1])[1]
        block.drawOn(canvas, MARGIN, y)
    return y


def _draw_pictures(canvas: Canvas, prediction: Prediction, top: float, room: float) -> float:
    """Film and overlay side by side, with the regions' boxes; returns the y below them."""
    points = prediction.calibration
    pictures = [(prediction.grey, "Film")]
    if prediction.scope.in_scope:
        caption = (
            f"Evidence: colour from {percent(points.display_threshold)}, white line from "
            f"{percent(points.rule_in)} at that place"
        )
        if prediction.heat.scale is None:
            method = METHODS[prediction.method]
            caption = f"Map by {method}, relative to this film, not calibrated"
        pictures.append((prediction.overlay(), caption))
    height, width = prediction.grey.shape
    half = (WIDTH - 5 * mm) / 2
    scale = min(half / width, room / height)
    w, h = width * scale, height * scale
    for column, (pixels, caption) in enumerate(pictures):
        left = MARGIN + column * (half + 5 * mm) + (half - w) / 2
        canvas.drawImage(_jpeg(pixels), left, top - h, w, h)
        if column:
            _draw_boxes(canvas, prediction, left, top, scale)
        label = _paragraph(caption, 7.5, FAINT)
        _, label_height = label.wrap(half, A4[1])
        label.drawOn(canvas, MARGIN + column * (half + 5 * mm), top - h - 1 * mm - label_height)
    return top - h - 8 * mm


def _draw_boxes(
    canvas: Canvas, prediction: Prediction, left: float, top: float, scale: float
) -> None:
    """Numbered boxes of the regions: solid from the rule-in point on, dashed below it."""
    canvas.setLineWidth(0.8)
    canvas.setFont("DejaVuSans-Bold", 7)
    for number, region in enumerate(prediction.regions, 1):
        x, y = left + region.x * scale, top - (region.y + region.height) * scale
        canvas.setStrokeColor(HexColor("#5fd3ff"))
        canvas.setFillColor(HexColor("#5fd3ff"))
        canvas.setDash(*([] if region.score >= prediction.calibration.rule_in else [3, 2]))
        canvas.rect(x, y, region.width * scale, region.height * scale)
        # Beside the box, or on its other side where the film ends.
        beside = x + region.width * scale + 1.5
        if beside + 6 > left + prediction.film.width * scale:
            beside = x - 6.5
        canvas.drawString(beside, y + region.height * scale - 6, str(number))


def _jpeg(pixels: np.ndarray) -> ImageReader:
    factor = PICTURE_PIXELS / max(pixels.shape[:2])
    if factor < 1:
        size = tuple(max(1, round(side * factor)) for side in pixels.shape[1::-1])
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return ImageReader(io.BytesIO(data.tobytes()))
