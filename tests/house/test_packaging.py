"""The installation: what is pinned, what is installed, and that the parts fit each other."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# torch pins its CUDA packages itself, and a CPU build has none.
CUDA = re.compile(r"nvidia-|cuda-|triton")


def read_pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def version_without_build(name: str) -> str:
    return metadata.version(name).partition("+")[0]


def needed(requirements: list[str]) -> set[str]:
    """Names of these requirements and of all that they need, as far as they are installed."""
    names: set[str] = set()
    waiting, seen = [Requirement(text) for text in requirements], set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras))
        if key in seen or CUDA.match(name) or name == PROJECT["name"]:
            continue
        seen.add(key)
        names.add(name)
        choices = [{"extra": extra} for extra in requirement.extras | {""}]
        try:
            below = map(Requirement, metadata.requires(name) or [])
        except metadata.PackageNotFoundError:
            continue
        waiting += [r for r in below if r.marker is None or any(map(r.marker.evaluate, choices))]
    return names


def all_requirements() -> list[str]:
    return sum(PROJECT["optional-dependencies"].values(), start=PROJECT["dependencies"])


def test_torch_and_torchvision_fit_each_other():
    import torch
    import torchvision

    (wanted,) = (
        requirement.specifier
        for requirement in map(Requirement, metadata.requires("torchvision"))
        if requirement.name == "torch"
    )
    assert wanted.contains(torch.__version__.partition("+")[0])
    # Fails, or is not registered, where the two come from different builds.
    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [5.0, 5.0, 6.0, 6.0]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)
    assert kept.tolist() == [0, 2]


def test_only_the_headless_opencv_is_installed():
    names = {canonicalize_name(found.metadata["Name"]) for found in metadata.distributions()}
    assert {name for name in names if name.startswith("opencv")} == {"opencv-python-headless"}


def test_what_is_installed_is_what_is_pinned():
    pins = read_pins()
    installed = {canonicalize_name(found.metadata["Name"]) for found in metadata.distributions()}
    wrong = {
        name: (version_without_build(name), pin)
        for name, pin in pins.items()
        if name in installed and version_without_build(name) != pin
    }
    assert not wrong, "installed and pinned versions differ"
    assert {"torch", "torchvision", "gradio", "timm"} <= installed & pins.keys()


on_the_pinned_platform = pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info[:2] != (3, 11),
    reason="constraints.txt is complete for Linux with Python 3.11",
)


@on_the_pinned_platform
def test_everything_that_the_project_needs_is_pinned():
    assert not needed(all_requirements()) - read_pins().keys()


@on_the_pinned_platform
def test_nothing_is_pinned_that_the_project_does_not_need():
    assert not read_pins().keys() - needed(all_requirements())


def test_the_pins_meet_the_lower_bounds():
    pins = read_pins()
    for text in all_requirements():
        requirement = Requirement(text)
        if requirement.name != PROJECT["name"]:
            assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), text


def test_no_cuda_package_is_pinned():
    assert not [name for name in read_pins() if CUDA.match(name)]


def test_the_library_loads_neither_the_page_nor_the_training():
    code = (
        "import sys, detector; unwanted = {'gradio', 'reportlab', 'accelerate', 'matplotlib',"
        " 'sklearn', 'demo', 'detector.training'}; print(*sorted(unwanted & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == []


# Each reads one film, in the ways that people start it.
STARTS = {
    "python": """
from detector import FractureDetector
prediction = FractureDetector.from_pretrained(weights).predict(film)
print(repr(prediction.probability), hashlib.sha256(prediction.heatmap.tobytes()).hexdigest())
""",
    "command": """
from detector.cli.main import main
main(["predict", film, "--model", weights, "--format", "jsonl"])
""",
    "main.py": """
from main import main
main([film, "--model", weights, "--json"])
""",
}
SLOW = """
slow = {"torch", "torchvision", "timm", "pytorch_grad_cam", "matplotlib", "scipy", "sklearn",
        "pandas", "pydicom", "gradio", "httpx"}
