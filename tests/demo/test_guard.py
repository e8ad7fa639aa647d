"""Before the page: under which names it answers, other sites, wrong passwords, its own folder."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace

import httpx
import pytest
from filelock import FileLock
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from demo import upload_budget
from demo import upload_deletion as own
from demo.__main__ import address, parse
from demo.gradio_patches import LOG_FORMAT, WithoutMessages
from demo.server import Guard
from demo.upload_budget import UploadBudget
from demo.visitors import FREE_GUESSES, Guesses, visitor_of


def ask(
    app: Guard, headers: dict[str, str], method: str = "GET", path: str = "/", count: int = 1,
    body: bytes | None = None,
) -> Sequence[httpx.Response]:
    async def all_of_them() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app, client=("192.0.2.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            return [
                await client.request(method, path, headers=headers, content=body or _chunks(method))
                for _ in range(count)
            ]

    return asyncio.run(all_of_them())


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


def _chunks(method: str) -> AsyncIterator[bytes] | None:
    return _nothing() if method == "POST" else None


async def _here(request: Request) -> JSONResponse:
    return JSONResponse({"read": True})


async def _login(request: Request) -> JSONResponse:
    right = request.headers.get("password") == "right"
    return JSONResponse({}, 200 if right else 400)


PAGE = Starlette(routes=[Route("/", _here), Route("/login", _login, methods=["POST"])])


@pytest.mark.parametrize(
    "host",
    ["localhost:7860", "127.0.0.1:7860", "[::1]:7860", "192.0.2.7", "films.example.org",
     socket.gethostname(), "space.example.org"],
)  # fmt: skip
def test_the_page_answers_under_its_own_names(host: str, monkeypatch):
    monkeypatch.setenv("SPACE_HOST", "space.example.org")
    guard = Guard(PAGE, ["films.example.org"])
    for headers in ({"host": host}, {"host": host, "origin": f"http://{host}"}):
        assert ask(guard, headers)[0].json() == {"read": True}


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "[::1", "127.0.0.1.evil.example"]
)
def test_a_name_that_is_led_here_is_no_way_in(host: str):
    (answer,) = ask(Guard(PAGE), {"host": host})
    assert answer.status_code == 403 and "--allow-host" in answer.json()["detail"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:9999", "http://127.0.0.1", ""]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_another_site_is_refused_and_told_nothing(origin: str, method: str):
    headers = {"host": "localhost:7860", "origin": origin, "access-control-request-method": "POST"}
    (answer,) = ask(Guard(PAGE), headers, method)
    assert answer.status_code == 403 and "other sites" in answer.json()["detail"]
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_behind_a_proxy_with_a_name_of_its_own_the_visitors_name_counts():
    headers = {"host": "localhost:7860", "origin": "https://films.example.org"}
    assert ask(Guard(PAGE), headers)[0].status_code == 403
    assert ask(Guard(PAGE, ["films.example.org"]), headers)[0].status_code == 200


def test_wrong_passwords_are_slowed_down_and_a_right_one_is_not():
    guard, at = Guard(PAGE), {"host": "localhost"}
    wrong = ask(guard, at, "POST", "/login", count=FREE_GUESSES + 3)
    assert [answer.status_code for answer in wrong] == [400] * (FREE_GUESSES + 1) + [429] * 2
    assert int(wrong[-1].headers["retry-after"]) >= 1 and "Wait" in wrong[-1].json()["detail"]
    right = ask(Guard(PAGE), {**at, "password": "right"}, "POST", "/login", count=20)
    assert {answer.status_code for answer in right} == {200}


def test_each_wrong_password_doubles_the_wait_of_that_visitor_only():
    now = [0.0]
    guesses, waits = Guesses(lambda: now[0]), []
    for _ in range(FREE_GUESSES):
        assert guesses.attempt("a") == 0
    for _ in range(10):
        assert guesses.attempt("a") == 0
        waits.append(guesses.attempt("a"))
        assert guesses.attempt("b") == 0 or waits
        now[0] += waits[-1]
    assert waits[:3] == [2, 4, 8] and max(waits) == waits[-1] == 300
    guesses.right("a")
    assert [guesses.attempt("a") for _ in range(FREE_GUESSES)] == [0] * FREE_GUESSES


def test_a_household_with_many_addresses_is_one_visitor():
    assert visitor_of(("2001:db8::1", 1)) == visitor_of(("2001:db8::ffff:1", 2))
    assert visitor_of(("2001:db8:0:1::1", 1)) != visitor_of(("2001:db8::1", 1))
    assert visitor_of(("192.0.2.1", 1)) != visitor_of(("192.0.2.2", 1))


def test_mcp_behind_the_login_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("FRACTURE_USER", "reader")
    monkeypatch.setenv("FRACTURE_PASSWORD", "secret")
    assert parse([]).mcp is False
    with pytest.raises(SystemExit) as stopped:
        parse(["--mcp"])
    assert stopped.value.code == 2 and "cannot log in" in capsys.readouterr().err


def test_an_ipv6_address_stands_in_brackets():
    assert [address(host) for host in ("::1", "0.0.0.0", "films")] == ["[::1]", "0.0.0.0", "films"]


# Uploads


def test_uploads_leave_room_for_other_visitors_and_on_the_disk(tmp_path):
    budget = UploadBudget(tmp_path, most=1000)
    with budget.receive("a", 300) as fits:
        assert fits
        with budget.receive("a", 201) as more, budget.receive("b", 500) as others:
            assert not more and others
            with budget.receive("c", 201) as third:
                assert not third
        film = tmp_path / "film"
        film.write_bytes(bytes(300))
        budget.received("a", [str(film), str(tmp_path / "gone")])
    with budget.receive("a", 201) as more, budget.receive("a", 200) as exactly:
        assert not more and exactly
    film.unlink()
    with budget.receive("a", 500) as again:
        assert again
    assert UploadBudget(tmp_path).most > 0


def test_six_uploads_of_190_mb_do_not_fill_the_disk_and_it_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(upload_budget.shutil, "disk_usage", lambda _: SimpleNamespace(free=800))

    async def _upload(request: Request) -> JSONResponse:
        path = tmp_path / str(len(list(tmp_path.iterdir())))
        path.write_bytes(await request.body())
        return JSONResponse([str(path)])

    guard = Guard(Starlette(routes=[Route("/gradio_api/upload", _upload, methods=["POST"])]))
    headers = {"host": "localhost", "content-length": "190"}
    path = "/gradio_api/upload"
    answers = ask(guard, headers, "POST", path, count=6, body=bytes(190))
    assert [answer.status_code for answer in answers] == [200] + [507] * 5
    assert "no room" in answers[-1].text and len(list(tmp_path.iterdir())) == 1
    (endless,) = ask(guard, {"host": "localhost"}, "POST", path)
    assert endless.status_code == 411


# The page's own folder


def test_what_a_killed_page_left_is_removed_and_nothing_else(tmp_path):
    killed, alive, other = (tmp_path / f"{own.PREFIX}{name}" for name in ("a", "b", "c"))
    for folder in (killed, alive, other):
        folder.mkdir()
        (folder / "film.dcm").write_bytes(b"film")
    (killed / "in-use.lock").touch()
    trap = tmp_path / f"{own.PREFIX}trap"
    trap.symlink_to(other)
    with FileLock(alive / "in-use.lock"), own.own_folder(tmp_path) as folder:
        assert folder.parent == tmp_path and folder.stat().st_mode & 0o077 == 0
        assert not killed.exists()
        assert (alive / "film.dcm").exists() and (other / "film.dcm").exists()
        with own.own_folder(tmp_path) as second:
            assert folder.exists() and second != folder
    assert not folder.exists() and not second.exists()


@pytest.mark.skipif(not hasattr(__import__("os"), "getuid"), reason="no users on this system")
def test_a_folder_of_somebody_else_is_left_alone(tmp_path, monkeypatch):
    theirs = tmp_path / f"{own.PREFIX}a"
    theirs.mkdir()
    (theirs / "in-use.lock").touch()
    monkeypatch.setattr(own.os, "getuid", lambda: theirs.stat().st_uid + 1)
    with own.own_folder(tmp_path):
        assert theirs.exists()


def test_a_traceback_in_the_log_names_no_film():
    try:
        open("/no/such/folder/DOE^JOHN.dcm").close()
    except OSError:
        record = logging.LogRecord("a", logging.ERROR, "", 1, "failed", None, sys.exc_info())
    text = WithoutMessages(LOG_FORMAT).format(record)
    assert "DOE" not in text and "FileNotFoundError" in text and "test_guard.py:" in text
