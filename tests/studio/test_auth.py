"""Access control: token, host and origin."""

from __future__ import annotations

from http.cookiejar import CookieJar

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from auralsam2.studio.auth import AccessGuard
from helpers.studio_pages import HOST, TOKEN, Studio


@pytest.fixture
def stranger(studio: Studio) -> TestClient:
    """A browser that has nothing."""
    return TestClient(studio.client.app, base_url=f"http://{HOST}", follow_redirects=False)


def test_printed_address_sets_the_cookie_and_drops_the_token(stranger: TestClient) -> None:
    assert stranger.get("/api/state").status_code == 403
    answer = stranger.get("/", params={"token": TOKEN})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("auralsam2-7860=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert stranger.get("/").status_code == 200
    assert stranger.get("/api/state").status_code == 200


def test_two_servers_on_one_machine_are_independent() -> None:
    """Browsers keep cookies by host, not by port: both servers are sent both."""
    jar = CookieJar()
    browsers = []
    for port in (7860, 7861):
        guarded = AccessGuard(PlainTextResponse("in"), f"{TOKEN}-{port}", "127.0.0.1")
        browser = TestClient(guarded, base_url=f"http://127.0.0.1:{port}", cookies=jar, follow_redirects=False)
        assert browser.get("/", params={"token": f"{TOKEN}-{port}"}).status_code == 303
        browsers.append(browser)
    assert [browser.get("/").text for browser in browsers] == ["in", "in"]


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "ü"])
def test_wrong_token_is_rejected(stranger: TestClient, token: str) -> None:
    answer = stranger.get("/", params={"token": token})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "auralsam2 studio" in answer.text
    assert stranger.get("/api/state", headers={"x-token": token.encode()}).status_code == 403
    assert stranger.get("/api/state", headers={"cookie": f"auralsam2-7860={token}".encode()}).status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/web/index.html"),
        ("GET", "/nowhere"),
        ("PUT", "/api/upload"),
        ("PUT", "/api/restore"),
        ("POST", "/api/sessions"),
        ("DELETE", "/api/sessions/aaaaaaaaaaaaaaaaaaaaaa"),
        ("GET", "/api/sessions/aaaaaaaaaaaaaaaaaaaaaa/media"),
    ],
)
def test_every_endpoint_needs_the_token(stranger: TestClient, method: str, path: str) -> None:
    answer = stranger.request(method, path)
    assert answer.status_code == 403
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:7860", 200),
        ("localhost:1", 200),
        ("[::1]:7860", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:7860", 421),
        ("evil.example@127.0.0.1", 421),
        ("127.0.0.1:7860; script-src *", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_only_host_names_of_this_machine_are_accepted(studio: Studio, host: str, status: int) -> None:
    assert studio.client.get("/api/state", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (f"http://{HOST}", 200),
        (f"https://{HOST}", 200),
        ("http://127.0.0.1:9999", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_only_the_own_origin_is_accepted(studio: Studio, origin: str, status: int) -> None:
    assert studio.client.get("/api/state", headers={"origin": origin}).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.example"},
        {"origin": "http://evil.example", "x-token": TOKEN},
        {"x-token": TOKEN},
        {"origin": f"http://{HOST}"},
        {"origin": f"http://{HOST}", "x-token": "wrong"},
    ],
)
def test_websocket_needs_origin_and_token(stranger: TestClient, headers: dict[str, str]) -> None:
    address = f"ws://{HOST}/api/sessions/aaaaaaaaaaaaaaaaaaaaaa/live"
    with pytest.raises(WebSocketDisconnect) as refused, stranger.websocket_connect(address, headers=headers):
        pass
    assert refused.value.code == 4403


def test_responses_have_security_headers(studio: Studio) -> None:
    for path in ("/", "/api/state", "/nowhere"):
        headers = studio.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"].split("; ")
        assert {"default-src 'self'", "img-src 'self' blob: data:", "frame-ancestors 'none'"} <= set(policy)


@pytest.mark.parametrize(
    "path",
    ["/web/secret.txt", "/web/../server.py", "/web/%2e%2e%2fserver.py", "/web/", "/web/..%5c..%5cserver.py", "/docs"],
)
def test_only_files_of_the_page_are_served(studio: Studio, path: str) -> None:
    assert studio.client.get(path).status_code == 404


def test_page_files_have_their_content_type(studio: Studio) -> None:
    answer = studio.client.get("/web/index.html")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Studio" in answer.text


def test_printed_address_opens_a_session(stranger: TestClient) -> None:
    name = "abcdefghijklmnopqrstu-"
    assert stranger.get("/", params={"token": TOKEN, "open": name}).headers["location"] == f"/?open={name}"
    for trick in ("//evil.example", "x\r\nSet-Cookie: a=b", "../x"):
        assert stranger.get("/", params={"token": TOKEN, "open": trick}).headers["location"] == "/"
