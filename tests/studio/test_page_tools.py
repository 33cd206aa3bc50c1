"""Playback controls, zoom, and the tools of editors and annotators, in a browser."""

from __future__ import annotations

import re

import pytest

from helpers.studio_browser import DEMO, GROUND, PIG, Screen


def tick(screen: Screen) -> int:
    return int(screen.page.locator(".lanes").get_attribute("aria-valuenow"))


def test_in_and_out_points_speed_and_parts_of_runs(screen: Screen) -> None:
    screen.open(DEMO, rate="5")
    page = screen.page
    screen.press(*["ArrowRight"] * 4, "i", *["ArrowRight"] * 4, "o")
    assert page.locator(".marked").is_visible()
    page.get_by_role("button", name="Loop").click()
    message = screen.keep(".time")
    screen.press(" ")

    def frames() -> list[int]:
        return [int(number) for text in message() for number in re.findall(r"frame (\d+) of", text)]

    screen.settles(lambda: 9 in frames() and 5 in frames()[frames().index(9) :], "the range is played again")
    screen.press("k")
    page.get_by_role("button", name="Play", exact=True).wait_for()
    assert set(frames()) <= set(range(5, 11))

    screen.press("x", "End", "j")
    screen.settles(lambda: tick(screen) < 45, "it plays backward")
    screen.press("k", "Home", "l", "l")
    assert page.get_by_label("Speed").input_value() == "2"
    screen.press("k", "Home", *["ArrowRight"] * 40)
    screen.click(*PIG)
    page.get_by_role("button", name="Track a part of the clip").click()
    page.get_by_role("menuitem", name="From here on 10 frames").click()
    screen.settles(lambda: screen.state()["objects"][0]["masks"] == [[40, 49]], "the masks of the part")
    screen.listened()
    page.get_by_role("button", name="Track a part of the clip").click()
    page.get_by_role("menuitem", name=re.compile(r"From here back 41 frames, about \d+ (s|min)$")).wait_for()
    screen.press("Escape")
    screen.press("g")
    assert tick(screen) == 39
    screen.press(".")
    assert tick(screen) == 40
    assert re.search(r"\d\d:\d\d:\d\d:\d\d", page.locator(".code").text_content())


def test_enlarged_picture_and_timeline(screen: Screen) -> None:
    screen.open(DEMO, rate="1")
    page = screen.page
    before = page.locator(".ink").bounding_box()
    page.mouse.move(*screen.place(*PIG))
    page.mouse.wheel(0, -400)
    screen.settles(lambda: page.locator(".ink").bounding_box()["width"] > 1.5 * before["width"], "it is enlarged")
    screen.click(*PIG)
    ((x, y, _),) = screen.state()["prompts"][0]["points"]
    assert (x, y) == pytest.approx(PIG, abs=1.5)
    screen.press("f")
    assert page.locator(".ink").bounding_box() == before

    lanes = page.locator(".lanes").bounding_box()
    middle = lanes["x"] + lanes["width"] / 2, lanes["y"] + 40
    page.mouse.move(*middle)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    page.mouse.click(lanes["x"] + 2, lanes["y"] + 40)
    first = tick(screen)
    assert 0 < first < 5
    screen.press("Home")
    page.mouse.click(lanes["x"] + 2, lanes["y"] + 40)
    assert tick(screen) == 0
    screen.press("Shift+z", "Shift+z", "Shift+z")
    page.mouse.click(lanes["x"] + lanes["width"] - 2, lanes["y"] + 40)
    assert tick(screen) == 9
    screen.press("Home", "z")
    page.mouse.click(lanes["x"] + lanes["width"] - 2, lanes["y"] + 40)
    assert 5 < tick(screen) < 9
    screen.press("Shift+f")
    page.mouse.click(lanes["x"] + lanes["width"] - 2, lanes["y"] + 40)
    assert tick(screen) == 9


def test_annotation_tools(screen: Screen) -> None:
    screen.open(DEMO, rate="1")
    page = screen.page
    x, y = PIG
    corners = [(x - 30, y - 30), (x + 30, y - 30), (x + 30, y + 30), (x - 30, y + 30)]
    screen.press("d")
    screen.painted(lambda: screen.drag(*corners))
    assert screen.inside(x, y)
    assert not screen.inside(*GROUND)
    screen.press("w", "]", "]")
    screen.painted(lambda: screen.drag((x - 4, y), (x + 4, y)))
    assert not screen.inside(x, y)
    screen.press("u")
    for corner in corners:
        page.mouse.click(*screen.place(*corner))
        page.wait_for_timeout(30)
    screen.painted(lambda: screen.press("Enter"))
    assert screen.inside(x, y)

    screen.press("y")
    screen.settles(lambda: tick(screen) == 1, "the next frame")
    screen.settles(lambda: screen.inside(x, y), "the copied mask")
    assert [(row["tick"], row["kind"]) for row in screen.state()["prompts"]] == [(0, "mask"), (1, "mask")]
    screen.press("q")
    screen.settles(lambda: screen.area() == 0, "no mask")
    screen.press(",")
    assert tick(screen) == 0
    screen.settles(lambda: screen.area() > 0, "the mask of the first frame")
    screen.press("a", "n")
    screen.click(*GROUND)
    area = screen.area()
    screen.press("v")
    screen.settles(lambda: 0 < screen.area() != area, "the selected object alone")
    screen.press("v")
    screen.settles(lambda: screen.area() == area, "all objects")
    page.get_by_label("Opacity").fill("0")
    screen.settles(lambda: 0 < screen.area() < area, "the edges alone")


def test_sounding_sources_spectrogram_and_labels(screen: Screen) -> None:
    screen.open(DEMO, rate="1")
    page = screen.page
    screen.painted(lambda: screen.press("s"))
    screen.listened()
    page.get_by_role("button", name="Separate sources").click()
    screen.settles(lambda: len(screen.state()["objects"]) > 2, "a track of each source")
    whole, *sources = screen.state()["objects"]
    assert whole["hidden"]
    assert {source["name"] for source in sources} == {"sheep", "goose"}
    lane = page.locator('.track[data-object="1"] .lane').bounding_box()
    ends = [interval for source in sources for interval in source["intervals"] if source["number"] == 1]
    assert ends == [[0.0, 2.0], [3.0, 6.0]]  # the model misses the sheep from 8 to 10 s
    page.mouse.click(lane["x"] + 0.55 * lane["width"], lane["y"] + 10)
    assert tick(screen) == 3

    page.get_by_role("button", name="Spectrogram").click()
    screen.settles(lambda: screen.drawn(".bands") > 1000, "the spectrogram")
    assert page.locator(".level").evaluate("(meter) => meter.value") > 0.3
    page.keyboard.press("7")  # no such object
    page.get_by_text("Labels", exact=True).click()
    page.get_by_label("New label").fill("Lamb")
    page.get_by_label("New label").press("Enter")
    page.locator(".ink").focus()
    screen.press("Shift+Digit1")
    screen.settles(lambda: "Lamb" in {row["name"] for row in screen.state()["objects"]}, "the label")
