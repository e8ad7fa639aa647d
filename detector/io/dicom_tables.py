"""Look-up tables of DICOM (modality and VOI LUT, PS3.3 C.11.1 and C.11.2), as files hold them.

A LUT's descriptor says how many entries there are and how many bits each has; both are often wrong.
How many bytes there are decides, as in dcmtk: a byte an entry, or a word; and what the entries
reach, not what they could hold, is white.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

_DESCRIPTOR, _DATA = 0x00283002, 0x00283006


@dataclass(frozen=True)
class Table:
    """``entries`` (n,) for the values ``first``, ``first`` + 1, ...; beyond the ends the outermost
    entry holds."""

    first: int
    entries: np.ndarray

    @property
    def top(self) -> int:
        """The largest value of as many bits as the entries use; at least 1."""
        return max(1, (1 << int(self.entries.max()).bit_length()) - 1)

    def look_up(self, values: np.ndarray) -> np.ndarray:
        """Values of any shape -> their entries, float64."""
        whole = np.rint(np.clip(values, -(2.0**31), 2.0**31 - 1)).astype(np.int64)
        return self.entries[np.clip(whole - self.first, 0, len(self.entries) - 1)]


def read_table(dataset: Dataset, keyword: str, *, signed: bool) -> Table | None:
    """The first table of a LUT sequence; None where it is damaged.

    Args:
        dataset: as read from a file, with its byte order.
        keyword: of the sequence.
        signed: whether the values that are looked up may be negative.
    """
    try:
        item = dataset[keyword].value[0]
        count, first, _ = (int(number) for number in item[_DESCRIPTOR].value)
        data = item[_DATA].value
        little = dataset.original_encoding[1] is not False
        if not isinstance(data, bytes):  # pydicom has made numbers of it
            data, little = np.atleast_1d(np.asarray(data)).astype("<u2").tobytes(), True
    except Exception:
        return None
    count = count % 65536 or 65536
    if signed and first >= 32768:  # the descriptor's VR was unsigned
        first -= 65536
    words = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little else ">u2")
    if len(data) in (count, count + 1) and len(data) > 1:  # two a word, low first
        entries = words.astype("<u2").view(np.uint8)[:count]
    else:
        entries = words[:count]
    return Table(first, entries.astype(np.float64)) if len(entries) > 1 else None
