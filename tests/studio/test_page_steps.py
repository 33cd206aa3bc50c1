"""Steps, keys, exports that lack masks, and small screens, in a browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from helpers.studio_browser import DEMO, PIG, Screen, Server

NEARBY = (PIG[0] + 20, PIG[1] - 20)


def chosen(screen: Screen) -> str | None:
    rows = screen.page.locator(".object.chosen")
    return rows.get_attribute("data-object") if rows.count() else None


def test_steps_keys_and_selection(screen: Screen) -> None:
    screen.open(DEMO, rate="1")
    page = screen.page
    place = page.locator(".pane:not(.beside)").bounding_box()
    screen.click(*PIG)
    screen.press("F2")
    page.keyboard.type("Pig")
    screen.press("Enter")
    screen.settles(lambda: screen.state()["objects"][0]["name"] == "Pig", "the name")
    for number in (2, 3):
        screen.press("n")
        screen.click(*NEARBY)
        screen.settles(lambda number=number: chosen(screen) == str(number), "the new object is selected")
    assert page.locator(".pane:not(.beside)").bounding_box() == place

    page.get_by_role("button", name="Undo").click()
    screen.settles(lambda: chosen(screen) == "2", "the object before is selected")
    screen.press("Control+z", "Control+z")
    screen.settles(lambda: [row["name"] for row in screen.state()["objects"]] == ["Object 1"], "the name before")
    screen.settles(lambda: chosen(screen) == "1", "the remaining object is selected")
    screen.press("Control+Shift+z")
    screen.settles(lambda: screen.state()["objects"][0]["name"] == "Pig", "the name again")
    screen.press("Delete")
    screen.settles(lambda: not screen.state()["objects"], "no object")
    screen.press("Control+z")
    screen.settles(lambda: chosen(screen) == "1", "the object again")

    # The space bar plays wherever the focus is, and Escape deselects.
    page.get_by_role("button", name="Hide Pig").focus()
    screen.press(" ")
    page.get_by_role("button", name="Pause").wait_for()
    screen.press(" ")
    page.get_by_role("button", name="Play", exact=True).wait_for()
    assert not screen.state()["objects"][0]["hidden"]
    page.locator(".ink").focus()
    screen.press("Escape")
    screen.settles(lambda: chosen(screen) is None, "no selection")


def test_two_tabs_create_two_objects(tab: Callable[[], Screen]) -> None:
    first, other = tab(), tab()
    name = first.open(DEMO, rate="1")
    other.page.goto(f"{first.server.base}#{name}")
    other.editor()
    for screen in (first, other):
        screen.press("n")
    for screen in (first, other):
        screen.click(*PIG)
    numbers = [row["number"] for row in first.state()["objects"]]
    assert numbers == [1, 2]
    assert [len(row["points"]) for row in first.state()["prompts"]] == [1, 1]
    assert [chosen(first), chosen(other)] == ["1", "2"]


def test_export_names_missing_and_stale_masks(screen: Screen) -> None:
    screen.open(DEMO, rate="1")
    screen.click(*PIG)
    page = screen.page
    screen.press("e")
    assert "1 of 10 frames has a mask" in page.locator(".notice").text_content()
    page.get_by_role("button", name="Track now").click()
    page.wait_for_selector(".running:visible")
    screen.listened()
    screen.press("e")
    assert page.locator(".notice").is_hidden()
    screen.press("Escape")
    screen.click(*NEARBY, button="right")
    screen.press("e")
    assert "Object 1: prompts are newer" in page.locator(".notice").text_content()


def test_logits_near_the_threshold_paint_no_lines(screen: Screen) -> None:
    screen.home()
    painted = screen.page.evaluate(
        """async () => {
          const { paint } = await import("/web/painter.js");
          const q = new Int8Array(32 * 32).fill(-60);
          for (let y = 4; y < 9; y += 1) q.fill(60, 32 * y + 4, 32 * y + 9);
          for (let y = 2; y < 30; y += 1) q[32 * y + 20] = -1;  // a ridge that does not reach the threshold
          const image = new ImageData(320, 320);
          const inside = paint(image, { q, height: 32, width: 32, scale: 0.1 }, [255, 0, 0], 0);
          const alpha = (x, y) => image.data[4 * (320 * y + x) + 3];
          let ridge = 0;
          for (let y = 0; y < 320; y += 1) for (let x = 180; x < 240; x += 1) ridge += alpha(x, y);
          return [inside, alpha(65, 65), alpha(40, 65), ridge];
        }"""
    )
    assert painted[0] > 1000
    assert painted[1] > 0
    assert painted[2] > 0
    assert painted[3] == 0


@pytest.mark.parametrize(("width", "height"), [(390, 844), (844, 390)])
def test_phone_reaches_every_action(browser: Any, server: Server, width: int, height: int) -> None:
    with browser.new_context(viewport={"width": width, "height": height}, has_touch=True) as phone:
        screen = Screen(phone.new_page(), server)
        screen.open(DEMO, rate="1")
        page = screen.page
        screen.painted(lambda: page.touchscreen.tap(*screen.place(*PIG)))
        stage = page.locator(".stage").bounding_box()
        assert stage["width"] * stage["height"] >= width * height / 2
        page.get_by_role("button", name="Objects and masks").tap()
        page.locator(".objects .name").tap()
        actions = page.locator(".editor :is(button, select, input, a, .lanes):visible")
        places = [
            (box, actions.nth(at).get_attribute("aria-label") or actions.nth(at).text_content())
            for at in range(actions.count())
            if (box := actions.nth(at).bounding_box()) is not None
        ]
        names = {name for _, name in places}
        assert {"Undo", "Export", "Track", "Listen", "Add", "Brush", "Rename", "Edge", "Position in the clip"} <= names
        for box, name in places:
            assert box["x"] >= -1, name
            assert box["x"] + box["width"] <= width + 1, name
        page.get_by_role("button", name="Objects and masks").tap()
        for name in ("Undo", "Export", "Play", "Track", "Listen", "Add", "Brush"):
            box = page.get_by_role("button", name=name, exact=True).bounding_box()
            assert box["y"] >= 0, name
            assert box["y"] + box["height"] <= height + 1, name
        assert page.evaluate("document.documentElement.scrollWidth") <= width
