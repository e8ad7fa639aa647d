"""A worklist: up to 500 films read one after another and sorted by urgency.

Of each film only its row and a thumbnail are kept, so a long list costs little memory.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from demo import cards
from demo.download import download, saver
from demo.film import HOUR, MODEL, QUICK, FilmTab, logger
from demo.language import t, tag
from demo.latest_only import Answer, LatestOnly
from demo.source import distinct_names
from demo.theme import asset, html
from demo.view import picture
from detector import Prediction, RadiographError
from detector.model.calibration import Decision
from detector.report.results import COLUMNS, percent, record, row
from detector.report.told import told
from detector.report.words import ENGLISH, Words, words_in

MAX_FILMS = 500
THUMBNAIL = 240  # longest side, pixels
UNREAD = "not read"
# Most urgent first. A file that was not read waits for a person just as an uncertain film does.
URGENCY = (
    Decision.FRACTURE_LIKELY, Decision.UNCERTAIN, UNREAD, Decision.OUT_OF_SCOPE,
    Decision.NO_FRACTURE_SEEN,
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One film of the list: its JSON record, a thumbnail as a `data:` address, its upload.

    ``missing``: HTML that says so where part of the film is missing.
    """

    entry: dict[str, Any]
    thumbnail: str = ""
    file: str = ""
    missing: str = ""

    @property
    def decision(self) -> str:
        return self.entry.get("decision", UNREAD)

    @property
    def urgency(self) -> tuple[int, float, str]:
        return (
            URGENCY.index(self.decision), -self.entry.get("probability", 0.0), self.entry["file"]
        )


def make_row(
    name: str, result: Prediction | RadiographError, file: str = "", words: Words = ENGLISH
) -> Row:
    """The row of one film."""
    if isinstance(result, RadiographError):
        return Row(record(name, result), file=file)
    shown = result.decision != Decision.OUT_OF_SCOPE
    thumbnail = picture(result, THUMBNAIL, with_heat=shown)
    return Row(record(name, result), thumbnail, file, cards.missing_note(result, words))


def sorted_rows(rows: Sequence[Row]) -> list[Row]:
    """Most urgent first: by decision, then by probability, then by name."""
    return sorted(rows, key=lambda row: row.urgency)


def table(rows: Sequence[Row], words: Words = ENGLISH) -> str:
    """The list as an HTML table, most urgent first; `worklist.js` sorts and filters it."""
    body = "".join(
        _table_row(number, row, words) for number, row in enumerate(sorted_rows(rows), 1)
    )
    number, film, verdict, chance, note, file = map(escape, words["columns"])
    heads = (
        (number, "num"), (film, ""), (verdict, ""), (chance, "num"), (note, "wide"), (file, "")
    )
    head = "".join(
        f'<th scope="col" class="{kind}"{"" if name == film else " aria-sort=none"}>'
        + (name if name == film else f'<button type="button" data-sort="{index}">{name}</button>')
        + "</th>"
        for index, (name, kind) in enumerate(heads)
    )
    listed = [decision for decision in URGENCY if any(row.decision == decision for row in rows)]
    choices = "".join(
        f'<option value="{escape(decision)}">{escape(_heading(decision, words))}</option>'
        for decision in listed
    )
    return (
        f'<label class="fd-filter">{verdict} <select data-filter><option value=""></option>'
        f'{choices}</select></label><div class="fd-scroll" tabindex="0" role="region" '
        f'aria-label="{escape(words["worklist"])}"><table class="fd-table"><thead><tr>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
    )


def _heading(decision: str, words: Words) -> str:
    return words["unread"] if decision == UNREAD else words.heading(decision)


