"""Put the page on Hugging Face as a Space, from a checkout.

    python -m demo.publish --space user/name --dry-run      lists what would be uploaded
    python -m demo.publish --space user/name --out space/   keeps the assembled folder, and uploads
    python -m demo.publish --space user/name                assembles and uploads
    python -m demo.publish --space user/name --examples DIR with eight real films of FracAtlas
    python -m demo.publish --static --space user/name       the page without a server (browser/)

The token is the one that `hf auth login` or HF_TOKEN gives. A Space holds the page, the detector
without its training, the weights, and the exact versions that they were tested with.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from demo.about import commit
from demo.examples import ATTRIBUTION, copy_examples
from detector import __version__

ROOT = Path(__file__).resolve().parent.parent
SPACE_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
PYTHON = "3.11"
SUMMARY = "Verdict and heatmap for limb X-rays, not a medical device"  # the Hub takes 60 letters
FOLDERS = ("demo", "detector", "weights")
EXTRAS = ("demo", "fast")  # of pyproject.toml: the page, and the faster runtime
FONTS = ("fonts-noto-core", "fonts-wqy-microhei")  # Debian's: the scripts of the page's PDF
LEFT_OUT = ("__pycache__", "training", "bulk", "pacs", "examples", "publish.py", ".*")

APP = '''"""The Space's way in: the page, as `python -m demo` serves it."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("FRACTURE_COMMIT", "{commit}")

from demo.__main__ import main  # noqa: E402 -- the commit is read when the page is built

if __name__ == "__main__":
    sys.exit(main([
        "--host", os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0"),
        "--port", os.environ.get("GRADIO_SERVER_PORT", "7860"),
    ]))
