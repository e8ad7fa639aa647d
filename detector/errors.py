"""What can be wrong with a film, each cause with a sentence that a clinician can act on.

`str(error)` is the sentence: what is wrong and the way out. `error.kind` is a short word for
programs. No message ever quotes the file's own text, which may hold patient data.
"""

from __future__ import annotations


class RadiographError(ValueError):
    """A film that cannot be read or judged; the base of every error about a film."""

    kind = "radiograph"


class UnreadableFilm(RadiographError):
    """The input is damaged, missing, empty, or no film at all."""

    kind = "unreadable"


class UnsupportedFilm(RadiographError):
    """A real film in a form that is not read here: encoding, several frames, pixel type."""

    kind = "unsupported"


class SeveralFrames(UnsupportedFilm):
    """A multi-frame file without a word on which frame to read; `frames` says how many."""

    kind = "several frames"

    def __init__(self, frames: int) -> None:
        self.frames = frames
        super().__init__(f"The file holds {frames} frames. Choose one of them (0 to {frames - 1}).")

    def __reduce__(self) -> tuple[type[SeveralFrames], tuple[int]]:
        # An exception is rebuilt from its message otherwise, and this one takes a number.
        return SeveralFrames, (self.frames,)


class FilmTooLarge(RadiographError):
    """More bytes or pixels than the limits allow, or than memory holds."""

    kind = "too large"


class FilmTooSmall(RadiographError):
    """Too few pixels to show a fracture."""

    kind = "too small"


class NoPixels(RadiographError):
    """A valid file without a picture in it, or a picture without a single usable value."""

    kind = "no pixels"
