"""The reader's own verdicts: opt-in, kept in the browser alone, saved without picture or name."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path

import pytest

from demo.reading import Reading
from detector.report.words import words_in
from tests.demo.test_pieces import SOURCE, reading_of
from tests.support.page_browser import drop, settle

KEPT = "() => Object.entries(localStorage).filter(([key]) => key.startsWith('fd-verdict '))"


def opened(page, film: Path) -> None:
    drop(page, film)
    page.locator("#verdicts summary").click()
    settle(page)


def saved(page, name: str) -> str:
    with page.expect_download() as download:
        page.locator("#verdicts").get_by_role("button", name=name).click()
    return Path(download.value.path()).read_bytes().decode("utf-8-sig")


def test_the_message_names_each_finding_and_no_file():
    message = Reading(reading_of(), SOURCE).findings(words_in("de"))
    findings = json.loads(message)["findings"]
    assert [finding["finding"] for finding in findings] == ["film", "region 1"]
    assert findings[0]["said"] == "Gesamtes Bild: Fraktur wahrscheinlich"
    assert findings[1]["x"] == 10 and SOURCE.name not in message
    assert Reading(reading_of(), SOURCE, revealed=False).findings() == ""


def test_nothing_is_kept_before_the_reader_asks_for_it(page, films):
    opened(page, films[0])
    assert page.locator("#verdicts fieldset").count() == 0
    assert page.evaluate(KEPT) == []
    assert page.locator("#verdicts").get_by_role("button", name="Save CSV").is_disabled()


def test_verdicts_are_kept_by_digest_restored_saved_and_deleted(page, films, detector):
    film = films[0]
    prediction, sha256 = detector.predict(film), hashlib.sha256(film.read_bytes()).hexdigest()
    if not prediction.regions:
        pytest.fail("the phantom has no region to agree with")
    opened(page, film)
    page.get_by_label("Keep my verdicts in this browser").check()
    fields = page.locator("#verdicts fieldset")
    assert fields.count() == 1 + len(prediction.regions)
    fields.nth(0).get_by_label("Disagree").check()
    fields.nth(1).get_by_label("Amend").check()
    fields.nth(1).get_by_role("textbox").fill('=growth plate, "open"')
    [[key, value]] = page.evaluate(KEPT)
    assert key == f"fd-verdict {sha256}"
    assert film.name not in value and "data:" not in value

    rows = list(csv.DictReader(io.StringIO(saved(page, "Save CSV"))))
    assert [(row["finding"], row["verdict"]) for row in rows] == [
        ("film", "disagree"), ("region 1", "amend")
    ]
    assert rows[1]["amended"] == "'=growth plate, \"open\""
    assert {row["sha256"] for row in rows} == {sha256}
    assert rows[0]["decision"] == prediction.decision
    [entry] = json.loads(saved(page, "Save JSON"))
    assert entry["findings"][1]["amended"] == '=growth plate, "open"'
    assert entry["findings"][1]["x"] == prediction.to_dict()["regions"][0]["x"]

    page.reload()
    page.wait_for_selector("#drop input[type=file]", state="attached")
    opened(page, film)
    assert fields.nth(0).get_by_label("Disagree").is_checked()
    assert fields.nth(1).get_by_role("textbox").input_value() == '=growth plate, "open"'
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#verdicts").get_by_role("button", name="Delete all").click()
    assert page.evaluate(KEPT) == []
    assert not fields.nth(0).get_by_label("Disagree").is_checked()
