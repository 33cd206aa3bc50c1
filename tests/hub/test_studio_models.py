"""Released models that the page of the Studio downloads and uses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from auralsam2.model import AuralSAM2
from auralsam2.studio.model_downloads import ModelDownloads
from auralsam2.studio.routes import create_app
from auralsam2.studio.settings import Settings
from auralsam2.studio.storage import RefusalError, SessionStore
from helpers.local_hub import LocalHub
from helpers.media_files import write_clip
from helpers.small_networks import small_sam2
from helpers.studio_pages import HOST, TOKEN, Page, wait_for


def test_page_downloads_a_released_model(
    server: LocalHub, narrow_release: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = narrow_release()
    server.add("facebook/sam2-hiera-large", {"config.json": b"{}", "model.safetensors": b"weights"})
    reports: list[tuple[str, int, int]] = []
    downloads = ModelDownloads()
    report = downloads._report

    def watch(name: str, done: int, total: int) -> None:
        report(name, done, total)
        row = next(row for row in downloads.listing() if row["name"] == name)
        reports.append((row["download"]["part"], row["download"]["done"], row["download"]["total"]))

    monkeypatch.setattr(downloads, "_report", watch)
    assert [row["cached"] for row in downloads.listing()] == [True] + [False] * 4
    downloads.start("v1s")
    with pytest.raises(RefusalError, match="v1s is being downloaded"):
        downloads.start("v2")
    wait_for(lambda: downloads._running is None)
    row = downloads.listing()[1]
    assert (row["name"], row["size_mb"], row["cached"], row["download"]) == ("v1s", 483, True, None)
    assert ("checkpoint", len(content), len(content)) in reports
    assert any(part == "SAM 2" and done == total > 0 for part, done, total in reports)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "other"))
    assert not downloads.listing()[1]["cached"], "its SAM 2 is missing"
    with pytest.raises(RefusalError, match="no released model"):
        downloads.start("mini")
    downloads.start("v1m")
    wait_for(lambda: downloads._running is None)
    row = downloads.listing()[2]
    assert row["cached"] is False
    assert "auralsam2_avs_v1m.pth" in row["download"]["error"]


def test_sessions_use_a_downloaded_model_without_a_restart(
    server: LocalHub, narrow_release: Callable[..., bytes], small_model: Path, tmp_path: Path
) -> None:
    narrow_release(width=128)
    small_sam2(96, width=128).save_pretrained(tmp_path / "sam2")
    server.add("facebook/sam2-hiera-large", {path.name: path.read_bytes() for path in (tmp_path / "sam2").iterdir()})
    clip = write_clip(tmp_path / "clip.mp4", 1)
    load = partial(AuralSAM2.from_pretrained, local_files_only=True)
    first = load(small_model)
    settings = Settings(token=TOKEN, home=tmp_path / "home")
    with (
        SessionStore(settings.home) as store,
        TestClient(create_app(settings, first, store, load), f"http://{HOST}", headers={"x-token": TOKEN}) as client,
    ):
        session = client.put("/api/upload", params={"name": "clip.mp4"}, content=clip.read_bytes()).json()["id"]

        def mask_shape() -> tuple[int, ...]:
            address = f"ws://{HOST}/api/sessions/{session}/live"
            with client.websocket_connect(address, headers={"origin": f"http://{HOST}"}) as socket:
                page = Page(socket)
                page.ask("points", object=1, tick=0, points=[[40, 30, 1]])
                return page.masks[-1][1].shape

        def rows() -> dict[str, dict[str, Any]]:
            return {row["name"]: row for row in client.get("/api/models").json()}

        assert mask_shape() == (64, 64)
        refused = client.put("/api/model", json={"name": "v1s"})
        assert refused.status_code == 422
        assert "auralsam2_avs_v1s.pth" in refused.json()["error"]
        assert client.put("/api/model", json={"name": str(tmp_path)}).status_code == 404
        assert client.post("/api/models/v1s").json() == {"ok": True}
        wait_for(lambda: rows()["v1s"]["cached"])
        requests = len(server.requests)
        assert client.put("/api/model", json={"name": "v1s"}).json() == {"ok": True}
        assert client.get("/api/state").json()["model"]["name"] == "v1s"
        assert mask_shape() == (96, 96)
        assert rows()[first.name]["cached"]
        assert client.put("/api/model", json={"name": first.name}).json() == {"ok": True}
        assert mask_shape() == (64, 64)
        assert len(server.requests) == requests
