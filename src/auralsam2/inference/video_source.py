"""Input of a session: a video, its audio and the processed part, checked before a model is loaded."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from auralsam2.arguments import as_audio_track, as_path, as_rate, as_seconds
from auralsam2.errors import AuralError, InputError, UsageError, quoted
from auralsam2.inference.mask_file import read_mask_file
from auralsam2.media.audio_choice import AudioChoice, audio_note
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.frame_reader import FrameReader
from auralsam2.media.live_capture import LiveCapture
from auralsam2.media.probe import probe
from auralsam2.media.sources import OpenedSource, is_media_path, open_source
from auralsam2.types import MediaInfo, Prompts


@contextmanager
def _named(path: Path, name: str) -> Iterator[None]:
    """Name the source in place of its copy in errors."""
    try:
        yield
    except AuralError as error:
        raise type(error)(str(error).replace(str(path), name)) from error


DEFAULT_FPS = 1.0
"""Processed frames per second: the rate of the training data."""
Audio = Path | str
"""Source of the audio: the name of another file, `track` for the audio track of the video, or `none`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoSource:
    """A video and the part of it that is processed.

    Attributes:
        info: metadata of the video.
        sound: file with the audio; None without audio.
        fps: processed frames per second; None for every frame.
        start, end: processed part, in seconds; None for the end of the video.
        audio_track: number or language of the audio track; None for the default one.
        notes: notes on the choice of the audio track.
        file: temporary copy of a source that is not a file; exists as long as this object.
        step: slots from one window to the next; None for windows that do not overlap.
        live: frames and sound are read once, as they come.
    """

    live: ClassVar[bool] = False

    info: MediaInfo
    sound: Path | None
    fps: float | None = DEFAULT_FPS
    start: float = 0.0
    end: float | None = None
    audio_track: AudioChoice = None
    notes: tuple[str, ...] = ()
    file: OpenedSource | None = field(default=None, compare=False, repr=False)
    step: int | None = None

    @property
    def sound_name(self) -> Path | str | None:
        """Name of the sound for people: that of the source, where its copy has the sound."""
        return self.info.name if self.info.name and self.sound == self.info.path else self.sound

    def open_frames(self) -> FrameReader | LiveCapture:
        """Open the processed frames.

        Raises:
            InputError: the file cannot be opened.
        """
        return FrameReader(self.info.path, fps=self.fps, start=self.start, end=self.end)

    def open_sound(self, start: float) -> SoundTrack | None:
        """Open the sound from a second on; None without sound.

        Raises:
            InputError: the file cannot be opened or has no audio track.
        """
        return None if self.sound is None else SoundTrack(self.sound, start=start, choice=self.audio_track)

    @classmethod
    def open(
        cls,
        path: Any,
        prompts: Prompts,
        *,
        audio: Audio = "track",
        fps: float | str | None = DEFAULT_FPS,
        start: float | str = 0.0,
        end: float | str | None = None,
        audio_track: AudioChoice = None,
        prompts_later: bool = False,
        name: str = "",
        **pictures: Any,
    ) -> VideoSource:
        """Check the files and the options.

        A video without an audio track needs text or visual prompts, or `prompts_later`.

        Args:
            path: the video, or another source of `media.sources.open_source`.
            prompts: checked against the video.
            audio: a file, `track` or `none`.
            audio_track: number or language of the track; None for the default one.
            fps: processed frames per second; None or `all` for every frame.
            start: start of the processed part, in seconds or as text such as `1:30`.
            end: end of the processed part, likewise; None for the end of the video.
            prompts_later: prompts follow when the source is open.
            name: of a source that the caller copied to `path`.
            pictures: `rate`, `times`, `sound` and `sound_rate` of `open_source`.

        Raises:
            InputError: a file cannot be read, or there is neither audio nor another prompt.
            UsageError: times, rate or prompts do not fit the video.
        """
        file: OpenedSource | None = None
        if not is_media_path(path) and not isinstance(path, bytes):
            file = open_source(path, **pictures)
            path, name = file.path, file.name
        elif any(value is not None for value in pictures.values()):
            raise UsageError(f"{path}: `rate`, `times` and `sound` are for folders of pictures and arrays")
        path = as_path("path", path)
        if name:
            with _named(path, name):
                opened = cls.open(
                    path,
                    prompts,
                    audio=audio,
                    fps=fps,
                    start=start,
                    end=end,
                    audio_track=audio_track,
                    prompts_later=prompts_later,
                )
            return dataclasses.replace(opened, info=dataclasses.replace(opened.info, name=name), file=file)
        fps, start = as_rate("fps", fps), as_seconds("start", start)
        end = None if end is None or (isinstance(end, float) and end == math.inf) else as_seconds("end", end)
        audio_track = as_audio_track(audio_track)
        if audio is None:
            raise UsageError("`audio=None`: give track, none, or the name of a file")
        audio = audio if isinstance(audio, str) and audio in ("track", "none") else as_path("audio", audio)
        if not isinstance(prompts, Prompts):
            raise UsageError(f"`prompts={quoted(prompts)}`: give `Prompts`")
        if end is not None and not end > start:
            raise UsageError(f"`end={end:g}` must be after `start={start:g}`")
        info = probe(path, None if isinstance(audio, Path) else audio_track)
        if not info.width:
            raise InputError(f"{path}: no video track")
        if info.duration and start >= info.duration:
            raise UsageError(f"{path}: `start={start:g}` is after the end of the video at {info.duration:.2f} s")
        prompts.check_inside(info, start, end)
        for one in (prompts, *dict(prompts.objects).values()):
            for mask in one.masks:
                read_mask_file(mask, info.width, info.height)
        prompted = prompts_later or prompts != Prompts()
        if isinstance(audio, Path):
            if probe(audio, audio_track).audio_rate is None:
                raise InputError(f"{audio}: no audio track")
            sound = audio
        elif audio == "none":
            if not prompted:
                raise UsageError(f"{path}: `audio=none` needs another prompt: `text`, `points`, `boxes` or `masks`")
            sound = None
        elif info.audio_rate is not None:
            sound = path
        elif prompted:
            sound = None
        else:
            raise InputError(
                f"{path}: no audio track: add one with `audio=FILE`, or prompt with `text`, `points`, `boxes` or "
                "`masks`"
            )
        note = None if sound is None else audio_note(sound, audio_track)
        notes = () if note is None else (note,)
        return cls(info=info, sound=sound, fps=fps, start=start, end=end, audio_track=audio_track, notes=notes)
