"""The examples in README.md and docs/ are run as they stand there, in the order of each page.

A block marked `<!-- server -->` is run against a page of its own, in place of port 7860; one marked
`<!-- not run: reason -->` is not, but the options in it must exist.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest

import main
from detector import FractureDetector
from detector.cli import main as cli
from detector.model.calibration import Decision
from detector.phantom import random_phantom

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ADDRESS = "http://127.0.0.1:7860"
FENCED = re.compile(r"(?:<!-- ((?:server|not run)\b.*?) -->\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    mark: str
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start(3)), found[1] or "", found[2], found[3])
        for found in FENCED.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def having(mark: str, *languages: str) -> pytest.MarkDecorator:
    chosen = [
        block for block in BLOCKS
        if block.language in languages and block.mark.partition(":")[0] == mark
    ]  # fmt: skip
    assert chosen, f"no block in {languages} marked {mark!r}"
    return pytest.mark.parametrize("block", chosen, ids=str)


@pytest.fixture(scope="session")
def workspaces(tmp_path_factory) -> dict[Path, Path]:
    """Per page a folder with film.jpg, bad.jpg and films/, as its examples assume."""
    films = tmp_path_factory.mktemp("films")
    for seed in range(3):
        pixels = random_phantom(seed, size=(320, 256)).pixels
        cv2.imwrite(str(films / f"{seed}.png"), (pixels * 255).astype(np.uint8))
    folders = {}
    for page in PAGES:
        folder = tmp_path_factory.mktemp(page.stem)
        shutil.copytree(films, folder / "films")
        cv2.imwrite(str(folder / "film.jpg"), cv2.imread(str(films / "0.png")))
        (folder / "bad.jpg").write_text("no film")
        folders[page] = folder
    return folders


@pytest.fixture(scope="module")
def server(detector, tmp_path_factory) -> Iterator[str]:
    """The page as it is served, in this process: the model is loaded already."""
    from demo.examples import draw_examples
    from demo.page import build_page, launch_settings

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    page = build_page(detector, draw_examples(tmp_path_factory.mktemp("examples")))
    page.launch(
        server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, **launch_settings()
    )
    yield f"http://127.0.0.1:{port}"
    page.close(verbose=False)


@pytest.fixture(autouse=True)
def one_model(detector, monkeypatch):
    """The shipped model, loaded once for all examples."""

    def load(weights=None, **chosen):
        return FractureDetector(detector.model, **chosen) if chosen else detector

    monkeypatch.setattr(FractureDetector, "from_pretrained", load)


def run_python(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(folder)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "example", "exec"), {"__name__": "example"})
    return said.getvalue()


def run_bash(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Simple commands of this project in this process, since each start would load the model again;
    everything else, and what is piped or redirected, in bash."""
    monkeypatch.chdir(folder)
    said = io.StringIO()
    lines = code.replace("\\\n", " ").splitlines()
    simple = re.compile(r"(fracture-detector|python main\.py) ([^|<>$&;]*)")
    own = [simple.fullmatch(line) for line in lines]
    if not all(own):
        plain = [line for line, mine in zip(lines, own, strict=True) if not mine]
        said.write(bash("\n".join(plain), folder))
    for command in filter(None, own):
        room = cli if command[1] == "fracture-detector" else main
        with contextlib.redirect_stdout(said):
            assert room.main(shlex.split(command[2])) == 0, command[0]
    return said.getvalue()


