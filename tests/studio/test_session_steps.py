"""Steps of a session: objects, undo and redo, runs, and sessions that are opened again."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from auralsam2.inference.prompt_replay import decoded_frames
from auralsam2.outputs.rle import encode_rle
from auralsam2.studio import mask_codec
from auralsam2.studio.brush_png import read_png
from auralsam2.studio.session_state import SessionState
from helpers.studio_pages import TICKS, Page, Studio

CLICK = {"object": 1, "tick": 2, "points": [[20, 12, 1]]}
NEW = CLICK | {"object": None}


def close(studio: Studio, session: str) -> None:
    studio.client.portal.call(studio.manager.close, session)  # type: ignore[union-attr]


def style(page: Page, number: int = 1) -> tuple[str, str, bool]:
    (found,) = [row for row in page.state["objects"] if row["number"] == number]
    return found["name"], found["colour"], found["hidden"]


def test_executed_command_counts_as_busy(start_studio: Callable[..., Studio], clip: Path) -> None:
    studio = start_studio(sessions=1)
    names = [studio.upload(clip) for _ in range(2)]
    with studio.page(names[0]) as socket:
        page = Page(socket)
        page.take()
        studio.gate.let_through(0)
        number = page.send("points", **CLICK)
        with studio.page(names[1]) as other:
            assert "--sessions" in Page(other).take()["text"]
        studio.gate.let_through(None)
        while (answer := page.take()).get("re") != number:
            pass
        assert answer["ok"]


def test_session_with_a_run_stays_open_without_a_page(start_studio: Callable[..., Studio], clip: Path) -> None:
    studio = start_studio(grace=0.05)
    name = studio.upload(clip)
    with studio.page(name) as socket:
        page = Page(socket)
        page.ask("hear", object=0, on=True)
        studio.gate.let_through(2)
        assert page.ask("run")["ok"]
    released = threading.Timer(0.4, studio.gate.let_through, [None])
    released.start()
    with studio.page(name) as socket:
        page = Page(socket)
        if page.until("state")["run"] is not None:
            page.until("done", "run")
            page.until("state")
    assert studio.get(name)["objects"][0]["done"] == TICKS


def test_closed_session_ends_its_run_and_tells_the_page(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    with studio.page(name) as socket:
        page = Page(socket)
        page.ask("hear", object=0, on=True)
        studio.gate.let_through(2)
        assert page.ask("run")["ok"]
        threading.Timer(0.2, studio.gate.let_through, [None]).start()
        close(studio, name)
        assert page.until("cancelled", "run")["error"]
        page.until("closed")
        assert page.state["run"] is None
        assert studio.get(name)["run"] is None
        # The page goes on in a session that opens anew.
        assert page.ask("points", **CLICK)["ok"]


def test_cancelled_run_keeps_stale_marks_and_the_export(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    with studio.page(name) as socket:
        page = Page(socket)
        page.ask("points", **CLICK)
        page.ask("run")
        page.until("done", "run")
        assert page.ask("points", **(CLICK | {"points": [[50, 40, 0]]}))["ok"]
        assert page.state["objects"][0]["stale"]
        studio.gate.let_through(2)
        assert page.ask("run")["ok"]
        assert page.ask("cancel", what="export")["ok"]
        studio.gate.let_through(3)
        assert page.state["run"] is not None
        assert page.ask("cancel", what="run")["ok"]
        studio.gate.let_through(None)
        page.until("cancelled", "run")
        page.until("state")
        assert page.state["objects"][0]["stale"]
        page.ask("run")
        page.until("done", "run")
        page.until("state")
        assert not page.state["objects"][0]["stale"]


def test_run_of_a_range_of_one_object(studio: Studio, clip: Path) -> None:
    with studio.page(studio.upload(clip)) as socket:
        page = Page(socket)
        page.ask("points", **CLICK)
        page.ask("points", **(NEW | {"tick": 4}))

        def run(**more: Any) -> list[tuple[int, int]]:
            before = len(page.masks)
            assert page.ask("run", **more)["ok"]
            page.until("done", "run")
            return [(header.object_id, header.tick) for header, _ in page.masks[before:]]

        assert run(objects=[2], first=3, last=5) == [(2, 4), (2, 5), (2, 3)]
        assert run(objects=[1], last=2, direction="backward") == [(1, 2), (1, 1), (1, 0)]
        assert run(objects=[1], first=4, direction="forward") == [(1, 4), (1, 5)]
        assert "frames 0 to 5" in page.ask("run", first=3, last=6)["error"]
        assert "no object 9" in page.ask("run", objects=[9])["error"]


def test_styles_are_steps_of_undo(studio: Studio, clip: Path) -> None:
    with studio.page(studio.upload(clip)) as socket:
        page = Page(socket)
        page.ask("points", **CLICK)
        before = style(page)
        for change in ({"name": "dog"}, {"colour": "#00ff00"}, {"hidden": True}):
            assert page.ask("style", object=1, **change)["ok"]
        assert style(page) == ("dog", "#00ff00", True)
        assert page.ask("remove", object=1)["ok"]
        assert page.ask("undo")["object"] == 1
        assert style(page) == ("dog", "#00ff00", True)
        for expected in (("dog", "#00ff00", False), ("dog", before[1], False), before):
            assert page.ask("undo")["object"] == 1
            assert style(page) == expected
        assert page.ask("undo")["object"] is None
        for _ in range(4):
            assert page.ask("redo")["object"] == 1
        assert style(page) == ("dog", "#00ff00", True)


def test_server_numbers_new_objects(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    with studio.page(name) as first, studio.page(name) as other:
        pages = Page(first), Page(other)
        assert [page.ask("points", **NEW)["object"] for page in pages] == [1, 2]
        assert pages[0].ask("remove", object=2)["ok"]
        assert pages[0].ask("box", object=None, tick=0, box=[4, 4, 30, 30])["object"] == 3
        assert "reads no text" in pages[0].ask("say", object=None, text="the dog")["error"]
        assert pages[0].ask("hear", object=None, on=True)["object"] == 4


def test_session_with_an_invalid_step_can_be_undone(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    entries = [
        {"do": "points"} | CLICK,
        {"do": "say", "object": 1, "text": "the dog"},
    ]
    file = studio.home / "sessions" / name / "log.jsonl"
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries) + '{"do": "poi')
    with studio.page(name) as socket:
        page = Page(socket)
        assert "reads no text" in page.ask("points", **CLICK)["error"]
        assert "reads no text" in page.ask("look", object=1, tick=2)["error"]
        assert page.ask("undo")["ok"]
        assert page.ask("points", **CLICK)["ok"]
        assert page.state["prompts"][0]["points"] == [[20, 12, 1], [20, 12, 1]]


def test_opened_session_decodes_prompts_when_they_are_needed(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    file = studio.home / "sessions" / name / "log.jsonl"
    with studio.page(name) as socket:
        page = Page(socket)
        page.ask("hear", object=1, on=True)
        for tick in range(TICKS):
            page.ask("points", **(CLICK | {"tick": tick}))
        sizes = [file.stat().st_size]
        page.ask("points", object=1, tick=3, points=[[50, 40, 0]])
        page.ask("undo")
        page.ask("redo")
        page.ask("undo")
        sizes.append(file.stat().st_size)
        assert sizes[1] - sizes[0] < 500
        page.ask("run")
        page.until("done", "run")
        before = {header.tick: logits for header, logits in page.masks[-TICKS:]}
        close(studio, name)

        assert page.ask("look", object=1, tick=4)["ok"]
        np.testing.assert_array_equal(page.masks[-1][1], before[4])
        session = studio.manager.get_open(name)._replay.session
        assert decoded_frames(session, 1) == {4}
        assert page.ask("redo")["ok"]
        assert [row["points"] for row in page.state["prompts"] if row["tick"] == 3] == [[[20, 12, 1], [50, 40, 0]]]
        assert decoded_frames(session, 1) == {3, 4}
        assert page.ask("undo")["ok"]
        page.ask("run")
        page.until("done", "run")
        for header, logits in page.masks[-TICKS:]:
            np.testing.assert_array_equal(logits, before[header.tick])


def test_undo_of_a_prompt_restores_the_mask_of_the_run(studio: Studio, clip: Path) -> None:
    with studio.page(studio.upload(clip)) as socket:
        page = Page(socket)
        page.ask("points", **CLICK)
        page.ask("run")
        page.until("done", "run")
        (before,) = [logits for header, logits in page.masks[-TICKS:] if header.tick == 5]
        for prompt in ({"do": "box", "box": [4, 4, 30, 30]}, {"do": "points", "points": [[50, 40, 0]]}):
            assert page.ask(**prompt, object=1, tick=5)["ok"]
            assert page.ask("undo")["ok"]
            assert np.abs(page.masks[-1][1] - before).max() < 0.5
            assert ((page.masks[-1][1] > 0) != (before > 0)).mean() < 0.02


def test_mask_is_copied_to_another_frame(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    with studio.page(name) as socket:
        page = Page(socket)
        page.ask("box", object=1, tick=2, box=[4, 4, 30, 30])
        page.ask("sliders", threshold=-0.5)
        before = page.masks[-1][1]
        assert page.ask("copy", object=1, tick=2, to=3)["ok"]
        assert [(row["tick"], row["kind"]) for row in page.state["prompts"]] == [(2, "box"), (3, "mask")]
        painted = read_png(studio.log(name)[-1]["png"], 64, 48) > 0
        full = F.interpolate(torch.from_numpy(before)[None, None], (48, 64), mode="bilinear", align_corners=False)
        np.testing.assert_array_equal(painted, full[0, 0].numpy() > -0.5)
        assert "no mask" in page.ask("copy", object=1, tick=5, to=0)["error"]
        assert page.ask("undo")["ok"]
        assert [row["tick"] for row in page.state["prompts"]] == [2]


def test_absent_object_has_empty_masks(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)

    def painted(tick: int) -> bool:
        data = studio.client.get(f"/api/sessions/{name}/mask/1/{tick}.bin").content
        header, logits = mask_codec.unpack_mask(data)
        return bool((logits > 0).any()) and header.object_score > -10

    with studio.page(name) as socket:
        page = Page(socket)
        for tick in (1, 4):
            page.ask("box", object=1, tick=tick, box=[4, 4, 50, 40])
        page.ask("run")
        page.until("done", "run")
        assert page.ask("absent", object=1, tick=3, last=4)["ok"]
        assert [row["tick"] for row in page.state["prompts"]] == [1]
        assert not painted(3)
        page.ask("run")
        page.until("done", "run")
        assert [painted(tick) for tick in (3, 4)] == [False, False]
        close(studio, name)
        page.ask("run")
        page.until("done", "run")
        assert not painted(4)
        # A prompt on the frame brings the object back.
        assert page.ask("box", object=1, tick=4, box=[4, 4, 50, 40])["ok"]
        page.ask("run")
        page.until("done", "run")
        assert painted(4)
        assert not painted(3)
        assert page.ask("undo")["ok"]
        assert page.ask("undo")["ok"]
        assert [row["tick"] for row in page.state["prompts"]] == [1, 4]
        assert "give the first one first" in page.ask("absent", object=1, tick=3, last=2)["error"]


def disc(x: int, y: int) -> np.ndarray:
    rows, columns = np.mgrid[:48, :64]
    return np.hypot(columns - x, rows - y) < 7


def store_sounding(state: SessionState, tick: int, mask: np.ndarray) -> None:
    logits = np.where(mask, 5.0, -5.0)
    data = mask_codec.pack_mask(logits, object_id=0, tick=tick, iou=0.9, object_score=3.0, sounding=True)
    state.store_mask(0, tick, data, sounding=True)


def test_sounding_object_is_separated_into_its_sources(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)

    def masks(number: int) -> list[np.ndarray]:
        paths = [f"/api/sessions/{name}/edges/{number}/{tick}.bin" for tick in range(TICKS)]
        return [mask_codec.unpack_mask(studio.client.get(path).content)[1] > 0 for path in paths]

    with studio.page(name) as socket:
        page = Page(socket)
        assert "it was removed" in page.ask("separate", object=0)["error"]
        page.ask("hear", object=0, on=True)
        assert "press Listen first" in page.ask("separate", object=0)["error"]
        page.ask("points", **CLICK)
        # One source sounds throughout, a second on two frames.
        state = studio.manager.get_open(name)._state
        for tick in range(TICKS):
            store_sounding(state, tick, disc(16, 24 + tick) | (disc(46, 20) & (tick in (2, 3))))
        assert page.ask("separate", object=0)["ok"]
        page.until("done", "run")
        page.until("state")
        rows = {row["number"]: row for row in page.state["objects"]}
        assert [(number, row["hidden"]) for number, row in rows.items()] == [
            (0, True),
            (1, False),
            (2, False),
            (3, False),
        ]
        assert rows[2]["intervals"] == [[0.0, 3.0]]
        assert rows[3]["intervals"] == [[1.0, 2.0]]
        assert not rows[2]["stale"]
        for tick, (first, second) in enumerate(zip(masks(2), masks(3), strict=True)):
            assert np.array_equal(first, disc(16, 24 + tick))
            assert np.array_equal(second, disc(46, 20) & (tick in (2, 3)))
        # The sources are one step, and have prompts from which they can be corrected.
        assert page.ask("undo")["ok"]
        assert [row["number"] for row in page.state["objects"]] == [0, 1]
        assert not page.state["objects"][0]["hidden"]
        assert page.ask("redo")["ok"]
        close(studio, name)
        assert page.ask("points", object=3, tick=2, points=[[40, 20, 0]])["ok"]
        rows = {row["number"]: row for row in page.state["objects"]}
        assert rows[0]["hidden"]
        assert (rows[3]["stale"], rows[2]["stale"]) == (True, False)
        state = studio.manager.get_open(name)._state
        for tick in range(TICKS):
            store_sounding(state, tick, disc(30, 24))
        assert page.ask("separate", object=0)["ok"]
        assert "No second source" in page.until("note")["text"]
        page.until("done", "run")
        page.until("state")
        assert len(page.state["objects"]) == 4


def coco_file(masks: list[np.ndarray], times: list[float]) -> bytes:
    """Run lengths of COCO, compressed and not, and a polygon."""
    height, width = masks[0].shape
    coded = [encode_rle(mask) for mask in masks]
    runs = np.diff(np.flatnonzero(np.diff(masks[1].T.ravel(), prepend=False)), prepend=0, append=masks[1].size)
    plain, polygon = {"size": [height, width], "counts": runs.tolist()}, [[10, 10, 30, 10, 30, 20, 10, 20]]
    document = {
        "images": [{"id": 10 + tick, "time": time} for tick, time in enumerate(times)],
        "categories": [{"id": 3, "name": "lamb"}],
        "annotations": [
            {"image_id": 10 + tick, "category_id": 3, "track_id": 7, "segmentation": shape}
            for tick, shape in enumerate((coded[0], plain, polygon))
        ],
    }
    return json.dumps(document).encode()


def png_archive(pictures: dict[str, np.ndarray]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, picture in pictures.items():
            file = io.BytesIO()
            Image.fromarray(picture).save(file, format="PNG")
            archive.writestr(name, file.getvalue())
    return data.getvalue()


def test_masks_are_imported(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    address = f"/api/sessions/{name}/masks"

    def mask(number: int, tick: int) -> np.ndarray:
        answer = studio.client.get(f"/api/sessions/{name}/edges/{number}/{tick}.bin")
        return mask_codec.unpack_mask(answer.content)[1] > 0

    with studio.page(name) as socket:
        page = Page(socket)
        discs = [disc(16, 20), disc(20, 22), disc(24, 24)]
        times = studio.get(name)["times"]
        assert studio.client.put(address, content=coco_file(discs, times)).json()["ok"]
        page.ask("sliders")
        (row,) = page.state["objects"]
        assert (row["number"], row["name"], row["masks"]) == (1, "lamb", [[0, 2]])
        assert np.array_equal(mask(1, 0), discs[0])
        assert np.array_equal(mask(1, 1), discs[1])
        assert mask(1, 2).sum() == 20 * 10
        # What the Studio exports as PNG, as COCO and as DAVIS comes back equal.
        for kind in ("masks", "coco", "davis"):
            assert studio.client.put(address, content=studio.export(page, name, kind)).json()["ok"]
            page.ask("sliders")
            number = page.state["objects"][-1]["number"]
            assert all(np.array_equal(mask(number, tick), mask(1, tick)) for tick in range(3)), kind
            assert page.ask("undo")["ok"]
        result = "\n".join(
            [
                '{\n"schema": "auralsam2.result/2",\n"frames": [',
                json.dumps({"object_id": 4, "time": times[5], "sounding": True, "rle": encode_rle(discs[0])}),
                "]\n}\n",
            ]
        )
        assert studio.client.put(address, content=result.encode()).json()["ok"]
        page.ask("sliders")
        assert page.state["objects"][-1]["intervals"] == [[2.5, 3.0]]
        before = page.state["objects"]
        white = np.full((48, 64), 255, np.uint8)
        for content, words in (
            (b"{}", "no masks"),
            (b"nothing", "no masks"),
            (png_archive({"9.png": white}), "frames 0 to 5"),
            (png_archive({"1.png": white[:40]}), "the clip has 64x48"),
            (png_archive({"readme.png": white}), "no mask of this clip"),
            (png_archive({"1.png": white}).replace(b"IDAT", b"IDAX"), "damaged"),
            (coco_file(discs, times).replace(b'"counts": "', b'"counts": "zz'), "damaged"),
        ):
            answer = studio.client.put(address, content=content)
            assert answer.status_code == 409, content[:40]
            assert words in answer.json()["error"], answer.json()
        assert page.ask("sliders")["ok"]
        assert page.state["objects"] == before
        assert not list((studio.home / "sessions" / name).glob(".masks-*"))
        assert "reload" in page.ask("import")["error"]
        close(studio, name)
        assert page.ask("points", object=1, tick=0, points=[[40, 20, 0]])["ok"]
