"""How a reading is written down: a line of text, a row of CSV, a line of JSON.

``ResultFile`` writes one whole line per film and flushes it, so that an interrupted run leaves a
file that the next one can continue: at most its last line is torn, and that one is dropped.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import cv2

from detector.errors import RadiographError
from detector.explain.overlay import square_pixels
from detector.io.atomic_io import replace_file
from detector.prediction import Prediction
from detector.report.file_names import free_name, picture_stem, shown_name, written_name

FORMATS = ("text", "csv", "jsonl")
COLUMNS = (
    "file", "label", "probability", "confidence", "decision",
    "x", "y", "width", "height", "score", "regions",
    "in_scope", "scope_reason", "warnings",
    "model_version", "model_sha256", "error_kind", "error",
)  # fmt: skip


def escape_unencodable(stream: IO[str]) -> IO[str]:
    """The stream, set so that a letter that it cannot show does not stop the output."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


class OverlayFolder:
    """Writes overlays as PNG files named after their films.

    Two films of one name are told apart by a number, which depends on the ``films`` before it
    alone: a continued run that gives those that are finished first, and then the others, gives each
    film the same name. No overlay takes the place of a film.
    """

    def __init__(self, folder: Path, films: Iterable[str]):
        films = list(films)
        folder.mkdir(parents=True, exist_ok=True)
        self._paths: dict[str, Path] = {}
        kept = {os.path.realpath(film).lower() for film in films}
        taken: set[str] = set()  # in lower case: some file systems do not tell cases apart

        def is_taken(name: str) -> bool:
            path = os.path.realpath(folder / f"{name}.png").lower()
            return name.lower() in taken or path in kept

        for film in films:
            name = free_name(picture_stem(film), is_taken)
            taken.add(name.lower())
            self._paths[film] = folder / f"{name}.png"

    def write(self, film: str, prediction: Prediction) -> Path:
        """Write one overlay at the film's own resolution, in square pixels; returns its path.

        Raises:
            OSError: the file cannot be written.
        """
        painted = square_pixels(prediction.overlay(boxes=True), prediction.film.aspect)
        painted = cv2.cvtColor(painted, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".png", painted)
        replace_file(self._paths[film], data.tobytes())
        return self._paths[film]


class ContinueError(ValueError):
    """A results file that cannot be continued; the sentence says why."""


def percent(probability: float) -> str:
    """A probability in [0, 1] as people read it: "93 %"; never "0 %" or "100 %"."""
    if probability < 0.01:
        return "<1 %"
    if probability > 0.99:
        return ">99 %"
    return f"{100 * probability:.0f} %"


def record(file: str, result: Prediction | RadiographError) -> dict[str, Any]:
    """One film's JSON object: ``Prediction.to_dict`` with its ``file``, or its ``error``."""
    file = written_name(file)
    if isinstance(result, RadiographError):
        return {"file": file, "error": {"kind": result.kind, "message": str(result)}}
    return {"file": file, **result.to_dict()}


def text(file: str, result: Prediction | RadiographError) -> str:
    """One film's reading in a few lines, for a person."""
    file = shown_name(file)
    if isinstance(result, RadiographError):
        return f"{file}: not read\n  {result}"
    lines = [
        f"{file}: {result.decision}" + _incomplete(result),
        f"  class       {result.label}, confidence {percent(result.confidence)}"
        f" (probability of a fracture {percent(result.probability)})",
    ]
    if result.regions:
        region = result.regions[0]
        lines.append(
            f"  strongest   x {region.x:.0f}, y {region.y:.0f}, "
            f"{region.width:.0f} x {region.height:.0f} px, score {percent(region.score)}"
            + (f" (of {len(result.regions)} regions)" if len(result.regions) > 1 else "")
        )
    if not result.scope.in_scope:
        lines.append(f"  scope       {result.scope.reason} Do not rely on this answer.")
    lines += [f"  note        {warning}" for warning in result.warnings]
    return "\n".join(lines)


def _incomplete(result: Prediction) -> str:
    missing = result.film.missing
    return f" ({100 * missing:.1f} % of the film is missing)" if missing else ""


