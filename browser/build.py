"""Build the page that needs no server: the model, its runtime and the page's files in one folder.

    python -m browser.build --out DIR [--model WEIGHTS]

Needs Node and npm: JavaScript packages come from npm, in the versions of ``package-lock.json``.
Whatever a reading needs lies in ``DIR/v/HASH``, where HASH is that of its content: two versions of
the page never mix their parts.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from browser.export import onnx_bytes
from browser.serve import HEADERS
from browser.settings import PAGE_WORDS, settings
from demo.examples import draw_examples
from demo.viewer import viewer_asset, viewer_script
from detector import __version__
from detector.model.hub import resolve_weights
from detector.model.weights import Model, WeightsError, read_weights
from detector.report.words import ENGLISH

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DEMO = ROOT / "demo"
PACKAGES = HERE / "node_modules"
ENTRIES = {"page": "page/page.js", "reader": "io/worker.js", "model": "model/worker.js"}
# Fetched, checked and held before the page closes its connections; name in the build: its package.
BINARIES = {
    "runtime": "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
    "jpeg": "@cornerstonejs/codec-libjpeg-turbo-8bit/dist/libjpegturbowasm_decode.wasm",
    "jpeg_ls": "@cornerstonejs/codec-charls/dist/charlswasm_decode.wasm",
    "jpeg_2000": "@cornerstonejs/codec-openjpeg/dist/openjpegwasm_decode.wasm",
    "htj2k": "@cornerstonejs/codec-openjph/dist/openjphjs.wasm",
    "webp": "@jsquash/webp/codec/dec/webp_dec.wasm",
}
# Run as they come: the runtime starts further threads from its own file.
MODULES = (
    "onnxruntime-web/dist/ort.wasm.min.mjs",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs",
)
# The Hub keeps a file of 10 MB or more, or of a name such as model.gz, in another store, which a
# static Space need not serve from its own address; and the page asks no other.
PIECE = 5_000_000
STYLES = (DEMO / "page.css", DEMO / "viewer" / "viewer.css", HERE / "page" / "site.css")
POLICY = "; ".join((
    "default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", "worker-src 'self' blob:",
    "style-src 'self' 'unsafe-inline'", "img-src 'self' data: blob:", "connect-src 'self'",
    "manifest-src 'self'", "base-uri 'none'", "form-action 'none'",
))  # fmt: skip


_PACKAGE = re.compile(r"node_modules/((?:@[^/]+/)?[^/]+)/")


class BuildError(RuntimeError):
    """The page cannot be built; the sentence says why."""


def build(out: Path, model: Model) -> list[Path]:
    """Write the page into ``out``, an empty or new folder; returns the files, within it.

    Raises:
        BuildError: ``out`` is not empty, or Node or npm is missing or fails.
    """
    if out.exists() and any(out.iterdir()):
        raise BuildError(f"{out} is not empty. Choose a new folder.")
    install_packages()
    with TemporaryDirectory(prefix="fracture-browser-") as temporary:
        folder = Path(temporary, "parts")
        folder.mkdir()
        parts = _write_parts(folder, model)
        packages = _bundle(folder, Path(temporary), parts)
        for name in MODULES:
            shutil.copy(PACKAGES / name, folder)
        (folder / "page.css").write_text(
            "\n".join(style.read_text(encoding="utf-8") for style in STYLES), encoding="utf-8"
        )
        digest = _digest(folder)
        shutil.copytree(folder, out / "v" / digest)
    _write_front(out, digest)
    packages |= {path.rpartition("/dist/")[0] for path in MODULES}
    packages |= {_PACKAGE.search(f"node_modules/{path}")[1] for path in BINARIES.values()}
    _write_licences(out / "licences", packages)
    return sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())


def install_packages() -> None:
    """The packages of ``package-lock.json``, unless they are there already."""
    mark = PACKAGES / ".installed"
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if mark.is_file() and mark.read_text() == wanted:
        return
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise BuildError("Node.js and npm are needed. Install them (Debian: nodejs, npm).")
    _run([npm, "ci", "--no-audit", "--no-fund"], "npm could not install the page's packages")
    mark.write_text(wanted)


def _write_parts(folder: Path, model: Model) -> dict[str, Any]:
    """Write what is fetched at the start; returns its sizes and digests."""
    parts = {name: (PACKAGES / path).read_bytes() for name, path in BINARIES.items()}
    parts["network"] = onnx_bytes(model)
    with TemporaryDirectory() as drawn:
        examples = draw_examples(Path(drawn))
        parts |= {f"example_{i}": Path(e.file).read_bytes() for i, e in enumerate(examples)}
    parts["settings"] = json.dumps(settings(model, examples)).encode()
    listed = {}
    for name, data in parts.items():
        # Not left to the host: some compress no binary files.
        packed = gzip.compress(data, 9, mtime=0)
        pieces = [packed[at : at + PIECE] for at in range(0, len(packed), PIECE)]
        for i, piece in enumerate(pieces):
            (folder / f"{name}.{i}.part").write_bytes(piece)
        listed[name] = {
            "sha256": hashlib.sha256(data).hexdigest(), "packed": len(packed),
            "pieces": len(pieces),
        }  # fmt: skip
    return listed


def _bundle(folder: Path, temporary: Path, parts: dict[str, Any]) -> set[str]:
    """The page's scripts, each with what it imports; returns the packages that are in them."""
    # The viewer of the page with a server, where Gradio puts these names around it.
    viewer = temporary / "viewer.js"
    viewer.write_text(
        "export function mountViewer(element, trigger, fd) {\n"
        "const props = { value: null }, watchers = [];\n"
        "const watch = (_, watcher) => watchers.push(watcher);\n"
        f"{viewer_script()}\n"
        "return { show: (value) => { props.value = value; watchers.forEach((w) => w()); } };\n}\n",
        encoding="utf-8",
    )
    given = {"parts": parts, "software": __version__, "words": PAGE_WORDS}
    _run([
        str(PACKAGES / ".bin" / "esbuild"),
        *(f"{name}={path}" for name, path in ENTRIES.items()),
        "--bundle", "--format=esm", "--minify", "--target=es2022", "--log-level=error",
        "--external:./ort.wasm.min.mjs", "--external:fs", "--external:path",
        f"--alias:viewer={viewer}", f"--define:BUILD={json.dumps(given)}", f"--outdir={folder}",
        f"--metafile={temporary / 'bundled.json'}",
    ], "the page's scripts could not be put together")  # fmt: skip
    inputs = json.loads((temporary / "bundled.json").read_text())["inputs"]
    return {found[1] for path in inputs if (found := _PACKAGE.search(path))}


