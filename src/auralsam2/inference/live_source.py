"""A live source of a session: frames and sound as they come."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from auralsam2.arguments import as_audio_track, as_choice, as_number, as_rate
from auralsam2.errors import InputError, UsageError
from auralsam2.inference.video_source import DEFAULT_FPS, VideoSource
from auralsam2.inference.windows import slot_length
from auralsam2.media.audio_choice import AudioChoice
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.live_capture import LiveCapture
from auralsam2.types import Prompts

_MIN_DEPTH = 8
"""Frames that may wait at least: many sources begin with a burst of some seconds."""
_USUAL_RATE = 30.0
"""Frames per second by which the length of the queue is chosen where every frame is processed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveSource(VideoSource):
    """A live source. `VideoSource` describes the other attributes.

    Attributes:
        capture: reads the source; closed with the session.
    """

    live: ClassVar[bool] = True
    capture: LiveCapture = field(compare=False, repr=False)

    @classmethod
    def start_capture(
        cls,
        source: Any,
        prompts: Prompts,
        *,
        slots: int,
        audio: str = "track",
        audio_track: AudioChoice = None,
        fps: float | str | None = DEFAULT_FPS,
        latency: float | None = None,
        duration: float | None = None,
        realtime: bool = True,
        input_format: str | None = None,
        input_options: Mapping[str, str] | None = None,
    ) -> LiveSource:
        """Start to read a source and wait for its first frame.

        Args:
            source: see `media.live_input.open_live`.
            prompts: text, or nothing.
            slots: T, slots of a clip window of the model.
            audio: `track` or `none`.
            audio_track: number or language of the track; None for the default one.
            fps: processed frames per second; None or `all` for every frame.
            latency: seconds from one window to the next, whole slots; None for windows that do not overlap.
            duration: seconds after which the source ends; None for its own end.
            realtime: drop frames where the model is slower than the source.
            input_format: see `media.live_input.open_live`.
            input_options: see `media.live_input.open_live`.

        Raises:
            InputError: the source cannot be opened, has no pictures, or neither sound nor text prompts the model.
            UsageError: an argument is out of range.
        """
        rate = as_rate("fps", fps)
        slot = slot_length(rate)
        step = _step(latency, slot, slots)
        audio = as_choice("audio", audio, ("track", "none"))
        end = None if duration is None else as_number("duration", duration)
        if end is not None and end <= 0:
            raise UsageError(f"`duration={end:g}` must be above 0 s")
        if prompts.visual or prompts.objects:
            raise UsageError("a live source takes no points, boxes or masks: its pictures are not known beforehand")
        if audio == "none" and prompts.text is None:
            raise UsageError("`audio=none` needs `text`")
        capture = LiveCapture(
            source,
            fps=rate,
            end=end,
            depth=max(_MIN_DEPTH, math.ceil((rate or _USUAL_RATE) * slot * (step or slots)) + 1),
            realtime=realtime,
            use_audio=audio == "track",
            audio_track=as_audio_track(audio_track),
            input_format=input_format,
            input_options=input_options,
        )
        try:
            info = capture.start().info
            if info.audio_rate is None and prompts.text is None:
                raise InputError(f"{capture.name}: no audio track: add one, or prompt with `text`")
        except BaseException:
            capture.close()
            raise
        return cls(
            info=info,
            sound=None if info.audio_rate is None else Path(capture.name),
            fps=rate,
            end=end,
            audio_track=audio_track,
            step=step,
            capture=capture,
        )

    def open_frames(self) -> LiveCapture:
        """Return the capture."""
        return self.capture

    def open_sound(self, start: float) -> SoundTrack | None:
        """Return the sound of the capture; None without sound."""
        if self.sound is None:
            return None
        return SoundTrack(self.sound, start=start, chunks=self.capture.chunks())


def _step(latency: float | None, slot: float, slots: int) -> int | None:
    """Return the slots from one window to the next."""
    if latency is None:
        return None
    seconds = as_number("latency", latency)
    if not slot - 1e-6 <= seconds <= slot * slots + 1e-6:
        raise UsageError(
            f"`latency={seconds:g}` must be {slot:g} to {slot * slots:g} s, the length of the model's clip window"
        )
    return math.floor(seconds / slot + 1e-6)
