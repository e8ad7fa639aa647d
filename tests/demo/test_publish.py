"""The Space: what is in it, that it runs as a Space runs it, and that it is uploaded whole."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from demo import publish
from detector.model.calibration import Decision
from detector.model.config import digest_of
from detector.phantom import random_phantom
from tests.support.hub_stand_in import hub_stand_in

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def space(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("publish") / "space"
    publish.assemble(folder)
    return folder


def test_it_holds_the_page_the_detector_and_the_weights_and_no_more(space):
    files = {p.relative_to(space).as_posix() for p in space.rglob("*") if p.is_file()}
    for wanted in (
        "app.py", "README.md", "requirements.txt", "packages.txt", "LICENSE", "demo/__main__.py",
        "demo/page.css", "detector/predictor.py", "detector/phantom/draw.py", "weights/config.json",
        "weights/model.safetensors",
    ):  # fmt: skip
        assert wanted in files
    unwanted = re.compile(r"training|__pycache__|examples/|publish|tests|\.git|train\.py|notebook")
    assert not [file for file in files if unwanted.search(file)]
    for file in ("weights/model.safetensors", "weights/config.json", "detector/io/dicom.py"):
        assert (space / file).read_bytes() == (ROOT / file).read_bytes()


def test_real_examples_go_into_the_space_with_their_attribution(fracatlas, tmp_path):
    publish.assemble(tmp_path / "space", examples=fracatlas)
    examples = tmp_path / "space" / "demo" / "examples"
    assert len(list(examples.glob("*.jpg"))) == 8
    assert "CC BY 4.0" in (examples / "ATTRIBUTION.txt").read_text()
    assert "Abedeen" in (tmp_path / "space" / "README.md").read_text()
    with pytest.raises(publish.PublishError, match="is not FracAtlas"):
        publish.assemble(tmp_path / "other", examples=tmp_path)


def test_the_front_matter_is_what_a_space_needs(space):
    _, front, body = (space / "README.md").read_text().split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["sdk"] == "gradio" and facts["license"] == "apache-2.0"
    assert facts["sdk_version"] == metadata.version("gradio")
    assert facts["python_version"] == "3.11"
    assert (space / facts["app_file"]).is_file()
    assert len(facts["short_description"]) <= 60  # longer ones are refused
    assert {facts["colorFrom"], facts["colorTo"]} <= {
        "red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"
    }  # fmt: skip
    assert "fracture-detection" in facts["tags"]
    assert "not a medical device" in body


def test_the_requirements_are_pinned_installed_and_complete(space):
    lines = (space / "requirements.txt").read_text().splitlines()
    pins = {canonicalize_name(r.name): r for r in map(Requirement, lines)}
    constraints = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").splitlines()
    for line in lines:
        assert line.lower() in constraints
    # What is tested here is what the Space gets ...
    for name, requirement in pins.items():
        assert requirement.specifier.contains(metadata.version(name).partition("+")[0]), name
    # ... and everything that these need is among them, in a version that they accept.
    for name in pins:
        for need in map(Requirement, metadata.requires(name) or []):
            if need.marker and not need.marker.evaluate({"extra": ""}):
                continue
            below = canonicalize_name(need.name)
            if re.match(r"nvidia-|cuda-|triton", below):
                continue
            assert below in pins, f"{name} needs {below}"
            (pin,) = pins[below].specifier
            assert need.specifier.contains(pin.version), f"{name} needs {need}"
    assert {"gradio", "torch", "openvino"} <= pins.keys()
    assert not {"pytest", "accelerate", "playwright"} & pins.keys()


def test_it_has_the_fonts_that_the_container_has(space):
    fonts = (space / "packages.txt").read_text().split()
    assert fonts and f" {' '.join(fonts)} " in (ROOT / "Dockerfile").read_text()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_it_starts_as_a_space_does_and_reads_a_film(space, tmp_path):
    from gradio_client import Client, handle_file

    home = tmp_path / "space"
    shutil.copytree(space, home)
    # The folder's own model must answer, not the checkout's.
    config = json.loads((home / "weights" / "config.json").read_text())
    config["version"] = "of the space"
    config["digest"] = digest_of(config)
    (home / "weights" / "config.json").write_text(json.dumps(config))
    film = tmp_path / "synthetic.png"
    cv2.imwrite(str(film), (random_phantom(7, fractured=True).pixels * 255).astype(np.uint8))
    port = free_port()
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port),
        "SPACE_ID": "user/name", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    log = (tmp_path / "log").open("w+")
    app = subprocess.Popen([sys.executable, "app.py"], cwd=home, env=env, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 240
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if app.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    pytest.fail(f"the Space did not start: {log.read()[-3000:]}")
                time.sleep(0.3)
        client = Client(f"http://127.0.0.1:{port}", verbose=False)
        answer = client.predict(handle_file(film), api_name="/predict")
        runs_in = client.predict(api_name="/model")["engine"]["name"]
        client.close()
    finally:
        app.terminate()
        app.wait(60)
        log.close()
    assert answer["decision"] in set(Decision)
    assert answer["model"]["version"] == "of the space"
    assert runs_in == "openvino"


def test_it_is_assembled_into_a_new_folder_only(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(publish.PublishError, match="not empty"):
        publish.assemble(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_outside_a_checkout_it_says_so(tmp_path):
    with pytest.raises(publish.PublishError, match="checkout"):
        publish.pinned_requirements(tmp_path)


def test_the_small_torch_is_a_choice(tmp_path):
    publish.assemble(tmp_path / "space", torch_index="https://example.org/cpu")
    first = (tmp_path / "space" / "requirements.txt").read_text().splitlines()[0]
    assert first == "--extra-index-url https://example.org/cpu"


def test_a_dry_run_lists_and_uploads_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(publish, "upload", lambda *_, **__: pytest.fail("uploaded"))
    out = tmp_path / "kept"
    assert publish.main(["--space", "user/name", "--dry-run", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    listed = {line.split()[1] for line in said.splitlines() if re.match(r"\s*[\d,]+  \S", line)}
    assert listed == {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert "Nothing was uploaded" in said


@pytest.mark.parametrize("name", ["name", "user/", "a/b/c", "user/na me"])
def test_a_space_is_named_user_and_name(name):
    with pytest.raises(SystemExit) as end:
        publish.main(["--space", name, "--dry-run"])
    assert end.value.code == 2


def test_the_space_holds_this_folder_and_nothing_else(space):
    with hub_stand_in() as hub:
        hub.repositories["spaces/user/name"] = {"old.py": b"from before", ".gitattributes": b""}
        code = (
            "import sys; from pathlib import Path; from demo.publish import upload;"
            "print(upload(Path(sys.argv[1]), 'user/name'))"
        )
        # The Hub's address is read when `huggingface_hub` is imported: hence a new process.
        done = subprocess.run(
            [sys.executable, "-c", code, str(space)], cwd=ROOT, capture_output=True, text=True,
            env={**os.environ, **hub.environment}, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        there = hub.repositories["spaces/user/name"]
        assert done.stdout.strip().endswith(hub.revision("spaces/user/name"))
    there.pop(".gitattributes")  # the Hub's own
    here = {p.relative_to(space).as_posix(): p for p in space.rglob("*") if p.is_file()}
    assert there.keys() == here.keys()
    assert all(data == here[path].read_bytes() for path, data in there.items())
