"""Start page in a browser: opening, refusals, and the size of the page."""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from auralsam2.hub import download
from helpers.media_files import numbered, tone, write_media
from helpers.small_networks import save_small_model
from helpers.studio_browser import DEMO, PIG, Screen, Server, Watch

MOST_BYTES = 300_000


def test_chosen_video_opens_in_the_editor(screen: Screen) -> None:
    screen.open(DEMO, rate="1")

    state = screen.state()
    assert (state["width"], state["height"], state["ticks"]) == (384, 384, 10)
    assert screen.page.get_by_label("Name of the session").input_value() == "demo.mp4"
    assert "frame 1 of 10" in screen.page.locator(".time").text_content()
    assert screen.page.locator(".film img").count() > 5
    assert screen.drawn(".wave") > 1000


def test_dropped_video_opens_in_the_editor(screen: Screen) -> None:
    screen.home()
    screen.page.evaluate(
        """([name, data]) => {
          const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
          const carried = new DataTransfer();
          carried.items.add(new File([bytes], name, { type: "video/mp4" }));
          const drop = { dataTransfer: carried, bubbles: true, cancelable: true };
          document.body.dispatchEvent(new DragEvent("dragover", drop));
          document.body.dispatchEvent(new DragEvent("drop", drop));
        }""",
        ["dropped.mp4", base64.b64encode(DEMO.read_bytes()).decode()],
    )
    screen.editor()
    assert screen.state()["name"] == "dropped.mp4"


def test_import_shows_progress_and_can_be_cancelled(screen: Screen, watch: Watch, tmp_path: Path) -> None:
    pictures = [numbered(number % 100, 1920, 1080) for number in range(100)]
    file = write_media(tmp_path / "large.mp4", pictures, options={"preset": "ultrafast"})
    screen.home()
    before = len(screen.get("api/sessions"))
    message = screen.keep(".percent")
    # Pressed by the page itself: it is done sooner than the test can say so.
    screen.page.evaluate(
        """() => {
          const cancel = document.querySelector(".sending button");
          const press = () => document.querySelector(".percent").textContent.includes("%") && cancel.click();
          window.pressing = new MutationObserver(press);
          pressing.observe(document.querySelector(".percent"), { childList: true });
        }"""
    )
    screen.upload(file, rate="10")
    screen.settles(lambda: any("%" in text for text in message()), "it is looked through")
    screen.page.wait_for_selector(".invitation:visible")
    folders = screen.server.home / "sessions"
    screen.settles(lambda: not list(folders.glob(".new-*")), "nothing of it stays")
    assert len(screen.get("api/sessions")) == before

    screen.page.evaluate("pressing.disconnect()")
    message = screen.keep(".percent")
    screen.upload(file, rate="10")
    screen.editor()
    parts = [int(actual[1]) for text in message() if (actual := re.fullmatch(r"Looking through: (\d+) %", text))]
    assert parts == sorted(parts)
    assert 0 < parts[-1] <= 100
    asked = len([url for url in watch.asked if "/api/arrivals/" in url])
    screen.page.wait_for_timeout(700)
    assert len([url for url in watch.asked if "/api/arrivals/" in url]) == asked


def test_demo_button_opens_the_demo_clip(screen: Screen) -> None:
    screen.home()
    screen.page.get_by_role("button", name="Try the demo clip").click()
    screen.editor()
    assert screen.state()["ticks"] == 50


def test_too_large_file_is_refused_before_upload(screen: Screen, watch: Watch, tmp_path: Path) -> None:
    screen.home()
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(3 << 20))
    screen.upload(large)

    message = screen.toast()
    assert "large.mp4 is 3.1 MB, at most 2 MB" in message
    assert not [url for url in watch.asked if "/api/upload" in url]
    assert screen.page.locator(".drop h2").first.is_visible()


