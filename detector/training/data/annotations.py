"""Boxes and outlines of fractures, from COCO files."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from detector.io.radiograph import load_radiograph
from detector.training.data.records import FilmRecord

# Of a film: boxes (N, 4) x, y, width, height and per box its outline (M, 2), where it is known.
Fractures = tuple[np.ndarray, tuple[np.ndarray | None, ...]]
Annotations = dict[str, Fractures]
NO_FRACTURE: Fractures = (np.zeros((0, 4)), ())


def read_annotations(path: Path, folders: bool = False) -> Annotations:
    """COCO json -> file name -> (boxes (N, 4), outlines), in the pixels of those images.

    ``folders``: the names keep the folders that they have in the file.
    """
    coco = json.loads(path.read_text())
    names = {
        image["id"]: image["file_name"] if folders else Path(image["file_name"]).name
        for image in coco["images"]
    }
    boxes: dict[str, list] = defaultdict(list)
    outlines: dict[str, list] = defaultdict(list)
    for annotation in coco["annotations"]:
        name = names[annotation["image_id"]]
        polygons = annotation.get("segmentation") or []
        # A run-length mask (a mapping) is no outline; its box stands.
        known = polygons if isinstance(polygons, list) else []
        boxes[name].append(annotation["bbox"])
        outlines[name].append(np.asarray(known[0], np.float64).reshape(-1, 2) if known else None)
    return {n: (np.asarray(boxes[n], np.float64), tuple(outlines[n])) for n in boxes}


def with_outlines(records: Sequence[FilmRecord], path: Path) -> list[FilmRecord]:
    """The records, with the outlines of a separate COCO json for fractured films that have none.

    Its images are named as the records' keys are: the data set's folder and the film's name there.
    Where it states an image's width and height, outlines are scaled to the film's.

    Raises:
        ValueError: the file is no COCO json, or names no fractured film without an outline.
    """
    try:
        annotations = read_annotations(path, folders=True)
        sizes = {
            image["file_name"]: (image["width"], image["height"])
            for image in json.loads(path.read_text())["images"] if "width" in image
        }
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is no COCO file of outlines: {error}") from error
    outlined = [
        record if record.located or record.key not in annotations
        else _with_scaled(record, *annotations[record.key], sizes.get(record.key))
        for record in records
    ]
    if not any(new is not old for new, old in zip(outlined, records, strict=True)):
        raise ValueError(
            f"{path} names no fractured film without an outline, as 'folder/film.jpg'."
        )
    return outlined


def _with_scaled(
    record: FilmRecord, boxes: np.ndarray, outlines: tuple[np.ndarray | None, ...],
    size: tuple[int, int] | None,
) -> FilmRecord:
    """The record with outlines that were drawn on a copy of ``size`` (width, height) pixels."""
    scale = np.ones(2)
    if size:
        height, width = load_radiograph(record.path).pixels.shape
        scale = np.array([width, height]) / size
    return replace(
        record, boxes=boxes * np.tile(scale, 2),
        outlines=tuple(None if one is None else one * scale for one in outlines),
    )
