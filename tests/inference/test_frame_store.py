"""Frames in any order."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from auralsam2.errors import InputError
from auralsam2.inference import frame_store, video_source
from auralsam2.inference.feature_cache import FeatureCache
from auralsam2.inference.frame_store import FrameStore
from auralsam2.inference.video_source import VideoSource
from auralsam2.inference.windows import windows
from auralsam2.media.frame_reader import FrameReader
from auralsam2.model import AuralSAM2
from auralsam2.modeling.preprocess import normalise, to_square
from auralsam2.types import Frame, Prompts
from auralsam2.utils.timing import StageTimer
from helpers.media_files import number_of, numbered, write_media


def film(model: AuralSAM2, video: Path, kept: FeatureCache, **options: object) -> FrameStore:
    source = VideoSource.open(video, Prompts(), prompts_later=True, **options)  # type: ignore[arg-type]
    return FrameStore(model.network, source, contextlib.nullcontext, StageTimer(), kept, with_patches=False)


@pytest.mark.parametrize("limit", [0, 1 << 20], ids=["nothing kept", "kept"])
@pytest.mark.parametrize("fps", [1.0, None])
def test_pictures_in_any_order(model: AuralSAM2, video: Path, fps: float | None, limit: int) -> None:
    with (
        contextlib.closing(FeatureCache(limit, 0)) as kept,
        contextlib.closing(film(model, video, kept, fps=fps, start=1.0, end=6.0)) as frames,
    ):
        assert frames.index_at(3.5) == (2 if fps else 10)
        last = frames.last()
        assert last == (4 if fps else 19)
        assert not frames.has(last + 1)
        assert not frames.has(-1)
        for index in (last, 0, 2, 2, 1, last - 1, 3):
            expected = 4 * index + 6 if fps else index + 4
            assert number_of(frames.picture(index)) == expected
            assert frames.time(index) == pytest.approx(expected / 4, abs=2e-3)


def test_the_way_back_is_read_in_stretches(model: AuralSAM2, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[float] = []

    class Counted(FrameReader):
        def __init__(self, path: Path, *, start: float, **options: Any) -> None:
            super().__init__(path, start=start, **options)
            opened.append(start)

    for module in (frame_store, video_source):
        monkeypatch.setattr(module, "FrameReader", Counted)
    with contextlib.closing(FeatureCache()) as kept, contextlib.closing(film(model, video, kept, fps=None)) as frames:
        last = frames.last()
        assert last == 27
        assert [number_of(frames.picture(index)) for index in range(last, -1, -1)] == list(range(last, -1, -1))
        # The film itself, its end, and two stretches of 17 pictures at most.
        assert opened == pytest.approx([0.0, 27 / 4, 10 / 4, 0.0], abs=2e-3)


def test_a_moment_means_the_nearest_frame(model: AuralSAM2, video: Path) -> None:
    with contextlib.closing(FeatureCache(0, 0)) as kept, contextlib.closing(film(model, video, kept)) as frames:
        times = (6.9, 0.0, 0.4, 0.99, 1.0, 1.01, 1.5, 3.2, 3.5, 7.0)
        assert [frames.index_at(time) for time in times] == [6, 0, 0, 0, 0, 1, 1, 3, 3, 6]


def test_windows_are_those_of_the_stream(model: AuralSAM2, tmp_path: Path) -> None:
    """With a gap in which whole windows are empty."""
    times = [0.0, 0.3, 1.2, 2.0, 3.1, 3.9, 4.4, 17.2, 18.1, 19.5, 20.3, 21.0, 22.2]
    video = write_media(tmp_path / "gap.mkv", [numbered(number) for number in range(len(times))], times=times)
    with (
        contextlib.closing(FeatureCache(0, 0)) as kept,
        contextlib.closing(film(model, video, kept, fps=None)) as frames,
    ):
        moments = [frames.moment(index) for index in range(frames.last() + 1)]
        stream = list(windows(moments, 3))
        assert len(stream) > 3
        for index in (12, 3, 7, 0, *range(len(times))):
            (expected,) = (w for w in stream if w.first_new <= index <= w.moments[-1].index)
            assert frames.window(index) == expected


@pytest.mark.parametrize("prefetch", [False, True], ids=["on demand", "prefetch"])
def test_frames_are_encoded_in_batches_as_they_are_read(
    model: AuralSAM2, video: Path, encoded: list[int], prefetch: bool
) -> None:
    source = VideoSource.open(video, Prompts(), prompts_later=True)
    clock = StageTimer()
    with (
        contextlib.closing(FeatureCache()) as cache,
        contextlib.closing(
            FrameStore(
                model.network, source, torch.inference_mode, clock, cache, with_patches=True, prefetch=prefetch, batch=4
            )
        ) as frames,
    ):
        assert frames.has(0)
        assert encoded == [4]
        assert frames.last() == 6
        assert encoded == [4, 3]
        features = [frames.features(index) for index in range(7)]
        assert encoded == [4, 3], "cached features are used"
        squares = [to_square(frames.picture(index), model.network.image_size) for index in range(7)]
    with torch.inference_mode():
        for group in (slice(0, 4), slice(4, 7)):
            expected = model.network.encode(normalise(torch.stack(squares[group])))
            for one, other in zip(features[group], expected, strict=True):
                assert torch.equal(one.embedding, other.embedding)
                assert all(torch.equal(a, b) for a, b in zip(one.patches, other.patches, strict=True))
    assert clock.seconds["decode"] > 0


def test_an_unreadable_image_is_raised_once_it_is_reached(
    model: AuralSAM2, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `prefetch`, the background thread meets the error earlier."""

    class Broken(FrameReader):
        def __next__(self) -> Frame:
            frame = super().__next__()
            if frame.index == 2:
                raise InputError("broken")
            return frame

    monkeypatch.setattr(video_source, "FrameReader", Broken)
    source = VideoSource.open(video, Prompts(), prompts_later=True)
    with contextlib.closing(FeatureCache()) as cache:
        frames = FrameStore(
            model.network, source, torch.inference_mode, StageTimer(), cache, with_patches=False, prefetch=True
        )
        with contextlib.closing(frames):
            assert frames.has(1)
            with pytest.raises(InputError, match="broken"):
                frames.has(2)
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
