"""Damaged session files: each request gives a response or an error of one line."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auralsam2.errors import InputError
from auralsam2.studio import mask_codec
from helpers.studio_pages import Page, Studio

PARTS = ("", "/frame/0.jpg", "/frame/0.jpg?w=32", "/media", "/sound", "/mask/1/0.bin")


def edited(name: str, /, **more: Any) -> Callable[[Path], object]:
    """A change of members of a JSON file."""

    def change(folder: Path) -> None:
        file = folder / name
        file.write_text(json.dumps(json.loads(file.read_text()) | more))

    return change


def written(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def as_folder(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


DAMAGES: dict[str, Callable[[Path], object]] = {
    "clip deep": written("clip.json", b"[" * 100_000),
    "clip long integer": written("clip.json", b'{"fps": 1' + b"0" * 5000 + b"}"),
    "clip video a number": edited("clip.json", video=3),
    "clip video elsewhere": edited("clip.json", video=".."),
    "clip media with a line break": edited("clip.json", media="video/mp4\r\nx: y"),
    "clip without frames": edited("clip.json", times=[]),
    "clip times of text": edited("clip.json", times=["x"]),
    "clip fps 0": edited("clip.json", fps=0),
    "clip fps text": edited("clip.json", fps="fast"),
    "clip width negative": edited("clip.json", width=-1),
    "clip peaks": edited("clip.json", peaks=[[1]]),
    "clip duration": edited("clip.json", duration=None),
    "clip sound elsewhere": edited("clip.json", sound="../../x"),
    "document deep": written("session.json", b"[" * 100_000),
    "document infinity": written("session.json", b'{"schema": Infinity}'),
    "log an array": written("log.jsonl", b"[]\n"),
    "log deep": written("log.jsonl", b"[" * 100_000 + b"\n"),
    "log beyond the clip": written("log.jsonl", b'{"do": "clear", "object": 1, "tick": 999}\n'),
    "log undoes nothing": written("log.jsonl", b'{"do": "undo"}\n'),
    "log a folder": as_folder("log.jsonl"),
    "document stale of lists": edited("session.json", stale=[[]]),
    "document name": edited("session.json", name=[]),
    "video missing": lambda folder: (folder / "video.mp4").unlink(),
    "video a folder": as_folder("video.mp4"),
    "frame damaged": written("frames/000000.jpg", b"\xff\xd8\xff\xe0" + bytes(50)),
    "frame of another kind": written("frames/000000.jpg", b"GIF89a" + bytes(50)),
    "mask a folder": as_folder("masks/1/000000.bin"),
    "mask damaged": written("masks/1/000000.bin", b"AUM1" + bytes(40)),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_reported_in_one_line(
    start_studio: Callable[..., Studio], clip: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    studio = start_studio()
    session = studio.upload(clip)
    with studio.page(session) as socket:
        assert Page(socket).ask("box", object=1, tick=0, box=[4, 4, 30, 30])["ok"]
    studio.client.portal.call(studio.manager.close, session)  # type: ignore[union-attr]
    DAMAGES[name](studio.home / "sessions" / session)
    refused = []
    for part in PARTS:
        answer = studio.client.get(f"/api/sessions/{session}{part}")
        assert answer.status_code < 500
        if answer.status_code >= 400:
            refused.append(answer.json()["error"])
    assert studio.client.get("/api/state").status_code == 200
    assert all("\n" not in message and str(studio.home) not in message for message in refused)
    if not name.startswith("mask"):
        assert refused
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "address",
    ["frame/0.jpg?w=999999999999999999999999", f"frame/{'9' * 300}.jpg", f"mask/1/{'9' * 300}.bin", "frame/-1.jpg"],
)
def test_numbers_out_of_range_are_refused(studio: Studio, clip: Path, address: str) -> None:
    answer = studio.client.get(f"/api/sessions/{studio.upload(clip)}/{address}")
    assert answer.status_code in (200, 404, 422)


def mask_of(side: int) -> str:
    """A stored mask of side x side logits, as a log has it."""
    data = mask_codec.pack_mask(np.ones((side, side), np.float32), object_id=0, tick=0, iou=1.0, object_score=1.0)
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("shown", ["!", "AAAA", "A", mask_of(3), mask_of(1000)])
def test_damaged_mask_in_the_log_is_reported(
    studio: Studio, clip: Path, caplog: pytest.LogCaptureFixture, shown: str
) -> None:
    session = studio.upload(clip)
    file = studio.home / "sessions" / session / "log.jsonl"
    log = [
        {"do": "hear", "object": 0, "on": True},
        {"do": "points", "object": 0, "tick": 0, "points": [[3, 3, 1]], "shown": shown},
    ]
    file.write_text("".join(json.dumps(entry) + "\n" for entry in log))
    with studio.page(session) as socket:
        answer = Page(socket).ask("look", object=0, tick=0)
    assert "mask" in answer["error"]
    assert "see the server's log" not in answer["error"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_mask_with_infinite_logits_is_refused() -> None:
    data = bytearray(mask_codec.pack_mask(np.ones((4, 4), np.float32), object_id=0, tick=0, iou=1.0, object_score=1.0))
    data[16:20] = np.float32(3e38).tobytes()
    with pytest.raises(InputError, match="damaged"):
        mask_codec.unpack_mask(bytes(data))
