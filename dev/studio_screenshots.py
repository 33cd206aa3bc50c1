"""Take the screenshots of the Studio for the documentation: python dev/studio_screenshots.py.

Starts a server of its own with the bundled model, and drives Chromium through the main states. Needs the extra `dev`
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
PATIENCE = 120_000
PIG = (0.49, 0.66)
"""Place of an animal on the first frame of the demo, as parts of its width and height."""
GOOSE = (0.11, 0.56), (0.35, 0.98)
"""Corners of a box around another."""


@contextmanager
def server() -> Iterator[str]:
    """The address of a server with an empty home."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "auralsam2", "studio", "--no-open", "--port", "0", "--home", home]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            printed = process.stdout.readline()
            try:
                found = re.search(r"http://\S+", printed)
                if found is None:
                    sys.exit(f"the server printed {printed!r} in place of its address")
                yield found[0]
            finally:
                process.terminate()


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a part of the picture is in the window."""
    box = page.locator(".ink").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def until(page: Page, condition: str) -> None:
    """Wait for a condition; Playwright's own way needs `eval`, which the page forbids."""
    while not page.evaluate(condition):
        page.wait_for_timeout(50)


def said(page: Page, act: Any) -> None:
    """Do something, and wait for the mask that comes of it."""
    page.evaluate("() => { window.came = false; addEventListener('painted', () => { window.came = true; }); }")
    act()
    until(page, "() => window.came")


def drag(page: Page, corners: tuple[tuple[float, float], tuple[float, float]]) -> None:
    """Drag from corner to corner."""
    page.mouse.move(*place(page, *corners[0]))
    page.mouse.down()
    page.mouse.move(*place(page, *corners[1]), steps=5)
    page.mouse.up()


def shoot(page: Page, name: str) -> None:
    """Save what is seen, when all pictures and movements have come to rest."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(400)
    page.screenshot(path=OUT / f"{name}.png")
    print(OUT / f"{name}.png")


def rename(page: Page, name: str) -> None:
    """Name the chosen object."""
    page.keyboard.press("F2")
    page.keyboard.type(name)
    page.keyboard.press("Enter")


def desk(page: Page, url: str) -> None:
    """The main states at 1280 x 720."""
    page.goto(url)
    page.wait_for_selector(".drop")
    shoot(page, "start")
    page.get_by_role("button", name="Try the demo clip").click()
    page.wait_for_selector('.editor[data-link="open"]')
    said(page, lambda: page.get_by_role("button", name="Listen").click())
    until(page, "() => document.querySelector('.running progress').value > 0.3")
    shoot(page, "listening")
    page.wait_for_selector(".listen .idle:visible")

    page.keyboard.press("n")
    said(page, lambda: page.mouse.click(*place(page, *PIG)))
    rename(page, "Pig")
    page.keyboard.press("n")
    said(page, lambda: drag(page, GOOSE))
    rename(page, "Goose")
    page.keyboard.press("t")
    page.wait_for_selector(".running:visible")
    page.wait_for_selector(".listen .idle:visible")
    page.mouse.move(*place(page, 0.9, 0.95))
    shoot(page, "editor")
    page.keyboard.press("o")
    shoot(page, "beside")
    page.keyboard.press("o")
    page.keyboard.press("e")
    shoot(page, "export")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("dialog.sheet[open]")
    shoot(page, "shortcuts")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Dark or light").click()
    shoot(page, "editor-light")


def main() -> None:
    """Take all pictures."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        sys.exit("no Chromium: apt-get install chromium")
    with server() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--mute-audio", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme="dark")
        page.set_default_timeout(PATIENCE)
        desk(page, url)
        name = page.url.rpartition("#")[2]
        page.get_by_role("link", name="All sessions").click()
        page.wait_for_selector(".card")
        shoot(page, "sessions")
        context = browser.new_context(viewport={"width": 1024, "height": 768}, has_touch=True, color_scheme="dark")
        tablet = context.new_page()
        tablet.set_default_timeout(PATIENCE)
        tablet.goto(url)
        tablet.goto(f"{url.partition('#')[0]}#{name}")
        tablet.wait_for_selector('.editor[data-link="open"]')
        shoot(tablet, "tablet")
        browser.close()


if __name__ == "__main__":
    main()
