"""What the tests of the page in a browser share: a film dropped, its verdict, a look at it."""

from __future__ import annotations

from pathlib import Path

from detector.report.words import ENGLISH

WAIT = 90_000  # milliseconds; the machine may be busy


def drop(page, file: Path | dict) -> None:
    page.locator("#drop input[type=file]").set_input_files(file)


def verdict(page) -> str:
    return page.locator("#headline .fd-verdict h2").inner_text()


def heading(prediction) -> str:
    return ENGLISH.heading(prediction.decision)


def settle(page) -> None:
    page.evaluate("() => new Promise((r) => requestAnimationFrame(() => setTimeout(r, 120)))")


def open_report(page) -> None:
    """Open the report's form as a person does who has seen the film. A program is faster: it can
    type in the moment in which the fields of a new film are still being put up and emptied."""
    page.wait_for_function("() => document.querySelector('.fv').dataset.heat === 'true'")
    page.get_by_role("button", name="Report (PDF, one page)").click()
    page.get_by_label("Clinical question").wait_for()
    for _ in range(5):
        settle(page)
