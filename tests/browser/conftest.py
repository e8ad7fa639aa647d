"""The page that needs no server: built once, served and open in Chromium for each module."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.browser_page import open_page, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def built_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that ``browser.build`` writes for the shipped weights."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("no Node.js or npm (Debian: apt-get install nodejs npm)")
    from browser.build import build
    from detector.model.hub import resolve_weights
    from detector.model.weights import read_weights

    folder = tmp_path_factory.mktemp("browser") / "page"
    build(folder, read_weights(resolve_weights(None)))
    return folder


@pytest.fixture(scope="module")
def site(built_page: Path) -> Iterator[str]:
    with served(built_page) as address:
        yield address


@pytest.fixture(scope="module")
def opened(chromium: Browser, site: str) -> Iterator[Page]:
    """The page, ready for a film."""
    page = open_page(chromium, site)
    yield page
    page.close()


@pytest.fixture(scope="session")
def axe(built_page: Path) -> str:
    """axe-core's script, from the packages of the build."""
    from browser.build import PACKAGES

    return (PACKAGES / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
