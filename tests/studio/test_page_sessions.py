"""Sessions in a browser: exports, reopening, two tabs, and a killed server."""

from __future__ import annotations

import io
import json
import statistics
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from helpers.forked_process import ForkServer
from helpers.media_files import write_media
from helpers.studio_browser import DEMO, GROUND, PIG, Screen, Server, Watch


def export(screen: Screen, name: str) -> Path:
    """Choose an export, and take the file that the browser downloads."""
    screen.page.get_by_role("button", name="Export", exact=True).click()
    with screen.page.expect_download() as coming:
        screen.page.get_by_role("menuitem", name=name).click()
    return Path(coming.value.path())


def test_every_export_can_be_downloaded(screen: Screen) -> None:
    screen.open(DEMO, rate="1")
    screen.click(*PIG)

    with av.open(str(export(screen, "Overlay video"))) as video:
        assert {stream.type for stream in video.streams} == {"video", "audio"}
    with zipfile.ZipFile(export(screen, "PNG masks")) as archive:
        (name,) = archive.namelist()
        mask = np.asarray(Image.open(io.BytesIO(archive.read(name))))
    assert mask.shape == (384, 384)
    assert mask[PIG[1], PIG[0]] == 255
    assert mask[GROUND[1], GROUND[0]] == 0
    with zipfile.ZipFile(export(screen, "DAVIS palette")) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".png")]
        picture = Image.open(io.BytesIO(archive.read(name)))
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture) > 0, mask > 0)
    coco = json.loads(export(screen, "COCO JSON").read_text())
    assert coco["annotations"]
    assert screen.page.get_by_role("button", name="Export", exact=True).is_enabled()


def test_export_uses_the_sliders(screen: Screen) -> None:
    screen.open(DEMO, rate="1")
    screen.click(*PIG)
    areas = []
    for edge in ("0", "1"):
        screen.page.get_by_label("Edge").fill(edge)
        with zipfile.ZipFile(export(screen, "PNG masks")) as archive:
            areas.append(np.count_nonzero(Image.open(io.BytesIO(archive.read(archive.namelist()[0])))))
    assert areas[1] < areas[0]


def test_export_without_masks_is_refused(screen: Screen, watch: Watch) -> None:
    screen.open(DEMO, rate="1")
    screen.page.get_by_role("button", name="Export", exact=True).click()
    screen.page.get_by_role("menuitem", name="PNG masks").click()
    assert "no masks" in screen.toast()
    watch.told.clear()  # the browser's own note of the refusal


def test_reloaded_page_shows_the_same_state(screen: Screen) -> None:
    screen.open(DEMO, rate="1")
    screen.click(*PIG)
    before = screen.picture()
    screen.page.reload()
    screen.editor()
    screen.settles(lambda: screen.area() > 0, "the mask of the saved session")
    screen.page.locator(".objects .name").first.click()
    screen.settles(lambda: screen.picture() == before, "the same mask")


def test_exported_session_can_be_restored(screen: Screen, tmp_path: Path) -> None:
    first = screen.open(DEMO, rate="1")
    screen.click(*PIG)
    before = screen.picture()
    archive = tmp_path / "session.zip"
    archive.write_bytes(export(screen, "Session").read_bytes())

    screen.home()
    screen.upload(archive)
    second = screen.editor()
    assert second != first
    screen.page.locator(".objects .name").first.click()
    screen.settles(lambda: screen.picture() == before, "the same mask")
    screen.click(PIG[0] + 20, PIG[1] - 20, button="right")  # and it goes on
    assert len(screen.state()["prompts"][0]["points"]) == 2