def test_too_large_upload_shows_the_servers_message(screen: Screen, watch: Watch, tmp_path: Path) -> None:
    """A page that knows nothing of the limit: one that was loaded before the server was started with another."""
    page, large = screen.page, tmp_path / "large.mp4"
    large.write_bytes(bytes(3 << 20))

    def unaware(route: Any) -> None:
        answer = route.fetch()
        state = answer.json()
        state["limits"]["upload_bytes"] = 1 << 40
        route.fulfill(response=answer, json=state)

    page.route("**/api/state", unaware)
    screen.home()
    screen.upload(large)
    message = screen.toast()
    assert "large.mp4" in message or "2" in message
    screen.page.wait_for_selector(".invitation:visible")
    assert len(watch.told) == 1  # the browser's own note of the refused request
    watch.told.clear()


def test_too_long_video_shows_the_servers_message(screen: Screen, watch: Watch, tmp_path: Path) -> None:
    screen.home()
    pictures = [numbered(number % 100) for number in range(200)]
    screen.upload(write_media(tmp_path / "long.mp4", pictures, sound=tone(20)))
    assert "minutes" in screen.toast()
    assert len(watch.told) == 1  # the browser's own note of the 422
    watch.told.clear()


def test_other_file_shows_the_servers_message(screen: Screen, watch: Watch, tmp_path: Path) -> None:
    screen.home()
    text = tmp_path / "notes.mp4"
    text.write_text("This is not a video.\n" * 50)
    screen.upload(text)
    assert "notes.mp4" in screen.toast()
    screen.page.wait_for_selector(".invitation:visible")
    assert len(watch.told) == 1
    watch.told.clear()


def test_model_on_this_machine_is_used_without_a_restart(screen: Screen) -> None:
    released = download.cache_dir() / "models" / "v1s"
    save_small_model(released)
    try:
        screen.home()
        page = screen.page
        page.get_by_role("button", name="Use v1s").click()
        page.get_by_text("Sessions opened from now on use v1s.").wait_for()
        assert page.locator(".top .model").text_content() == "model v1s"
        assert page.locator('[data-model="v1s"] em').text_content() == "loaded"
        screen.open(DEMO)
        screen.click(*PIG)
        screen.home()
        page.locator(".model-notice summary").click()
        page.get_by_role("button", name="Use mini").click()
        page.get_by_text("It is for trying the Studio").wait_for()
    finally:  # the other tests of this server use mini
        restored = screen.page.request.put(
            f"{screen.server.base}api/model", headers={"X-Token": screen.server.token}, data={"name": "mini"}
        )
        shutil.rmtree(released)
    assert restored.ok


def test_page_is_small_and_self_contained(screen: Screen, watch: Watch) -> None:
    sizes: dict[str, int] = {}

    def measure(answer: Any) -> None:
        if answer.status == 200 and "/api/" not in answer.url:  # pictures of saved sessions
            sizes[answer.url] = len(answer.body())

    screen.page.on("response", measure)
    screen.home()
    screen.page.wait_for_load_state("networkidle")
    assert len(sizes) > 5
    assert sum(sizes.values()) < MOST_BYTES
    assert not watch.strangers
    assert not watch.told


def test_missing_token_shows_a_locked_page(browser: Any, server: Server, tmp_path: Path) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(server.base)
        page.get_by_role("heading", name="This page is locked").wait_for()
        page.get_by_label("Address").fill(server.url)
        page.keyboard.press("Enter")
        page.wait_for_selector(".drop")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_theme_follows_the_system_and_the_switch(browser: Any, server: Server, scheme: str) -> None:
    with browser.new_context(color_scheme=scheme) as context:
        screen = Screen(context.new_page(), server)
        screen.home()
        ground = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
        assert (screen.page.evaluate(ground) < 128) == (scheme == "dark")
        screen.page.get_by_role("button", name="Dark or light").click()
        assert (screen.page.evaluate(ground) < 128) == (scheme == "light")
        screen.page.reload()
        screen.page.wait_for_selector(".drop")
        assert (screen.page.evaluate(ground) < 128) == (scheme == "light")
