"""Run a benchmark and keep what it printed in ``docs/measured/``, beside the command.

    python benchmarks/record.py latency --rounds 40      # writes docs/measured/latency.md

The documents point at these pages, so that no figure of speed is typed by hand. Everything after
the benchmark's name is handed to it. The page is written only when the benchmark succeeds.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "measured"


def page(command: str, printed: str) -> str:
    """The Markdown page of one run."""
    name = command.split()[1].removeprefix("benchmarks/").removesuffix(".py")
    return (
        f"# {name}\n\nWritten on {datetime.now(UTC):%Y-%m-%d} by\n\n    {command}\n\n"
        f"{printed.strip()}\n"
    )


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    script = ROOT / "benchmarks" / f"{argv[0]}.py" if argv else None
    if script is None or not script.is_file() or argv[0] in ("record", "measuring"):
        names = sorted(p.stem for p in (ROOT / "benchmarks").glob("*.py"))
        print(f"record.py NAME [arguments]; benchmarks: {', '.join(names)}", file=sys.stderr)
        return 2
    done = subprocess.run(
        [sys.executable, str(script), *argv[1:]], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    print(done.stdout)
    if done.returncode:
        print(f"{argv[0]} ended with {done.returncode}; no page written", file=sys.stderr)
        return done.returncode
    PAGES.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", f"benchmarks/{argv[0]}.py", *argv[1:]])
    (PAGES / f"{argv[0]}.md").write_text(page(command, done.stdout), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
