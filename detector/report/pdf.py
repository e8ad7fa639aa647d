"""One film's reading as a one-page PDF, for the reader to conclude and sign.

    pdf = make_report(prediction, {"Patient": "..."}, metrics=detector.config.metrics)

Nothing about the patient is on it but what is handed in through ``fields``.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import cv2
import numpy as np
from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Spacer, Table, TableStyle

from detector.explain.methods import METHODS
from detector.model import calibration
from detector.prediction import Prediction
from detector.report.letters import BOLD, PLAIN, Text, missing_letters, register_fonts
from detector.report.regions import local, part_limitations, where
from detector.report.results import percent
from detector.report.told import told
from detector.report.words import ENGLISH, Words

MARGIN = 16 * mm
WIDTH = A4[0] - 2 * MARGIN
LEAST_PICTURE, MOST_PICTURE = 55 * mm, 105 * mm  # height of the two pictures
PICTURE_PIXELS = 1400  # longest side of a picture in the file: about 300 dots per inch

INK, FAINT, RULE = HexColor("#1b2430"), HexColor("#5a6675"), HexColor("#c5ccd6")
COLOURS = {  # of a decision; the words carry it, the colour only repeats them
    calibration.Decision.FRACTURE_LIKELY: "#a3201d",
    calibration.Decision.UNCERTAIN: "#8a5a00",
    calibration.Decision.NO_FRACTURE_SEEN: "#1f6b4a",
    calibration.Decision.OUT_OF_SCOPE: "#4a5568",
}


def make_report(
    prediction: Prediction,
    fields: Mapping[str, str] | None = None,
    *,
    metrics: Mapping[str, Any] | None = None,
    conclusion: str = "",
    made_at: datetime | None = None,
    source: str = "",
    words: Words = ENGLISH,
) -> bytes:
    """The report as the bytes of a PDF of one page.

    Args:
        prediction: the reading of the film.
        fields: what the reader typed in for this report, title -> text; empty ones are left out.
        metrics: ``detector.config.metrics``; without it no sensitivity or specificity is stated.
        conclusion: the reader's own; where there is none, the report has lines to write it on.
        made_at: the date on the report; now, if None.
        source: which film it is of: its file's name and the like; its size is added.
        words: the language of the report.

    Raises:
        ValueError: the fields hold characters that the report's font lacks, or are too long for
            one page; the sentence can be shown to a person.
    """
    register_fonts()
    typed = {_typed(k): _typed(v) for k, v in (fields or {}).items() if v and v.strip()}
    concluded = _typed(conclusion)
    size = f"{prediction.film.width} × {prediction.film.height} px"
    source = _typed(source)
    source = source if size in source else " · ".join(filter(None, (source, size)))
    _check_characters((*typed, *typed.values(), concluded, source), words)
    now = made_at or datetime.now().astimezone()
    above = [*_head(prediction, typed, now, source, words), *_verdict(prediction, words)]
    below = [
        *_operating_points(prediction, metrics or {}, words),
        *_notes(prediction, metrics or {}, words), *_conclusion(concluded, words),
    ]  # fmt: skip
    heights = [block.wrap(WIDTH, A4[1])[1] for block in (*above, *below)]
    room = A4[1] - 2 * MARGIN - sum(heights) - 8 * mm
    if room < LEAST_PICTURE:
        raise ValueError(words["pdf"]["too long"])
    page = io.BytesIO()
    canvas = Canvas(page, pagesize=A4, pageCompression=1)
    canvas.setTitle(words["pdf"]["title"])
    canvas.setSubject(prediction.decision)
    y = _draw(canvas, above, A4[1] - MARGIN)
    y = _draw_pictures(canvas, prediction, y, min(room, MOST_PICTURE), words)
    _draw(canvas, below, y)
    canvas.showPage()
    canvas.save()
    return page.getvalue()


# Text ---------------------------------------------------------------------------------------------


def _typed(text: str) -> str:
    """Without blanks around it, and with each letter and its accent as one character."""
    return unicodedata.normalize("NFC", text).strip()


def _check_characters(typed: Sequence[str], words: Words) -> None:
    missing = missing_letters(typed)
    if missing:
        raise ValueError(words["pdf"]["letters"].format(characters=" ".join(missing[:10])))


def _paragraph(text: str, size: float = 8, colour: Color = INK, *, bold: bool = False) -> Text:
    font = BOLD if bold else PLAIN
    style = ParagraphStyle(
        "", fontName=font, fontSize=size, leading=1.35 * size, textColor=colour
    )
    return Text(text, style)


def _head(
    prediction: Prediction, fields: Mapping[str, str], now: datetime, source: str, words: Words
) -> list[Flowable]:
    say = words["pdf"]
    made = say["made"].format(made=f"{now:%Y-%m-%d %H:%M %Z}".rstrip())
    model = say["model"].format(
        model=", ".join(f"{name} {value}" for name, value in prediction.model.items())
    )
    blocks: list[Flowable] = [
        _paragraph(say["title"], 14, bold=True),
        Spacer(0, 1 * mm),
        _paragraph(say["film"].format(film=source), 8.5),
        _paragraph(f"{made} · {model}", 7.5, FAINT),
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


def _verdict(prediction: Prediction, words: Words) -> list[Flowable]:
    say, colour = words["pdf"], COLOURS[prediction.decision]
    meaning = say["means"][prediction.decision]
    if prediction.film.missing:
        share = f"{100 * prediction.film.missing:.1f} %"
        meaning += " " + words.say("missing", share=share)
    if prediction.scope.in_scope:
        figure = say["probability"].format(probability=percent(prediction.probability))
        note = say["calibrated"].format(prevalence=percent(prediction.calibration.prevalence))
    else:
        figure, note = say["no probability"], told(prediction.scope.reason, words)
    cells = [
        [_paragraph(words.heading(prediction.decision), 15, white, bold=True),
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


def _operating_points(
    prediction: Prediction, metrics: Mapping[str, Any], words: Words
) -> list[Flowable]:
    say = words["pdf"]
    test = metrics.get("test", {}).get("fracatlas", {})
    # The figures are of films that the model knows, at their operating points.
    measured = {} if prediction.unfamiliar else test.get("operating_points", {})
    rows: list[list[str]] = [say["head"] if measured else say["head"][:2]]
    for name in ("rule_out", "rule_in"):
        cells = [say[name], percent(getattr(prediction.calibration, name))]
        if measured:
            cells += [_interval(measured[name][part]) for part in ("sensitivity", "specificity")]
        rows.append(cells)
    parts = (0.2, 0.16, 0.32, 0.32)
    blocks: list[Flowable] = [
        Table(
            [[_paragraph(cell, 8, bold=not index) for cell in row]
             for index, row in enumerate(rows)],
            [WIDTH * part for part in parts[: len(rows[0])]], style=_RULED, hAlign="LEFT",
        ),
    ]  # fmt: skip
    if measured:
        source = say["measured"].format(films=test["films"], fractured=test["fractured"])
        blocks += [Spacer(0, 1 * mm), _paragraph(source, 7.5, FAINT)]
    return [*blocks, Spacer(0, 3 * mm)]


def _interval(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})"


def _notes(
    prediction: Prediction, metrics: Mapping[str, Any], words: Words
) -> list[Flowable]:
    say = words["pdf"]
    blocks: list[Flowable] = []
    if prediction.regions:
        regions = "; ".join(
            say["region"].format(
                number=number, where=where(r, prediction, words), x=f"{r.x:.0f}", y=f"{r.y:.0f}",
                width=f"{r.width:.0f}", height=f"{r.height:.0f}", score=local(r, prediction),
            )
            for number, r in enumerate(prediction.regions, 1)
        )
        blocks += [
            _paragraph(say["regions"].format(regions=regions), 7.5), Spacer(0, 1.5 * mm)
        ]
    if prediction.warnings:
        said = " ".join(told(warning, words) for warning in prediction.warnings)
        warnings = say["file"].format(warnings=said)
        blocks += [_paragraph(warnings, 7.5), Spacer(0, 1.5 * mm)]
    # The page shows all of them; here is room for the first.
    for sentence in part_limitations(prediction, metrics)[:1]:
        weak = f"{words['weak']}. {told(sentence, words)}"
        blocks += [_paragraph(weak, 7.5), Spacer(0, 1.5 * mm)]
    return [*blocks, _paragraph(say["limits"], 7.5), Spacer(0, 4 * mm)]


def _conclusion(typed: str, words: Words) -> list[Flowable]:
    say = words["pdf"]
    titles = [_paragraph(say[t], 7.5, FAINT) for t in ("name", "signature", "date")]
    text = [Spacer(0, 1.5 * mm), _paragraph(typed, 9)] if typed else [Table(
        [[""], [""], [""]], [WIDTH], 9 * mm,
        style=TableStyle([("LINEBELOW", (0, 0), (-1, -1), 0.5, RULE)]),
    )]  # fmt: skip
    signature = Table(
        [["", "", ""], titles], [WIDTH * part for part in (0.36, 0.36, 0.28)], [10 * mm, 5 * mm],
        style=TableStyle([("LINEABOVE", (0, 1), (-1, 1), 0.5, INK)]),
    )  # fmt: skip
    return [_paragraph(say["conclusion"], 10, bold=True), *text, signature]


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


def _draw_pictures(
    canvas: Canvas, prediction: Prediction, top: float, room: float, words: Words
) -> float:
    """Film and overlay side by side, with the regions' boxes; returns the y below them."""
    points = prediction.calibration
    say = words["pdf"]
    pictures = [(prediction.grey, say["original"])]
    if prediction.scope.in_scope:
        caption = say["heatmap"].format(
            low=percent(points.display_threshold), high=percent(points.rule_in)
        )
        if prediction.heat.scale is None:
            caption = say["relative"].format(method=METHODS[prediction.method])
        pictures.append((prediction.overlay(), caption))
    height, width = prediction.grey.shape
    half = (WIDTH - 5 * mm) / 2
    aspect = prediction.film.aspect  # the picture is stretched where pixels are not square
    scale = min(half / width, room / (height * aspect))
    w, h = width * scale, height * aspect * scale
    for column, (pixels, caption) in enumerate(pictures):
        left = MARGIN + column * (half + 5 * mm) + (half - w) / 2
        canvas.drawImage(_jpeg(pixels), left, top - h, w, h)
        if column:
            _draw_boxes(canvas, prediction, left, top, (scale, scale * aspect))
        label = _paragraph(caption, 7.5, FAINT)
        _, label_height = label.wrap(half, A4[1])
        label.drawOn(canvas, MARGIN + column * (half + 5 * mm), top - h - 1 * mm - label_height)
    return top - h - 8 * mm


