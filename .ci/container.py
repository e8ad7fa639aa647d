#!/usr/bin/env python3
"""Build the Dockerfile and try the page in the result, on Debian, without a Docker engine.

    sudo .ci/container.py                          a throw-away build
    sudo .ci/container.py --keep FOLDER            the base image and the logs stay in FOLDER
    sudo .ci/container.py --torch-index URL        torch from that index
    sudo .ci/container.py --write                  the figures go into docs/engineers.md

The base image is bootstrapped from Debian under the name in the Dockerfile's FROM, so nothing is
pulled. The machine's own pip configuration is lent to the build as it is found and stays out of
the image. The page then runs as the image says: as its non-root user, without capabilities, on a
read-only root file system with /tmp in memory, and in a network of its own that leads nowhere.
There the image's health check must pass, and a synthetic film must get the same verdict from
OpenVINO over HTTP and on the command line. The image must stay below ``LARGEST``.
"""

from __future__ import annotations

import argparse
import ast
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "fracture-detector"
LARGEST = 1500  # MB, unpacked
PAGE = ROOT / "docs" / "engineers.md"
BEGIN, END = "<!-- image:begin -->\n", "<!-- image:end -->\n"

# Runs in the image, as its user. The fractured phantom is drawn there too: nothing is brought in.
CLIENT = """
import json, cv2
from importlib.util import find_spec
from gradio_client import Client, handle_file
from detector.phantom import random_phantom
film = random_phantom(7, fractured=True).pixels
cv2.imwrite("/tmp/synthetic.png", (film * 255).astype("uint8"))
client = Client("http://127.0.0.1:7860", verbose=False)
print(json.dumps({
    "prediction": client.predict(handle_file("/tmp/synthetic.png"), api_name="/predict"),
    "runs in": client.predict(api_name="/model")["engine"],
    "telemetry": find_spec("openvino_telemetry") is not None,
    "torch": find_spec("torch") is not None,
}))
"""
COMMAND = ("python", "main.py", "--json", "/tmp/synthetic.png")


def say(text: str) -> None:
    print(f"== {text}", flush=True)


def output(*command: str | Path) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def logged(log: Path, *command: str | Path) -> None:
    """Run a long command with its output in a file; show the end of that when it fails."""
    with log.open("w") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT).returncode
    if code:
        sys.exit("\n".join([*log.read_text().splitlines()[-40:], f"failed: see {log}"]))


