"""A stand-in for the Hugging Face Hub on this machine: repositories in memory, over HTTP.

It speaks what `huggingface_hub` 2.x asks for: create, preupload, LFS batch and PUT, commit,
repository info, tree, and files by revision. Every request is kept in `requests`, so that a test
can say what was asked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LFS_SUFFIXES = (".safetensors",)


@dataclass
class Hub:
    """The state behind the server: repository ("models/user/name") -> path -> content."""

    url: str = ""
    token: str = "hf_stand_in"
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def revision(self, name: str) -> str:
        digest = hashlib.sha1()
        for path, data in sorted(self.repositories[name].items()):
            digest.update(path.encode() + hashlib.sha256(data).digest())
        return digest.hexdigest()

    @property
    def environment(self) -> dict[str, str]:
        """What points `huggingface_hub` in a new process at this server."""
        return {
            "HF_ENDPOINT": self.url, "HF_TOKEN": self.token, "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0",
        }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: object, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), Content_Type="application/json")

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self._body()
        self.hub.requests.append(f"{self.command} {path}")
        for method, pattern, answer in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in method:
                if "POST" in method and self.headers["Authorization"] != f"Bearer {self.hub.token}":
                    self._json({"error": "Invalid token"}, 401)
                else:
                    answer(self, body, *match.groups())
                return
        self._send(404, b"", X_Error_Code="RepoNotFound")

    do_GET = do_HEAD = do_POST = do_PUT = _answer

    # Uploading

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked.get('type', 'model')}s/{asked['organization']}/{asked['name']}"
        self.hub.repositories.setdefault(name, {})
        self._json({"url": f"{self.hub.url}/{asked['organization']}/{asked['name']}"})

    def whoami(self, _: bytes) -> None:
        self._json({"name": "user", "type": "user", "orgs": []})

    def yaml_is_fine(self, _: bytes) -> None:
        self._json({"errors": [], "warnings": []})

    def preupload(self, body: bytes, _name: str) -> None:
        self._json({"files": [
            {"path": file["path"], "shouldIgnore": False, "oid": None,
             "uploadMode": "lfs" if file["path"].endswith(LFS_SUFFIXES) else "regular"}
            for file in json.loads(body)["files"]
        ]})  # fmt: skip

    def lfs_batch(self, body: bytes, _name: str) -> None:
        self._json({"transfer": "basic", "objects": [
            {**wanted, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{wanted['oid']}"}}}
            for wanted in json.loads(body)["objects"]
        ]})  # fmt: skip

    def lfs_put(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            self._json({"error": "wrong content"}, 400)
            return
        self.hub.blobs[oid] = body
        self._send(200)

    def commit(self, body: bytes, name: str) -> None:
        files = self.hub.repositories[name]
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        oid = self.hub.revision(name)
        address = f"{self.hub.url}/{name.removeprefix('models/')}/commit/{oid}"
        self._json({"success": True, "commitOid": oid, "commitUrl": address})

    # Downloading

    def info(self, _: bytes, name: str, _revision: str | None = None) -> None:
        if name not in self.hub.repositories:
            self._send(404, b"", X_Error_Code="RepoNotFound")
            return
        files = self.hub.repositories[name]
        identity = name.split("/", 1)[1]
        self._json({"id": identity, "modelId": identity, "sha": self.hub.revision(name),
                    "private": False, "tags": [], "siblings": [{"rfilename": p} for p in files]})

    def tree(self, _: bytes, name: str, _revision: str) -> None:
        self._json([
            {"type": "file", "path": path, "size": len(data),
             "oid": hashlib.sha1(data).hexdigest()}
            for path, data in self.hub.repositories[name].items()
        ])  # fmt: skip

    def file(self, _: bytes, name: str, _revision: str, path: str) -> None:
        key = name if name.startswith("spaces/") else f"models/{name}"
        data = self.hub.repositories.get(key, {}).get(path)
        if data is None:
            self._send(404, b"", X_Error_Code="EntryNotFound")
            return
        etag = f'"{hashlib.sha1(data).hexdigest()}"'
        self._send(200, data, ETag=etag, X_Repo_Commit=self.hub.revision(key))


_NAME = r"((?:models|spaces)/[\w.-]+/[\w.-]+)"
_ROUTES = (
    (("POST",), r"/api/repos/create", _Handler.create),
    (("POST",), r"/api/validate-yaml", _Handler.yaml_is_fine),
    (("POST",), rf"/api/{_NAME}/preupload/\w+", _Handler.preupload),
    (("POST",), r"/((?:spaces/)?[\w.-]+/[\w.-]+)\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    (("PUT",), r"/lfs/(\w+)", _Handler.lfs_put),
    (("POST",), rf"/api/{_NAME}/commit/\w+", _Handler.commit),
    (("GET",), r"/api/whoami-v2", _Handler.whoami),
    (("GET",), rf"/api/{_NAME}(?:/revision/(\w+))?", _Handler.info),
    (("GET",), rf"/api/{_NAME}/tree/(\w+)", _Handler.tree),
    (("GET", "HEAD"), r"/((?:spaces/)?[\w.-]+/[\w.-]+)/resolve/(\w+)/(.+)", _Handler.file),
)


@contextmanager
def hub_stand_in() -> Iterator[Hub]:
    """A running stand-in on a free port of this machine."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
