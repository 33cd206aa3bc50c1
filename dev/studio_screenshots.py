"""Take the screenshots of the Studio for the documentation: python dev/studio_screenshots.py.

The script starts a server with the bundled model and drives Chromium through the main states. It needs the extra `dev`
and Chromium.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

OUT = Path(__file__).parents[1] / "docs" / "images" / "studio"
TIMEOUT_MS = 120_000
PIG = (0.49, 0.66)
"""Position of an animal in the first frame of the demo, as shares of its width and height."""
GOOSE = (0.11, 0.56), (0.35, 0.98)
"""Corners of a box around another animal."""


@contextmanager
def server() -> Iterator[str]:
    """Start a server with an empty home; yield its address."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "auralsam2", "studio", "--no-open", "--port", "0", "--home", home]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            printed = process.stdout.readline()
            try:
                address = re.search(r"http://\S+", printed)
                if address is None:
                    sys.exit(f"the server printed {printed!r} instead of its address")
                yield address[0]
            finally:
                process.terminate()


def window_position(page: Page, x: float, y: float) -> tuple[float, float]:
    """Convert a position in the image, as shares of its size, to pixels of the window."""
    box = page.locator(".ink").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def wait_for(page: Page, condition: str) -> None:
    """Wait for a condition; Playwright's own function needs `eval`, which the page forbids."""
    while not page.evaluate(condition):
        page.wait_for_timeout(50)


def wait_for_mask(page: Page, action: Any) -> None:
    """Run an action and wait for its mask."""
    page.evaluate("() => { window.painted = false; addEventListener('painted', () => { window.painted = true; }); }")
    action()
    wait_for(page, "() => window.painted")


def drag(page: Page, corners: tuple[tuple[float, float], tuple[float, float]]) -> None:
    """Drag from corner to corner."""
    page.mouse.move(*window_position(page, *corners[0]))
    page.mouse.down()
    page.mouse.move(*window_position(page, *corners[1]), steps=5)
    page.mouse.up()


def shoot(page: Page, name: str) -> None:
    """Save a screenshot after all images are loaded and animations have ended."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(400)
    page.screenshot(path=OUT / f"{name}.png")
    print(OUT / f"{name}.png")


def rename(page: Page, name: str) -> None:
    """Rename the selected object, as soon as it is no draft."""
    page.wait_for_selector(".object.chosen:not(.draft)")
    page.keyboard.press("F2")
    page.wait_for_selector(".object input.name")
    page.keyboard.type(name)
    page.keyboard.press("Enter")


def shoot_editor(page: Page, url: str) -> None:
    """Take the main screenshots at 1280 x 720."""
    page.goto(url)
    page.wait_for_selector(".drop")
    shoot(page, "start")
    page.get_by_role("button", name="Try the demo clip").click()
    page.wait_for_selector('.editor[data-link="open"]')
    wait_for_mask(page, lambda: page.get_by_role("button", name="Listen").click())
    wait_for(page, "() => document.querySelector('.running progress').value > 0.3")
    shoot(page, "listening")
    page.wait_for_selector(".listen .idle:visible")

    page.keyboard.press("n")
    wait_for_mask(page, lambda: page.mouse.click(*window_position(page, *PIG)))
    rename(page, "Pig")
    page.keyboard.press("n")
    wait_for_mask(page, lambda: drag(page, GOOSE))
    rename(page, "Goose")
    page.keyboard.press("t")
    page.wait_for_selector(".running:visible")
    page.wait_for_selector(".listen .idle:visible")
    page.mouse.move(*window_position(page, 0.9, 0.95))
    shoot(page, "editor")
    page.keyboard.press("c")
    shoot(page, "beside")
    page.keyboard.press("c")
    page.keyboard.press("e")
    shoot(page, "export")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("dialog.sheet[open]")
    shoot(page, "shortcuts")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Dark or light").click()
    shoot(page, "editor-light")
    page.keyboard.press("0")
    page.get_by_role("button", name="Separate sources").click()
    wait_for(page, "() => document.querySelectorAll('.track').length > 3")
    page.get_by_role("button", name="Spectrogram").click()
    page.keyboard.press("2")
    page.get_by_text("Clean up edges").click()
    page.get_by_label("Feather").fill("6")
    page.get_by_label("Feather").press("Tab")
    shoot(page, "sources")


def main() -> None:
    """Take all screenshots."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        sys.exit("no Chromium: apt-get install chromium")
    with server() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--mute-audio", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme="dark")
        page.set_default_timeout(TIMEOUT_MS)
        shoot_editor(page, url)
        name = page.url.rpartition("#")[2]
        page.get_by_role("link", name="All sessions").click()
        page.wait_for_selector(".card")
        shoot(page, "sessions")
        for device, width, height in (("tablet", 1024, 768), ("phone", 390, 844)):
            context = browser.new_context(
                viewport={"width": width, "height": height}, has_touch=True, color_scheme="dark"
            )
            touch = context.new_page()
            touch.set_default_timeout(TIMEOUT_MS)
            touch.goto(url)
            touch.goto(f"{url.partition('#')[0]}#{name}")
            touch.wait_for_selector('.editor[data-link="open"]')
            shoot(touch, device)
        browser.close()


if __name__ == "__main__":
    main()
