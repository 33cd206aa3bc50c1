"""Streams with separated and named sources, and their results."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import torch

from auralsam2.errors import UsageError
from auralsam2.inference.video_session import VideoSession
from auralsam2.model import AuralSAM2, VideoSegmentation
from auralsam2.modeling.object_namer import ObjectNamer
from auralsam2.samples import demo_clip
from auralsam2.types import Point, Prompts, Segmentation


def by_frame(frames: list[Segmentation]) -> list[list[Segmentation]]:
    return [list(objects) for _, objects in groupby(frames, key=lambda frame: frame.index)]


def namer() -> ObjectNamer:
    torch.manual_seed(0)
    return ObjectNamer(("dog", "goose", "pig"), 256, 16).eval()


def test_sources_are_parts_of_the_whole_mask(model: AuralSAM2, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two discs are added to each mask of the network, one of them silent on frame 3."""
    stream = VideoSession.stream
    rows, columns = np.mgrid[:48, :64]
    discs = [(columns - x) ** 2 + (rows - 24) ** 2 < 64 for x in (12, 50)]

    def discs_of(self: VideoSession) -> Iterator[Segmentation]:
        for frame in stream(self):
            mask = discs[0] if frame.index == 3 else discs[0] | discs[1]
            yield dataclasses.replace(frame, mask=mask, sounding=frame.index != 5)

    monkeypatch.setattr(VideoSession, "stream", discs_of)
    parts = by_frame(list(model.segment(video, separate=True)))
    assert len(parts) == 7
    for t, objects in enumerate(parts):
        assert [one.object_id for one in objects] == [1, 2]
        assert {one.index for one in objects} == {t}
        for one, disc in zip(objects, discs, strict=True):
            present = t != 5 and not (t == 3 and disc is discs[1])
            assert np.array_equal(one.mask, disc if present else np.zeros_like(disc))
            assert one.sounding is present
            assert one.logits.shape == (64, 64)
            assert present or bool((one.logits < 0).all())


def test_sources_of_the_bundled_clip() -> None:
    """A sheep and a goose sound; each stays one object over pauses, with masks of now this part, now that."""
    scene = json.loads(demo_clip().with_suffix(".json").read_text())["scene"]
    truth = {one["category"]: one["sounding"] for one in scene["objects"] if any(one["sounding"])}
    missed = {"sheep": {8}}  # the model segments the goose alone there
    found: dict[int, list[Segmentation]] = {}
    for frame in AuralSAM2.from_pretrained("mini", "cpu").segment(demo_clip(), separate=True, names=True):
        found.setdefault(frame.object_id, []).append(frame)
    assert {number: frames[-1].label for number, frames in found.items()} == {1: "sheep", 2: "goose"}
    for frames in found.values():
        name = frames[-1].label or ""
        sounding = truth[name]
        predicted = {frame.index for frame in frames if frame.sounding}
        assert predicted >= {t for t, sounds in enumerate(sounding) if sounds} - missed.get(name, set())
        assert len(predicted) <= sum(sounding) + 2


def test_separation_needs_sound_alone(model: AuralSAM2, video: Path) -> None:
    for options in ({"audio": "none", "prompts": Prompts(points=(Point(x=20, y=12),))}, {"prompts": Prompts(text="x")}):
        with pytest.raises(UsageError):
            list(model.segment(video, separate=True, **options))  # type: ignore[arg-type]


def test_names_and_results(model: AuralSAM2, video: Path, tmp_path: Path) -> None:
    segment = model.segment(video)
    named = list(VideoSegmentation(model, segment.source, Prompts(), separate=True, namer=namer()))
    for frame in named:
        assert (frame.label is None) == (frame.label_score is None)
        assert frame.label is not None or not frame.mask.any()
    labels = {frame.object_id: (frame.label, frame.label_score) for frame in named}
    result = VideoSegmentation(model, segment.source, Prompts(), separate=True, namer=namer())
    folder = result.save(tmp_path, save={"json", "masks", "coco", "overlay"})
    read = json.loads((folder / "result.json").read_text())
    assert len(read["frames"]) == len(named)
    assert read["options"]["separate"] is read["options"]["names"] is True
    assert [one["object_id"] for one in read["objects"]] == sorted(labels)
    for one in read["objects"]:
        label, score = labels[one["object_id"]]
        assert one.get("label") == label
        assert one.get("label_score") == (None if score is None else pytest.approx(score, abs=1e-6))
        slots = [frame.slot for frame in named if frame.object_id == one["object_id"] and frame.sounding]
        own = [row["interval"] for row in read["object_intervals"] if row["object_id"] == one["object_id"]]
        assert bool(slots) == bool(own)
        if slots:
            assert (own[0][0], own[-1][1]) == pytest.approx((slots[0][0], slots[-1][1]), abs=1e-6)
    categories = {category["name"] for category in json.loads((folder / "coco.json").read_text())["categories"]}
    assert categories >= {label for label, _ in labels.values() if label}
    assert len(list((folder / "masks").iterdir())) == len(by_frame(named))


def test_names_without_a_namer_are_refused(model: AuralSAM2, video: Path) -> None:
    with pytest.raises(UsageError, match="model small has no namer"):
        model.segment(video, names=True)