def test_saved_sessions_are_listed_opened_and_deleted(screen: Screen) -> None:
    name = screen.open(DEMO, rate="1")
    screen.click(*PIG)
    title = screen.page.get_by_label("Name of the session")
    title.fill("The pig and the goose")
    title.press("Enter")
    screen.settles(lambda: screen.state()["name"] == "The pig and the goose", "the name")
    screen.press("F4")
    screen.settles(lambda: screen.state()["done"], "the mark")
    other = screen.open(DEMO, rate="1")
    screen.press("PageUp")
    screen.settles(lambda: screen.page.url.endswith(name), "the clip before")
    screen.editor()
    screen.press("PageDown")
    screen.settles(lambda: screen.page.url.endswith(other), "the clip after")
    screen.editor()
    screen.page.get_by_role("link", name="All sessions").click()
    screen.page.get_by_label("Shown sessions").select_option("to do")
    assert screen.page.locator(f'.card[data-id="{other}"]').is_visible()
    assert not screen.page.locator(f'.card[data-id="{name}"]').is_visible()
    screen.page.get_by_label("Shown sessions").select_option("done")
    assert screen.page.locator(".card").count() == 1
    screen.page.get_by_label("Kind of the export").select_option("masks")
    with screen.page.expect_download() as coming:
        screen.page.get_by_role("button", name="Export all done").click()
    with zipfile.ZipFile(Path(coming.value.path())) as archive:
        assert archive.namelist() == ["1/000000.png"]
    card = screen.page.locator(f'.card[data-id="{name}"]')
    assert "The pig and the goose" in card.text_content()
    card.locator("a").click()
    assert screen.editor() == name

    screen.page.get_by_role("link", name="All sessions").click()
    delete = card.get_by_role("button", name="Delete")
    delete.click()
    screen.page.get_by_role("button", name="Keep").click()
    assert card.is_visible()
    card.get_by_role("button", name="mark as to do").click()
    screen.settles(lambda: not screen.get(f"api/sessions/{name}")["done"], "the mark")
    delete.click()
    screen.page.get_by_role("button", name="Delete", exact=True).click()
    card.wait_for(state="detached")
    assert not (screen.server.home / "sessions" / name).exists()


def test_two_tabs_of_a_session_show_the_same_state(tab: Callable[[], Screen]) -> None:
    first, other = tab(), tab()
    name = first.open(DEMO, rate="1")
    other.page.goto(f"{first.server.base}#{name}")
    other.editor()
    first.click(*PIG)
    other.front()
    other.settles(lambda: other.inside(*PIG), "the mask of the other page")
    other.page.wait_for_selector(".track")
    other.click(PIG[0] + 20, PIG[1] - 20, button="right")
    first.front()
    first.settles(lambda: first.page.locator(".object").count() == 1, "one object")
    assert len(first.state()["prompts"][0]["points"]) == 2


def test_two_tabs_of_two_sessions_are_independent(tab: Callable[[], Screen]) -> None:
    first, other = tab(), tab()
    assert first.open(DEMO, rate="1") != other.open(DEMO, rate="1")
    first.click(*PIG)
    assert first.inside(*PIG)
    assert other.area() == 0
    assert not other.state()["objects"]


def test_killed_server_loses_nothing(
    browser: Any, fork_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("AURALSAM2_CACHE", str(tmp_path / "cache"))
    server = Server(fork_server, tmp_path / "home")
    server.start()
    try:
        with browser.new_context(viewport={"width": 1280, "height": 720}) as context:
            screen = Screen(context.new_page(), server)
            screen.home()
            assert "badly" in screen.page.locator(".model-notice").text_content(), "mini is no more than it is"
            row = screen.page.locator("[data-model=v2]")
            assert "483 MB" in row.text_content()
            row.get_by_role("button", name="Download v2").click()
            row.get_by_text("HF_HUB_OFFLINE is set").wait_for()
            assert row.get_by_role("button", name="Try again v2").is_visible()
            screen.open(DEMO, rate="1")
            screen.click(*PIG)
            before = screen.picture()
            server.kill()
            screen.page.wait_for_selector(".link:visible")
            server.start()
            screen.page.wait_for_selector(".link", state="hidden")
            screen.settles(lambda: screen.picture() == before, "the mask of before")
            screen.click(PIG[0] + 20, PIG[1] - 20, button="right")
            assert [point[2] for point in screen.state()["prompts"][0]["points"]] == [1, 0]

            # With a new token, the page says so, and goes on with its session when the new address is opened.
            server.kill()
            server.token = "another-token-of-the-tests"
            server.start()
            heading = screen.page.get_by_role("heading", name="The studio was started anew")
            heading.wait_for()
            other = Screen(context.new_page(), server)
            other.home()
            screen.front()
            screen.editor()
            assert len(screen.state()["prompts"][0]["points"]) == 2
    finally:
        server.kill()


@pytest.mark.slow
def test_click_is_answered_within_a_quarter_of_a_second(screen: Screen, tmp_path: Path) -> None:
    """At 720p, on a frame that was looked at before; on a machine that does nothing else."""
    ground = np.full((720, 1280, 3), 60, np.uint8)
    ground[200:500, 400:800] = (200, 120, 40)
    clip = write_media(tmp_path / "large.mp4", [ground] * 5, fps=5)
    screen.open(clip, rate="5")
    for at in range(11):
        screen.click(450 + 30 * at, 350)
    took = screen.page.evaluate("performance.getEntriesByName('click to paint').map((entry) => entry.duration)")
    assert len(took) == 11
    assert statistics.median(took[1:]) <= 250
