"""Access control: token, host and origin."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from helpers.studio_pages import HOST, TOKEN, Studio


@pytest.fixture
def stranger(studio: Studio) -> TestClient:
    """A browser that has nothing."""
    return TestClient(studio.client.app, base_url=f"http://{HOST}", follow_redirects=False)


def test_token_is_needed_in_a_header(stranger: TestClient) -> None:
    assert stranger.get("/api/state").status_code == 403
    answer = stranger.get("/api/state", headers={"x-token": TOKEN})
    assert answer.status_code == 200
    # Browsers send cookies to all ports of a host.
    assert "set-cookie" not in answer.headers
    assert stranger.get("/api/state", headers={"cookie": f"auralsam2-7860={TOKEN}"}).status_code == 403
    assert stranger.get("/api/state", params={"token": TOKEN, "k": TOKEN}).status_code == 403


def test_media_key_reads_media_alone(studio: Studio, stranger: TestClient, clip: Path) -> None:
    name = studio.upload(clip)
    key = studio.client.get("/api/state").json()["media_key"]
    assert key not in TOKEN
    address = f"/api/sessions/{name}"
    for path in ("/frame/0.jpg", "/frame/0.jpg?w=32", "/media", "/sound"):
        assert stranger.get(address + path).status_code == 403
        assert stranger.get(address + path, params={"k": "0" * 32}).status_code == 403
        assert stranger.get(f"{address}{path}{'&' if '?' in path else '?'}k={key}").status_code == 200
    assert stranger.get(f"{address}/export/coco", params={"k": key}).status_code == 404
    for path in (address, "/api/sessions", "/api/state", f"{address}/mask/1/0.bin"):
        assert stranger.get(path, params={"k": key}).status_code == 403
    assert stranger.delete(address, params={"k": key}).status_code == 403


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "ü"])
def test_wrong_token_is_rejected(stranger: TestClient, token: str) -> None:
    assert stranger.get("/api/state", headers={"x-token": token.encode()}).status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/"),
        ("GET", "/web/../server.py"),
        ("GET", "/nowhere"),
        ("PUT", "/api/upload"),
        ("PUT", "/api/restore"),
        ("POST", "/api/sessions"),
        ("POST", "/api/models/v1s"),
        ("PUT", "/api/model"),
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
        {"origin": f"http://{HOST}", "sec-websocket-protocol": "auralsam2, token.wrong"},
        {"origin": "http://evil.example", "sec-websocket-protocol": f"auralsam2, token.{TOKEN}"},
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
