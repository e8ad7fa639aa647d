"""A worklist: up to 500 films read one after another and sorted by urgency.

Of each film only its row and a thumbnail are kept, so a long list costs little memory.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from demo import cards
from demo.download import download, saver
from demo.film import BROKEN, HOUR, QUICK, logger
from demo.theme import html
from demo.view import picture
from detector import FractureDetector, Prediction, RadiographError
from detector.model.calibration import Decision
from detector.report.results import COLUMNS, percent, record, row

MAX_FILMS = 500
UNREAD = "not read"
# Most urgent first. A file that was not read waits for a person just as an uncertain film does.
URGENCY = (
    Decision.FRACTURE_LIKELY,
    Decision.UNCERTAIN,
    UNREAD,
    Decision.OUT_OF_SCOPE,
    Decision.NO_FRACTURE_SEEN,
)


@dataclass(frozen=True)
class Row:
    """One film of the list: its JSON record, and a thumbnail as a `data:` address."""

    entry: dict[str, Any]
    thumbnail: str = ""

    @property
    def decision(self) -> str:
        return self.entry.get("decision", UNREAD)

    @property
    def urgency(self) -> tuple[int, float, str]:
        return (
            URGENCY.index(self.decision), -self.entry.get("probability", 0.0), self.entry["file"]
        )


def make_row(name: str, result: Prediction | RadiographError) -> Row:
    """The row of one film."""
    if isinstance(result, RadiographError):
        return Row(record(name, result))
    shown = result.decision != Decision.OUT_OF_SCOPE
    return Row(record(name, result), picture(result, 116, with_heat=shown))


def sorted_rows(rows: Sequence[Row]) -> list[Row]:
    """Most urgent first: by decision, then by probability, then by name."""
    return sorted(rows, key=lambda row: row.urgency)


def table(rows: Sequence[Row]) -> str:
    """The list as an HTML table, most urgent first."""
    body = "".join(_table_row(number, row) for number, row in enumerate(sorted_rows(rows), 1))
    return (
        '<div class="fd-scroll" tabindex="0" role="region" aria-label="Worklist"><table '
        'class="fd-table"><thead><tr><th scope="col">#</th><th scope="col">Film</th>'
        '<th scope="col">Verdict</th><th scope="col" class="num">Probability</th>'
        '<th scope="col" class="wide">Note</th><th scope="col">File</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _table_row(number: int, row: Row) -> str:
    entry, name = row.entry, escape(row.entry["file"])
    if row.decision == UNREAD:
        verdict, chance, note = "<strong>Not read</strong>", "", entry["error"]["message"]
    else:
        verdict = cards.tag(row.decision)
        shown = row.decision != Decision.OUT_OF_SCOPE
        chance = percent(entry["probability"]) if shown else ""
        note = entry["scope"]["reason"] or " ".join(entry["warnings"])
        if not note and entry["regions"]:
            note = f"strongest place {percent(entry['regions'][0]['score'])}"
    thumbnail = f'<img src="{row.thumbnail}" alt="">' if row.thumbnail else ""
    return (
        f'<tr data-decision="{escape(row.decision)}"><td class="num">{number}</td><td>{thumbnail}'
        f'</td><td>{verdict}</td><td class="num">{escape(chance)}</td><td class="wide">'
        f"{escape(note)}</td><td>{name}</td></tr>"
    )


def to_csv(rows: Sequence[Row]) -> bytes:
    """The list, most urgent first; a cell that a spreadsheet would run as a formula is quoted."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for item in sorted_rows(rows):
        writer.writerow({key: _harmless(value) for key, value in row(item.entry).items()})
    return text.getvalue().encode("utf-8-sig")


