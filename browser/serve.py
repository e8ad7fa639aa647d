"""Serve a built folder on this computer.

    python -m browser.serve DIR [--port 7861]

A browser gives several threads only to a page that is isolated from others, which takes two
headers, and opens a page's worker only over HTTP: so the folder cannot be opened as a file.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class Handler(SimpleHTTPRequestHandler):
    """A folder's files with ``HEADERS``; says nothing of what is asked for."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json", ".part": "application/octet-stream",
    }  # fmt: skip
    isolated = True

    def end_headers(self) -> None:
        if self.isolated:
            for name, value in HEADERS.items():
                self.send_header(name, value)
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


class NotIsolated(Handler):
    """As on a host that sends no headers of ours."""

    isolated = False


class Server(ThreadingHTTPServer):
    """Serves on when a browser hangs up in the middle of a file."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def make_server(
    folder: Path, host: str = "127.0.0.1", port: int = 0, *, isolated: bool = True
) -> Server:
    """A server of ``folder``, bound and not yet running; port 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    handler = Handler if isolated else NotIsolated
    return Server((host, port), partial(handler, directory=str(folder)))


def main(argv: list[str] | None = None) -> int:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m browser.serve", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("folder", type=Path, metavar="DIR", help="what browser.build wrote")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=7861, help="port to listen on")
    chosen = parser.parse_args(argv)
    if not (chosen.folder / "index.html").is_file():
        parser.error(f"{chosen.folder} holds no page: run python -m browser.build --out DIR first")
    try:
        server = make_server(chosen.folder, chosen.host, chosen.port)
    except OSError as error:
        print(f"The page cannot be served: {error}", file=sys.stderr)
        return 1
    print(f"The page is open on http://{chosen.host}:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
