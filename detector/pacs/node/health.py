"""The node's health on a port of this machine: what waits, since when, and how full the disk is.

``GET /health`` is JSON, with status 200, or 503 when the node takes no films or does not work on
them. ``GET /metrics`` is the same as numbers in Prometheus' text format. Neither names a film.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from detector.pacs.node.spool import STATES, Spool

logger = logging.getLogger(__name__)

LATE_SECONDS = 3600.0  # an hour: what has waited longer is worth a sentence


@dataclass(frozen=True)
class Health:
    """``entries``: films by state. ``oldest_seconds``: age of the longest waiting one by state, by
    this computer's clock. ``conflicts``: films since the start that came with another one's UID.
    """

    entries: dict[str, int]
    oldest_seconds: dict[str, float]
    free_bytes: int
    free_bytes_needed: int
    reaches_destination: bool
    works: bool
    conflicts: int

    @property
    def takes_films(self) -> bool:
        return self.free_bytes >= self.free_bytes_needed

    def problems(self) -> list[str]:
        """Sentences for an administrator; none when all is well."""
        found = []
        if not self.works:
            found.append("The node no longer works on films. Restart it.")
        if not self.takes_films:
            found.append("New films are refused: the spool's disk is too full.")
        elif self.free_bytes < 2 * self.free_bytes_needed:
            found.append("The spool's disk will soon be too full to take films.")
        if not self.reaches_destination:
            found.append("The destination cannot be reached.")
        if self.entries["failed"]:
            found.append(f"{self.entries['failed']} dead letters: these films have no answer.")
        if self.conflicts:
            found.append(f"{self.conflicts} films came with the SOP Instance UID of another film.")
        late = [state for state, age in self.oldest_seconds.items() if age > LATE_SECONDS]
        found += [f"A film has been {state} for more than an hour." for state in late]
        return found


def measure(spool: Spool, *, works: bool, reaches_destination: bool, conflicts: int) -> Health:
    """The present state. OSError when the spool cannot be read."""
    now = time.time()
    ages = {}
    for state in ("incoming", "working", "outgoing"):
        since = spool.oldest(state)
        ages[state] = 0.0 if since is None else max(0.0, now - since)
    return Health(
        entries=spool.counts(), oldest_seconds=ages, free_bytes=spool.free_space(),
        free_bytes_needed=spool.free_bytes, reaches_destination=reaches_destination, works=works,
        conflicts=conflicts,
    )  # fmt: skip


def to_json(health: Health) -> bytes:
    facts = asdict(health) | {"takes_films": health.takes_films, "problems": health.problems()}
    return json.dumps(facts, indent=2).encode() + b"\n"


def to_prometheus(health: Health) -> bytes:
    """https://prometheus.io/docs/instrumenting/exposition_formats/, all of them gauges."""
    single = ("free_bytes", "free_bytes_needed", "reaches_destination", "works", "conflicts",
              "takes_films")  # fmt: skip
    values = {f"fracture_{name}": {"": getattr(health, name)} for name in single}
    values["fracture_films"] = {f'{{state="{s}"}}': health.entries[s] for s in STATES}
    values["fracture_oldest_seconds"] = {
        f'{{state="{state}"}}': round(age, 1) for state, age in health.oldest_seconds.items()
    }
    lines = []
    for name, rows in values.items():
        lines.append(f"# TYPE {name} gauge")
        lines += [f"{name}{labels} {float(value):g}" for labels, value in rows.items()]
    return ("\n".join(lines) + "\n").encode()


class HealthServer:
    """Answers on 127.0.0.1 in threads of its own. OSError: the port is not free."""

    def __init__(self, port: int, state: Callable[[], Health]):
        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                forms = {"/health": (to_json, "application/json"),
                         "/metrics": (to_prometheus, "text/plain; version=0.0.4")}  # fmt: skip
                if self.path not in forms:
                    self.send_error(404)
                    return
                form, kind = forms[self.path]
                try:
                    health = state()
                except OSError:
                    self.send_error(503, "the spool cannot be read")
                    return
                body = form(health)
                well = health.works and health.takes_films
                self.send_response(200 if well or self.path == "/metrics" else 503)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing: it is asked every few seconds."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.2,), name="health",
                         daemon=True).start()  # fmt: skip
        logger.info("health: http://127.0.0.1:%d/health and /metrics", self.port)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
