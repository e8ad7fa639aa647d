"""An object store on this machine that speaks as much of S3 as reading films takes.

Listing (ListObjectsV2) and reading (HEAD, GET with a range) of one bucket whose objects are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@contextmanager
def bucket(name: str, objects: Mapping[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """The address (host:port) of a store with one bucket, and the requests that it got so far."""
    asked: list[str] = []

    class Store(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            parts = urlsplit(self.path)
            given, _, key = unquote(parts.path).lstrip("/").partition("/")
            if given != name or (key and key not in objects):
                self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")
            elif key:
                self.send_object(objects[key])
            else:
                query = {k: v[0] for k, v in parse_qs(parts.query).items()}
                self.answer(200, listing(query).encode(), "application/xml")

        do_HEAD = do_GET

        def send_object(self, data: bytes) -> None:
            wanted = self.headers.get("Range", "").removeprefix("bytes=")
            if not wanted:
                self.answer(200, data, "application/octet-stream")
                return
            first, _, last = wanted.partition("-")
            start, stop = int(first), min(int(last or len(data)), len(data) - 1)
            self.answer(206, data[start : stop + 1], "application/octet-stream",
                        f"bytes {start}-{stop}/{len(data)}")

        def answer(self, status: int, data: bytes, kind: str, content_range: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Last-Modified", formatdate(0, usegmt=True))
            self.send_header("ETag", '"0"')
            if content_range:
                self.send_header("Content-Range", content_range)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    def listing(query: Mapping[str, str]) -> str:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        keys, folders = [], set()
        for key in sorted(objects):
            if not key.startswith(prefix):
                continue
            below = key.removeprefix(prefix)
            if delimiter and delimiter in below:
                folders.add(prefix + below.partition(delimiter)[0] + delimiter)
            else:
                keys.append(key)
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z"
            f'</LastModified><ETag>"0"</ETag><Size>{len(objects[key])}</Size></Contents>'
            for key in keys
        )
        common = "".join(
            f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
            for folder in sorted(folders)
        )
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>{name}</Name>'
            f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(keys) + len(folders)}</KeyCount>"
            f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{contents}{common}"
            "</ListBucketResult>"
        )

    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
