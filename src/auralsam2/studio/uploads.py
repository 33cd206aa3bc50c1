"""What a page sends on its way to becoming a session: received, then looked through, and how far that is."""

from __future__ import annotations

import asyncio
import math
import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

from fastapi import Request
from PIL import Image
from starlette.requests import ClientDisconnect

from auralsam2.errors import AuralError
from auralsam2.media.audio_mux import write_audio
from auralsam2.media.container import open_input
from auralsam2.media.frame_reader import read_frames
from auralsam2.media.probe import probe
from auralsam2.studio.previews import SOUND, is_browser_playable, waveform_peaks
from auralsam2.studio.settings import DEFAULT_FPS, MIN_FPS, MOST_TICKS, Limits
from auralsam2.studio.storage import ID, RefusalError, SessionFolder, SessionStore, StoredClip, explain_os_error
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


async def receive_upload(body: AsyncIterator[bytes], announced: int | None, path: Path, limits: Limits) -> None:
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


def safe_name(name: str) -> str:
    """The name of a file as its user knows it, for show alone: no folders, nothing that cannot be seen."""
    last = re.split(r"[/\\]", name)[-1]
    seen = "".join(letter for letter in last if letter.isprintable()).strip()
    return seen[:120] or _UNNAMED


def import_video(
    folder: SessionFolder, file: Path, name: str, fps: float | None, limits: Limits, advance: Advance
) -> StoredClip:
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
        raise RefusalError(422, explain_os_error(error, folder, name)) from error
    clip = StoredClip(
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
    folder: SessionFolder, video: Path, duration: float, advance: Advance
) -> tuple[tuple[tuple[float, float], ...], str]:
    """The waveform, and the name of a copy for browsers, empty where they need none."""
    waveform = waveform_peaks(video, duration, lambda part: advance(_PICTURES + (_WAVEFORM - _PICTURES) * part))
    if is_browser_playable(video):
        return waveform, ""
    left = 1 - _WAVEFORM
    write_audio(folder.path / SOUND, video, lambda second: advance(_WAVEFORM + left * _part(second, duration)))
    return waveform, SOUND


def _part(second: float, duration: float) -> float:
    """How much of a video lies before a second, in [0, 1]; of one that tells no duration nothing is known."""
    return min(1.0, second / duration) if duration else 0.0


def _write_frames(
    folder: SessionFolder, video: Path, name: str, rate: float, limits: Limits, reached: Callable[[float], None]
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


_DRAINED = 64_000_000
_DIGITS = 18
"""Digits of a length that are read; a longer one is too large in any case."""
_READING = 2
"""Videos that are looked through at the same time."""
_PERIOD = 0.5
"""Seconds between two looks at whether the page is still there."""

UploadReader = Callable[[SessionFolder, Path, Advance], None]
"""Makes a session of a file in its folder, and tells how far it is."""


class Uploads:
    """Everything that is on its way. Used on the event loop, except for `Take`.

    Args:
        store: where sessions lie.
        limits: bounds.
    """

    def __init__(self, store: SessionStore, limits: Limits) -> None:
        self._store, self._limits = store, limits
        self._parts: dict[str, float] = {}
        self._reading = asyncio.Semaphore(_READING)

    def part(self, job: str) -> float | None:
        """How much was looked through, in [0, 1], of what was sent under this name; None before and after that."""
        return self._parts.get(job)

    async def grow(self, request: Request, job: str, take: UploadReader) -> dict[str, str]:
        """A new session out of what is sent; on any failure nothing of it stays.

        Args:
            request: has the file as its body.
            job: a name for it, made up by the page; anything but 22 letters of an id for none.
            take: makes a session of it.

        Raises:
            RefusalError: it is too large, or its sender has gone.
        """
        with self._store.growing() as folder:
            file = folder.path / "received"
            await self._receive(request, file)
            async with self._reading:
                await self._look(request, job, lambda advance: take(folder, file, advance))
            return {"id": self._store.finish(folder).id}

    async def bring(self, make: Callable[[], SessionFolder]) -> dict[str, str]:
        """A new session of a file that is here already, in its turn."""
        async with self._reading:
            folder = await asyncio.to_thread(make)
        return {"id": folder.id}

    async def _receive(self, request: Request, file: Path) -> None:
        length = request.headers.get("content-length", "")
        body = request.stream()
        try:
            await receive_upload(body, int(length[:_DIGITS]) if length.isdecimal() else None, file, self._limits)
        except ClientDisconnect as error:
            raise _broken_off() from error
        except RefusalError:
            file.unlink(missing_ok=True)
            await _drain(body)
            raise

    async def _look(self, request: Request, job: str, work: Callable[[Advance], None]) -> None:
        """Do the work in a thread, until it is done or nobody waits for it any more."""
        gone = threading.Event()
        named = ID.fullmatch(job) is not None

        def advance(part: float) -> None:
            if gone.is_set():
                raise _broken_off()
            if named:
                self._parts[job] = part

        try:
            working = asyncio.ensure_future(asyncio.to_thread(work, advance))
            while not working.done():
                await asyncio.wait({working}, timeout=_PERIOD)
                if await request.is_disconnected():
                    gone.set()
            working.result()
            if gone.is_set():
                raise _broken_off()
        finally:
            self._parts.pop(job, None)


def _broken_off() -> RefusalError:
    return RefusalError(400, "the upload was broken off: send the file again")


async def _drain(body: AsyncIterator[bytes]) -> None:
    """Let some more come, unread: browsers hear the answer only when they have sent what is on its way."""
    left = _DRAINED
    with suppress(ClientDisconnect):
        async for chunk in body:
            left -= len(chunk)
            if left < 0:
                return
