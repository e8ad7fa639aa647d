"""Readers of the folder layouts that films come in: each returns ``FilmRecord``s.

``read_films`` recognises the layout by itself:

- manifest: ``manifest.csv`` (file, split, fractured, duplicate_group, ...), ``images/`` and, where
  fractures are outlined, ``annotations.json`` (COCO);
- FracAtlas as published (doi 10.6084/m9.figshare.22363012): ``images/Fractured``,
  ``images/Non_fractured``, ``dataset.csv``, ``Annotations/COCO JSON/*.json``;
- multi-region: ``{train,val,test}/{fractured,not fractured}``;
- any folder with one subfolder per class, by the names in ``labels.CLASS_FOLDERS``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from detector.training.data.annotations import NO_FRACTURE, Annotations, read_annotations
from detector.training.data.labels import (
    CLASS_FOLDERS,
    class_of,
    read_label,
    read_rows,
    read_split,
    split_of,
)
from detector.training.data.records import FilmRecord, Unreadable

log = logging.getLogger(__name__)

_OWN_COLUMNS = {"file", "split", "fractured", "duplicate_group"}
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".jp2", ".dcm", ".dicom"}
LAYOUTS = (
    "a manifest (manifest.csv and images/); FracAtlas as published (images/Fractured, "
    "images/Non_fractured, dataset.csv); the multi-region layout ({train,val,test}/{fractured,"
    "not fractured}); a folder with one subfolder per class. A class folder is called "
    f"{' or '.join(CLASS_FOLDERS[True])} for fractures, and "
    f"{' or '.join(CLASS_FOLDERS[False])} for normal films"
)


@dataclass(frozen=True)
class FilmSet:
    """The films of a folder; ``layout`` names how it was read. ``unreadable``: files that are
    missing, empty or no picture; they are not among ``records``."""

    folder: Path
    layout: str
    records: tuple[FilmRecord, ...]
    unreadable: tuple[Unreadable, ...]


def read_manifest(folder: Path) -> list[FilmRecord]:
    """The manifest layout: ``manifest.csv`` (file, split, fractured, duplicate_group, ...),
    ``images/`` and, where fractures are outlined, ``annotations.json`` (COCO).

    Raises:
        ValueError: a cell holds no label, or no split; the sentence gives its row and column.
    """
    coco = folder / "annotations.json"
    annotations = read_annotations(coco) if coco.exists() else {}
    records = []
    for number, row in enumerate(read_rows(folder / "manifest.csv"), 2):
        boxes, outlines = annotations.get(row["file"], NO_FRACTURE)
        where = f"{folder.name}/manifest.csv, row {number}"
        records.append(
            FilmRecord(
                path=folder / "images" / row["file"],
                source=folder.name,
                fractured=read_label(row, "fractured", where),
                split=read_split(row, where),
                group=row.get("duplicate_group", ""),
                boxes=boxes,
                outlines=outlines,
                attributes={k: v for k, v in row.items() if k not in _OWN_COLUMNS},
            )
        )
    return records


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _classes(folder: Path) -> dict[bool, list[Path]]:
    """The class folders in ``folder``, empty unless there are both.

    Raises:
        ValueError: beside them lies a folder of films whose name is no class.
    """
    found: dict[bool | None, list[Path]] = {True: [], False: [], None: []}
    for child in _folders(folder):
        found[class_of(child.name)].append(child)
    unknown = [child.name for child in found.pop(None) if _films(child)]
    if not (found[True] and found[False]):
        return {}
    if unknown:
        raise ValueError(f"{folder}: {', '.join(unknown)} beside the class folders is no known "
                         f"class. Known are {LAYOUTS}.")
    return found


def _films(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.rglob("*")
        if p.suffix.lower() in _SUFFIXES and not p.name.startswith(".") and not p.is_dir()
    )  # fmt: skip


def _read_classes(folder: Path, root: Path, split: str | None = None) -> list[FilmRecord]:
    """The films of a folder of two classes, named by their path under ``root``: the data set."""
    return [
        FilmRecord(path=path, source=root.name, fractured=fractured, split=split,
                   name=path.relative_to(root).as_posix())
        for fractured, children in _classes(folder).items()
        for child in children
        for path in _films(child)
    ]


def _split_folders(folder: Path) -> list[tuple[str, Path]]:
    return [
        (split, child)
        for child in _folders(folder)
        if (split := split_of(child.name)) and _classes(child)
    ]


def read_multiregion(folder: Path) -> list[FilmRecord]:
    """``{train,val,test}/{fractured,not fractured}``. File names repeat between the folders of the
    published set, so a film's ``name`` holds its folders."""
    return [
        record
        for split, child in _split_folders(folder)
        for record in _read_classes(child, folder, split)
    ]


