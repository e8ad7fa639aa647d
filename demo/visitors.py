"""Who may ask: under which names the page answers, and how fast somebody may guess passwords."""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

FREE_GUESSES = 3  # wrong passwords in a row before one must wait
LONGEST_WAIT = 300.0  # seconds
KNOWN_VISITORS = 10_000


def visitor_of(client: tuple[str, int] | None) -> str:
    """What tells visitors apart: the address; of IPv6 the network, which one household has whole.

    Behind a proxy it is what ``X-Forwarded-For`` says, where uvicorn trusts the proxy
    (``FORWARDED_ALLOW_IPS``).
    """
    address = client[0] if client else ""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6 and not parsed.ipv4_mapped:
        return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
    return address


class Hosts:
    """The names under which the page answers.

    An address always counts: no other site can have its name lead here and then be the same
    origin (DNS rebinding) under an address. Of names those of this machine do, that of a Hugging
    Face Space, and those that are given.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        here = socket.gethostname()
        self.given = {name.lower() for name in (*names, os.environ.get("SPACE_HOST", "")) if name}
        self.names = {"localhost", here.lower(), f"{here}.local".lower(), *self.given}

    def allows(self, name: str) -> bool:
        """Whether a host name, without port, is one of the page's."""
        name = name.lower().rstrip(".")
        if name in self.names or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def refusal(self, headers: Mapping[str, str]) -> str | None:
        """Why a request with these headers (names in lower case) is not answered; None if it is.

        A browser names the site that a request comes from in ``Origin``. Another site's requests
        are refused: its visitors' browsers would send them with the visitor's login. Behind a proxy
        that asks under a name of its own, the visitors' name must be among those given.
        """
        host, asked = _name(f"//{headers.get('host', '')}")
        if not self.allows(host):
            return (
                "This page does not answer under that name. Whoever runs it can add the name with "
                "--allow-host."
            )
        if "origin" in headers:
            host, origin = _name(headers["origin"])
            if not host or origin != asked and host not in self.given:
                return "Requests from other sites are not answered."
        return None


def _name(address: str) -> tuple[str, str]:
    """The host name in an address, and the name with its port; empty when there is none."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "", ""
    return host, host if port in (None, 80, 443) else f"{host}:{port}"


class Guesses:
    """Slows down whoever gives wrong passwords: each one after the third doubles the wait.

    An attempt counts as wrong from its start on, so that many at the same moment gain nothing.
    """

    def __init__(self, clock=time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def attempt(self, visitor: str) -> float:
        """Seconds that the visitor must wait before a try; 0: this one counts, go on."""
        with self._lock:
            wrong, until = self._wrong.get(visitor, (0, 0.0))
            now = self._clock()
            if now < until:
                return until - now
            wrong += 1
            beyond = wrong - FREE_GUESSES
            wait = min(2.0**beyond, LONGEST_WAIT) if beyond > 0 else 0.0
            self._wrong[visitor] = (wrong, now + wait)
            self._wrong.move_to_end(visitor)
            while len(self._wrong) > KNOWN_VISITORS:
                self._wrong.popitem(last=False)
            return 0.0

    def right(self, visitor: str) -> None:
        """The visitor knows the password."""
        with self._lock:
            self._wrong.pop(visitor, None)
