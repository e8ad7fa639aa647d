"""The static Space: what is in it, that it runs, and that the page with a server links to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from demo import about, publish
from tests.support.browser_page import open_page, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def space(built_page: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "space"
    assert publish.main(
        ["--static", "--space", "user/name", "--dry-run", "--out", str(folder)]
    ) == 0  # fmt: skip
    return folder


def test_it_is_a_static_space_that_reads_films(space: Path, chromium: Browser):
    _, front, body = (space / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["sdk"] == "static" and facts["license"] == "apache-2.0"
    assert len(facts["short_description"]) <= 60
    assert facts["custom_headers"] == {
        "cross-origin-embedder-policy": "require-corp",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "cross-origin",
    }
    assert "not a medical device" in body
    # The Hub keeps larger files in a store of another address.
    assert all(p.stat().st_size < 10_000_000 for p in space.rglob("*") if p.is_file())
    with served(space) as address:
        page = open_page(chromium, address)
        page.click("#examples button >> nth=0")
        page.wait_for_selector("#verdict .fd-verdict")
        page.close()


def test_a_folder_that_is_not_empty_is_refused(built_page: Path, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        publish.main(["--static", "--space", "user/name", "--out", str(built_page)])
    assert "is not empty" in capsys.readouterr().err


def test_the_page_with_a_server_links_to_it(monkeypatch: pytest.MonkeyPatch):
    assert about.page_without_server() == ""
    monkeypatch.setenv("FRACTURE_BROWSER_PAGE", "https://user-name.static.hf.space")
    assert 'href="https://user-name.static.hf.space"' in about.page_without_server()
    monkeypatch.setenv("FRACTURE_BROWSER_PAGE", "javascript:alert(1)")
    assert about.page_without_server() == ""
