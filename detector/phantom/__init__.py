"""Synthetic radiographs of limbs with a fracture at a known location; always labelled as synthetic.

``draw`` composes a phantom of ``bones``, ``fracture`` and ``exposure``.
"""

from detector.phantom.draw import (
    FRACTURE_KINDS,
    VIEWS,
    FractureSpec,
    Phantom,
    draw_phantom,
    random_phantom,
)

__all__ = ["FRACTURE_KINDS", "VIEWS", "FractureSpec", "Phantom", "draw_phantom", "random_phantom"]