print(*sorted(slow & set(sys.modules)))
"""


def test_a_first_prediction_loads_no_torch_where_the_graph_is_there(
    tiny_weights: Path, tmp_path: Path
):
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed (extra 'fast')")
    import cv2

    from detector.phantom import random_phantom

    film = tmp_path / "film.png"
    cv2.imwrite(str(film), (random_phantom(1, size=(300, 250)).pixels * 255).astype("uint8"))

    def read(*starts: str) -> tuple[list[str], set[str]]:
        """A line of each start, all in one fresh process, and which slow packages it loaded."""
        code = "import hashlib, sys\nfilm, weights = sys.argv[1:]\n" + "".join(starts) + SLOW
        ran = subprocess.run(
            [sys.executable, "-c", code, str(film), str(tiny_weights)],
            cwd=ROOT, env=os.environ | {"HF_HOME": str(tmp_path / "home")},
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        *answers, loaded = ran.stdout.splitlines()
        return answers, set(loaded.split())

    built, loaded = read(*STARTS.values())
    assert len(built) == len(STARTS) and {"torch", "timm"} <= loaded
    for answer, (name, start) in zip(built, STARTS.items(), strict=True):
        assert read(start) == ([answer], set()), name


def test_the_version_is_the_same_everywhere():
    from detector import __version__

    assert PROJECT["dynamic"] == ["version"]
    newest = re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert __version__ == newest[1] == str(cited["version"])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the Makefile whose Python only writes down what it was asked to do."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    stand_in = tmp_path / "python"
    stand_in.write_text(
        "#!/bin/sh\n"
        f'echo "$*" >> "{tmp_path}/asked"\n'
        'case "$*" in "-m venv .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python;; esac\n'
    )
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
    return tmp_path


# What an outer `make test` hands down and an inner make must not obey.
INNER_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PORT", "HOST", "ARGS", "TORCH_INDEX", "PYTHON"}


def make(checkout: Path, *arguments: str) -> list[str]:
    """Run make and return what Python was asked to do, one line per call."""
    asked = checkout / "asked"
    asked.unlink(missing_ok=True)
    environment = {k: v for k, v in os.environ.items() if k not in INNER_MAKE}
    subprocess.run(
        ["make", *arguments, f"PYTHON={checkout / 'python'}"],
        cwd=checkout, env=environment, check=True, capture_output=True,
    )  # fmt: skip
    return asked.read_text().splitlines() if asked.exists() else []


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@needs_make
def test_make_demo_installs_once_and_then_only_opens_the_page(checkout: Path):
    first = make(checkout, "demo")
    assert [line for line in first if "venv .venv" in line]
    torch, project = [line for line in first if "pip install" in line]
    pins = read_pins()
    assert f"torch=={pins['torch']} torchvision=={pins['torchvision']}" in torch
    assert project.endswith("-c constraints.txt -e .[demo,fast]")
    page = "-m demo --host 127.0.0.1 --port 7860"
    assert first[-1].strip() == page

    assert [line.strip() for line in make(checkout, "demo")] == [page]
    changed = make(checkout, "demo", "PORT=1234", "HOST=0.0.0.0")
    assert [line.strip() for line in changed] == ["-m demo --host 0.0.0.0 --port 1234"]


@needs_make
def test_make_installs_again_when_the_pins_change(checkout: Path):
    make(checkout, "test")
    assert [line.strip() for line in make(checkout, "test")] == ["-m pytest"]
    later = (checkout / ".venv" / ".dev").stat().st_mtime + 5
    os.utime(checkout / "constraints.txt", (later, later))
    assert len([line for line in make(checkout, "test") if "pip install" in line]) == 2


@needs_make
def test_make_takes_torch_and_torchvision_from_the_given_index(checkout: Path):
    index = "https://index.example/cpu"
    make(checkout, "demo")
    switched = make(checkout, "demo", f"TORCH_INDEX={index}")
    torch = next(line for line in switched if "torch==" in line)
    assert f"--index-url {index}" in torch and "torchvision==" in torch and "--no-deps" in torch
    # The same index again, or none, leaves what is there.
    assert len(make(checkout, "demo", f"TORCH_INDEX={index}")) == 1
    assert len(make(checkout, "demo")) == 1


def test_the_container_holds_what_the_page_needs_and_drops_its_rights():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    user = [line.split()[1] for line in lines if line.startswith("USER ")][-1]
    assert user.partition(":")[0] not in {"0", "root"}
    copied = {
        source
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert all((ROOT / source).exists() for source in copied)
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    assert sent[1] == "*" and copied <= {line[1:] for line in sent if line.startswith("!")}


def test_the_container_installs_the_page_and_the_runtime_without_pytorch(tmp_path):
    """The program in the Dockerfile that sorts the packages, run as it stands there."""
    dockerfile = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    program = re.search(r'python -c "(import re, tomllib.*?)" ', dockerfile)[1]
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    light, heavy = ((tmp_path / f"{n}.txt").read_text().splitlines() for n in ("light", "heavy"))
    extras = PROJECT["optional-dependencies"]
    wanted = PROJECT["dependencies"] + extras["demo"] + extras["fast"]
    assert sorted(light + heavy) == sorted(wanted)
    assert {Requirement(line).name for line in heavy} == {
        "torch", "torchvision", "timm", "grad-cam",
    }
    pytorchs = needed(heavy) - needed(light)
    assert "torch" in pytorchs and not pytorchs & {"numpy", "pillow", "openvino", "gradio"}


def test_a_page_without_pytorch_reads_films_from_a_prepared_graph(tmp_path):
    """What the image does: the graph is built beside it, and PyTorch cannot be imported."""
    environment = os.environ | {"HF_ASSETS_CACHE": str(tmp_path)}
    load = "from detector import FractureDetector as F; F.from_pretrained(engine='openvino')"
    subprocess.run([sys.executable, "-c", load], cwd=ROOT, env=environment, check=True)
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYTORCH], cwd=ROOT, env=environment, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert ran.stdout.split() == ["openvino", "gradcam", "False"]
    environment["HF_ASSETS_CACHE"] = str(tmp_path / "none")
    for engine in ("auto", "openvino"):
        program = WITHOUT_PYTORCH.replace("'auto'", f"'{engine}'")
        ran = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True,
            text=True,
        )  # fmt: skip
        assert "not installed" in ran.stderr.splitlines()[-1]


WITHOUT_PYTORCH = """
import sys
from importlib.abc import MetaPathFinder
class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm", "pytorch_grad_cam"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
from detector import FractureDetector
from detector.explain import methods
from detector.phantom import random_phantom
methods.find_spec = lambda name: None
detector = FractureDetector.from_pretrained(engine='auto')
import demo.page
page = demo.page.build_page(detector, [])
prediction = detector.predict(random_phantom(7).pixels)
print(detector.engine.name, prediction.method, "torch" in sys.modules)
"""


def test_lower_bounds_exclude_versions_with_known_holes():
    bounds = {}
    for line in all_requirements():
        requirement = Requirement(line)
        bounds.setdefault(requirement.name, requirement.specifier)
    for name, holed in (
        ("gradio", "6.30.0"), ("pillow", "12.1.1"), ("pydicom", "3.0.1"), ("starlette", "1.0.0"),
        ("python-multipart", "0.0.26"),
    ):  # fmt: skip
        assert name in bounds and not bounds[name].contains(holed), name


def test_the_containers_figures_have_a_place_in_the_documentation():
    spec = importlib.util.spec_from_file_location("container", ROOT / ".ci" / "container.py")
    container = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(container)
    page = container.PAGE.read_text(encoding="utf-8")
    figures = container.sentence(size=1432, build=400.4, start=9.6, memory=1024)
    assert "1,432 MB" in figures and "1,024 MB" in figures and "10 s" in figures
    once = container.with_figures(page, figures)
    assert figures in once and container.with_figures(once, figures) == once
    before, after = page.split(container.BEGIN)[0], page.split(container.END)[1]
    assert once.startswith(before) and once.endswith(after)


def test_composes_own_parser_accepts_every_profile():
    parser = next(filter(shutil.which, ("docker-compose", "podman-compose")), None)
    if parser is None:
        pytest.skip("neither docker-compose nor podman-compose is installed")
    written = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for profile in sorted({name for one in written.values() for name in one.get("profiles", ())}):
        ran = subprocess.run(
            [parser, "--profile", profile, "config"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        started = yaml.safe_load(ran.stdout)["services"].keys()
        for name, service in written.items():
            assert name in started or profile not in service.get("profiles", [profile])


def test_compose_limits_the_page_and_keeps_it_on_this_machine():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert services["page-gpu"]["profiles"] == ["gpu"]
    assert {name for name, service in services.items() if "profiles" not in service} == {"page"}
    for name, service in services.items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]
        assert [port.rpartition(":")[2] for port in service["ports"]] in (["7860"], [])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory"} <= limits.keys()
        if service["image"].startswith("fracture-detector"):
            assert service["environment"]["OMP_NUM_THREADS"] == limits["cpus"], name


REQUIRING = """
import pytest
def test_films(films_root): pass
@pytest.mark.browser
def test_browser(): pytest.skip("no browser")
def test_other(): pytest.skip("for another reason")
"""


@pytest.mark.parametrize(
    ("required", "expected"),
    [
        ("", "3 skipped"),
        ("films", "2 skipped, 1 error"),
        ("films,browser", "1 failed, 1 skipped, 1 error"),
    ],
)
def test_a_required_test_that_is_skipped_fails(tmp_path: Path, required: str, expected: str):
    (tmp_path / "tests").mkdir()
    for name in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "tests" / "test_it.py").write_text(REQUIRING)
    absent = {"FRACTURE_DATA": str(tmp_path / "absent"), "FRACTURE_REQUIRE": required}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path, env=os.environ | absent, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.stdout.splitlines()[-1].startswith(expected), ran.stdout
    assert (ran.returncode != 0) == bool(required)
