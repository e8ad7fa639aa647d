"""The film viewer, for the page with a server and for the one without: template, style, script.

The script's files share one scope and are put together in this order.
"""

from pathlib import Path

HERE = Path(__file__).resolve().parent
PARTS = (
    "film.js", "layers.js", "orientation.js", "measure.js", "settings.js", "gestures.js", "keys.js"
)


def viewer_asset(name: str) -> str:
    """The text of ``viewer.html`` or ``viewer.css``."""
    return (HERE / name).read_text(encoding="utf-8")


def viewer_script() -> str:
    """The script: the body of a function with ``element``, ``props``, ``watch`` and ``trigger``."""
    return "\n".join(viewer_asset(part) for part in PARTS)
