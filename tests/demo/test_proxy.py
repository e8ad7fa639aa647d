"""Two servers behind nginx, with the repository's configuration: who goes where, what is lost."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import proxy
import pytest
import yaml

from tests.support.page_browser import WAIT, drop
from tests.support.page_server import start, stop

ROOT = Path(__file__).resolve().parents[2]

needs_nginx = pytest.mark.usefixtures("nginx_installed")


Visitor = Callable[..., httpx.Client]


class StandIn(ThreadingHTTPServer):
    """A page server as far as a proxy can tell: it says its name, and what it was sent."""

    daemon_threads = True

    def __init__(self, name: str, port: int = 0):
        self.name, self.reached, self.go_on = name, [], threading.Event()
        super().__init__(("127.0.0.1", port), Answer)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def kill(self) -> None:
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def do_GET(self) -> None:
        if self.path == "/stream":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"data: first\n\n")
            self.server.go_on.wait(120)
            self.wfile.write(b"data: second\n\n")
            self.close_connection = True
        else:
            self.say({"server": self.server.name, "headers": dict(self.headers)})

    def do_POST(self) -> None:
        received = len(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.reached.append(self.path)
        if self.path == "/dies":
            self.connection.close()
            self.close_connection = True
        else:
            status = 503 if self.path == "/full" else 200
            self.say({"server": self.server.name, "received": received}, status)

    def say(self, facts: dict, status: int = 200) -> None:
        body = json.dumps(facts).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'self'")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def servers() -> Iterator[list[StandIn]]:
    found = [StandIn("first"), StandIn("second")]
    yield found
    for server in found:
        server.go_on.set()
        server.kill()


@pytest.fixture
def address(servers: list[StandIn], tmp_path: Path) -> Iterator[str]:
    with proxy.nginx(tmp_path, [server.port for server in servers]) as address:
        yield address


@pytest.fixture
def visitor(address: str) -> Iterator[Visitor]:
    """Makes clients that keep cookies, each after its first request."""
    with ExitStack() as stack:

        def come(first: str = "/") -> httpx.Client:
            client = httpx.Client(base_url=address, timeout=60, verify=False)  # no certificates
            stack.enter_context(client)
            client.headers["x-first"] = client.get(first).json()["server"]
            return client

        yield come


def server_of(client: httpx.Client) -> str:
    return client.get("/gradio_api/info").json()["server"]


@needs_nginx
@pytest.mark.parametrize("first", ["/", "/?view=api", "/config"])
def test_a_visitor_stays_with_the_server_that_sent_the_page(visitor: Visitor, first: str) -> None:
    clients = [visitor(first) for _ in range(24)]
    for client in clients:
        seen = {server_of(client) for _ in range(3)}
        seen.add(client.post("/gradio_api/upload", content=b"film").json()["server"])
        assert seen == {client.headers["x-first"]}
    homes = [client.headers["x-first"] for client in clients]
    assert min(homes.count("first"), homes.count("second")) >= 2  # of 24; less: odds below 1e-5


@needs_nginx
def test_the_cookie_is_given_once_and_no_script_can_read_it(address: str) -> None:
    with httpx.Client(base_url=address, timeout=60, verify=False) as client:
        given = client.get("/").headers["set-cookie"]
        assert re.fullmatch(r"fracture_page=\w{32}; Path=/; HttpOnly; SameSite=Lax", given)
        assert "set-cookie" not in client.get("/").headers


@needs_nginx
def test_a_client_without_cookies_stays_too(address: str) -> None:
    post = partial(httpx.post, f"{address}/gradio_api/upload", timeout=60, verify=False)
    answers = [post(content=b"x") for _ in range(10)]
    assert len({answer.json()["server"] for answer in answers}) == 1
    assert not any("set-cookie" in answer.headers for answer in answers)


@needs_nginx
def test_visitors_of_a_dead_server_go_on_with_the_other(
    servers: list[StandIn], visitor: Visitor
) -> None:
    clients = [visitor() for _ in range(20)]
    servers[0].kill()
    with ThreadPoolExecutor(8) as pool:  # nothing had reached it: nobody sees an error
        answers = list(pool.map(lambda c: c.post("/gradio_api/upload", content=b"x"), clients))
    assert {answer.json()["server"] for answer in answers} == {"second"}
    assert {server_of(client) for client in clients} == {"second"}


@needs_nginx
def test_a_request_that_dies_with_its_server_is_not_sent_twice(
    servers: list[StandIn], visitor: Visitor
) -> None:
    answer = visitor().post("/dies", content=b"film")
    assert answer.status_code == 502 and "Send the film again" in answer.json()["detail"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert sum(len(server.reached) for server in servers) == 1


@needs_nginx
def test_a_full_queue_is_not_passed_on(servers: list[StandIn], visitor: Visitor) -> None:
    answer = visitor().post("/full", content=b"x")
    assert answer.status_code == 503 and "received" in answer.json()
    assert sum(len(server.reached) for server in servers) == 1


@needs_nginx
def test_an_event_arrives_before_the_next_is_made(servers: list[StandIn], address: str) -> None:
    with httpx.stream("GET", f"{address}/stream", timeout=60) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: first"
        for server in servers:
            server.go_on.set()
        assert [line for line in lines if line] == ["data: second"]


@needs_nginx
def test_a_film_of_the_largest_size_passes_and_more_than_the_limit_does_not(address: str) -> None:
    film = bytes(201 * 2**20)
    answer = httpx.post(f"{address}/upload", content=film, timeout=120, verify=False)
    assert answer.json()["received"] == len(film)
    asked = HTTPConnection(address.removeprefix("http://"), timeout=60)
    asked.putrequest("POST", "/upload")
    asked.putheader("Content-Length", str(2 * 2**30 + 1))
    asked.endheaders()  # nginx refuses it before a byte is sent
    answer = asked.getresponse()
    assert answer.status == 413 and "Send fewer films" in json.load(answer)["detail"]
    asked.close()


@needs_nginx
def test_the_page_learns_the_public_address_and_its_headers_pass_once(address: str) -> None:
    answer = httpx.get(f"{address}/", headers={"X-Forwarded-For": "6.6.6.6"}, timeout=60)
    asked = {name.lower(): value for name, value in answer.json()["headers"].items()}
    assert f"http://{asked['x-forwarded-host']}" == address == f"http://{asked['host']}"
    assert asked["x-forwarded-proto"] == "http" and asked["x-forwarded-for"] == "127.0.0.1"
    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert answer.headers["server"] == "nginx"


@needs_nginx
def test_nothing_that_names_a_film_is_logged_or_kept(
    servers: list[StandIn], visitor: Visitor, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    client = visitor()
    for server in servers:
        server.kill()
    assert client.get("/gradio_api/file=/uploads/miller.png").status_code == 502
    client.post("/gradio_api/upload", content=b"miller" * 100_000)
    log, until = "", time.monotonic() + 60
    while log.count("\n") < 3 and time.monotonic() < until:  # a line comes when all is over
        time.sleep(0.05)
        log = (tmp_path / "access.log").read_text()
    assert log.count("\n") == 3 and " 502 " in log
    assert "miller" not in log + capfd.readouterr().err
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in kept} == {"nginx.conf", "access.log", "nginx.pid"}


def test_only_ports_and_servers_differ_from_the_file() -> None:
    lines = proxy.CONFIGURATION.read_text().splitlines()
    made = proxy.configured(1234, [5001, 5002, 5003]).splitlines()
    added = [line.strip() for line in made if line not in lines]
    assert added == [
        f"server 127.0.0.1:{port} max_fails=1 fail_timeout=10s;" for port in (5001, 5002, 5003)
    ] + ["listen 127.0.0.1:1234;"]
    assert len(made) == len(lines) + 1


def test_compose_runs_the_servers_that_the_configuration_names() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    scaled = {name for name, service in services.items() if service.get("profiles") == ["scale"]}
    named = re.findall(r"^ *server (\S+):7860 ", proxy.CONFIGURATION.read_text(), flags=re.M)
    assert scaled == {"proxy", *named} and set(services["proxy"]["depends_on"]) == set(named)
    assert not any(services[name]["ports"] for name in named)  # only the proxy is reached
    assert "./deploy/nginx.conf:/etc/nginx/nginx.conf:ro" in services["proxy"]["volumes"]


BELOW = """
daemon off;
pid nginx.pid;
error_log stderr crit;
events {{}}
http {{
  access_log /dev/stdout;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  client_max_body_size 200m; client_body_buffer_size 8m;
  server {{
    listen 127.0.0.1:{port};
    location /radiology/fracture/ {{
      proxy_pass http://127.0.0.1:{server}/;
      proxy_set_header Host $http_host;
      proxy_buffering off;
    }}
  }}
}}
"""


@needs_nginx
def test_the_page_works_below_a_path_of_another_site(chromium, films, tmp_path, monkeypatch):
    def configured(port: int, servers: list[int]) -> str:
        return BELOW.format(port=port, server=servers[0])

    monkeypatch.setattr(proxy, "configured", configured)
    process, address = start("--root-path", "/radiology/fracture")
    try:
        with proxy.nginx(tmp_path, [int(address.rpartition(":")[2])]) as outside:
            tab = chromium.new_page()
            tab.set_default_timeout(WAIT)
            asked = []
            tab.on("request", lambda request: asked.append(request.url))
            tab.goto(f"{outside}/radiology/fracture/")
            drop(tab, films[0])
            tab.wait_for_selector("#headline .fd-verdict")
            tab.wait_for_function("() => document.querySelector('.fv').dataset.heat === 'true'")
            below = (f"{outside}/radiology/fracture/", "data:", "blob:")
            assert not [url for url in asked if not url.startswith(below)]
    finally:
        stop(process)
