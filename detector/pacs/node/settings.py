"""All that can be set about the node: a frozen dataclass, read from a TOML file and flags.

A file holds the same names as the flags, with underscores:

    title = "FRACTURE"
    port = 11112
    destination = "ARCHIVE@10.1.2.3:104"
    peers = ["DX_ROOM_1", "DX_ROOM_2"]
    addresses = ["10.1.2.0/24"]
"""

from __future__ import annotations

import argparse
import ssl
import tomllib
from dataclasses import MISSING, dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, get_type_hints

from detector.pacs.objects import KINDS


@dataclass(frozen=True)
class Destination:
    """Where answers go: ``title`` is its AE title."""

    title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Destination:
        """``TITLE@HOST:PORT``; raises ValueError for anything else."""
        title, at, address = text.partition("@")
        host, colon, port = address.rpartition(":")
        if not (at and colon and host and port.isascii() and port.isdigit()):
            raise ValueError(f"the destination or peer is TITLE@HOST:PORT, not {text!r}")
        if not 0 < int(port) < 65536:
            raise ValueError(f"the port of a destination or peer must lie in 1..65535, not {port}")
        return cls(_title(title, "destination's title"), host.strip("[]"), int(port))


def _set(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Settings:
    """The node. ``destination`` and ``spool`` have no default; all others do."""

    destination: str = field(metadata={"help": "where answers are sent: TITLE@HOST:PORT"})
    spool: Path = field(metadata={"help": "folder that keeps films until they are answered"})
    title: str = _set("FRACTURE", "AE title of this node; peers must call it by this name")
    host: str = _set("127.0.0.1", "address to listen on; 0.0.0.0 for all of this machine's")
    port: int = _set(11112, "port to listen on")
    peers: tuple[str, ...] = _set((), "AE titles that may send films (none named: any); as "
                                      "TITLE@HOST:PORT, commitments are reported there")
    addresses: tuple[str, ...] = _set((), "addresses or networks that may connect (none: any)")
    tls_certificate: Path | None = _set(None, "PEM certificate of this node; turns TLS on")
    tls_key: Path | None = _set(None, "PEM key of the certificate")
    tls_clients: Path | None = _set(None, "PEM of the authorities whose client certificates are "
                                          "required of peers")
    tls_destination: Path | None = _set(None, "PEM of the authorities that the destination's "
                                              "certificate must come from; sends over TLS")
    objects: tuple[str, ...] = _set(KINDS, "objects to send, by commas: sr (report), sc (overlay), "
                                           "seg (heatmap), gsps (presentation state)")
    associations: int = _set(10, "associations for films at the same time; more are refused for "
                                 "the moment")
    associations_per_address: int = _set(6, "of these, at most so many from one address")
    pdu_bytes: int = _set(131072, "largest PDU that peers may send")
    object_megabytes: int = _set(200, "largest object; a larger one ends its association")
    free_megabytes: int = _set(1000, "free space that must be left on the spool's disk")
    timeout: float = _set(30.0, "seconds that a peer may stay silent, or be late with a message")
    give_up_hours: float = _set(72.0, "hours that a destination which is there may put off an "
                                      "answer before that is a dead letter")
    pause: float = _set(5.0, "seconds before the second try; each further pause is twice as long")
    longest_pause: float = _set(600.0, "seconds that a pause may grow to")
    keep_days: float = _set(30.0, "days to remember answered films")
    commitment: bool = _set(False, "answer storage commitment requests for films that were "
                                   "acknowledged; the node is no archive")
    health_port: int | None = _set(None, "port of this machine for health and metrics over HTTP")
    retry_failed: bool = _set(False, "take dead letters up again at the start")
    model: str | None = _set(None, "weights folder or Hub id (default: the shipped weights)")
    log: Path | None = _set(None, "run log, JSON Lines (default: run.jsonl in the spool)")

    def __post_init__(self) -> None:
        Destination.parse(self.destination)
        _title(self.title, "title")
        for peer in self.peers:
            Destination.parse(peer) if "@" in peer else _title(peer, "peer's title")
        self.networks()
        chosen = tuple(kind for given in self.objects for kind in given.split(","))
        if not chosen or not set(chosen) <= set(KINDS):
            raise ValueError(f"objects must be some of {', '.join(KINDS)}, not {','.join(chosen)}")
        object.__setattr__(self, "objects", chosen)
        if not 0 <= self.port < 65536:
            raise ValueError(f"port must lie in 0..65535, not {self.port}")
        if self.health_port is not None and not 0 <= self.health_port < 65536:
            raise ValueError(f"health_port must lie in 0..65535, not {self.health_port}")
        for name in ("associations", "associations_per_address", "object_megabytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("timeout", "give_up_hours", "pause", "longest_pause", "keep_days"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if self.free_megabytes < 0:
            raise ValueError(f"free_megabytes must not be negative, not {self.free_megabytes}")
        if not 4096 <= self.pdu_bytes <= 2**24:
            raise ValueError(f"pdu_bytes must lie in 4096..{2**24}, not {self.pdu_bytes}")
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_certificate and tls_key belong together")
        if self.tls_clients and not self.tls_certificate:
            raise ValueError("tls_clients needs tls_certificate and tls_key")

    @property
    def run_log(self) -> Path:
        return self.log or self.spool / "run.jsonl"

    def peer_titles(self) -> list[str]:
        """The AE titles that may send; empty for any."""
        return [peer.partition("@")[0] for peer in self.peers]

    def peer_address(self, title: str) -> Destination | None:
        """Where the peer of this title listens, if that was said."""
        known = (Destination.parse(peer) for peer in self.peers if "@" in peer)
        return next((one for one in known if one.title == title), None)

    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The allow-list of addresses; ValueError for something that is none."""
        try:
            return tuple(ip_network(address, strict=False) for address in self.addresses)
        except ValueError as error:
            raise ValueError(f"addresses: {error}") from error

    def server_tls(self) -> ssl.SSLContext | None:
        """TLS for peers, or None. OSError (ssl.SSLError) when a file cannot be used."""
        if not (self.tls_certificate and self.tls_key):
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.tls_certificate, self.tls_key)
        if self.tls_clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.tls_clients)
        return context

    def client_tls(self) -> ssl.SSLContext | None:
        """TLS towards the destination, with this node's certificate where it has one."""
        if not self.tls_destination:
            return None
        context = ssl.create_default_context(cafile=str(self.tls_destination))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.tls_certificate and self.tls_key:
            context.load_cert_chain(self.tls_certificate, self.tls_key)
        return context


def read_settings(argv: list[str], description: str) -> Settings:
    """Flags over the file of ``--config`` over defaults. SystemExit for wrong flags (argparse).

    Raises:
        ValueError: a value or a name in the file is wrong; OSError: the file cannot be read.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")
    kinds = _kinds()
    for one in fields(Settings):
        flag = "--" + one.name.replace("_", "-")
        text = one.metadata["help"]
        if one.default not in (MISSING, None, (), False):
            default = one.default
            text += f" (default: {','.join(default) if isinstance(default, tuple) else default})"
        if kinds[one.name] is bool:
            parser.add_argument(flag, action="store_true", default=None, help=text)
        elif kinds[one.name] is tuple:
            parser.add_argument(flag, nargs="+", metavar="X", help=text)
        else:
            kind = kinds[one.name]
            parser.add_argument(flag, type=kind, metavar=kind.__name__.upper(), help=text)
    given = vars(parser.parse_args(argv))
    file = given.pop("config")
    values = _from_file(file) if file else {}
    values |= {name: value for name, value in given.items() if value is not None}
    missing = [one.name for one in fields(Settings)
               if one.default is MISSING and one.name not in values]  # fmt: skip
    if missing:
        parser.error(f"{' and '.join(missing)} must be given, as a flag or in --config FILE")
    values = {name: tuple(value) if isinstance(value, list) else value
              for name, value in values.items()}  # fmt: skip
    return Settings(**values)


def _from_file(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        values = tomllib.load(stream)
    kinds = _kinds()
    for name, value in values.items():
        if name not in kinds:
            raise ValueError(f"{file}: there is no setting {name!r}")
        kind = {Path: str, tuple: list, float: (int, float)}.get(kinds[name], kinds[name])
        strings = not isinstance(value, list) or all(isinstance(one, str) for one in value)
        if not isinstance(value, kind) or not strings or (
            isinstance(value, bool) and kinds[name] is not bool
        ):
            raise ValueError(f"{file}: {name} has a value of the wrong kind")
        if kinds[name] is Path:
            values[name] = Path(value)
    return values


def _kinds() -> dict[str, type]:
    """Each setting's plain type: str, int, float, bool, Path or tuple."""
    found = {}
    for name, hint in get_type_hints(Settings).items():
        choices = [one for one in getattr(hint, "__args__", ()) if one is not type(None)]
        origin = getattr(hint, "__origin__", None)
        found[name] = tuple if origin is tuple else choices[0] if choices else hint
    return found


def _title(text: str, what: str) -> str:
    """An AE title (PS3.5, 6.2): 1 to 16 characters of ASCII without control and backslash."""
    good = text.isascii() and text.isprintable() and "\\" not in text
    if not (good and text == text.strip() and 1 <= len(text) <= 16):
        raise ValueError(f"the {what} must be 1 to 16 plain characters, not {text!r}")
    return text
