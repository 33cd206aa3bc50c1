"""A video on its way in: received with a bound, looked at, cut into the frames that are processed."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from PIL import Image

from auralsam2.apps.studio.playback import SOUND, plays
from auralsam2.apps.studio.refusal import RefusalError
from auralsam2.apps.studio.settings import DEFAULT_FPS, MIN_FPS, MOST_TICKS, Limits
from auralsam2.apps.studio.store import Clip, Folder, plainly
from auralsam2.apps.studio.waveform import peaks
from auralsam2.errors import AuralError
from auralsam2.media.container import open_input
from auralsam2.media.probe import probe
from auralsam2.media.reader import read_frames
from auralsam2.media.sound_file import write_sound
from auralsam2.types import MediaInfo

_KINDS = {
    "mov": (".mp4", "video/mp4"),
    "webm": (".webm", "video/webm"),
    "matroska": (".mkv", "video/x-matroska"),
    "avi": (".avi", "video/x-msvideo"),
    "mpegts": (".ts", "video/mp2t"),
    "mpeg": (".mpg", "video/mpeg"),
    "ogg": (".ogv", "video/ogg"),
    "flv": (".flv", "video/x-flv"),
    "asf": (".wmv", "video/x-ms-wmv"),
    "gif": (".gif", "image/gif"),
}
_OTHER = (".bin", "application/octet-stream")
VIDEO_NAMES = frozenset(f"video{ending}" for ending, _ in (*_KINDS.values(), _OTHER))
"""What the video of a session can be called."""
_LONGEST_SIDE = 1920
_QUALITY = 88
_UNNAMED = "video"
_PICTURES, _WAVEFORM = 0.8, 0.9
"""Parts of the way through a video at which its pictures and its waveform are done; a copy of its sound is the rest."""

Advance = Callable[[float], None]
"""Told the part that is done, in [0, 1], rising; raises to stop."""


async def receive(body: AsyncIterator[bytes], announced: int | None, path: Path, limits: Limits) -> None:
    """Write a request's body to a file, and stop where it grows too large.

    Args:
        body: the bytes as they come.
        announced: how many shall come, where that is known.
        path: the file; the caller removes it on failure.
        limits: bounds.

    Raises:
        RefusalError: too many bytes, or none.
    """
    got = 0
    if announced is not None and announced > limits.upload:
        raise _too_large(limits)
    with path.open("xb") as file:
        async for chunk in body:
            got += len(chunk)
            if got > limits.upload:
                raise _too_large(limits)
            file.write(chunk)
    if not got:
        raise RefusalError(422, "the file is empty: choose a video")


def plain_name(name: str) -> str:
    """The name of a file as its user knows it, for show alone: no folders, nothing that cannot be seen."""
    last = re.split(r"[/\\]", name)[-1]
    seen = "".join(letter for letter in last if letter.isprintable()).strip()
    return seen[:120] or _UNNAMED


def admit(folder: Folder, file: Path, name: str, fps: float | None, limits: Limits, advance: Advance) -> Clip:
    """Look at a video, name it by what it is, and write its frames beside it.

    Every frame is decoded once, so that what is damaged is found out now, and the frames count as for the model. Where
    browsers would not play the video, a copy of its sound that they play is put beside it.

    Args:
        folder: of the session to be.
        file: the video, somewhere in the folder.
        name: as the user knows it, for messages.
        fps: processed frames a second; None for `DEFAULT_FPS`, or what the limits leave.
        limits: bounds.
        advance: told the part that was looked through.

    Raises:
        RefusalError: not a video, too long, or too many frames.
    """
    try:
        ending, media = _kind(file)
        video = file.rename(folder.path / f"video{ending}")
        info = probe(video)
        if not info.width:
            raise RefusalError(422, f"{name}: holds sound but no pictures: choose a video")
        if info.duration > limits.minutes * 60:
            raise _too_long(name, info.duration, limits)
        rate = _rate(name, info, fps, limits)
        times = _write_frames(
            folder, video, name, rate, limits, lambda second: advance(_PICTURES * _part(second, info.duration))
        )
        # A file may announce nothing; then its last frame tells.
        duration = info.duration or times[-1] + 1 / rate
        sounds, copy = _sound(folder, video, duration, advance) if info.audio_rate is not None else ((), "")
    except RefusalError:
        raise
    except AuralError as error:
        raise RefusalError(422, plainly(error, folder, name)) from error
    clip = Clip(
        video=video.name,
        media=media,
        duration=duration,
        width=info.width,
        height=info.height,
        fps=rate,
        times=times,
        audio=info.audio_rate is not None,
        peaks=sounds,
        sound=copy,
    )
    folder.keep_clip(clip)
    return clip


def _kind(file: Path) -> tuple[str, str]:
    """Ending and content type, by what is in the file."""
    with open_input(file) as container:
        names = container.format.name.split(",")
    if names[0] == "matroska":
        with file.open("rb") as opened:
            names = ["webm" if b"webm" in opened.read(64) else "matroska"]
    return _KINDS.get(names[0], _OTHER)


def _rate(name: str, info: MediaInfo, fps: float | None, limits: Limits) -> float:
    """Processed frames a second: no more than the video has, and no more in all than a session holds."""
    most = MOST_TICKS / (info.duration or limits.minutes * 60)
    if fps is None:
        rate = min(DEFAULT_FPS, most)
    elif not (math.isfinite(fps) and fps >= MIN_FPS):
        raise RefusalError(422, f"fps {fps:g}: give a number above 0, {MIN_FPS:g} or more")
    elif min(fps, info.fps or fps) > most:
        raise RefusalError(
            422, f"{name}: {fps:g} frames a second are more than {MOST_TICKS} in all: choose {most:.2g} or less"
        )
    else:
        rate = fps
    return min(rate, info.fps) if info.fps > 0 else rate


def _sound(
    folder: Folder, video: Path, duration: float, advance: Advance
) -> tuple[tuple[tuple[float, float], ...], str]:
    """The waveform, and the name of a copy for browsers, empty where they need none."""
    waveform = peaks(video, duration, lambda part: advance(_PICTURES + (_WAVEFORM - _PICTURES) * part))
    if plays(video):
        return waveform, ""
    left = 1 - _WAVEFORM
    write_sound(folder.path / SOUND, video, lambda second: advance(_WAVEFORM + left * _part(second, duration)))
    return waveform, SOUND


def _part(second: float, duration: float) -> float:
    """How much of a video lies before a second, in [0, 1]; of one that tells no duration nothing is known."""
    return min(1.0, second / duration) if duration else 0.0


def _write_frames(
    folder: Folder, video: Path, name: str, rate: float, limits: Limits, reached: Callable[[float], None]
) -> tuple[float, ...]:
    """Seconds of the frames, each written as JPEG; `reached` is told each."""
    times: list[float] = []
    folder.frame(0).parent.mkdir()
    with read_frames(video, fps=rate) as frames:
        for frame in frames:
            # The announced length was a lie.
            if frame.time > limits.minutes * 60:
                raise _too_long(name, frame.time, limits)
            if len(times) > 2 * MOST_TICKS:
                raise RefusalError(422, f"{name}: has more frames than it announces: convert it, for instance to MP4")
            picture = Image.fromarray(frame.image)
            picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
            picture.save(folder.frame(frame.index), quality=_QUALITY)
            times.append(round(frame.time, 6))
            reached(frame.time)
    return tuple(times)


def _too_large(limits: Limits) -> RefusalError:
    most = limits.upload
    told = f"{most / 1e9:.3g} GB" if most >= 1e9 else f"{most / 1e6:.3g} MB"
    return RefusalError(413, f"the file is larger than {told}: cut it, or start the studio with a larger --max-upload")


def _too_long(name: str, seconds: float, limits: Limits) -> RefusalError:
    return RefusalError(
        422,
        f"{name}: {seconds / 60:.1f} minutes are more than {limits.minutes:g}: "
        "cut it, or start the studio with a larger --max-minutes",
    )
