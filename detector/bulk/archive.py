"""Where the films lie: names, folders and patterns, on a disk or behind a URL.

A name with ``://`` in it is a URL and is opened by fsspec (``s3://``, ``gs://``, ``file://``,
``zip://*.dcm::s3://bucket/year.zip``, ...); where fsspec lacks the package of a protocol, by
pyarrow, which brings S3, Google Cloud Storage, Azure and HDFS itself. Every other name is a path,
and means what it means to the one-process path (``detector.io.find_films``).
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow.fs import FileSystem

from detector.errors import RadiographError, UnreadableFilm
from detector.io.find_films import SUFFIXES, list_films
from detector.io.limits import Limits
from detector.io.radiograph import recognise
from detector.report.file_names import written_name

_ENOUGH = 4096  # bytes that tell a film from another file
_ATTEMPTS = 3
_AT_ONCE = 8  # requests for first bytes, while a URL is listed


class StorageError(ValueError):
    """A URL that leads nowhere; the sentence says why."""


def list_archive(named: Iterable[str], *, apart_from: Iterable[Path | None] = ()) -> list[str]:
    """Paths, folders, patterns and URLs of these -> films, each once, in order.

    Paths, and ``apart_from``: see ``detector.io.find_films.list_films``. A URL may be that of a
    film, of a folder or bucket (every film in it and below), or a pattern. A URL that leads to
    nothing stays in the list, so that its row says so.

    Raises:
        StorageError: nothing opens URLs of this kind, or the storage refuses.
        ResultsAmongFilms: see ``list_films``.
    """
    apart_from = tuple(apart_from)
    found: dict[str, None] = {}
    for name in named:
        found |= dict.fromkeys(
            _films_at(name) if is_url(name) else list_films([name], apart_from=apart_from)
        )
    return list(found)


def is_url(name: str) -> bool:
    """Whether a name is a URL: has ``://`` in it."""
    return "://" in name


def fetched(
    films: Iterable[str], limits: Limits, *, folder: str = ".", ahead: int = 4
) -> Iterator[str | bytes | RadiographError]:
    """What to read for each film, in order: a path in ``folder``, a URL's bytes, or its error.

    Storage answers slowly and takes many requests: at most ``ahead`` films are on their way at
    once. A request that fails is repeated; a film that does not exist is not asked for again.
    """
    names = iter(films)
    with ThreadPoolExecutor(ahead, thread_name_prefix="fetch") as pool:

        def start(name: str) -> Future[bytes] | str:
            return pool.submit(_bytes_at, name, limits) if is_url(name) else name

        waiting = deque(start(name) for name in islice(names, ahead))
        while waiting:
            head = waiting.popleft()
            waiting.extend(start(name) for name in islice(names, 1))
            if isinstance(head, str):
                yield os.path.join(folder, head)
                continue
            try:
                yield head.result()
            except RadiographError as error:
                yield error