def _harmless(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value


def to_json(rows: Sequence[Row]) -> bytes:
    """The list, most urgent first, as JSON."""
    return json.dumps([row.entry for row in sorted_rows(rows)], indent=1).encode()


class WorklistTab:
    """The tab's components and what they do."""

    def __init__(self, detector: FractureDetector) -> None:
        self.detector = detector
        self.rows = gr.State(None, time_to_live=HOUR)
        html(
            f'<p class="fd-hint">A folder\'s worth of films, up to {MAX_FILMS}, sorted by urgency: '
            "fracture likely, uncertain, not read, out of scope, no fracture seen. A low place on "
            "the list is no all-clear: every film still needs a reader.</p>"
        )
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                self.drop = gr.File(
                    label=f"Films, up to {MAX_FILMS}", file_count="multiple", height=118,
                    elem_id="worklist-drop",
                )  # fmt: skip
            with gr.Column(scale=1, min_width=180):
                self.folder = gr.UploadButton("Choose a folder", file_count="directory")
                self.cancel = gr.Button("Cancel", interactive=False, elem_id="worklist-cancel")
                self.csv = gr.Button("Save CSV", interactive=False, elem_id="worklist-csv")
                self.json = gr.Button("Save JSON", interactive=False, elem_id="worklist-json")
        self.bar = html(elem_id="worklist-progress")
        self.list = html(elem_id="worklist-table")
        self.saver = saver()
        buttons = [self.cancel, self.csv, self.json]
        outputs = [self.rows, self.bar, self.list, self.drop, *buttons]
        # A list of its own group: it never takes a single film's place.
        on = {
            "concurrency_id": "worklist", "concurrency_limit": 1, "api_visibility": "private",
            "show_progress": "hidden",
        }
        runs = [
            source.upload(self.read, source, outputs, **on) for source in (self.drop, self.folder)
        ]
        self.cancel.click(self.stopped, self.rows, outputs, cancels=runs, **QUICK)
        for button, name, mime, write in (
            (self.csv, "worklist.csv", "text/csv", to_csv),
            (self.json, "worklist.json", "application/json", to_json),
        ):
            def save(
                rows: list[Row] | None, name: str = name, mime: str = mime, write: Any = write
            ) -> str:
                return download(name, mime, write(rows or []))

            button.click(save, self.rows, self.saver, **QUICK)

    def read(self, files: Sequence[str] | None) -> Iterator[tuple[Any, ...]]:
        """Read film after film, saying how far it is."""
        if not files:
            return
        if len(files) > MAX_FILMS:
            sentence = f"These are {len(files)} files; a list takes at most {MAX_FILMS}."
            yield self._state([], cards.error_card(sentence, "Too many films"), "", done=True)
            return
        rows: list[Row] = []
        yield self._state(rows, cards.progress(0, len(files), f"0 of {len(files)} films"), "")
        paths = [Path(file) for file in files]
        said = shown = time.monotonic()
        try:
            for path, result in zip(paths, self.detector.predict_batch(paths), strict=True):
                rows.append(make_row(path.name, result))
                now = time.monotonic()
                if now - said > 0.3:
                    said = now
                    words = f"{len(rows)} of {len(files)} films"
                    fresh = now - shown > 3  # the whole table is long: it is sent less often
                    shown = now if fresh else shown
                    bar = cards.progress(len(rows), len(files), words)
                    yield self._state(rows, bar, table(rows) if fresh else gr.skip())
        except Exception as error:
            logger.error("a worklist could not be read: %s", type(error).__name__)
            yield self._state(rows, cards.error_card(BROKEN), table(rows), done=True)
            return
        yield self._state(rows, summary(rows), table(rows), done=True)

    def stopped(self, rows: list[Row] | None) -> tuple[Any, ...]:
        """After a cancel: what was read so far stays."""
        rows = list(rows or [])
        words = f"Cancelled after {len(rows)} films; these are kept below."
        return self._state(rows, f'<p class="fd-hint" role="status">{words}</p>', table(rows), True)

    def _state(
        self, rows: list[Row], bar: str, table: Any, done: bool = False
    ) -> tuple[Any, ...]:
        can_save = gr.update(interactive=done and bool(rows))
        return rows, bar, table, None, gr.update(interactive=not done), can_save, can_save


def summary(rows: Sequence[Row]) -> str:
    """How many films got which verdict, in a sentence."""
    counts = [(sum(row.decision == name for row in rows), name) for name in URGENCY]
    words = ", ".join(f"{count} {name}" for count, name in counts if count)
    return f'<p class="fd-hint" role="status">{len(rows)} films: {words}.</p>'
