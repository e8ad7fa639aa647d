"""How large a film may be; checked on the declared size, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from detector.errors import FilmTooLarge, FilmTooSmall, NoPixels

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Decoding limits; whoever raises them pays in memory.

    A film needs at most about 20 bytes of memory per pixel while it is read, beside its file.
    The defaults hold the largest radiographs in use (a stitched leg film has about 30 million
    pixels) several times over.

    Attributes:
        max_bytes: largest file, and largest inflated size of a deflated DICOM.
        max_pixels: largest width times height of one frame. Pillow has a guard of its own at
            ``2 * PIL.Image.MAX_IMAGE_PIXELS`` (179 million) that stays in force for pictures.
        max_side: largest width or height.
        min_side: smallest width or height; below it no bone structure is left to judge.
        max_seconds: longest time for one of DICOM's decoders, which run in a process of their
            own; a film of few pixels gets less (``codecs.py``).
    """

    max_bytes: int = 200 * MEGABYTE
    max_pixels: int = 100_000_000
    max_side: int = 30_000
    min_side: int = 32
    max_seconds: float = 30.0

    def check_bytes(self, count: int) -> None:
        """Raise ``FilmTooLarge`` for a file of more than ``max_bytes`` bytes."""
        if count > self.max_bytes:
            raise FilmTooLarge(
                f"The file is larger than the {self.max_bytes / MEGABYTE:g} MB that are read here. "
                "Export a single film as JPEG, PNG or single-frame DICOM."
            )

    def check_size(self, width: int, height: int) -> None:
        """Raise ``NoPixels``, ``FilmTooSmall`` or ``FilmTooLarge`` for a size out of bounds."""
        if width <= 0 or height <= 0:
            raise NoPixels("The picture is empty: it has no pixels. Export the film again.")
        if max(width, height) > self.max_side or width * height > self.max_pixels:
            raise FilmTooLarge(
                f"The film claims {width} x {height} pixels; at most "
                f"{self.max_pixels / 1e6:g} million pixels and {self.max_side} a side are read "
                "here. Export it at a lower resolution."
            )
        if min(width, height) < self.min_side:
            raise FilmTooSmall(
                f"The picture has only {width} x {height} pixels; at least {self.min_side} a side "
                "are needed. Use the original film, not a thumbnail."
            )
