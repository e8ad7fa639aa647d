"""Where weights come from and go to; the Hub is a stand-in on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from detector import WeightsError
from detector.model import hub
from detector.model.heads import HEADS_FILE
from detector.model.weights import CONFIG_FILE, MODEL_FILE
from detector.phantom import random_phantom
from tests.support.hub_stand_in import Hub, hub_stand_in

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def stand_in():
    with hub_stand_in() as running:
        yield running


def run_python(code: str, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess:
    """`huggingface_hub` reads its address when it is imported: hence a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env}, timeout=240,
    )  # fmt: skip


@pytest.fixture
def weights_with_card(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in (MODEL_FILE, HEADS_FILE, CONFIG_FILE):
        shutil.copy(hub.shipped_weights() / name, folder)
    (folder / hub.CARD_FILE).write_text("---\nlicense: apache-2.0\n---\n# The card\n")
    (folder / "roc.svg").write_text("<svg/>")
    (folder / "notes.txt").write_text("not for the Hub")
    return folder


def test_a_checkout_ships_the_weights_beside_the_package():
    assert hub.shipped_weights() == ROOT / "weights"
    assert (hub.shipped_weights() / MODEL_FILE).is_file()


def test_an_installed_wheel_ships_them_in_the_data_folder(tmp_path, monkeypatch):
    installed = tmp_path / "site-packages" / "detector" / "model" / "hub.py"
    monkeypatch.setattr(hub, "__file__", str(installed))
    expected = Path(sysconfig.get_path("data")) / "share" / "fracture-detector" / "weights"
    assert hub.shipped_weights() == expected


@pytest.mark.parametrize("name", ["no/such/folder", "weights-of-mine", "../weights"])
def test_what_is_no_hub_id_is_a_folder(name):
    assert hub.resolve_weights(name) == Path(name)


def test_a_folder_wins_over_a_hub_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("user/model").mkdir(parents=True)
    assert hub.resolve_weights("user/model") == Path("user/model")


PUSH_AND_LOAD = """
import json, sys
from detector import FractureDetector, WeightsError
from detector.model.hub import push_to_hub
from detector.phantom import random_phantom
said = {"address": push_to_hub(sys.argv[1], "user/limbs")}
detector = FractureDetector.from_pretrained("user/limbs")
said["sha256"] = detector.model.digest
said["reading"] = detector.predict(random_phantom(0).pixels).to_dict()
try:
    FractureDetector.from_pretrained("user/nothing")
except WeightsError as error:
    said["nothing"] = str(error)
print(json.dumps(said))
"""


def test_pushed_weights_are_read_back_from_the_hub(
    stand_in: Hub, weights_with_card, tmp_path, detector
):
    env = {**stand_in.environment, "HF_HOME": str(tmp_path / "cache")}
    done = run_python(PUSH_AND_LOAD, str(weights_with_card), env=env)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    files = stand_in.repositories["models/user/limbs"]
    assert set(files) == {MODEL_FILE, HEADS_FILE, CONFIG_FILE, hub.CARD_FILE, "roc.svg"}
    for name, data in files.items():
        assert data == (weights_with_card / name).read_bytes()
    assert said["address"].endswith(stand_in.revision("models/user/limbs"))
    # Network and heads go as LFS, the text files inside the commit.
    assert sum(request.startswith("PUT /lfs/") for request in stand_in.requests) == 2
    assert said["sha256"] == detector.model.digest
    assert said["reading"]["decision"] == detector.predict(random_phantom(0).pixels).decision
    assert "user/nothing" in said["nothing"] and "no such model" in said["nothing"]


def test_without_a_connection_the_sentence_says_so(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="cannot be reached"):
        hub.resolve_weights("user/limbs")


def test_a_folder_without_weights_is_not_pushed(tmp_path):
    with pytest.raises(WeightsError, match="no weights folder"):
        hub.push_to_hub(tmp_path, "user/limbs")
