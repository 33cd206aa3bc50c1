"""Time of an interactive session: first propagation with and without audio, and later clicks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from auralsam2.bench.material import HEIGHT, WIDTH
from auralsam2.model import AuralSAM2

VISUAL, WITH_AUDIO = "points+box", "audio+points+box"
CLICKS = 5
_BOX = (WIDTH * 0.4, HEIGHT * 0.3, WIDTH * 0.6, HEIGHT * 0.7)
_POINT = (WIDTH / 2, HEIGHT / 2)


@dataclass(frozen=True, kw_only=True)
class PromptTiming:
    """Times of one session, in seconds: the first propagation through all frames, and each later click."""

    prompts: str
    frames: int
    seconds: float
    clicks: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PromptingTimes:
    """Times of all sessions in order, alternately without and with audio."""

    passes: tuple[PromptTiming, ...]

    def first_pass(self, prompts: str) -> float:
        """Return the median time of the first propagation, in seconds per frame."""
        return median(run.seconds / run.frames for run in self.passes if run.prompts == prompts)

    @property
    def click(self) -> float:
        """Median time of a click in sessions with audio, in seconds."""
        return median(click for run in self.passes if run.prompts == WITH_AUDIO for click in run.clicks)

    def summary(self) -> dict[str, Any]:
        """Return all values for JSON; times in seconds."""
        return {
            "first_pass_visual": self.first_pass(VISUAL),
            "first_pass_audio": self.first_pass(WITH_AUDIO),
            "audio_overhead": self.first_pass(WITH_AUDIO) / self.first_pass(VISUAL),
            "click": self.click,
            "click_share": self.click / self.first_pass(WITH_AUDIO),
            "passes": [
                {"prompts": run.prompts, "frames": run.frames, "seconds": run.seconds, "clicks": list(run.clicks)}
                for run in self.passes
            ],
        }


def measure_prompting(
    model: AuralSAM2, video: Path, frames: int, rounds: int, note: Callable[[str], None]
) -> PromptingTimes:
    """Measure sessions of `frames` frames alternately without and with audio, `rounds` of each, after a warm-up.

    The video has 1280 × 720 pixels and audio; `note` receives progress messages.
    """
    note(f"{model.dtype}: warming up")
    _run_session(model, video, WITH_AUDIO, 1)
    passes = []
    for _ in range(rounds):
        for prompts in (VISUAL, WITH_AUDIO):
            passes.append(_run_session(model, video, prompts, frames))
            note(f"{model.dtype}, {prompts}: {passes[-1].seconds / frames:.3g} s per frame")
    return PromptingTimes(passes=tuple(passes))


def _run_session(model: AuralSAM2, video: Path, prompts: str, frames: int) -> PromptTiming:
    with model.open(video, end=float(frames)) as session:
        begun = time.perf_counter()
        if prompts == WITH_AUDIO:
            session.hear()
        session.add_points([_POINT], [1], time=0.0, object_id=0, box=_BOX)
        count = sum(1 for _ in session.propagate())
        seconds = time.perf_counter() - begun
        clicks = []
        for number in range(CLICKS):
            begun = time.perf_counter()
            session.add_points(
                [(_POINT[0] + 10 * number, _POINT[1])], [number % 2], time=float(number % frames), object_id=0
            )
            clicks.append(time.perf_counter() - begun)
    return PromptTiming(prompts=prompts, frames=count, seconds=seconds, clicks=tuple(clicks))