'''

# The Hub reads a Space's settings from here; `settings` are those of its kind.
FRONT_MATTER = """---
title: {title}
emoji: 🦴
colorFrom: indigo
colorTo: gray
{settings}
license: apache-2.0
short_description: {summary}
tags:
  - medical
  - radiology
  - x-ray
  - fracture-detection
  - explainable-ai
  - grad-cam
pinned: false
---

# {title}

"""

SETTINGS = """sdk: gradio
sdk_version: {sdk_version}
python_version: "{python}"
app_file: app.py"""

README = """\
Drop a limb X-ray film on the page and get a verdict, a calibrated confidence and a heatmap that
points at the fracture. Decision support for people who read films; **not a medical device**.

A public Space is someone else's computer: do not upload films of patients to it. Run the page on
your own machine or in your own network for those. The examples on the page are {examples}

The model card is in [weights/README.md](weights/README.md). {version}
"""

STATIC_SETTINGS = """sdk: static
custom_headers:
  cross-origin-embedder-policy: require-corp
  cross-origin-opener-policy: same-origin
  cross-origin-resource-policy: cross-origin"""

STATIC_README = """\
Drop a limb radiograph on the page: the model runs in your own browser. The film stays on your
device, the page cannot send it anywhere, and it works without a network once it has been opened.
Decision support for people who read radiographs; **not a medical device**.

The licences of what the page is made of lie in `licences/`. {version}
"""


class PublishError(ValueError):
    """The Space cannot be assembled; the sentence says why."""


def pinned_requirements(root: Path = ROOT) -> dict[str, str]:
    """What the page needs, and what that needs in turn: package -> exact version.

    The needs come from `pyproject.toml` and from the installed packages' metadata, the versions
    from `constraints.txt`.

    Raises:
        PublishError: not a checkout, or a package is not installed here.
    """
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise PublishError(
            f"{Path(error.filename).name} is missing: run this in a checkout of the project."
        ) from error
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    pins = {canonicalize_name(name): version.strip() for name, version in pairs}
    extras = project["optional-dependencies"]
    waiting = [*project["dependencies"], *(need for name in EXTRAS for need in extras[name])]
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        need = Requirement(waiting.pop())
        name = canonicalize_name(need.name)
        if (name, frozenset(need.extras)) in seen:
            continue
        seen.add((name, frozenset(need.extras)))
        if name not in pins:
            continue  # torch pins its CUDA packages itself
        found[name] = pins[name]
        choices = [{"extra": extra} for extra in need.extras | {""}]
        try:
            below = map(Requirement, metadata.requires(name) or [])
        except metadata.PackageNotFoundError as error:
            raise PublishError(f"{name} is not installed here: run `make demo` first.") from error
        waiting += [
            str(r) for r in below if r.marker is None or any(map(r.marker.evaluate, choices))
        ]
    return dict(sorted(found.items()))


def assemble(
    folder: Path, *, torch_index: str | None = None, examples: Path | None = None,
    root: Path = ROOT,
) -> list[Path]:  # fmt: skip
    """Write exactly the files of the Space into `folder`; returns their paths within it.

    `examples`: FracAtlas (CC BY 4.0), to take eight test films from, with their attribution.

    Raises:
        PublishError: `folder` is not empty, or what a Space needs is missing.
    """
    if folder.exists() and any(folder.iterdir()):
        raise PublishError(f"{folder} is not empty. Choose a new folder.")
    if not (root / "weights" / "model.safetensors").is_file():
        raise PublishError("weights/ holds no model. Train one, or get the shipped weights.")
    pins = pinned_requirements(root)
    folder.mkdir(parents=True, exist_ok=True)
    for name in FOLDERS:
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    shutil.copy(root / "LICENSE", folder)
    if examples:
        copied_examples(examples, folder / "demo" / "examples")
    (folder / "app.py").write_text(APP.format(commit=commit()), encoding="utf-8")
    index = [f"--extra-index-url {torch_index}"] if torch_index else []
    lines = [*index, *(f"{name}=={version}" for name, version in pins.items())]
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "packages.txt").write_text("\n".join(FONTS) + "\n", encoding="utf-8")
    settings = SETTINGS.format(sdk_version=pins["gradio"], python=PYTHON)
    body = README.format(
        version=version_line(), examples=f"real films: {ATTRIBUTION}" if examples else "synthetic."
    )
    write_readme(folder, "Fracture detector", settings, body)
    return sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())


def write_readme(folder: Path, title: str, settings: str, body: str) -> None:
    """Write the Space's `README.md`: the settings that the Hub reads, and the text below them."""
    front = FRONT_MATTER.format(title=title, settings=settings, summary=SUMMARY)
    (folder / "README.md").write_text(front + body, encoding="utf-8")


def version_line() -> str:
    """Which version of the project the Space holds, as a sentence."""
    at = commit()
    return f"Version {__version__}{f', commit {at}' if at else ''}."


def copied_examples(source: Path, folder: Path) -> None:
    """Put eight films of FracAtlas into the Space.

    Raises:
        PublishError: `source` is not FracAtlas with a manifest.
    """
    try:
        copy_examples(source, folder)
    except (OSError, KeyError, ValueError) as error:
        raise PublishError(f"{source} is not FracAtlas with a manifest.csv ({error}).") from error


def assemble_static(folder: Path) -> list[Path]:
    """Write the page without a server into `folder`, as a static Space; returns the paths within.

    Raises:
        PublishError: `folder` is not empty, or the page cannot be built.
    """
    # As a command: `browser` imports this folder's assets, so nothing here imports `browser`.
    done = subprocess.run(
        [sys.executable, "-m", "browser.build", "--out", str(folder.absolute())],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    if done.returncode:
        raise PublishError((done.stderr.strip() or "The page could not be built.").splitlines()[-1])
    body = STATIC_README.format(version=version_line())
    write_readme(folder, "Fracture detector, in your browser", STATIC_SETTINGS, body)
    return sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())


def upload(folder: Path, space: str, *, private: bool = False, sdk: str = "gradio") -> str:
    """Make the Space hold this folder and nothing else; returns the commit's address.

    Raises:
        huggingface_hub.errors.HfHubHTTPError: the Hub refuses.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo(
        space, repo_type="space", space_sdk=sdk, private=private, exist_ok=True
    )
    done = api.upload_folder(
        repo_id=space, repo_type="space", folder_path=folder, delete_patterns="*",
        commit_message="The page with its model",
    )  # fmt: skip
    return done.commit_url


def main(argv: list[str] | None = None) -> int:
    """0 done, 1 the Hub refused or cannot be reached, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.publish", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--space", required=True, metavar="USER/NAME", help="the Space")
    parser.add_argument("--dry-run", action="store_true", help="list the files, upload nothing")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the assembled folder here")
    parser.add_argument("--static", action="store_true",
                        help="the page without a server: the model in the visitor's browser")
    parser.add_argument("--private", action="store_true", help="make a new Space private")
    parser.add_argument("--examples", type=Path, metavar="DIR",
                        help="FracAtlas with manifest.csv: eight of its test films (CC BY 4.0) go "
                        "into the Space as examples; without it they are synthetic")
    parser.add_argument("--torch-index", metavar="URL",
                        help="PyTorch's wheel index for CPUs: a much smaller Space than with the "
                        "CUDA build of pip's usual index")
    chosen = parser.parse_args(argv)
    if not SPACE_ID.fullmatch(chosen.space):
        parser.error("--space is user/name")
    with TemporaryDirectory(prefix="fracture-space-") as temporary:
        folder = chosen.out or Path(temporary)
        try:
            if chosen.static:
                files = assemble_static(folder)
            else:
                files = assemble(
                    folder, torch_index=chosen.torch_index, examples=chosen.examples
                )
        except (PublishError, OSError) as error:
            parser.error(str(error))
        for file in files:
            print(f"{(folder / file).stat().st_size:>10,}  {file.as_posix()}")
        print(f"{len(files)} files for {chosen.space}" + (f" in {folder}" if chosen.out else ""))
        if chosen.dry_run:
            print("Nothing was uploaded.")
            return 0
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

        try:
            sdk = "static" if chosen.static else "gradio"
            print(upload(folder, chosen.space, private=chosen.private, sdk=sdk))
        except (HfHubHTTPError, LocalTokenNotFoundError, httpx2.HTTPError, OSError) as error:
            print(f"The Space was not uploaded: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
