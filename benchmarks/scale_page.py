"""The figures of `docs/scale.md`: what `scale.py` measured, and what follows for an archive.

Everything between the page's marks is written from `docs/measured/scale.json`; what is assumed and
not measured stands in `ASSUMED` and is printed beside what follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measuring import ROOT, table

from detector.training.card.command import write_between

PAGE = ROOT / "docs" / "scale.md"
FIGURES = ROOT / "docs" / "measured" / "scale.json"
BEGIN, END = "<!-- scale:begin -->", "<!-- scale:end -->"
ARCHIVE = 10_000_000  # films
MACHINES = (1, 4, 16, 64)
ASSUMED = {
    "cores": 16,             # of a machine, each as fast as the measured one
    "price": 0.04,           # of a core for an hour, in any currency
    "film_megabytes": 8.0,   # of a clinical DICOM film; those measured are far smaller
    "storage": 1000.0,       # megabytes a second that the storage delivers to all machines together
    "memory_gigabytes": 16,  # of the machine that gives the orders
}


def write_page(page: Path, figures: Mapping[str, Any]) -> None:
    """Put the tables between the marks in ``page``.

    Raises:
        ValueError: the marks are not there.
    """
    write_between(page, BEGIN, END, f"{figures['machine']}\n\n{tables(figures)}")


def tables(figures: Mapping[str, Any]) -> str:
    """The measured tables and the calculation, as Markdown."""
    return "\n\n".join(
        [_speed(figures), _memory(figures), _sentences(figures), _on_paper(figures),
         _limits(figures)]
    )  # fmt: skip


def overhead(figures: Mapping[str, Any]) -> float:
    """Time per film over Ray on one core, against `predict_batch`, minus 1."""
    legs = figures["legs"]
    plain = legs["predict_batch"]["films_per_second"]
    return plain / legs["one worker"]["films_per_second"] - 1


def efficiency(figures: Mapping[str, Any]) -> float:
    """Speed of two workers against twice that of one."""
    legs = figures["legs"]
    alone = legs["one worker"]["films_per_second"]
    return legs["two workers"]["films_per_second"] / (2 * alone)


def _speed(figures: Mapping[str, Any]) -> str:
    rows = [
        (name, leg["cores"], f"{leg['films']:,}", f"{leg['films_per_second']:.1f}",
         f"{leg['start_seconds']:.1f}")
        for name, leg in figures["legs"].items()
    ]  # fmt: skip
    return table(("leg", "cores", "films", "films per second", "start, seconds"), rows)


def _memory(figures: Mapping[str, Any]) -> str:
    rows = []
    for name, leg in figures["legs"].items():
        for who in ("driver", "worker"):
            values = leg[f"{who}_memory"]
            if max(values):
                rows.append((f"{name}: {who}", *(f"{value:.0f}" for value in values)))
    return table(("peak memory, MiB, in each quarter of the run", *"1234"), rows)


def _sentences(figures: Mapping[str, Any]) -> str:
    films = figures["legs"]["a node lost"]["films"]
    return (
        f"All legs wrote the same {films:,} lines, each film once, also the leg that lost a node "
        "after half of them. Ray on the core of `predict_batch` takes "
        f"{100 * overhead(figures):+.1f} % time per film, starts apart; two workers on two cores "
        f"reach {100 * efficiency(figures):.0f} % of twice the speed of one."
    )


def _on_paper(figures: Mapping[str, Any]) -> str:
    rate = _machine_rate(figures)
    rows = []
    for machines in MACHINES:
        hours = ARCHIVE / (rate * machines) / 3600
        cost = hours * machines * ASSUMED["cores"] * ASSUMED["price"]
        traffic = rate * machines * ASSUMED["film_megabytes"]
        rows.append((machines, machines * ASSUMED["cores"], f"{hours:,.1f}", f"{cost:,.0f}",
                     f"{traffic:,.0f}"))
    note = (
        f"{ARCHIVE:,} films, assumed: machines of {ASSUMED['cores']} cores, each as fast as a core "
        f"of the two workers above and as well used; {ASSUMED['price']} of any currency for a core "
        f"and an hour; films of {ASSUMED['film_megabytes']:g} MB."
    )
    head = ("machines", "cores", "hours", "cost", "films to be delivered, MB a second")
    return f"{note}\n\n{table(head, rows)}"


def _machine_rate(figures: Mapping[str, Any]) -> float:
    return figures["legs"]["two workers"]["films_per_second"] / 2 * ASSUMED["cores"]


def _limits(figures: Mapping[str, Any]) -> str:
    """Where it breaks, the first on top."""
    rate = _machine_rate(figures)
    driver = 1000 / figures["legs"]["two workers"]["driver_cpu_ms_per_film"]  # films a second
    deliver = ASSUMED["storage"] / ASSUMED["film_megabytes"]
    names = ASSUMED["memory_gigabytes"] * 1e9 / figures["name_bytes"]
    speed = sorted([
        (deliver / rate, "the storage", f"{deliver:,.0f} films a second, at an assumed "
         f"{ASSUMED['storage']:,.0f} MB a second"),
        (driver / rate, "the one process that gives orders and writes", f"{driver:,.0f} films a "
         "second, by the processor time that it took per film"),
    ])  # fmt: skip
    rows = [(what, bound, f"{machines:,.1f} machines") for machines, what, bound in speed]
    rows.append((
        "the list of names in its memory",
        f"{figures['name_bytes']:,.0f} bytes a film, in an assumed "
        f"{ASSUMED['memory_gigabytes']} GB",
        f"{names / 1e6:,.0f} million films a run",
    ))  # fmt: skip
    size = ARCHIVE * figures["row_bytes"] / 1e9
    return (
        f"{table(('what breaks', 'its bound', 'enough for'), rows)}\n\n"
        f"The results of {ARCHIVE:,} films take {size:,.1f} GB as JSON Lines."
    )
