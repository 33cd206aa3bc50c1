"""Uploads: reception of a file, and its import as a session."""

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
from auralsam2.studio.settings import DEFAULT_FPS, DEFAULT_TICKS, MAX_TICKS, MIN_FPS, Limits
from auralsam2.studio.storage import ID, RefusalError, SessionFolder, SessionStore, StoredClip, public_message
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
"""Possible names of a session's video."""
_STALLED = 408
STALL = 30.0
"""Seconds without data after which an upload is refused."""
_MAX_SIDE = 1920
_QUALITY = 88
_UNNAMED = "video"
_PICTURES, _WAVEFORM = 0.8, 0.9
"""Shares of the import that end with the frames and with the waveform; the rest is the copy of the audio."""

Advance = Callable[[float], None]
"""Callback with the completed share, in [0, 1]; it may raise to stop."""


async def receive_upload(body: AsyncIterator[bytes], declared: int | None, path: Path, limits: Limits) -> None:
    """Write a request's body to a file, up to the size limit.

    Args:
        body: chunks of bytes.
        declared: declared size, None if unknown.
        path: the file; the caller removes it on failure.
        limits: limits of the server.

    Raises:
        RefusalError: too many bytes, or none.
    """
    size = 0
    if declared is not None and declared > limits.upload:
        raise _too_large(limits)
    with path.open("xb") as file:
        async for chunk in _timely(body):
            size += len(chunk)
            if size > limits.upload:
                raise _too_large(limits)
            file.write(chunk)
    if not size:
        raise RefusalError(422, "the file is empty: choose a video")