def _draw_boxes(
    canvas: Canvas, prediction: Prediction, left: float, top: float, scale: tuple[float, float]
) -> None:
    """Numbered boxes of the regions: solid from the rule-in point on, dashed below it.

    ``scale``: points per film pixel, (x, y).
    """
    scale_x, scale_y = scale
    canvas.setLineWidth(0.8)
    canvas.setFont(BOLD, 7)
    for number, region in enumerate(prediction.regions, 1):
        x, y = left + region.x * scale_x, top - (region.y + region.height) * scale_y
        canvas.setStrokeColor(HexColor("#5fd3ff"))
        canvas.setFillColor(HexColor("#5fd3ff"))
        canvas.setDash(*([] if region.score >= prediction.calibration.rule_in else [3, 2]))
        canvas.rect(x, y, region.width * scale_x, region.height * scale_y)
        # Beside the box, or on its other side where the film ends.
        beside = x + region.width * scale_x + 1.5
        if beside + 6 > left + prediction.film.width * scale_x:
            beside = x - 6.5
        canvas.drawString(beside, y + region.height * scale_y - 6, str(number))


def _jpeg(pixels: np.ndarray) -> ImageReader:
    factor = PICTURE_PIXELS / max(pixels.shape[:2])
    if factor < 1:
        size = tuple(max(1, round(side * factor)) for side in pixels.shape[1::-1])
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return ImageReader(io.BytesIO(data.tobytes()))