def bash(code: str, folder: Path) -> str:
    start = (
        "set -euo pipefail\n"
        'fracture-detector() { "$PYTHON_HERE" -m detector.cli "$@"; }\n'
    )
    env = {**os.environ, "PYTHON_HERE": sys.executable, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", start + code], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@having("", "python", "bash")
def test_the_example_runs(block: Block, workspaces, monkeypatch):
    folder = workspaces[block.page]
    if block.language == "python":
        said = run_python(block.code, folder, monkeypatch)
        assert said.strip() or "write_bytes" in block.code
    else:
        run_bash(block.code, folder, monkeypatch)
    for written in re.findall(r"(?:--out|>|Path\(\")\s*([\w.-]+\.(?:csv|jsonl|pdf))", block.code):
        assert (folder / written).stat().st_size > 0


@having("server", "python", "bash")
def test_the_example_with_a_server_runs(block: Block, workspaces, server, monkeypatch):
    code = block.code.replace(ADDRESS, server)
    assert code != block.code
    folder = workspaces[block.page]
    if block.language == "bash":
        if shutil.which("curl") is None:
            pytest.skip("curl is not installed")
        said = run_bash(code, folder, monkeypatch)
        assert "event: complete" in said and '"decision"' in said
    else:
        said = run_python(code, folder, monkeypatch)
    assert any(decision in said for decision in Decision)


@having("server", "javascript")
def test_the_javascript_runs_in_a_browser(block: Block, workspaces, server, chromium):
    film = list((workspaces[block.page] / "film.jpg").read_bytes())
    page = chromium.new_page()
    page.goto(f"{server}/gradio_api/info", timeout=120_000)
    call = "readFilm(new Blob([new Uint8Array(film)]), name, location.origin + '/gradio_api')"
    answer = page.evaluate(f"async ([film, name]) => {{ {block.code} return await {call}; }}",
                           [film, "film.jpg"])  # fmt: skip
    assert answer["decision"] in set(Decision)
    failed = page.evaluate(
        f"async () => {{ {block.code} try {{ await readFilm(new Blob(['no film']), 'bad.jpg', "
        "location.origin + '/gradio_api'); return ''; } catch (error) { return error.message; } }"
    )
    assert failed
    page.close()


# What is not run


HELP = {
    r"python train\.py": ("train", None),
    r"accelerate launch train\.py": ("train", None),
    r"python main\.py": ("main", None),
    r"python -m demo\.publish": ("demo.publish", None),
    r"fracture-detector (\w+)": ("detector.cli.main", 1),
}


@having("not run", "bash", "python")
def test_what_is_not_run_says_why_and_names_options_that_exist(block: Block, capsys):
    assert block.mark.removeprefix("not run:").strip()
    if block.language == "python":
        compile(block.code, "example", "exec")
        return
    for line in block.code.replace("\\\n", " ").splitlines():
        command = line.partition("#")[0].strip()
        if target := re.match(r"make (\w+)", command):
            assert re.search(rf"^{target[1]}:", (ROOT / "Makefile").read_text(), re.M)
        for pattern, (module, group) in HELP.items():
            if found := re.match(pattern, command):
                with pytest.raises(SystemExit):
                    import_module(module).main([*([found[group]] if group else []), "--help"])
                known = capsys.readouterr().out
                for option in re.findall(r"(?<=\s)--[\w-]+", command):
                    assert re.search(rf"{option}\b", known), f"{command}: no {option}"


def test_every_block_is_a_fenced_one_that_is_run_or_says_why():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = blocks_of(page)
        assert len(blocks) * 2 == len(re.findall(r"^```", text, re.M)), page.name
        for block in blocks:
            # A mermaid block is a drawing: GitHub and the Hub show it, nothing runs.
            assert block.language in ("python", "bash", "javascript", "mermaid"), str(block)
        outside = FENCED.sub("", text)
        assert not re.search(r"\n\n {4}\S", outside), f"{page.name} has an indented block"


# What the pages point to


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("../../actions/"):  # the host's own pages
            continue
        file, _, anchor = target.partition("#")
        goal = (page.parent / file) if file else page
        assert goal.exists(), f"{page.name} points to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", goal.read_text(encoding="utf-8"), re.M)
            assert anchor in {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


def test_the_readme_has_room_for_its_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("<!-- results:begin -->") == text.count("<!-- results:end -->") == 1
    assert text.index("results:begin") < text.index("results:end")


def test_every_command_is_documented():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for command in ("predict", "report", *cli.HANDED_ON):
        assert re.search(rf"fracture-detector {command}\b", text), command