def _bytes_at(url: str, limits: Limits) -> bytes:
    """One film's bytes, no more than the limit and one.

    Raises:
        UnreadableFilm: there is none, or the storage did not deliver it.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            storage, path, _ = _opened(url)
            return _first_bytes(storage, path, limits.max_bytes + 1)
        except (FileNotFoundError, IsADirectoryError, KeyError) as error:
            raise UnreadableFilm("There is no such file. Check its name and folder.") from error
        except Exception as error:  # each storage has errors of its own
            if attempt == _ATTEMPTS or isinstance(error, StorageError | PermissionError):
                raise UnreadableFilm(
                    "The storage did not deliver the file. Check the address and the permission, "
                    "or try again."
                ) from error
            time.sleep(0.2 * 4**attempt)
    raise AssertionError("unreachable")


def _first_bytes(storage: fsspec.AbstractFileSystem, path: str, count: int) -> bytes:
    """At most ``count`` bytes in one request."""
    if isinstance(storage, ArrowFSWrapper):
        with storage.open(path, "rb") as file:
            return file.read(count)
    return storage.cat_file(path, start=0, end=count)


def _films_at(url: str) -> list[str]:
    storage, path, name_of = _opened(url)
    try:
        if storage.isfile(path):  # also where its name has the letters of a pattern
            return [url]
        if any(letter in path for letter in "*?["):
            files = [p for p, facts in storage.glob(path, detail=True).items()
                     if facts["type"] != "directory"]
        else:
            files = [p for p in _below(storage, path) if not _hidden(p.removeprefix(path))]
    except Exception as error:  # each storage has errors of its own
        raise StorageError(
            f"{written_name(url)} cannot be listed: {type(error).__name__}."
        ) from error
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="list") as pool:
        films = pool.map(lambda file: _looks_like_a_film(storage, file), sorted(files))
        names = [name_of(p) for p, film in zip(sorted(files), films, strict=True) if film]
    return names or [url]


def _below(storage: fsspec.AbstractFileSystem, path: str) -> list[str]:
    """All files below a path; none where there is no such path."""
    if type(storage).find is not fsspec.AbstractFileSystem.find:
        return storage.find(path)  # the storage's own, in few requests
    # The common one passes over every folder that it cannot list, also for a moment's fault.
    files: list[str] = []
    folders = [path]
    while folders:
        folder = folders.pop()
        try:
            entries = storage.ls(folder, detail=True)
        except FileNotFoundError:
            continue
        for entry in entries:
            if entry["type"] != "directory":
                files.append(entry["name"])
            elif entry["name"].rstrip("/") != folder.rstrip("/"):
                folders.append(entry["name"])
    return files


def _hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _looks_like_a_film(storage: fsspec.AbstractFileSystem, path: str) -> bool:
    """By its suffix; without a known one by its first bytes, since DICOM files often have none."""
    stem, suffix = os.path.splitext(path.rpartition("/")[2])
    if suffix.lower() in SUFFIXES:
        return True
    if stem == "DICOMDIR":
        return False
    try:
        return recognise(_first_bytes(storage, path, _ENOUGH)) in ("picture", "dicom")
    except Exception:  # each storage has errors of its own; an empty object is one for some
        return False


def _opened(url: str) -> tuple[fsspec.AbstractFileSystem, str, Any]:
    """A URL's storage, the path in it, and what makes URLs of such paths."""
    head, _, inner = url.partition("::")
    scheme, _, path = head.partition("://")
    host, _, _ = path.partition("/")
    query = "" if inner else head.partition("?")[2]
    kind, storage, base = _storage(scheme, "" if inner else host.partition("?")[0], inner, query)
    if kind == "pyarrow":
        below = path.removeprefix(host).partition("?")[0].strip("/")
        root, tail = f"{scheme}://{host.partition('?')[0]}", f"?{query}" if query else ""
        return (
            storage,
            f"{base}/{below}" if below else base,
            lambda p: f"{root}/{p.removeprefix(base).lstrip('/')}{tail}",
        )
    tail = f"::{inner}" if inner else ""
    return storage, storage._strip_protocol(head), lambda p: storage.unstrip_protocol(p) + tail


@lru_cache(maxsize=64)
def _storage(
    scheme: str, host: str, inner: str, query: str
) -> tuple[str, fsspec.AbstractFileSystem, str]:
    """Who opens it, the storage, and the path of its root; connected once per process."""
    url = f"{scheme}://" + (f"::{inner}" if inner else host or "/")
    try:
        storage, base = fsspec.url_to_fs(url)
        return "fsspec", storage, base
    except (ImportError, ValueError) as error:  # no package for it, or a protocol not known
        reason = str(error)
    try:
        plain, base = FileSystem.from_uri(f"{url}?{query}" if query else url)
    except (ValueError, OSError, NotImplementedError) as error:
        raise StorageError(
            f"{written_name(f'{scheme}://{host}')} cannot be opened: {reason}"
        ) from error
    return "pyarrow", ArrowFSWrapper(plain), base.rstrip("/")  # "" where paths begin with /