def row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A ``record`` as one flat row of ``COLUMNS``; the box is the strongest region's."""
    error = entry.get("error")
    if error:
        return {"file": entry["file"], "error_kind": error["kind"], "error": error["message"]}
    strongest = entry["regions"][0] if entry["regions"] else {}
    return {
        **{name: entry[name] for name in COLUMNS[:5]},
        **strongest,
        "regions": len(entry["regions"]),
        "in_scope": entry["scope"]["in_scope"],
        "scope_reason": entry["scope"]["reason"],
        "warnings": " ".join(entry["warnings"]),
        "model_version": entry["model"]["version"],
        "model_sha256": entry["model"]["sha256"],
    }


class ResultFile:
    """Writes readings to a stream in one of ``FORMATS``."""

    def __init__(self, stream: IO[str], form: str, *, header: bool = True):
        self._stream = stream
        self._form = form
        if form == "csv" and header:
            self._put(_CSV_HEAD)

    def write(self, file: str, result: Prediction | RadiographError) -> None:
        """Append one film, whole, and flush."""
        if self._form == "csv":
            self._put(_csv_line(row(record(file, result))))
        elif self._form == "jsonl":
            self._put(json.dumps(record(file, result), ensure_ascii=False) + "\n")
        else:
            self._put(text(file, result) + "\n")

    def _put(self, line: str) -> None:
        self._stream.write(line)
        self._stream.flush()


def _csv_line(entry: Mapping[str, Any]) -> str:
    out = io.StringIO(newline="")
    # The writer puts quotes around the characters of its own line end only: so it has both.
    csv.DictWriter(out, COLUMNS, lineterminator="\r\n").writerow(entry)
    return out.getvalue().removesuffix("\r\n") + "\n"


_CSV_HEAD = ",".join(COLUMNS) + "\n"
_BEGINS = {"csv": _CSV_HEAD, "jsonl": '{"file": "'}  # a file, and a line


def read_finished(path: Path, form: str, model_sha256: str) -> dict[str, bool]:
    """The ``written_name`` of each film in a results file -> whether it could be read.

    A torn last line is cut off the file.

    Raises:
        ContinueError: the file is of another format or was written by other weights.
    """
    data = path.read_bytes()
    end = _end_of_whole_lines(data, quoted=form == "csv")
    try:
        if form == "jsonl" or not end:
            _check_torn(data[end:], _BEGINS[form].encode())
        whole = data[:end].decode("utf-8")
        entries = _csv_entries(whole) if form == "csv" else _json_entries(whole)
    except (ValueError, KeyError, TypeError) as error:
        raise ContinueError(
            f"{path} does not hold results in the format {form}, so it cannot be continued. "
            "Choose another --out."
        ) from error
    if any(sha not in (None, model_sha256) for _, sha in entries):
        raise ContinueError(
            f"{path} was written with other weights. Continue it with those, or choose another "
            "--out: one file must not mix two models."
        )
    if end < len(data):
        with path.open("r+b") as file:
            file.truncate(end)
    return {file: sha is not None for file, sha in entries}


def _end_of_whole_lines(data: bytes, *, quoted: bool) -> int:
    """Length of the part that ends with a line end; within quotes there is none (RFC 4180)."""
    end = data.rfind(b"\n") + 1
    while quoted and end and data.count(b'"', 0, end) % 2:
        end = data.rfind(b"\n", 0, end - 1) + 1
    return end


def _check_torn(line: bytes, begin: bytes) -> None:
    """A torn line is cut off, and nothing else is: it must begin as those written here do."""
    if line[: len(begin)] != begin[: len(line)]:
        raise ValueError("not a line of results")


def _csv_entries(whole: str) -> list[tuple[str, str | None]]:
    rows = csv.DictReader(io.StringIO(whole, newline=""), strict=True)
    if whole and tuple(rows.fieldnames or ()) != COLUMNS:
        raise ValueError("other columns")
    return [(r["file"], None if r["error_kind"] else r["model_sha256"]) for r in rows]


def _json_entries(whole: str) -> list[tuple[str, str | None]]:
    entries = [json.loads(line) for line in whole.split("\n")[:-1]]
    return [(e["file"], None if "error" in e else e["model"]["sha256"]) for e in entries]
