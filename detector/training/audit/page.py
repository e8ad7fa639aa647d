"""The audit's findings as text and as one HTML page with the films in question side by side."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2

from detector.training.audit.findings import AuditReport
from detector.training.audit.fingerprint import decode_grey
from detector.training.audit.leakage import FilmPair

_NAMED = 10
_SHOWN = 24
_THUMBNAIL = 200
_KINDS = {
    "bytes": "the same file",
    "pixels": "the same pixels",
    "picture": "the same picture",
    "group": "one group, says the data set",
}
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
pre { overflow-x: auto; padding: 1rem; border: 1px solid #8886; border-radius: .5rem; }
ul { list-style: none; padding: 0; display: grid; gap: 1rem;
     grid-template-columns: repeat(auto-fill, minmax(min(27rem, 100%), 1fr)); }
li { border: 1px solid #8886; border-radius: .5rem; padding: .75rem; }
li > div { display: flex; gap: .75rem; }
figure { margin: 0; flex: 1; min-width: 0; }
img { width: 100%; height: 12rem; object-fit: contain; background: #000; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
"""


def _label(fractured: bool) -> str:
    return "fractured" if fractured else "not fractured"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def render_text(report: AuditReport, layout: str) -> str:
    """The findings, a few lines each."""
    found = report.leakage
    lines = [f"{len(report.films)} films, read as: {layout}"]
    lines += [f"  {s:9} {label:14} {n:6}" for (s, label), n in report.counts.items()]
    lines += ["", f"Unreadable files: {len(report.unreadable)}"]
    lines += [f"  {u.path.name}: {u.reason}" for u in report.unreadable[:_NAMED]]
    lines.append(f"Truncated files: {len(report.truncated)}")
    if report.truncated:
        lines.append("  " + _listed([p.name for p in report.truncated]))
    lines += [
        "",
        f"Distinct pictures: {report.pictures} in {len(report.films)} films",
        f"  further files with the same bytes:  {report.byte_copies}",
        f"  further files with the same pixels: {report.pixel_copies}",
        f"  groups of two or more films: {len(report.groups)}, largest "
        f"{', '.join(map(str, report.groups[:5])) or 'none'}",
    ]
    if report.group_agreement is not None:
        lines.append(
            f"  agreement with the groups the data set gives: {report.group_agreement:.3f} "
            "(adjusted Rand index)"
        )
    lines += ["", f"One picture under both labels: {len(report.conflicts)}"]
    lines += [f"  {p.first.name} | {p.second.name}" for p in report.conflicts[:_NAMED]]
    lines += ["", f"Leakage: {found.sentence}"]
    if found.removable:
        lines.append(f"  without {len(found.removable)} films no picture would be shared")
    lines += ["", "Label against property (its own AUC; 0.5 or less: it says nothing)"]
    for s in report.shortcuts:
        mark = "!" if s.flagged else " "
        lines.append(
            f" {mark} {s.name:18} AUC {s.auc:.2f}   {s.value}: {s.proportion:.0%} of {s.pictures} "
            f"pictures fractured (of all: {s.base:.0%})"
        )
    return "\n".join(lines)


def _thumbnail(path: Path) -> str:
    grey = decode_grey(path.read_bytes())
    scale = min(1.0, _THUMBNAIL / max(grey.shape))
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _figure(path: Path, split: str | None, fractured: bool, folder: Path) -> str:
    name = path.relative_to(folder) if path.is_relative_to(folder) else path.name
    text = html.escape(f"{split or 'no split'}, {_label(fractured)}: {name}")
    return (
        f'<figure><img src="{_thumbnail(path)}" alt="Film {html.escape(str(name))}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _pairs(title: str, pairs: Iterable[FilmPair], folder: Path) -> str:
    pairs = list(pairs)
    if not pairs:
        return f"<h2>{html.escape(title)}</h2><p>None.</p>"
    shown = pairs[:: max(1, -(-len(pairs) // _SHOWN))]  # from all over the set, not its first films
    items = "".join(
        f"<li><div>{_figure(p.first, p.splits[0], p.fractured[0], folder)}"
        f"{_figure(p.second, p.splits[1], p.fractured[1], folder)}</div>{_KINDS[p.kind]}</li>"
        for p in shown
    )
    count = f"{len(shown)} of {len(pairs)} pairs" if len(shown) < len(pairs) else f"{len(pairs)}"
    return f"<h2>{html.escape(title)} ({count})</h2><ul>{items}</ul>"


def render_html(report: AuditReport, layout: str, folder: Path) -> str:
    """One page without anything to load from elsewhere. It holds small copies of the films: treat
    it like them."""
    text = html.escape(render_text(report, layout))
    near = sorted(report.near, key=lambda p: p.splits[0] == p.splits[1])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Audit of {html.escape(folder.name)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>Audit of {html.escape(folder.name)}</h1><pre>{text}</pre>"
        + _pairs("Pictures that two splits share", report.leakage.pairs, folder)
        + _pairs("One picture under both labels", report.conflicts, folder)
        + _pairs("Near-duplicates", near, folder)
        + "</body></html>\n"
    )
