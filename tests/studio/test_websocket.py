"""Commands of the page and their replies."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from auralsam2.model import AuralSAM2
from helpers.studio_pages import FPS, TICKS, Page, Studio

CLICK = {"object": 1, "tick": 2, "points": [[20, 12, 1]]}


def mask_of(logits: np.ndarray) -> np.ndarray:
    """As the page paints it."""
    full = F.interpolate(torch.from_numpy(logits)[None, None], (48, 64), mode="bilinear", align_corners=False)
    return full[0, 0].numpy() > 0


def prompts(page: Page) -> list[dict[str, Any]]:
    return page.state["prompts"]


def test_click_gives_the_mask_of_the_video_session(studio: Studio, clip: Path, model: AuralSAM2) -> None:
    name = studio.upload(clip)
    with model.open(clip, fps=FPS) as session:
        first = session.add_points([(20, 12)], [1], 1.25)
        second = session.add_points([(50, 40)], [0], 1.25)
    with studio.page(name) as socket:
        page = Page(socket)
        assert page.ask("points", **CLICK)["ok"]
        assert page.ask("points", object=1, tick=2, points=[[50, 40, 0]])["ok"]
        assert page.state["undo"]
        assert [row["points"] for row in prompts(page)] == [[[20, 12, 1], [50, 40, 0]]]
        (outcome,) = page.state["objects"]
        assert (outcome["number"], outcome["name"], outcome["done"], outcome["stale"]) == (1, "Object 1", 1, False)
    assert [(header.object_id, header.tick) for header, _ in page.masks] == [(1, 2), (1, 2)]
    for (header, logits), expected in zip(page.masks, (first, second), strict=True):
        assert header.iou == pytest.approx(expected.iou, abs=1e-6)
        assert header.object_score == pytest.approx(expected.object_score, abs=1e-5)
        assert header.sounding == expected.sounding
        assert (mask_of(logits) != expected.mask).mean() < 0.02
    stored = studio.client.get(f"/api/sessions/{name}/mask/1/2.bin")
    assert stored.headers["content-type"] == "application/octet-stream"
    assert len(stored.content) > 32


def test_box_and_brush_prompts(studio: Studio, clip: Path) -> None:
    painted = np.zeros((24, 32), np.uint8)
    painted[6:18, 8:20] = 255
    file = io.BytesIO()
    Image.fromarray(painted).save(file, format="PNG")
    with studio.page(studio.upload(clip)) as socket:
        page = Page(socket)
        assert page.ask("box", object=1, tick=0, box=[10, 8, 40, 30])["ok"]
        assert page.ask("brush", object=2, tick=0, png=base64.b64encode(file.getvalue()).decode())["ok"]
        assert [row["kind"] for row in prompts(page)] == ["box", "mask"]
        assert [header.object_id for header, _ in page.masks] == [1, 2]
        _, logits = page.masks[1]
        source = np.asarray(Image.fromarray(painted).resize((64, 48), Image.Resampling.BILINEAR)) >= 128
        assert np.array_equal(logits > 0, source), "the painted mask, unchanged"
        large = io.BytesIO()
        Image.new("L", (65, 48), 255).save(large, format="PNG")
        gif = io.BytesIO()
        Image.new("L", (8, 8), 255).save(gif, format="GIF")
        empty = io.BytesIO()
        Image.new("L", (8, 8)).save(empty, format="PNG")
        for data in (b"", b"PNG", file.getvalue()[:60], large.getvalue(), gif.getvalue(), empty.getvalue()):
            assert "error" in page.ask("brush", object=3, tick=0, png=base64.b64encode(data).decode())
        assert [outcome["number"] for outcome in page.state["objects"]] == [1, 2]


def test_listen_propagates_the_sounding_object(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    with studio.page(name) as socket:
        page = Page(socket)
        assert page.ask("hear", object=0, on=True)["ok"]
        studio.gate.let_through(3)  # the start, and two masks
        assert page.ask("run")["ok"]
        again = page.send("run")
        studio.gate.let_through(None)
        page.until("done", "run")
        (answer,) = [message for message in page.news if message.get("re") == again]
        assert "cancel it" in answer["error"]
        page.until("state")
        (outcome,) = page.state["objects"]
        assert (outcome["hears"], outcome["done"]) == (True, TICKS)
    assert {header.tick for header, _ in page.masks} == set(range(TICKS))
    sounding = [header.sounding for header, _ in sorted(page.masks, key=lambda pair: pair[0].tick)]
    assert bool(outcome["intervals"]) == any(sounding)


def test_click_during_a_propagation_is_answered_first(studio: Studio, clip: Path) -> None:
    """It is answered between two masks, and the run, which knows nothing of it, does not paint over its mask."""
    with studio.page(studio.upload(clip)) as socket:
        page = Page(socket)
        page.ask("hear", object=0, on=True)
        studio.gate.let_through(2)  # the start, and one mask
        page.ask("run")
        page.until_mask()
        number = page.send("points", object=0, tick=4, points=[[20, 12, 1]])
        studio.gate.let_through(None)
        order: list[Any] = []
        while not order or order[-1] != "done":
            message = page.take()
            order.append(message.get("re") if "re" in message else message["is"])
        assert order.index(number) < order.index("done")
        page.until("state")
        assert [header.tick for header, _ in page.masks].count(4) == 1
        assert {header.tick for header, _ in page.masks} == set(range(TICKS))
        (outcome,) = page.state["objects"]
        assert outcome["stale"]


def test_cancel_stops_a_propagation_between_masks(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    with studio.page(name) as socket:
        page = Page(socket)
        page.ask("hear", object=0, on=True)
        studio.gate.let_through(3)
        page.ask("run")
        assert page.ask("cancel")["ok"]
        studio.gate.let_through(None)
        page.until("cancelled", "run")
        page.until("state")
        assert len(page.masks) < TICKS
        assert page.state["objects"][0]["done"] == len(page.masks)
        page.listen()
        assert page.state["objects"][0]["done"] == TICKS


def test_undo_and_redo_restore_masks(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    with studio.page(name) as socket:
        page = Page(socket)
        page.ask("points", **CLICK)
        page.ask("points", object=1, tick=2, points=[[50, 40, 0]])
        page.ask("points", object=1, tick=4, points=[[20, 12, 1]])
        before = [logits for _, logits in page.masks]
        assert page.ask("undo")["ok"]
        deleted = [message for message in page.news if message.get("is") == "gone"]
        assert deleted == [{"is": "gone", "object": 1, "tick": 4}]
        assert studio.client.get(f"/api/sessions/{name}/mask/1/4.bin").status_code == 204
        assert page.ask("undo")["ok"]
        np.testing.assert_array_equal(page.masks[-1][1], before[0])
        assert page.ask("redo")["ok"]
        np.testing.assert_array_equal(page.masks[-1][1], before[1])
        assert page.ask("redo")["ok"]
        np.testing.assert_array_equal(page.masks[-1][1], before[2])
        assert "redo" in page.ask("redo")["error"]
        for _ in range(3):
            assert page.ask("undo")["ok"]
        assert page.state["objects"] == []
        assert page.state["redo"]
        assert not page.state["undo"]
        assert "undo" in page.ask("undo")["error"]
        assert studio.log(name) == []


def test_objects_can_be_styled_cleared_and_removed(studio: Studio, clip: Path) -> None:
    with studio.page(studio.upload(clip)) as socket:
        page = Page(socket)
        page.ask("points", **CLICK)
        page.ask("points", object=1, tick=4, points=[[20, 12, 1]])
        page.ask("style", object=1, name="dog", colour="#00ff00", hidden=True)
        (outcome,) = page.state["objects"]
        assert (outcome["name"], outcome["colour"], outcome["hidden"]) == ("dog", "#00ff00", True)
        assert page.ask("clear", object=1, tick=2)["ok"]
        assert [row["tick"] for row in prompts(page)] == [4]
        assert page.masks[-1][0].tick == 2  # as seen from the other frame
        assert page.ask("look", object=1, tick=0)["ok"]
        assert page.masks[-1][0].tick == 0
        assert page.ask("remove", object=1)["ok"]
        assert page.state["objects"] == []
        assert "removed" in page.ask("style", object=1, name="cat")["error"]
        # A new object of the number is not the old one.
        page.ask("points", **CLICK)
        (outcome,) = page.state["objects"]
        assert (outcome["name"], outcome["done"]) == ("Object 1", 1)


def test_sounding_object_is_split(studio: Studio, clip: Path) -> None:
    painted = np.zeros((48, 64), np.uint8)
    painted[4:20, 4:20] = painted[28:44, 40:60] = 255
    file = io.BytesIO()
    Image.fromarray(painted).save(file, format="PNG")
    with studio.page(studio.upload(clip)) as socket:
        page = Page(socket)
        page.ask("brush", object=0, tick=1, png=base64.b64encode(file.getvalue()).decode())
        result = page.ask("split", tick=1)["made"]
        assert [outcome["number"] for outcome in page.state["objects"]] == [0, *result]
        assert [header.object_id for header, _ in page.masks] == [0, *result]
        undone = page.ask("undo")
        assert undone["ok"]
        assert [outcome["number"] for outcome in page.state["objects"]] == ([0] if result else [])


@pytest.mark.parametrize(
    ("do", "more", "words"),
    [
        ("points", {"object": 1, "tick": 99, "points": [[1, 1, 1]]}, "frames 0 to 5"),
        ("points", {"object": 1, "tick": 0, "points": [[640, 1, 1]]}, "outside the frame"),
        ("box", {"object": 1, "tick": 0, "box": [4, 4, 4, 9]}, "empty"),
        ("look", {"object": 3, "tick": 0}, "no object 3"),
        ("clear", {"object": 3, "tick": 0}, "no object 3"),
        ("remove", {"object": 3}, "no object 3"),
        ("say", {"text": "the dog"}, "reads no text"),
        ("run", {}, "nothing to propagate"),
        ("run", {"first": 99}, "nothing to propagate"),
        ("undo", {}, "nothing to undo"),
        ("fly", {}, "reload"),
    ],
)
def test_commands_invalid_in_their_state_are_refused(
    studio: Studio, clip: Path, do: str, more: dict[str, Any], words: str
) -> None:
    with studio.page(studio.upload(clip, name="dog.mp4")) as socket:
        page = Page(socket)
        answer = page.ask(do, **more)
        assert words in answer["error"]
        assert str(studio.home) not in answer["error"]
        assert page.ask("points", **CLICK)["ok"]  # and all goes on


def test_invalid_messages_are_answered(studio: Studio, clip: Path) -> None:
    with studio.page(studio.upload(clip)) as socket:
        page = Page(socket)
        socket.send_text("{")
        socket.send_bytes(b"\x00")
        page.ask("cancel")
        assert [message["re"] for message in page.news if "error" in message] == [None, None]


def test_listen_is_disabled_without_audio(studio: Studio, tmp_path: Path) -> None:
    from helpers.media_files import write_clip

    name = studio.upload(write_clip(tmp_path / "mute.mp4", 1.0, sound=None), name="mute.mp4")
    assert studio.get(name)["sound"] == {"peaks": []}
    with studio.page(name) as socket:
        message = Page(socket).ask("hear", object=0, on=True)["error"]
        assert message.startswith("mute.mp4: no sound to hear")


def test_two_pages_see_the_same(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    with studio.page(name) as first, studio.page(name) as other:
        doing, seeing = Page(first), Page(other)
        doing.ask("points", **CLICK)
        while not seeing.state.get("objects"):
            seeing.take()
        assert len(seeing.masks) == 1


def test_websocket_of_an_unknown_session_is_closed(studio: Studio) -> None:
    with studio.page("a" * 22) as socket, pytest.raises(ConnectionError, match="4404"):
        Page(socket).take()
