"""The study in Chromium: its views side by side, linked, and there again after one was opened."""

from __future__ import annotations

from tests.support.page_browser import settle

PANES = "#study-panes .fd-pane"


def read_study(page, films) -> None:
    page.get_by_role("tab", name="Study").click()
    page.locator("#study-drop input[type=file]").set_input_files(films)
    page.wait_for_selector("#study-result .fd-view")


def put_beside(page, count: int) -> None:
    for index in range(count):
        page.locator(f'[data-beside="{index}"]').click()
        page.wait_for_selector(f'{PANES}[data-of="{index}"] .fv[data-empty="false"]')
    settle(page)


def zooms(page) -> list[str]:
    """What stands on each film: its zoom, in percent of the screen."""
    settle(page)
    return [hud.split()[0] for hud in page.locator(f"{PANES} .fv-hud").all_inner_texts()]


def drag(page, pane, button: str, dx: float, dy: float) -> None:
    pane.scroll_into_view_if_needed()
    box = pane.locator(".fv-canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button=button)
    page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up(button=button)


def picture(page, index: int) -> bytes:
    settle(page)
    return page.locator(f"{PANES} .fv-canvas").nth(index).screenshot()


def test_views_stand_side_by_side_each_with_its_verdict_and_stay_when_one_is_opened(page, films):
    read_study(page, films[:2])
    put_beside(page, 2)
    panes, cards = page.locator(PANES), page.locator("#study-result .fd-view")
    tops = [panes.nth(index).bounding_box()["y"] for index in range(2)]
    assert tops[0] == tops[1]
    for index in range(2):
        for part in ("h3", ".fd-tag", "b"):
            card = cards.nth(index).locator(part).first.inner_text()
            assert panes.nth(index).locator(part).first.inner_text() == card
    drag(page, panes.nth(1), "right", 0, -80)
    before, film = zooms(page), picture(page, 1)
    assert before[0] != before[1]  # not linked
    page.locator('[data-view="0"]').click()
    page.wait_for_selector("#headline .fd-verdict")
    page.get_by_role("tab", name="Study").click()
    assert cards.count() == 2
    assert zooms(page) == before and picture(page, 1) == film
    panes.nth(0).get_by_role("button", name="Close").click()
    assert panes.count() == 1
    page.locator("#study-drop input[type=file]").set_input_files(films[1:3])
    page.wait_for_selector("#study-panes .fd-beside", state="hidden")  # another study


def test_linked_viewers_zoom_and_move_together(page, films):
    read_study(page, films[:2])
    put_beside(page, 2)
    panes = page.locator(PANES)
    fitted = zooms(page)
    page.get_by_label("Link zoom and pan").check()
    drag(page, panes.nth(0), "right", 0, -80)
    zoomed = [int(now) / int(was) for now, was in zip(zooms(page), fitted, strict=True)]
    assert zoomed[0] > 1.2 and abs(zoomed[0] - zoomed[1]) < 0.1
    still = picture(page, 0)
    drag(page, panes.nth(1), "middle", 40, 30)
    assert picture(page, 0) != still
    page.get_by_label("Link zoom and pan").uncheck()
    moved = picture(page, 0)
    panes.nth(1).get_by_role("button", name="Fit").click()
    assert zooms(page)[1] == fitted[1] and picture(page, 0) == moved
