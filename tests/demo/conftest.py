"""The page in a window of its own, and films for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from detector import FractureDetector
from tests.support.page_browser import WAIT
from tests.support.page_server import page_address, phantom_films


@pytest.fixture(scope="session")
def films(detector: FractureDetector, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    found = phantom_films(detector, tmp_path_factory.mktemp("films"), 3)
    assert len(found) == 3, "the model takes too few phantoms for films"
    return found


@pytest.fixture
def page(chromium) -> Iterator:
    """The page in a window of its own; afterwards: no error in it, nothing asked of elsewhere."""
    address = page_address()
    window = chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    window.set_default_timeout(WAIT)
    asked, errors = [], []
    window.on("request", lambda request: asked.append(request.url))
    tab = window.new_page()
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(address)
    tab.wait_for_selector("#drop input[type=file]", state="attached")
    yield tab
    window.close()
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    assert not errors
