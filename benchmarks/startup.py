"""How long the start takes: `import detector`, and the first prediction of a fresh process.

    python benchmarks/startup.py

Each figure is from processes of its own. "graph cached" is every start but the first with new
weights; "graph built" is that first one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import measuring
from measuring import ROOT, as_picture, phantom_grey, spread, table

HEAVY = """
heavy = [name for name in ("torch", "torchvision", "timm", "cv2", "pydicom", "gradio", "openvino",
         "numpy", "scipy", "sklearn", "matplotlib") if name in sys.modules]
"""
IMPORT = """
import json, sys, time
started = time.perf_counter()
import detector
seconds = time.perf_counter() - started
""" + HEAVY + """
print(json.dumps({"import": seconds, "heavy": heavy}))
"""
FIRST = """
import json, sys, time
from detector import FractureDetector
film = open(sys.argv[1], "rb").read()
detector = FractureDetector.from_pretrained(engine=sys.argv[2])
loaded = time.perf_counter()
detector.predict(film).overlay()
first = time.perf_counter()
detector.predict(film).overlay()
second = time.perf_counter()
""" + HEAVY + """
print(json.dumps({"engine": detector.engine.name, "first": first - loaded,
                  "second": second - first, "heavy": heavy}))
"""


def timed(code: str, *arguments: str, home: str) -> dict:
    """Run a fresh process; what it prints, and its whole wall time as "process"."""
    watched = (
        "import json, subprocess, sys, time\n"
        "started = time.perf_counter()\n"
        "text = subprocess.run(sys.argv[1:], check=True, capture_output=True, text=True).stdout\n"
        "print(json.dumps(json.loads(text) | {'process': time.perf_counter() - started}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", watched, sys.executable, "-c", code, *arguments],
        cwd=ROOT, env={**os.environ, "HF_HOME": home}, check=True, capture_output=True, text=True,
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="processes of each (%(default)s)")
    rounds = parser.parse_args().rounds
    print(measuring.machine_facts(rounds=rounds))
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film.jpg")
        film.write_bytes(as_picture(phantom_grey(454, 373)))
        warm_home = f"{folder}/warm"
        timed(FIRST, str(film), "auto", home=warm_home)  # fills the cache and the disk's memory
        rows: dict[str, list[float]] = {}
        heavy: dict[str, list[str]] = {}
        for index in range(rounds):
            got = timed(IMPORT, home=warm_home)
            heavy["import detector"] = got["heavy"]
            rows.setdefault("import detector", []).append(got["import"])
            for name, engine, home in (
                ("graph cached", "auto", warm_home),
                ("graph built", "auto", f"{folder}/{index}"),
                ("PyTorch", "torch", warm_home),
            ):
                got = timed(FIRST, str(film), engine, home=home)
                label = f"{got['engine']}, {name}" if engine == "auto" else name
                heavy[label] = got["heavy"]
                for what, key in (("process start to its end, two predictions", "process"),
                                  ("first prediction, model loaded", "first"),
                                  ("second prediction", "second")):
                    rows.setdefault(f"{label}: {what}", []).append(got[key])
    print()
    print(table(("", "seconds, median (quartiles)"),
                [(name, spread(values, digits=3)) for name, values in rows.items()]))
    print()
    print(table(("", "heavy packages that it loads"),
                [(name, ", ".join(packages) or "none") for name, packages in heavy.items()]))


if __name__ == "__main__":
    main()
