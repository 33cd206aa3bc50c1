"""Check the pages of the Studio with axe-core: npm install axe-core; python dev/check_accessibility.py AXE.

AXE is `node_modules/axe-core/axe.min.js`. Starts a server of its own with the bundled model, and drives Chromium
through the start page, the page without a token, the editor with its menu, dialog and drawer, on a desktop and a phone,
light and dark. Prints every finding, and fails on a serious or critical one.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from studio_screenshots import PIG, TIMEOUT_MS, server, wait_for_mask, window_position

SEVERE = {"serious", "critical"}
VIEWS = [((1280, 720), "dark"), ((1280, 720), "light"), ((390, 844), "dark"), ((390, 844), "light")]


def pages(page: Page, url: str) -> Iterator[str]:
    """Go through the pages, and name each."""
    page.goto(url.partition("#")[0])
    page.wait_for_selector(".locked")
    yield "without a token"
    page.goto("about:blank")
    page.goto(url)
    page.wait_for_selector(".drop")
    yield "start"
    page.get_by_role("button", name="Try the demo clip").click()
    page.wait_for_selector('.editor[data-link="open"]')
    wait_for_mask(page, lambda: page.mouse.click(*window_position(page, *PIG)))
    yield "editor"
    if page.locator(".drawer").is_visible():
        page.locator(".drawer").click()
        yield "drawer"
    page.keyboard.press("e")
    yield "menu of exports"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    yield "shortcuts"


def findings(page: Page, axe: str) -> list[dict[str, Any]]:
    """What axe-core finds on a page."""
    page.wait_for_timeout(500)
    page.evaluate(axe)
    return page.evaluate("async () => (await axe.run()).violations")


def main() -> None:
    """Check all pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("axe", type=Path)
    axe = parser.parse_args().axe.read_text(encoding="utf-8")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        sys.exit("no Chromium: apt-get install chromium")
    severe = 0
    with server() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--mute-audio", "--disable-gpu"]
        )
        for (width, height), scheme in VIEWS:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True
            )
            page = context.new_page()
            page.set_default_timeout(TIMEOUT_MS)
            for name in pages(page, url):
                for finding in findings(page, axe):
                    severe += finding["impact"] in SEVERE
                    targets = ", ".join(str(node["target"][0]) for node in finding["nodes"][:4])
                    print(f"{width}x{height} {scheme}, {name}: {finding['impact']}: {finding['help']}: {targets}")
            context.close()
        browser.close()
    if severe:
        sys.exit(f"{severe} serious findings")
    print("nothing serious found")


if __name__ == "__main__":
    main()