def _digest(folder: Path) -> str:
    """One short digest over names and contents of all files."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            whole.update(path.relative_to(folder).as_posix().encode())
            whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:16]


def _write_front(out: Path, digest: str) -> None:
    """What keeps its name from version to version: page, icon, manifest, service worker."""
    logo = (DEMO / "logo.svg").read_text(encoding="utf-8").strip()
    words = {**ENGLISH}
    words |= {f"page.{key}": text for key, text in ENGLISH["page"].items()}
    words |= {f"here.{key}": text for key, text in PAGE_WORDS.items()}
    given = {
        "base": f"v/{digest}/", "policy": POLICY, "logo": logo,
        "viewer": viewer_asset("viewer.html"),
    }  # fmt: skip

    def fill(match: re.Match[str]) -> str:
        key = match[1]
        return given[key] if key in given else _bold(words[key])

    template = (HERE / "page" / "index.html").read_text(encoding="utf-8")
    (out / "index.html").write_text(re.sub(r"\{\{(.+?)\}\}", fill, template), encoding="utf-8")
    (out / "icon.svg").write_text(logo + "\n", encoding="utf-8")
    manifest = {
        "name": ENGLISH["title"], "short_name": ENGLISH["title"],
        "description": ENGLISH["page"]["tagline"],
        "start_url": "./", "scope": "./", "display": "standalone",
        "background_color": "#f3f5f7", "theme_color": "#0d2b45",
        "icons": [{"src": "icon.svg", "sizes": "any", "type": "image/svg+xml"}],
    }  # fmt: skip
    (out / "app.webmanifest").write_text(json.dumps(manifest, indent=1) + "\n")
    kept = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    front = hashlib.sha256((out / "index.html").read_bytes()).hexdigest()[:8]
    headers = {**HEADERS, "Content-Security-Policy": POLICY}
    about = {"version": f"{digest}-{front}", "files": ["./", *kept], "headers": headers}
    script = (HERE / "page" / "sw.js").read_text(encoding="utf-8")
    (out / "sw.js").write_text(f"const KEPT = {json.dumps(about)};\n{script}", encoding="utf-8")


def _bold(text: str) -> str:
    """A text of ``words.json`` as HTML: ``**bold**`` and nothing else of Markdown."""
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text))


def _write_licences(folder: Path, packages: set[str]) -> None:
    """The licences of the packages that are part of the page, and this project's.

    Some packages leave theirs out, or that of the library they are compiled from: those lie in
    ``licences.txt`` beside this file.
    """
    folder.mkdir()
    shutil.copy(ROOT / "LICENSE", folder / "fracture-detector.txt")
    shutil.copy(HERE / "licences.txt", folder / "compiled-libraries.txt")
    for name in sorted(packages):
        about = json.loads((PACKAGES / name / "package.json").read_text(encoding="utf-8"))
        texts = [f"{name} {about['version']}, licence {about['license']}"]
        for file in sorted((PACKAGES / name).rglob("*")):
            if re.match(r"licen[cs]e|notice", file.name, re.IGNORECASE) and file.is_file():
                texts.append(file.read_text(encoding="utf-8", errors="replace").strip())
        text = "\n\n".join(texts) + "\n"
        (folder / f"{name.lstrip('@').replace('/', '_')}.txt").write_text(text, encoding="utf-8")


def _run(command: list[str], failed: str) -> None:
    environment = {**os.environ, "NODE_PATH": str(PACKAGES)}
    try:
        done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True)
    except OSError as error:
        raise BuildError(f"{failed}: {error}") from error
    if done.returncode:
        raise BuildError(f"{failed}:\n{done.stderr.strip()}")


def main(argv: list[str] | None = None) -> int:
    """0 done, 1 the page cannot be built."""
    parser = argparse.ArgumentParser(
        prog="python -m browser.build", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--model", metavar="WEIGHTS",
                        help="weights folder or Hugging Face Hub id (default: the shipped weights)")
    chosen = parser.parse_args(argv)
    try:
        files = build(chosen.out, read_weights(resolve_weights(chosen.model)))
    except (BuildError, WeightsError, OSError) as error:
        print(f"The page was not built: {error}", file=sys.stderr)
        return 1
    size = sum((chosen.out / file).stat().st_size for file in files)
    print(f"{len(files)} files, {size / 1e6:.1f} MB, in {chosen.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
