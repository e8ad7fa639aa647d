"""The detector with the page's limits: every film that the page reads goes through here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from demo import memory
from demo.packed_film import PackedFilm, unpacked
from detector import FractureDetector, Prediction, Radiograph, RadiographError, load_radiograph

T = TypeVar("T")
AT_ONCE = 2  # one is decoded while the network reads the other


class Reader:
    """Reads films within two budgets; see ``memory.py``.

    Args:
        limit: bytes of memory to share out; None: what this process may use.
    """

    def __init__(self, detector: FractureDetector, limit: int | None = None) -> None:
        limit = memory.memory_limit() if limit is None else limit
        self.detector = detector
        self.reading = memory.PixelBudget(int(limit * memory.READ / memory.BYTES_PER_PIXEL))
        self.kept = memory.KeptBudget(int(limit * memory.KEPT))

    def use(
        self, file: str | Path, make: Callable[[Prediction], T], frame: int | None = None
    ) -> T:
        """Read one film and make something small of its prediction, while its place is held.

        Raises:
            RadiographError: the film cannot be read, or there is no room for it.
        """
        with self._place(file):
            return make(self.detector.predict(Path(file), frame=frame))

    def _place(self, file: str | Path) -> AbstractContextManager[None]:
        most = min(self.reading.most, self.detector.limits.max_pixels)
        pixels = memory.declared_pixels(file)
        # Too many pixels are refused by the detector, in its words; it looks at no pixel first.
        if pixels is None or pixels > self.detector.limits.max_pixels:
            pixels = most
        return self.reading.reserve(pixels)

    def each(
        self, files: Iterable[str | Path], make: Callable[[int, Prediction], T]
    ) -> Iterator[T | RadiographError]:
        """``use`` each film, in order; one that cannot be read is its error.

        ``make`` also gets the film's number, from 0.
        """

        def one(number: int, file: str | Path) -> T | RadiographError:
            try:
                return self.use(file, partial(make, number))
            except RadiographError as error:
                return error

        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="film") as pool:
            waiting: deque[Future[T | RadiographError]] = deque()
            for number, file in enumerate(files):
                waiting.append(pool.submit(one, number, file))
                if len(waiting) > AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def keep(self, prediction: Prediction) -> Prediction:
        """The prediction as it may be held: its film packed, and counted until it is gone.

        Raises:
            FilmTooLarge: there is no room for it.
        """
        film = PackedFilm.pack(prediction.film)
        self.kept.hold(film, len(film.png))
        return replace(prediction, film=film)

    def read(self, file: str | Path, frame: int | None = None) -> Prediction:
        """Read one film to be held. Raises RadiographError as ``use`` and ``keep`` do."""
        return self.use(file, self.keep, frame)

    def frames(
        self, file: str | Path, numbers: Iterable[int], make: Callable[[Radiograph], T]
    ) -> dict[int, T]:
        """Something small of some frames of a file, by their number from 0, without reading them.

        A frame that cannot be decoded is left out.
        """
        made: dict[int, T] = {}
        for number in numbers:
            with suppress(RadiographError), self._place(file):
                film = load_radiograph(file, frame=number, limits=self.detector.limits)
                made[number] = make(film)
        return made

    def place_of(self, prediction: Prediction) -> AbstractContextManager[None]:
        """Hold the place of a film that is unpacked again."""
        return self.reading.reserve(prediction.film.width * prediction.film.height)

    def explain(self, prediction: Prediction, method: str) -> Prediction:
        """The held prediction with its heatmap by another method; the verdict stays."""
        with self.place_of(prediction):
            film = unpacked(prediction).film
            heat = self.detector.predict(film, method=method).heat
        return replace(prediction, heat=heat, method=method)
