"""Where weights come from: the commit of the code and the digest of the data."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from detector.training.data.records import FilmRecord


def git_commit(folder: Path | None = None) -> str:
    """The commit of the checkout, with '+' where files differ from it; 'unknown' without git."""
    folder = folder or Path(__file__).resolve().parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise OSError(done.stderr)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except OSError:
        return "unknown"


def data_digest(records: Sequence[FilmRecord]) -> str:
    """sha256 over the records' keys, labels, splits and file contents, in key order."""
    digest = hashlib.sha256()
    for record in sorted(records, key=lambda r: r.key):
        digest.update(f"{record.key} {int(record.fractured)} {record.split}\n".encode())
        digest.update(hashlib.sha256(record.path.read_bytes()).digest())
    return digest.hexdigest()
