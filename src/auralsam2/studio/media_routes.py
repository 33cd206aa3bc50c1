"""Routes of pictures, masks, audio and video."""

from __future__ import annotations

import asyncio
import io
import struct
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse
from PIL import Image

from auralsam2.errors import InputError
from auralsam2.media.container import MAX_PIXELS
from auralsam2.outputs.postprocessing import PostProcessing
from auralsam2.studio.commands import Sliders
from auralsam2.studio.previews import SOUND_TYPE, spectrogram
from auralsam2.studio.session_manager import SessionManager
from auralsam2.studio.session_state import SCORE_OFF
from auralsam2.studio.storage import RefusalError, SessionFolder
from auralsam2.studio.stored_masks import StoredMasks

_MIN_WIDTH, _MAX_WIDTH = 16, 4096
_MAX_DECODERS = 4
"""Maximum number of frames that are decoded at once for thumbnails."""
_MAX_PREVIEWS = 2
"""Maximum number of masks that are post-processed at once."""
Index = Annotated[int, PathParameter(ge=0, lt=1_000_000)]


def manager_of(request: Request) -> SessionManager:
    """Return the manager of the sessions of a request's application."""
    return request.app.state.manager


def add_media(app: FastAPI) -> None:
    """Add the routes of pictures, masks, audio and video of the sessions."""
    decoders, previews = asyncio.Semaphore(_MAX_DECODERS), asyncio.Semaphore(_MAX_PREVIEWS)

    @app.get("/api/sessions/{name}/frame/{tick}.jpg")
    async def frame(request: Request, name: str, tick: Index, w: int | None = None) -> Response:
        path = manager_of(request).store.get(name).frame(tick)
        headers = {"Cache-Control": "private, max-age=31536000, immutable"}
        if not path.is_file():
            raise RefusalError(404, "no such frame: reload the page")
        if w is None:
            return FileResponse(path, media_type="image/jpeg", headers=headers)
        async with decoders:
            data = await asyncio.to_thread(_thumbnail, path, min(max(_MIN_WIDTH, w), _MAX_WIDTH))
        return Response(data, media_type="image/jpeg", headers=headers)

    @app.get("/api/sessions/{name}/mask/{number}/{tick}.bin")
    async def mask(request: Request, name: str, number: Index, tick: Index) -> Response:
        path = manager_of(request).store.get(name).mask(number, tick)
        if not path.is_file():  # not an error: not computed yet
            return Response(status_code=204)
        return FileResponse(path, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})

    @app.get("/api/sessions/{name}/edges/{number}/{tick}.bin")
    async def edges(
        request: Request, name: str, number: Index, tick: Index, sliders: Annotated[Sliders, Query()]
    ) -> Response:
        folder = manager_of(request).store.get(name)
        options = sliders.postprocessing(PostProcessing())
        score = SCORE_OFF if sliders.score is None else sliders.score
        async with previews:
            clip = await asyncio.to_thread(folder.clip)
            masks = StoredMasks(folder=folder, clip=clip, threshold=sliders.threshold or 0.0, score=score)
            data = await asyncio.to_thread(masks.preview, number, tick, options) if tick < len(clip.times) else None
        if data is None:  # not computed yet
            return Response(status_code=204)
        return Response(data, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})

    @app.get("/api/sessions/{name}/media")
    async def media(request: Request, name: str) -> Response:
        folder = manager_of(request).store.get(name)
        clip = await asyncio.to_thread(folder.clip)
        return _media_file(folder, clip.video, clip.media)

    @app.get("/api/sessions/{name}/sound")
    async def sound(request: Request, name: str) -> Response:
        folder = manager_of(request).store.get(name)
        clip = await asyncio.to_thread(folder.clip)
        if not clip.sound:
            return _media_file(folder, clip.video, clip.media)
        return _media_file(folder, clip.sound, SOUND_TYPE)

    @app.get("/api/sessions/{name}/spectrogram.png")
    async def spectrogram_image(request: Request, name: str) -> Response:
        folder = manager_of(request).store.get(name)
        clip = await asyncio.to_thread(folder.clip)
        if not clip.audio:
            raise RefusalError(404, "this clip has no audio")
        async with previews:
            data = await asyncio.to_thread(_spectrogram, folder.path / clip.video, clip.duration)
        return Response(data, media_type="image/png", headers={"Cache-Control": "private, max-age=31536000, immutable"})


def _media_file(folder: SessionFolder, name: str, media: str) -> Response:
    path = folder.path / name
    if not path.is_file():
        raise RefusalError(404, f"session {folder.id}: {name} is missing: restore it from an export, or delete it")
    return FileResponse(path, media_type=media)


def _spectrogram(video: Path, duration: float) -> bytes:
    data = io.BytesIO()
    spectrogram(video, duration).save(data, format="PNG")
    return data.getvalue()


def _thumbnail(path: Path, width: int) -> bytes:
    """Return a frame as a JPEG of at most `width` columns.

    Raises:
        InputError: the file is damaged, or has too many pixels.
    """
    try:
        with Image.open(path, formats=["JPEG"]) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise InputError(f"frame {path.name} has {picture.width} x {picture.height} pixels: delete the session")
            picture.draft("RGB", (width, max(1, picture.height * width // picture.width)))
            picture.thumbnail((width, picture.height))
            data = io.BytesIO()
            picture.save(data, format="JPEG", quality=85)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise InputError(f"frame {path.name} is damaged: restore the session from an export, or delete it") from error
    return data.getvalue()
