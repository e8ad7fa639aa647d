"""The page's server: its programming interface, what it does not give away, and how it stops."""

from __future__ import annotations

import base64
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import httpx
import pytest
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from demo import gradio_patches
from demo import page as page_module
from demo.server import BUSY
from detector import FractureDetector
from detector.engines.base import EngineOutput
from detector.phantom import random_phantom
from detector.report.words import ENGLISH
from tests.support.page_server import ROOT, page_address, save_film, start, stop


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    return save_film(random_phantom(1, fractured=True).pixels, folder / "film.png")


def get(path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(page_address() + path, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_shared_link_says_what_the_page_is_and_shows_no_other_servers_picture():
    for path, said in (("/", "A second look"), ("/?lang=de", "Ein zweiter Blick")):
        page = get(path)[1].decode().partition("</head>")[0]
        [title] = re.findall(r'<meta property="og:title" content="(.*?)">', page)
        [description] = re.findall(r'<meta property="og:description" content="(.*?)">', page)
        assert title == ENGLISH["title"]
        assert description.startswith(said)
        assert "og:image" not in page and "twitter:image" not in page
        assert "@Gradio" not in page


def test_predict_says_what_the_detector_says(detector: FractureDetector, film: Path):
    client = Client(page_address(), verbose=False)
    answer = client.predict(handle_file(film), api_name="/predict")
    assert answer == detector.predict(film).to_dict()


def test_a_broken_film_is_an_error_with_its_sentence(tmp_path: Path):
    broken = tmp_path / "film.png"
    broken.write_text("<html>no film</html>")
    client = Client(page_address(), verbose=False)
    with pytest.raises(AppError, match="not a film"):
        client.predict(handle_file(broken), api_name="/predict")


def test_predict_batch_lists_a_broken_film_with_its_reason(detector, film: Path, tmp_path: Path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    client = Client(page_address(), verbose=False)
    films = [handle_file(film), handle_file(broken)]
    one, two = client.predict(films, api_name="/predict_batch")
    assert one == {"file": "film.png", **detector.predict(film).to_dict()}
    assert two["error"]["kind"] == "unreadable" and two["error"]["message"]


def test_only_the_three_documented_endpoints_are_public():
    client = Client(page_address(), verbose=False)
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert set(named) == {"/predict", "/predict_batch", "/model"}


def test_over_plain_http(detector: FractureDetector, film: Path):
    boundary = "film-boundary"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="film.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    ).encode() + film.read_bytes() + f"\r\n--{boundary}--\r\n".encode()  # fmt: skip
    (path,) = post("/gradio_api/upload", body, f"multipart/form-data; boundary={boundary}")
    asked = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
    event = post("/gradio_api/call/predict", json.dumps(asked).encode())["event_id"]
    status, stream = get(f"/gradio_api/call/predict/{event}")
    assert status == 200
    (answer,) = json.loads(stream.decode().rpartition("data: ")[2])
    assert answer == detector.predict(film).to_dict()


def post(path: str, body: bytes, kind: str = "application/json"):
    request = urllib.request.Request(page_address() + path, body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def test_the_model_endpoint(detector: FractureDetector):
    client = Client(page_address(), verbose=False)
    assert client.predict(api_name="/model")["sha256"] == detector.model.digest


SECRETS = ("/etc/passwd", str(Path(__file__).resolve()), "../../../../etc/passwd",
           "weights/model.safetensors", "..%2f..%2f..%2fetc%2fpasswd")  # fmt: skip


@pytest.mark.parametrize("path", SECRETS)
@pytest.mark.parametrize("route", ["/gradio_api/file=", "/file=", "/static/", "/assets/", "/"])
def test_no_file_outside_the_cache_can_be_read(route: str, path: str):
    for wanted in (path, urllib.parse.quote(path, safe="")):
        status, body = get(route + wanted)
        assert b"root:" not in body and b"def test_" not in body
        assert status != 200 or b"<!doctype html" in body[:200].lower()


def test_a_path_in_a_request_is_refused_unless_it_was_uploaded():
    asked = {"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]}
    event = post("/gradio_api/call/predict", json.dumps(asked).encode())["event_id"]
    _, stream = get(f"/gradio_api/call/predict/{event}")
    assert stream.startswith(b"event: error") and b"decision" not in stream


def test_of_an_upload_that_breaks_off_nothing_stays(tmp_path: Path, held):
    _, client = held
    boundary, address = "film-boundary", client.base_url
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="DOE.dcm"\r\n\r\n'
    ).encode() + bytes(3_000_000)
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {address.host}\r\nContent-Length: 9000000\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n"
    ).encode()
    uploads = Path(get_upload_folder())
    before = set(uploads.glob("*"))
    with socket.create_connection((address.host, address.port)) as visitor:
        visitor.sendall(head + body)
        wait_for(lambda: set(uploads.glob("tmp*")) - before)  # it is being written
    wait_for(lambda: not set(uploads.glob("*")) - before)


def test_of_a_film_that_was_read_there_is_its_upload_and_nothing_else(film: Path, held):
    engine, client = held
    engine.open.set()
    (path,) = client.post("/upload", files={"files": ("a.png", film.read_bytes())}).json()
    assert "probability" in client.get(f"/call/predict/{ask(client, path).json()['event_id']}").text
    files = [file for file in Path(get_upload_folder()).rglob("*") if file.is_file()]
    assert files == [Path(path)]


def wait_for(condition) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_answers_carry_security_headers():
    with urllib.request.urlopen(page_address() + "/", timeout=60) as answer:
        headers = answer.headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_with_a_password_nothing_is_served_without_it_and_sigterm_stops_cleanly(film: Path):
    process, address = start(
        "--engine", "torch",
        environment={"FRACTURE_USER": "reader", "FRACTURE_PASSWORD": "secret word"},
    )
    try:
        for path in ("/config", "/gradio_api/info", "/gradio_api/mcp/schema"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(address + path, timeout=60)
            assert refused.value.code in (401, 404)
        client = Client(address, auth=("reader", "secret word"), verbose=False)
        assert client.predict(handle_file(film), api_name="/predict")["decision"]
        assert client.predict(api_name="/model")["engine"]["name"] == "torch"
        process.send_signal(signal.SIGTERM)
        # Five seconds are promised; a machine that trains at the same time may take a little more.
        assert process.wait(15) == 0
    finally:
        stop(process)


def test_it_starts_behind_proxies_on_ipv6_without_a_home_as_an_unknown_user(film: Path):
    """All at once; the tools of MCP, which ask the page over its own address, find it too."""
    nowhere = "127.0.0.1:9"
    environment = {
        "http_proxy": f"http://{nowhere}", "HTTPS_PROXY": f"http://{nowhere}",
        "ALL_PROXY": f"socks5://{nowhere}", "NO_PROXY": "", "no_proxy": "",
    }  # fmt: skip
    process, address = start(
        "--mcp", host="::1", environment=environment, without=("HOME", "USER", "LOGNAME"),
        user=54321,
    )  # fmt: skip
    try:
        with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
            tools = client.get("/gradio_api/mcp/schema").json()
            named = {tool["name"]: tool["description"] for tool in tools}
            assert len(named) == 3 and any("X-ray" in text for text in named.values())
            data = "data:image/png;base64," + base64.b64encode(film.read_bytes()).decode()
            call = {"name": "predict", "arguments": {"film": data}}
            answer = client.post(
                "/gradio_api/mcp/",
                json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call},
                headers={"accept": "application/json, text/event-stream"},
            ).text
        assert "probability" in answer
    finally:
        stop(process)


def test_no_log_names_a_film(capfd: pytest.CaptureFixture, held, caplog):
    _, client = held
    too_long = str(Path(get_upload_folder(), "DOE_JOHN" * 40))  # the system's error quotes it
    event = ask(client, too_long).json()["event_id"]
    assert "event: error" in client.get(f"/call/predict/{event}").text
    said = capfd.readouterr()
    assert "DOE" not in said.out + said.err + caplog.text and "a request failed" in caplog.text


def test_another_site_reads_nothing_of_the_running_page(held):
    _, client = held
    foreign = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    for answer in (client.get("/info", headers=foreign), client.options("/info", headers=foreign)):
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_precision_that_is_not_to_be_had_is_a_sentence_and_no_page():
    wrong = ("--engine", "torch", "--precision", "float16")
    ran = subprocess.run(
        [sys.executable, "-m", "demo", *wrong], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 1 and "Traceback" not in ran.stderr
    assert ran.stderr.startswith("The page cannot start: ") and "float32 or bfloat16" in ran.stderr


# A full queue


class Held:
    """An engine that answers when it is let: films pile up behind it for as long as it takes."""

    name, precision = "held", "float32"

    def __init__(self, engine) -> None:
        self.engine = engine
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.films = 0

    def run(self, canvas) -> EngineOutput:
        self.films += 1
        self.entered.release()
        self.open.wait()
        return self.engine.run(canvas)


@pytest.fixture
def held(detector: FractureDetector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """(engine, client of a page with that engine, two films at a time and two places to wait)."""
    monkeypatch.setattr(page_module, "MAX_WAITING", 2)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    engine = Held(detector.engine)
    page = page_module.build_page(FractureDetector(detector.model, engine), [])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    page.launch(
        server_name="127.0.0.1", server_port=port, prevent_thread_lock=True,
        **page_module.launch_settings(),
    )  # fmt: skip
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/gradio_api", timeout=60) as client:
        yield engine, client
    engine.open.set()
    page.close(verbose=False)


def ask(client: httpx.Client, path: str) -> httpx.Response:
    """Ask for the reading of an uploaded film; the answer says whether there was a place."""
    data = {"path": path, "meta": {"_type": "gradio.FileData"}}
    return client.post("/call/predict", json={"data": [data]})


def test_a_full_queue_says_so_and_who_leaves_makes_room(detector, film: Path, held):
    engine, client = held
    (path,) = client.post("/upload", files={"files": ("a.png", film.read_bytes())}).json()
    running = [ask(client, path) for _ in range(2)]
    for _ in running:
        assert engine.entered.acquire(timeout=120)
    waiting = [ask(client, path) for _ in range(2)]
    assert [answer.status_code for answer in running + waiting] == [200] * 4

    full = ask(client, path)
    assert full.status_code == 503 and full.json() == {"detail": BUSY}
    assert int(full.headers["retry-after"]) > 0

    leaving, staying = (answer.json()["event_id"] for answer in waiting)
    with client.stream("GET", f"/call/predict/{leaving}") as stream:
        assert stream.status_code == 200
    # The server notices in its own time; the queue moves no other way, since the engine is held.
    while (late := ask(client, path)).status_code == 503:
        pass

    engine.open.set()
    expected = detector.predict(film).to_dict()
    for event in (*(r.json()["event_id"] for r in running), staying, late.json()["event_id"]):
        stream = client.get(f"/call/predict/{event}").text
        assert json.loads(stream.rpartition("data: ")[2]) == [expected]
    assert engine.films == 4  # nothing was read for the one who left


def test_who_waits_is_not_forgotten_for_those_who_come(detector, film: Path, monkeypatch, request):
    # Room for one session: with Gradio's own memory the second visitor ended the queue for all.
    monkeypatch.setattr(gradio_patches, "MESSAGES", 1)
    engine, client = request.getfixturevalue("held")
    (path,) = client.post("/upload", files={"files": ("a.png", film.read_bytes())}).json()
    asked = [ask(client, path) for _ in range(2)]
    for _ in asked:
        assert engine.entered.acquire(timeout=120)
    asked += [ask(client, path) for _ in range(2)]
    engine.open.set()
    expected = detector.predict(film).to_dict()
    for answer in asked:
        stream = client.get(f"/call/predict/{answer.json()['event_id']}").text
        assert json.loads(stream.rpartition("data: ")[2]) == [expected]