def _table_row(number: int, row: Row, words: Words) -> str:
    entry, name = row.entry, escape(row.entry["file"])
    chance = ""
    if row.decision == UNREAD:
        verdict = f'<strong>{escape(words["unread"])}</strong>'
        error = entry["error"]
        note = error["message"] if words.code == "en" else words["errors"][error["kind"]]
    else:
        verdict = cards.tag(row.decision, words)
        if row.decision != Decision.OUT_OF_SCOPE:
            points = entry["operating_points"]
            chance = cards.told_apart(
                entry["probability"], points["rule_out"], points["rule_in"]
            )
        said = [entry["scope"]["reason"]] if entry["scope"]["reason"] else entry["warnings"]
        note = " ".join(told(sentence, words) for sentence in said)
        if not note and entry["regions"]:
            score = min(entry["regions"][0]["score"], entry["probability"])
            note = words.say("strongest", score=percent(score))
    image = f'<img src="{row.thumbnail}" alt="">' if row.thumbnail else ""
    opens = (
        f'<button type="button" class="fd-open" data-row="{number - 1}" data-name="{name}" '
        f'aria-label="{escape(words["open view"])}: {name}">{image}</button>' if image else ""
    )  # fmt: skip
    return (
        f'<tr data-decision="{escape(row.decision)}"><td class="num">{number}</td><td>{opens}'
        f'</td><td data-key="{URGENCY.index(row.decision)}">{verdict}{row.missing}</td>'
        f'<td class="num" data-key="{entry.get("probability", -1)}">{escape(chance)}</td>'
        f'<td class="wide">{escape(note)}</td><td translate="no" dir="auto">{name}</td></tr>'
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

    def __init__(self, film: FilmTab, tabs: gr.Tabs, film_tab: str) -> None:
        self.film, self.tabs, self.film_tab = film, tabs, film_tab
        self.rows = gr.State(None, time_to_live=HOUR)
        html(tag("p", "worklist info", class_="fd-hint"), js_on_load="fd.translate(element);")
        with gr.Row():
            with gr.Column(scale=4, min_width=280):
                self.drop = gr.File(
                    label=t("worklist drop"), file_count="multiple", height=118,
                    elem_id="worklist-drop",
                )  # fmt: skip
            with gr.Column(scale=1, min_width=180):
                self.folder = gr.UploadButton(t("folder"), file_count="directory")
                self.cancel = gr.Button(t("cancel"), interactive=False, elem_id="worklist-cancel")
                self.csv = gr.Button(t("save csv"), interactive=False, elem_id="worklist-csv")
                self.json = gr.Button(t("save json"), interactive=False, elem_id="worklist-json")
        self.bar = html(elem_id="worklist-progress")
        self.list = html(elem_id="worklist-table", js_on_load=asset("worklist.js"))
        self.saver = saver()
        buttons = [self.cancel, self.csv, self.json]
        outputs = [self.rows, self.bar, self.list, self.drop, *buttons]
        # A list of its own group: it never takes a single film's place.
        on = {
            "concurrency_id": "worklist", "concurrency_limit": 1, "api_visibility": "private",
            "show_progress": "hidden",
        }
        runs = [
            source.upload(self.read, [source, film.language], outputs, **on)
            for source in (self.drop, self.folder)
        ]
        self.cancel.click(
            self.stopped, [self.rows, film.language], outputs, cancels=runs, **QUICK
        )
        self.list.pick(
            self.open, [film.latest, self.rows, film.before, film.language],
            [tabs, *film.shown], show_progress="hidden", trigger_mode="multiple", **MODEL,
        )  # fmt: skip
        for button, name, mime, write in (
            (self.csv, "worklist.csv", "text/csv", to_csv),
            (self.json, "worklist.json", "application/json", to_json),
        ):
            def save(
                rows: list[Row] | None, name: str = name, mime: str = mime, write: Any = write
            ) -> str:
                return download(name, mime, write(rows or []))

            button.click(save, self.rows, self.saver, **QUICK)

    def read(self, files: Sequence[str] | None, language: str) -> Iterator[Answer]:
        """Read film after film, saying how far it is."""
        words = words_in(language)
        if not files:
            return
        if len(files) > MAX_FILMS:
            sentence = words.say("too many films", count=len(files), most=MAX_FILMS)
            yield self._state([], cards.error_card(sentence, "", words), "", done=True)
            return
        rows: list[Row] = []
        names = distinct_names(files)

        def make(number: int, read: Prediction) -> Row:
            return make_row(names[number], read, files[number], words)

        def bar() -> str:
            said = words.say("films of", done=len(rows), total=len(files))
            return cards.progress(len(rows), len(files), said, words)

        yield self._state(rows, bar(), "")
        said = shown = time.monotonic()
        try:
            results = self.film.reader.each(files, make)
            for file, name, result in zip(files, names, results, strict=True):
                unread = isinstance(result, RadiographError)
                rows.append(make_row(name, result, file, words) if unread else result)
                now = time.monotonic()
                if now - said > 0.3:
                    said = now
                    fresh = now - shown > 3  # the whole table is long: it is sent less often
                    shown = now if fresh else shown
                    yield self._state(rows, bar(), table(rows, words) if fresh else None)
        except Exception as error:
            logger.error("a worklist could not be read: %s", type(error).__name__)
            broken = cards.error_card(words["broken"], None, words)
            yield self._state(rows, broken, table(rows, words), done=True)
            return
        yield self._state(rows, summary(rows, words), table(rows, words), done=True)

    def stopped(self, rows: list[Row] | None, language: str) -> Answer:
        """After a cancel: what was read so far stays."""
        rows, words = list(rows or []), words_in(language)
        said = escape(words.say("cancelled", count=len(rows)))
        bar = f'<p class="fd-hint" role="status">{said}</p>'
        return self._state(rows, bar, table(rows, words), done=True)

    def open(
        self, latest: LatestOnly, rows: list[Row] | None, before: float, language: str,
        event: gr.EventData,
    ) -> Iterator[Answer]:  # fmt: skip
        """Show one film of the list in the film tab: it is read again, the list keeps no film."""
        words, index = words_in(language), int(event.index)

        def film() -> tuple[Answer, Callable[[], Answer]]:
            listed = sorted_rows(rows or [])
            if not 0 <= index < len(listed) or not Path(listed[index].file).is_file():
                gone = cards.error_card(words["gone"], None, words)
                return self.film.refuse(gone, f"row:{index}")
            row = listed[index]
            return self.film.read(
                row.file, False, before, words, name=row.entry["file"], asked_as=f"row:{index}"
            )

        for answer in latest.ask(film):
            opened = self.film.headline in answer
            yield {self.tabs: gr.Tabs(selected=self.film_tab), **answer} if opened else answer

    def _state(
        self, rows: list[Row], bar: str, table: str | None, done: bool = False
    ) -> Answer:
        can_save = gr.update(interactive=done and bool(rows))
        answer = {
            self.rows: rows, self.bar: bar, self.drop: None, self.csv: can_save,
            self.json: can_save, self.cancel: gr.update(interactive=not done),
        }  # fmt: skip
        return answer if table is None else {**answer, self.list: table}


def summary(rows: Sequence[Row], words: Words = ENGLISH) -> str:
    """How many films got which verdict, in a sentence."""
    counts = [(sum(row.decision == name for row in rows), name) for name in URGENCY]
    verdicts = ", ".join(
        f"{count} {_heading(name, words).lower()}" for count, name in counts if count
    )
    said = words.say("summary", count=len(rows), verdicts=verdicts)
    return f'<p class="fd-hint" role="status">{escape(said)}</p>'
