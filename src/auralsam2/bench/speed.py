"""Time per frame of each stage of `segment`, prompted by audio and by a click."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from auralsam2.bench.material import HEIGHT, WIDTH
from auralsam2.model import AuralSAM2
from auralsam2.types import Point, Prompts
from auralsam2.utils.timing import STAGES

AUDIO, CLICK = "sound", "click"
"""Prompted by the audio track; prompted by one point on the first frame, without audio."""
WARM_UP = 2
"""Frames of the warm-up: the second one is the first that attends to memory."""


@dataclass(frozen=True, kw_only=True)
class SpeedRun:
    """Times of one part of the video through the whole pipeline, files included.

    Attributes:
        prompts: `sound` or `click`.
        frames: processed frames.
        wall: wall time from opening the video to the last written file, in seconds.
        network: time inside calls of the network, in seconds.
        seconds: time by stage; decode and write run in other threads.
    """

    prompts: str
    frames: int
    wall: float
    network: float
    seconds: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class SpeedReport:
    """Times in one precision.

    Attributes:
        dtype: fp32, bf16 or fp16.
        runs: in the order of time, alternately prompted by audio and by a click.
    """

    dtype: str
    runs: tuple[SpeedRun, ...]

    def per_frame(self, value: Callable[[SpeedRun], float], prompts: str = AUDIO) -> float:
        """Return the median of a time over the runs with these prompts, in seconds per frame."""
        return median(value(run) / run.frames for run in self.runs if run.prompts == prompts)

    @property
    def network_share(self) -> float:
        """Median share of the wall time inside calls of the network, prompted by audio."""
        return median(run.network / run.wall for run in self.runs if run.prompts == AUDIO)

    @property
    def audio_overhead(self) -> float:
        """Time inside the network prompted by audio, divided by that prompted by a click."""
        return self.per_frame(lambda run: run.network) / self.per_frame(lambda run: run.network, CLICK)

    @property
    def audio_overhead_wall(self) -> float:
        """Wall time prompted by audio, divided by that prompted by a click."""
        return self.per_frame(lambda run: run.wall) / self.per_frame(lambda run: run.wall, CLICK)

    def summary(self) -> dict[str, Any]:
        """Return all values for JSON; times in seconds per frame."""
        return {
            "stages": {name: self.per_frame(lambda run, name=name: run.seconds[name]) for name in STAGES},
            "network": self.per_frame(lambda run: run.network),
            "wall": self.per_frame(lambda run: run.wall),
            "network_share": self.network_share,
            "click_network": self.per_frame(lambda run: run.network, CLICK),
            "click_wall": self.per_frame(lambda run: run.wall, CLICK),
            "audio_overhead": self.audio_overhead,
            "audio_overhead_wall": self.audio_overhead_wall,
            "runs": [
                {"prompts": run.prompts, "frames": run.frames, "wall": run.wall, "network": run.network}
                for run in self.runs
            ],
        }


def stretches(frames: int, window: int) -> list[tuple[int, int]]:
    """Return start and end, in seconds, of parts of `window` frames of a video with one frame per second.

    A video with fewer frames is a single part.
    """
    length = min(window, frames)
    return [(begin, begin + length) for begin in range(0, frames - length + 1, length)]


def measure_speed(
    model: AuralSAM2, video: Path, scratch: Path, parts: Iterable[tuple[int, int]], note: Callable[[str], None]
) -> SpeedReport:
    """Segment each part of a video prompted by audio and by a click, after a warm-up.

    The video has 1280 × 720 pixels and audio. Results in `scratch` are removed after each run; `note` receives progress
    messages.
    """
    note(f"{model.dtype}: warming up")
    for prompts in (AUDIO, CLICK):
        _run(model, video, scratch, prompts, 0, WARM_UP)
    runs: list[SpeedRun] = []
    for begin, end in parts:
        for prompts in (AUDIO, CLICK):
            run = _run(model, video, scratch, prompts, begin, end)
            note(f"{model.dtype}, {prompts}, seconds {begin} to {end}: {run.wall / run.frames:.3g} s per frame")
            runs.append(run)
    return SpeedReport(dtype=model.dtype, runs=tuple(runs))


def _run(model: AuralSAM2, video: Path, scratch: Path, prompts: str, begin: int, end: int) -> SpeedRun:
    out = scratch / "results"
    point = Point(x=WIDTH / 2, y=HEIGHT / 2, time=float(begin))
    frames = 0

    def count(_segmentation: object) -> None:
        nonlocal frames
        frames += 1

    began = time.perf_counter()
    result = model.segment(
        video,
        prompts=Prompts() if prompts == AUDIO else Prompts(points=(point,)),
        audio="track" if prompts == AUDIO else "none",
        start=float(begin),
        end=float(end),
    )
    result.save(out, on_frame=count)
    wall = time.perf_counter() - began
    shutil.rmtree(out)
    return SpeedRun(
        prompts=prompts, frames=frames, wall=wall, network=result.clock.network, seconds=dict(result.clock.seconds)
    )