def read_two_classes(folder: Path) -> list[FilmRecord]:
    """A folder with one subfolder per class, without a split."""
    return _read_classes(folder, folder)


def read_fracatlas(folder: Path) -> list[FilmRecord]:
    """FracAtlas as published. The class is the film's folder; ``dataset.csv`` gives the
    attributes; boxes and outlines come from the COCO json, wherever it lies in the folder."""
    attributes: dict[str, dict[str, str]] = {}
    for row in read_rows(folder / "dataset.csv"):
        name = row.pop("image_id")
        attributes[name] = {k: v for k, v in row.items() if k != "fractured"}
    annotations: Annotations = {}
    for path in sorted(folder.rglob("*.json")):
        try:
            annotations.update(read_annotations(path))
        except (KeyError, TypeError, AttributeError, ValueError):
            log.info("%s is no COCO file and was left out", path.name)
    records = []
    for record in _read_classes(folder / "images", folder):
        boxes, outlines = annotations.get(record.path.name, NO_FRACTURE)
        own = attributes.get(record.path.name, {})
        # No file name repeats in this set, so a film is known by it wherever its folder lies.
        records.append(
            replace(record, boxes=boxes, outlines=outlines, attributes=own, name="")
        )
    # A film that the table lists and no folder holds is broken, not forgotten.
    seen = {record.path.name for record in records}
    missing = sorted(set(attributes) - seen)
    return records + [
        FilmRecord(path=folder / "images" / name, source=folder.name, fractured=False)
        for name in missing
    ]


def _fault(path: Path) -> str:
    """Why a file gives no picture, from its first bytes; empty where it may give one."""
    try:
        if not path.stat().st_size:
            return "the file is empty"
        with path.open("rb") as file:
            head = file.read(132)
    except OSError as error:
        return error.strerror or "the file cannot be read"
    known = (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*", b"GIF8"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or head[4:8] == b"jP  "
        or head[128:] == b"DICM"
        or path.suffix.lower() in {".dcm", ".dicom"}
    )
    return "" if known else "the file is not a picture"


def _without_broken(records: Iterable[FilmRecord]) -> tuple[list[FilmRecord], list[Unreadable]]:
    films, broken = [], []
    for record in records:
        if reason := _fault(record.path):
            broken.append(Unreadable(record.path, reason))
        else:
            films.append(record)
    return films, broken


def read_films(folder: Path) -> FilmSet:
    """Reads a folder of films in whichever layout it is.

    Files are looked at by their first bytes only; those that break later are found where they are
    decoded (``audit``, the training cache). Broken files are logged, named and left out.

    Raises:
        ValueError: the layout is unknown, or holds no film; the sentence says what layouts exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder.")
    if (folder / "manifest.csv").exists() and (folder / "images").is_dir():
        layout, read = "manifest", read_manifest
    elif (folder / "dataset.csv").exists() and (folder / "images").is_dir():
        layout, read = "FracAtlas as published", read_fracatlas
    elif _split_folders(folder):
        layout, read = "multi-region", read_multiregion
    elif _classes(folder):
        layout, read = "two classes", read_two_classes
    else:
        raise ValueError(f"{folder} has no layout that is known here. Known are {LAYOUTS}.")
    try:
        records = read(folder)
    except KeyError as error:
        raise ValueError(f"{folder}: the table lacks the column {error}.") from error
    films, broken = _without_broken(records)
    if not films:
        raise ValueError(f"{folder} ({layout} layout) holds no film. Known are {LAYOUTS}.")
    if broken:
        log.warning("%s: %d broken files, first %s", folder, len(broken), broken[0].path.name)
    return FilmSet(folder, layout, tuple(films), tuple(broken))
