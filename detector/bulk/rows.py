"""A part's readings as the bytes of one file: Parquet, CSV or JSON Lines.

CSV and JSON Lines are written by ``detector.report.results``, as in the one-process path: the
same film has the same line there. Parquet has the CSV's columns, with types.
"""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from detector.errors import RadiographError
from detector.prediction import Prediction
from detector.report.results import COLUMNS, ContinueError, ResultFile, read_finished, record, row

FORMATS = ("parquet", "csv", "jsonl")
_NUMBERS = frozenset(("probability", "confidence", "x", "y", "width", "height", "score"))
_TYPES = {"regions": pa.int32(), "in_scope": pa.bool_()}
SCHEMA = pa.schema(
    (name, pa.float64() if name in _NUMBERS else _TYPES.get(name, pa.string()))
    for name in COLUMNS
)


class Rows:
    """Collects the rows of a part in one of ``FORMATS``; ``unread`` counts the films with errors.

    Keeps no pixels.
    """

    def __init__(self, form: str):
        self.unread = 0
        self._flat: list[dict] = []
        self._text = io.StringIO(newline="")
        self._lines = None if form == "parquet" else ResultFile(self._text, form)

    def add(self, film: str, reading: Prediction | RadiographError) -> None:
        self.unread += isinstance(reading, RadiographError)
        if self._lines:
            self._lines.write(film, reading)
        else:
            self._flat.append(row(record(film, reading)))

    def data(self) -> bytes:
        """The file's bytes."""
        if self._lines:
            return self._text.getvalue().encode("utf-8")
        out = io.BytesIO()
        parquet.write_table(pa.Table.from_pylist(self._flat, SCHEMA), out, compression="zstd")
        return out.getvalue()


def films_in(path: Path, form: str, model_sha256: str) -> dict[str, bool]:
    """The name of each film in a part -> whether it could be read.

    Raises:
        ContinueError: the file is of another format or was written by other weights.
    """
    if form != "parquet":
        return read_finished(path, form, model_sha256)
    try:
        columns = parquet.read_table(path, columns=["file", "model_sha256", "error_kind"])
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise ContinueError(
            f"{path} does not hold results in the format {form}, so it cannot be continued. "
            "Choose another --out."
        ) from error
    files, models, errors = (column.to_pylist() for column in columns.columns)
    if set(models) - {None, model_sha256}:
        raise ContinueError(
            f"{path} was written with other weights. Continue it with those, or choose another "
            "--out: one folder must not mix two models."
        )
    return {file: kind is None for file, kind in zip(files, errors, strict=True)}
