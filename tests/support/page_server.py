"""The real page with the shipped model, started as a user starts it, for the tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from detector import FractureDetector
from detector.model.calibration import Decision
from detector.phantom import random_phantom

ROOT = Path(__file__).resolve().parents[2]
# Linux stops the page when the tests' process is gone, however that ended.
WITH_THE_TESTS = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
START = 240  # seconds; a busy machine takes long to import torch


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.bind((host, 0))
        return listener.getsockname()[1]


def start(
    *arguments: str, environment: dict[str, str] | None = None, host: str = "127.0.0.1",
    without: tuple[str, ...] = (), user: int | None = None,
) -> tuple[subprocess.Popen, str]:  # fmt: skip
    """Start `python -m demo` and wait until it answers; returns the process and its address.

    `without`: names that its environment lacks. `user`: a number that it sees as its own, which no
    list of users holds; where the system lets nobody do that, it stays this user.
    """
    port = free_port(host)
    log = tempfile.TemporaryFile("w+")
    kept = {name: value for name, value in os.environ.items() if name not in without}
    as_user = ["unshare", "--user", f"--map-user={user}", f"--map-group={user}"]
    if user is None or subprocess.run([*as_user, "true"], capture_output=True).returncode:
        as_user = []
    process = subprocess.Popen(
        [*WITH_THE_TESTS, *as_user, sys.executable, "-m", "demo", "--host", host,
         "--port", str(port), *arguments],
        cwd=ROOT, env=kept | (environment or {}), stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    process.log = log  # as long as the process
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    until = time.monotonic() + START
    ask = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            ask.open(address + "/", timeout=5).close()
            return process, address
        except urllib.error.HTTPError:
            return process, address
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                log.seek(0)
                raise AssertionError(f"the page did not start: {log.read()[-3000:]}") from None
            time.sleep(0.3)


@cache
def page_address() -> str:
    """The address of one page that all tests share; it ends with the tests' process."""
    return start()[1]


def stop(process: subprocess.Popen) -> None:
    """Stop a page, cleanly if it can, so that it takes its temporary folder with it."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
    process.log.close()


def save_film(pixels: np.ndarray, file: Path) -> Path:
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(file)
    return file


def phantom_films(detector: FractureDetector, folder: Path, count: int) -> list[Path]:
    """Phantoms that the model takes for films, those with the hottest maps first."""
    found = []
    for seed in range(40):
        phantom = random_phantom(seed, fractured=True)
        file = save_film(phantom.pixels, folder / f"film_{seed}.png")
        prediction = detector.predict(file)
        if prediction.decision != Decision.OUT_OF_SCOPE and prediction.regions:
            found.append((-float(prediction.heatmap.max()), str(file)))
        if len(found) >= 2 * count:
            break
    return [Path(name) for _, name in sorted(found)[:count]]
