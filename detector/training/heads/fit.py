"""All heads of a network, from films that were run through it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detector.model.calibration import Calibration
from detector.model.heads import Heads
from detector.model.ood import OodModel
from detector.training.data.records import FilmRecord
from detector.training.heads.anatomy import fit_anatomy
from detector.training.heads.familiarity import FilmReadings, fit_familiarity, with_points


def fit_heads(
    ood: OodModel,
    records: Sequence[FilmRecord],
    embeddings: np.ndarray,
    held_out: np.ndarray,
    calibration: Calibration,
    unseen: FilmReadings | None = None,
    labelled: FilmReadings | None = None,
) -> Heads:
    """Familiarity and anatomy beside an OOD check.

    Args:
        records, embeddings (N, E): films that the network was trained on, whole.
        held_out: embeddings (M, E) of films of the same sources that it was not trained on.
        unseen: films of sources that it was not trained on; they give the operating points of
            unfamiliar films, and those of train count for anatomy.
        labelled: more training films, which count for anatomy alone.
    """
    familiarity = fit_familiarity(embeddings, held_out, calibration)
    if unseen is not None:
        familiarity = with_points(familiarity, calibration, unseen)
        unseen = unseen[np.array([record.split == "train" for record in unseen.records], bool)]
    for more in (unseen, labelled):
        if more is not None:
            records = [*records, *more.records]
            embeddings = np.concatenate([embeddings, more.embeddings])
    return Heads(ood.direction, familiarity, fit_anatomy(records, embeddings))
