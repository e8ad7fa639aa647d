"""What the tests share: where the real films lie, the shipped model, a browser.

Tests that need real films, a browser or another program are marked ``films``, ``browser``,
``dicom`` or ``proxy``, most by the fixture they use, and skip with the reason where these are
absent. ``FRACTURE_REQUIRE=films,browser`` turns such a skip into a failure: a machine that should
have them (continuous integration) cannot pass without them.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from detector import FractureDetector

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = frozenset(filter(None, os.environ.get("FRACTURE_REQUIRE", "").split(",")))
MARKER_OF_FIXTURE = {
    "films_root": "films", "chromium": "browser", "nginx_installed": "proxy",
    "dciodvfy": "dicom", "dcm2pnm": "dicom", "dcmp2pgm": "dicom", "dsrdump": "dicom",
    "orthanc": "dicom",
    "built_page": "node",
}


def pytest_configure(config: pytest.Config) -> None:
    unknown = REQUIRED - set(MARKER_OF_FIXTURE.values())
    if unknown:
        raise pytest.UsageError(f"FRACTURE_REQUIRE names no known marker: {', '.join(unknown)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture, marker in MARKER_OF_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)


_EXIT_STATUS = pytest.StashKey[int]()
_SS_DISABLE = 2  # of <signal.h>, on Linux


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_EXIT_STATUS] = int(exitstatus)


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave with pytest's own status, before anything is taken down.

    After a run of all files together (no file alone does it) a process that waited here for a child
    to end got a segmentation fault, with every test passed. The core shows its main thread asleep
    in that wait, so it looks like a signal that could not be delivered. Nothing is tested there.
    """
    if _EXIT_STATUS in config.stash:
        config.get_terminal_writer().flush()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[_EXIT_STATUS])


class _SignalStack(ctypes.Structure):
    """``stack_t`` of sigaltstack(2)."""

    _fields_ = [("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


def pytest_runtest_setup() -> None:
    """Let signals be handled on the ordinary stack.

    Libraries that run in this process (Ray's among them) set an alternate stack for signals and
    take its memory away later. Python's handlers use it, PyTorch's loader sets one for SIGCHLD, and
    the kernel ends a process whose signal it cannot deliver: a segmentation fault without a word,
    in whichever test next waits for a child.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).sigaltstack(ctypes.byref(_SignalStack(None, _SS_DISABLE, 0)), None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo
) -> Iterator[pytest.TestReport]:
    report = yield
    required = [name for name in sorted(REQUIRED) if item.get_closest_marker(name)]
    if report.skipped and required and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"FRACTURE_REQUIRE={required[0]}, but the test was skipped. {reason}"
    return report


@pytest.fixture(scope="session")
def films_root() -> Path:
    """The folder with the real films, read in place: ``FRACTURE_DATA``, or ``../shared/data``."""
    root = Path(os.environ.get("FRACTURE_DATA") or ROOT.parent / "shared" / "data")
    if not root.is_dir():
        pytest.skip(f"no real films at {root} (set FRACTURE_DATA to their folder)")
    return root.resolve()


@pytest.fixture(scope="session")
def fracatlas(films_root: Path) -> Path:
    """The FracAtlas folder with ``manifest.csv``."""
    folder = films_root / "fracatlas"
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"no FracAtlas with a manifest.csv in {films_root}")
    return folder


@pytest.fixture(scope="session")
def detector() -> FractureDetector:
    """The shipped model, loaded once for all tests; whoever changes it makes an own one."""
    from detector import FractureDetector

    return FractureDetector.from_pretrained()


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder of a small random network: quick, and right about nothing."""
    from detector.model.weights import write_weights
    from tests.support.tiny import tiny_model

    folder, model = tmp_path_factory.mktemp("tiny") / "weights", tiny_model()
    write_weights(folder, model.network, model.ood, model.config)
    return folder


@pytest.fixture(scope="session")
def nginx_installed() -> None:
    if not shutil.which("nginx") and not Path("/usr/sbin/nginx").exists():
        pytest.skip("no nginx (Debian: apt-get install nginx-light)")


# One browser per test module, not per session: while Playwright's synchronous face is open it keeps
# an event loop running in this thread, and ``asyncio.run`` in any other test would fail.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's chromium, headless, driven by Playwright; it makes no calls of its own."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if path is None:
        pytest.skip("no chromium on the PATH (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()