def install_tools() -> None:
    missing = [tool for tool in ("buildah", "debootstrap") if shutil.which(tool) is None]
    if missing:
        say(f"Installing {' '.join(missing)}")
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        output("apt-get", "update", "-qq")
        output("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)


def make_base(work: Path, buildah: list[str | Path]) -> None:
    """Debian with Python, under the name that the Dockerfile's stages are built from."""
    (name,) = set(re.findall(r"^FROM (\S+:\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    if name in output(*buildah, "images", "--format", "{{.Name}}:{{.Tag}}").split():
        return
    say(f"Bootstrapping Debian as {name}")
    system = work / "base"
    shutil.rmtree(system, ignore_errors=True)
    packages = "--include=python3,python3-venv,ca-certificates"
    logged(work / "base.log", "debootstrap", "--variant=minbase", packages, "bookworm", system)
    (system / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    container = output(*buildah, "from", "scratch")
    output(*buildah, "add", "--quiet", container, system, "/")
    output(*buildah, "commit", "--quiet", "--rm", container, name)
    shutil.rmtree(system)


def lent_pip_configuration(work: Path) -> list[str]:
    """Mounts for the build only: this machine's pip settings, and every local path they name."""
    settings = {}
    for line in output(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = ast.literal_eval(value)
    parser = configparser.RawConfigParser()
    parser["global"] = settings
    with (work / "pip.conf").open("w") as file:
        parser.write(file)
    words = " ".join(map(str, settings.values())).split()
    paths = {Path(word) for word in words}
    # A local index links to files that lie beside it, in the folder above.
    paths |= {Path(word.removeprefix("file://")).parent for word in words if "file://" in word}
    lent = [f"{work / 'pip.conf'}:/etc/pip.conf:ro"]
    lent += [f"{p}:{p}:ro" for p in sorted(paths) if p.is_absolute() and p.exists()]
    return [part for mount in lent for part in ("--volume", mount)]


def try_page(facts: dict) -> None:
    """Called again in namespaces of its own: run the page as the image says and ask it."""
    root, config = facts["root"], facts["config"]
    uid, gid = config["User"].split(":")
    Path(root, "etc/hosts").write_text("127.0.0.1 localhost\n")  # as every container engine does
    for command in (
        ("ip", "link", "set", "lo", "up"),
        ("mount", "--make-rprivate", "/"),
        ("mount", "--bind", root, root),
        ("mount", "-t", "proc", "proc", f"{root}/proc"),
        ("mount", "--rbind", "/dev", f"{root}/dev"),
        ("mount", "-t", "tmpfs", "-o", "size=1g,mode=1777", "tmpfs", f"{root}/tmp"),
        ("mount", "-o", "remount,ro,bind", root),
    ):
        subprocess.run(command, check=True)
    if subprocess.run(["touch", f"{root}/app/x"], stderr=subprocess.DEVNULL).returncode == 0:
        sys.exit("The root file system is not read-only.")
    as_page = [
        *("chroot", root, "setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"),
        *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"),
        *("env", "-i", *config["Env"]),
        *("sh", "-c", f'cd "{config["WorkingDir"]}" && exec "$@"', "sh"),
    ]
    started = time.monotonic()
    with open(facts["log"], "w") as log:
        page = subprocess.Popen([*as_page, *config["Cmd"]], stdout=log, stderr=log)
    kind, *check = config["Healthcheck"]["Test"]
    assert kind == "CMD", "the health check is a command without a shell"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    while subprocess.run([*as_page, *check], **quiet).returncode:
        if page.poll() is not None or time.monotonic() - started > 180:
            sys.exit(f"The page did not start:\n{Path(facts['log']).read_text()[-4000:]}")
        time.sleep(1)
    status = Path(root, f"proc/{page.pid}/status").read_text()
    runs_as = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)[1]
    memory = int(re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)[1]) // 1024
    seconds = time.monotonic() - started
    say(f"Healthy after {seconds:.0f} s, as user {runs_as}, {memory:,} MB of memory")
    answer = json.loads(output(*as_page, "python", "-c", CLIENT).splitlines()[-1])
    prediction = answer["prediction"]
    say(f"A synthetic film over HTTP: {json.dumps(answer)[:600]}")
    unwanted = answer["telemetry"] or answer["torch"]
    if runs_as == "0" or unwanted or answer["runs in"]["name"] != "openvino":
        sys.exit("The page does not run as it should.")
    command = json.loads(output(*as_page, *COMMAND))
    say(f"The same on the command line: {command['decision']}, {command['probability']}")
    if command["probability"] != prediction["probability"]:
        sys.exit("The page and the command line do not agree.")
    Path(facts["figures"]).write_text(json.dumps({"start": seconds, "memory": memory}))
    page.terminate()
    page.wait(20)


def sentence(size: int, build: float, start: float, memory: int) -> str:
    """The figures as the documentation gives them; sizes in MB, times in seconds."""
    return (
        f"The image is {size:,} MB unpacked. It was built in {build:.0f} s; the page was healthy\n"
        f"{start:.0f} s after its start and then took {memory:,} MB of memory.\n"
    )


def with_figures(text: str, figures: str) -> str:
    """The page's text with these figures between its markers."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + figures + END + rest.split(END)[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work in this folder")
    parser.add_argument("--torch-index", default="", metavar="URL", help="where torch comes from")
    parser.add_argument("--write", action="store_true", help=f"write the figures into {PAGE.name}")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        try_page(json.loads(args.inside))
        return
    if os.geteuid():
        sys.exit("This needs root: it bootstraps and mounts file systems.")
    install_tools()
    with tempfile.TemporaryDirectory(prefix="container-") as temporary:
        work = (args.keep or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        store = ("--storage-driver", "vfs", "--root", work / "storage", "--runroot", work / "run")
        buildah = ["buildah", *store]
        make_base(work, buildah)
        say("Building the image")
        started = time.monotonic()
        logged(
            work / "build.log", *buildah, "bud", "--pull-never", "--isolation", "chroot",
            "--format", "docker", *lent_pip_configuration(work),
            "--build-arg", f"TORCH_INDEX={args.torch_index}", "--tag", IMAGE, ".",
        )  # fmt: skip
        config = json.loads(output(*buildah, "inspect", "--type", "image", IMAGE))
        container = output(*buildah, "from", "--pull-never", IMAGE)
        root = output(*buildah, "mount", container)
        try:
            conf = Path(root, "etc/pip.conf")
            if conf.exists() and conf.stat().st_size:
                sys.exit("This machine's pip configuration is in the image.")
            size = int(output("du", "-sm", "--apparent-size", root).split()[0])
            build = time.monotonic() - started
            say(f"Built in {build:.0f} s; {size:,} MB unpacked")
            if size > LARGEST:
                sys.exit(f"The image is larger than {LARGEST:,} MB.")
            facts = {
                "root": root,
                "log": str(work / "page.log"),
                "figures": str(work / "figures.json"),
                "config": config["Docker"]["config"],
            }
            own = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child")
            script = (sys.executable, __file__, "--inside", json.dumps(facts))
            if subprocess.run([*own, *script]).returncode:
                sys.exit("The page in the image does not do what it should: see above.")
            figures = sentence(size, build, **json.loads(Path(facts["figures"]).read_text()))
        finally:
            output(*buildah, "rm", container)
    say(f"The container works. {figures.strip()}")
    if args.write:
        PAGE.write_text(with_figures(PAGE.read_text("utf-8"), figures), "utf-8")


if __name__ == "__main__":
    main()