async def _timely(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks of a body.

    Raises:
        RefusalError: no chunk arrives for `STALL` seconds.
    """
    chunks = aiter(body)
    while True:
        try:
            yield await asyncio.wait_for(anext(chunks), STALL)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise RefusalError(_STALLED, "the upload stalled: send the file again") from error


def safe_name(name: str) -> str:
    """Return a file name for display: without folders and unprintable characters."""
    last = re.split(r"[/\\]", name)[-1]
    visible = "".join(letter for letter in last if letter.isprintable()).strip()
    return visible[:120] or _UNNAMED


def import_video(
    folder: SessionFolder,
    file: Path,
    name: str,
    fps: float | None,
    limits: Limits,
    advance: Advance,
    *,
    every: bool = False,
) -> StoredClip:
    """Import a video: check and rename it, and write its frames and the properties of the session's clip.

    Every frame is decoded once, which finds damage before the session opens. If browsers cannot play the video, a copy
    of its audio is written too.

    Args:
        folder: folder of the new session.
        file: the video, in that folder.
        name: file name of the user, for messages.
        fps: processed frames per second; None for `DEFAULT_FPS`, or less if the limits require it.
        limits: limits of the server.
        advance: called with the completed share.
        every: process every frame of the video; `fps` is ignored then.

    Raises:
        RefusalError: not a video, too long, or too many frames.
    """
    try:
        ending, media = _kind(file)
        video = file.rename(folder.path / f"video{ending}")
        info = probe(video)
        if not info.width:
            raise RefusalError(422, f"{name}: has audio but no images: choose a video")
        if info.duration > limits.minutes * 60:
            raise _too_long(name, info.duration, limits)
        rate = _rate(name, info, (info.fps or None) if every else fps, limits)
        times = _write_frames(
            folder,
            video,
            name,
            None if every else rate,
            limits,
            lambda second: advance(_PICTURES * _share(second, info.duration)),
        )
        # Without a declared duration, the last frame defines it.
        duration = info.duration or times[-1] + 1 / rate
        sounds, copy = _sound(folder, video, duration, advance) if info.audio_rate is not None else ((), "")
    except RefusalError:
        raise
    except AuralError as error:
        raise RefusalError(422, public_message(error, folder, name)) from error
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
        source_fps=info.fps,
        every=every,
    )
    folder.write_clip(clip)
    return clip


def _kind(file: Path) -> tuple[str, str]:
    with open_input(file) as container:
        names = container.format.name.split(",")
    if names[0] == "matroska":
        with file.open("rb") as opened:
            names = ["webm" if b"webm" in opened.read(64) else "matroska"]
    return _KINDS.get(names[0], _OTHER)


def _rate(name: str, info: MediaInfo, fps: float | None, limits: Limits) -> float:
    """Return the rate of processed frames per second, limited by the video's rate and by `MAX_TICKS` frames."""
    most = MAX_TICKS / (info.duration or limits.minutes * 60)
    if fps is None:
        rate = min(DEFAULT_FPS, most * DEFAULT_TICKS / MAX_TICKS)
    elif not (math.isfinite(fps) and fps >= MIN_FPS):
        raise RefusalError(422, f"fps {fps:g}: give a number above 0, {MIN_FPS:g} or more")
    elif min(fps, info.fps or fps) > most:
        raise RefusalError(
            422, f"{name}: {fps:g} frames a second are more than {MAX_TICKS} in all: choose {most:.2g} or less"
        )
    else:
        rate = fps
    return min(rate, info.fps) if info.fps > 0 else rate


def _sound(
    folder: SessionFolder, video: Path, duration: float, advance: Advance
) -> tuple[tuple[tuple[float, float], ...], str]:
    """Return the waveform, and the name of the audio copy for browsers, empty if not needed."""
    waveform = waveform_peaks(video, duration, lambda progress: advance(_PICTURES + (_WAVEFORM - _PICTURES) * progress))
    if is_browser_playable(video):
        return waveform, ""
    rest = 1 - _WAVEFORM
    write_audio(folder.path / SOUND, video, lambda second: advance(_WAVEFORM + rest * _share(second, duration)))
    return waveform, SOUND


def _share(second: float, duration: float) -> float:
    """Return the share of a video before a time, in [0, 1]; 0 without a known duration."""
    return min(1.0, second / duration) if duration else 0.0


def _write_frames(
    folder: SessionFolder, video: Path, name: str, rate: float | None, limits: Limits, report: Callable[[float], None]
) -> tuple[float, ...]:
    """Write the frames as JPEG and return their times in seconds; `report` is called with each."""
    times: list[float] = []
    folder.frame(0).parent.mkdir()
    with read_frames(video, fps=rate) as frames:
        for frame in frames:
            # The declared length was wrong.
            if frame.time > limits.minutes * 60:
                raise _too_long(name, frame.time, limits)
            if len(times) > 2 * MAX_TICKS:
                raise RefusalError(422, f"{name}: has more frames than it announces: convert it, for instance to MP4")
            picture = Image.fromarray(frame.image)
            picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
            picture.save(folder.frame(frame.index), quality=_QUALITY)
            times.append(round(frame.time, 6))
            report(frame.time)
    return tuple(times)


def _too_large(limits: Limits) -> RefusalError:
    size = limits.upload
    limit = f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"
    return RefusalError(413, f"the file is larger than {limit}: cut it, or start the studio with a larger --max-upload")


def _too_long(name: str, seconds: float, limits: Limits) -> RefusalError:
    return RefusalError(
        422,
        f"{name}: {seconds / 60:.1f} minutes are more than {limits.minutes:g}: "
        "cut it, or start the studio with a larger --max-minutes",
    )


_MAX_DRAINED = 64_000_000
_MAX_DIGITS = 18
"""Maximum digits of a declared length; a longer one is too large in any case."""
_MAX_IMPORTS = 2
"""Maximum number of concurrent imports."""
_MAX_RECEIVING = 8
"""Maximum number of files that arrive at once."""
_PERIOD = 0.5
"""Seconds between two checks whether the page is still connected."""

UploadReader = Callable[[SessionFolder, Path, Advance], None]
"""Import a file of a session's folder, reporting its progress."""


class Uploads:
    """Uploads in progress. Used on the event loop, except for `UploadReader`.

    Args:
        store: all sessions.
        limits: limits of the server.
    """

    def __init__(self, store: SessionStore, limits: Limits) -> None:
        self._store, self._limits = store, limits
        self._progress: dict[str, float] = {}
        self._imports = asyncio.Semaphore(_MAX_IMPORTS)
        self._receiving = 0

    def progress(self, job: str) -> float | None:
        """Return the completed share of an import by its job name, in [0, 1]; None before and after it."""
        return self._progress.get(job)

    async def receive(self, request: Request, job: str, read_upload: UploadReader) -> dict[str, str]:
        """Create a session from a request's body; on failure nothing remains.

        Args:
            request: its body is the file.
            job: name of the job for progress requests, 22 letters of an id; others are ignored.
            read_upload: imports the file.

        Raises:
            RefusalError: the file is too large, or the client has disconnected.
        """
        if self._receiving >= _MAX_RECEIVING:
            raise RefusalError(503, f"{_MAX_RECEIVING} files are being sent: wait for one of them")
        with self._store.new_folder() as folder:
            file = folder.path / "received"
            self._receiving += 1
            try:
                await self._receive(request, file)
            finally:
                self._receiving -= 1
            async with self._imports:
                await self._import(request, job, lambda advance: read_upload(folder, file, advance))
            return {"id": self._store.finish(folder).id}

    async def import_local(self, make: Callable[[], SessionFolder]) -> dict[str, str]:
        """Create a session from a file on the server, in turn with the uploads."""
        async with self._imports:
            folder = await asyncio.to_thread(make)
        return {"id": folder.id}

    async def _receive(self, request: Request, file: Path) -> None:
        length = request.headers.get("content-length", "")
        body = request.stream()
        try:
            await receive_upload(body, int(length[:_MAX_DIGITS]) if length.isdecimal() else None, file, self._limits)
        except ClientDisconnect as error:
            raise _aborted() from error
        except RefusalError as error:
            file.unlink(missing_ok=True)
            if error.status != _STALLED:
                await _drain(body)
            raise

    async def _import(self, request: Request, job: str, work: Callable[[Advance], None]) -> None:
        """Run the import in a thread until it ends or the client disconnects."""
        disconnected = threading.Event()
        has_id = ID.fullmatch(job) is not None

        def advance(progress: float) -> None:
            if disconnected.is_set():
                raise _aborted()
            if has_id:
                self._progress[job] = progress

        try:
            task = asyncio.ensure_future(asyncio.to_thread(work, advance))
            while not task.done():
                await asyncio.wait({task}, timeout=_PERIOD)
                if await request.is_disconnected():
                    disconnected.set()
            task.result()
            if disconnected.is_set():
                raise _aborted()
        finally:
            self._progress.pop(job, None)


def _aborted() -> RefusalError:
    return RefusalError(400, "the upload was interrupted: send the file again")


async def _drain(body: AsyncIterator[bytes]) -> None:
    """Discard part of a rejected body, since browsers read the response only after sending."""
    remaining = _MAX_DRAINED
    with suppress(ClientDisconnect):
        async for chunk in body:
            remaining -= len(chunk)
            if remaining < 0:
                return
