"""HTTP and WebSocket endpoints of the Studio."""

from __future__ import annotations

import asyncio
import io
import logging
import shutil
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from PIL import Image
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from auralsam2.errors import AuralError, InputError
from auralsam2.hub import download
from auralsam2.media.container import MAX_PIXELS
from auralsam2.model import AuralSAM2
from auralsam2.studio.auth import AccessGuard
from auralsam2.studio.commands import ExportCommand, SettleCommand
from auralsam2.studio.exports import KINDS
from auralsam2.studio.previews import SOUND_TYPE
from auralsam2.studio.restore import restore_session
from auralsam2.studio.session_manager import SessionManager
from auralsam2.studio.session_state import SessionState
from auralsam2.studio.settings import Limits, Settings
from auralsam2.studio.storage import RefusalError, SessionFolder, SessionStore
from auralsam2.studio.uploads import Advance, Uploads, import_video, safe_name
from auralsam2.studio.websocket import serve_websocket
from auralsam2.version import __version__

_log = logging.getLogger(__name__)

_PAGE_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_DEMO = "demo.mp4"
_LONGEST_BODY = 100_000
_NARROWEST, _WIDEST = 16, 4096
Index = Annotated[int, PathParameter(ge=0, lt=1_000_000)]
T = TypeVar("T", bound=BaseModel)


class DemoClipInfo(BaseModel):
    """Request to open the bundled clip."""

    demo: Literal[True]


def create_app(settings: Settings, model: AuralSAM2, store: SessionStore) -> FastAPI:
    """Create the ASGI application.

    Args:
        settings: settings of the server.
        model: loaded model.
        store: opened store; the caller closes it.
    """
    limits = settings.limits

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.registry = SessionManager(store, model, limits)
        app.state.arrivals = Uploads(store, limits)
        app.state.registry.start()
        yield
        await app.state.registry.stop()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(AccessGuard, token=settings.token, host=settings.host)
    _tell_errors(app)
    _page(app, settings.web)
    _sessions(app, model, limits)
    _media(app)
    _exports(app)
    return app


def import_demo(
    store: SessionStore, file: Path, name: str, fps: float | None, limits: Limits, model: str
) -> SessionFolder:
    """Create a session from a file on the server.

    Raises:
        RefusalError: the video is not accepted.
    """
    with store.growing() as folder:
        copied = folder.path / "copied"
        shutil.copyfile(file, copied)
        clip = import_video(folder, copied, name, fps, limits, lambda _: None)
        SessionState.new(folder, clip, name, model)
        return store.finish(folder)


def _tell_errors(app: FastAPI) -> None:
    """Convert every error to JSON with one sentence."""

    @app.exception_handler(AuralError)
    async def ours(_: Request, error: AuralError) -> Response:
        return JSONResponse({"error": str(error)}, error.status if isinstance(error, RefusalError) else 422)

    @app.exception_handler(HTTPException)
    async def theirs(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": f"{error.detail}: reload the page".lower()}, error.status_code)

    @app.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: RequestValidationError) -> Response:
        return JSONResponse({"error": f"{error.errors()[0]['msg']}: reload the page"}, 422)

    @app.exception_handler(Exception)
    async def unknown(_: Request, error: Exception) -> Response:
        _log.error("request failed", exc_info=error)
        return JSONResponse({"error": "this failed: the server's log says why"}, 500)


def _page(app: FastAPI, web: Path) -> None:
    """Serve the page and its files, a fixed list."""
    files = {path.name: path for path in sorted(web.glob("*")) if path.suffix in _PAGE_TYPES}

    def file(name: str) -> Response:
        path = files.get(name)
        if path is None:
            raise RefusalError(404, "no such file: reload the page")
        return FileResponse(path, media_type=_PAGE_TYPES[path.suffix], headers={"Cache-Control": "no-cache"})

    @app.get("/")
    async def index() -> Response:
        return file("index.html")

    @app.get("/web/{name}")
    async def part(name: str) -> Response:
        return file(name)


def _sessions(app: FastAPI, model: AuralSAM2, limits: Limits) -> None:
    """Add the endpoints of the session list, uploads and sessions."""

    @app.get("/api/state")
    async def state(request: Request) -> Any:
        registry = _registry(request)
        return {
            "version": __version__,
            "model": {
                "name": model.name,
                "reads_text": model.config.fuser.modality == "audio+text",
                "image_size": model.network.image_size,
            },
            "limits": {"upload_bytes": limits.upload, "minutes": limits.minutes, "sessions": limits.sessions},
            "sessions": await asyncio.to_thread(_summaries, registry),
        }

    @app.put("/api/upload")
    async def upload(request: Request, name: str = "", fps: float | None = None, job: str = "") -> Any:
        shown = safe_name(name)

        def take(folder: SessionFolder, file: Path, advance: Advance) -> None:
            SessionState.new(folder, import_video(folder, file, shown, fps, limits, advance), shown, model.name)

        return await _arrivals(request).grow(request, job, take)

    @app.put("/api/restore")
    async def bring_back(request: Request, job: str = "") -> Any:
        def take(folder: SessionFolder, file: Path, advance: Advance) -> None:
            restore_session(folder, file, limits, advance)
            file.unlink()

        return await _arrivals(request).grow(request, job, take)

    @app.get("/api/arrivals/{job}")
    async def arriving(request: Request, job: str) -> Any:
        return {"part": _arrivals(request).part(job)}

    @app.post("/api/sessions")
    async def demo(request: Request) -> Any:
        await _read(request, DemoClipInfo)
        clip = download.BUNDLED / _DEMO
        if not clip.is_file():
            raise RefusalError(404, "this version comes without the demo clip: open a video of yours")
        store = _registry(request).store
        return await _arrivals(request).bring(lambda: import_demo(store, clip, _DEMO, None, limits, model.name))

    @app.get("/api/sessions/{name}")
    async def whole(request: Request, name: str) -> Any:
        registry = _registry(request)
        session = registry.known(name)
        if session is not None:
            return session.snapshot
        saved = await asyncio.to_thread(SessionState.load, registry.store.get(name))
        return saved.full() | {"open": False, "busy": None}

    @app.delete("/api/sessions/{name}")
    async def delete(request: Request, name: str) -> Any:
        await _registry(request).delete(name)
        return {"ok": True}

    @app.patch("/api/sessions/{name}")
    async def change(request: Request, name: str) -> Any:
        wish = await _read(request, SettleCommand)
        session = await _registry(request).open(name)
        return _checked(await asyncio.wrap_future(session.answer(wish)))

    @app.websocket("/api/sessions/{name}/live")
    async def line(socket: WebSocket, name: str) -> None:
        await serve_websocket(socket, name, socket.app.state.registry)


def _media(app: FastAPI) -> None:
    """Add the endpoints of frames, masks, video and audio."""

    @app.get("/api/sessions/{name}/frame/{tick}.jpg")
    async def frame(request: Request, name: str, tick: Index, w: int | None = None) -> Response:
        path = _registry(request).store.get(name).frame(tick)
        headers = {"Cache-Control": "private, max-age=31536000, immutable"}
        if not path.is_file():
            raise RefusalError(404, "no such frame: reload the page")
        if w is None:
            return FileResponse(path, media_type="image/jpeg", headers=headers)
        data = await asyncio.to_thread(_narrowed, path, min(max(_NARROWEST, w), _WIDEST))
        return Response(data, media_type="image/jpeg", headers=headers)

    @app.get("/api/sessions/{name}/mask/{number}/{tick}.bin")
    async def mask(request: Request, name: str, number: Index, tick: Index) -> Response:
        path = _registry(request).store.get(name).mask(number, tick)
        if not path.is_file():  # not an error: not computed yet
            return Response(status_code=204)
        return FileResponse(path, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})

    @app.get("/api/sessions/{name}/media")
    async def media(request: Request, name: str) -> Response:
        folder = _registry(request).store.get(name)
        clip = await asyncio.to_thread(folder.clip)
        return _media_file(folder, clip.video, clip.media)

    @app.get("/api/sessions/{name}/sound")
    async def sound(request: Request, name: str) -> Response:
        folder = _registry(request).store.get(name)
        clip = await asyncio.to_thread(folder.clip)
        if not clip.sound:
            return _media_file(folder, clip.video, clip.media)
        return _media_file(folder, clip.sound, SOUND_TYPE)


def _exports(app: FastAPI) -> None:
    """Add the endpoints of exports."""

    @app.post("/api/sessions/{name}/export")
    async def export(request: Request, name: str) -> Any:
        wish = await _read(request, ExportCommand)
        session = await _registry(request).open(name)
        return _checked(await asyncio.wrap_future(session.answer(wish)))

    @app.get("/api/sessions/{name}/export/{kind}")
    async def exported(request: Request, name: str, kind: str) -> Response:
        registry = _registry(request)
        folder = registry.store.get(name)
        file, media = KINDS.get(kind, ("", ""))
        if not file or not folder.export(file).is_file():
            raise RefusalError(404, "this was not exported yet: press Export first")
        session = registry.known(name)
        title = session.snapshot["name"] if session else (await asyncio.to_thread(SessionState.load, folder)).name
        shown = f"{Path(title).stem or 'session'}-{Path(file).stem}{Path(file).suffix}"
        return FileResponse(folder.export(file), media_type=media, filename=shown)


def _registry(request: Request) -> SessionManager:
    return request.app.state.registry


def _arrivals(request: Request) -> Uploads:
    return request.app.state.arrivals


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise RefusalError(409, answer["error"])
    return answer


async def _read(request: Request, kind: type[T]) -> T:
    """Read and validate a small JSON body."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > _LONGEST_BODY:
            raise RefusalError(413, "this request is too long: reload the page")
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "request"
        raise RefusalError(422, f"{where}: {first['msg']}: reload the page") from error


def _summaries(registry: SessionManager) -> list[dict[str, Any]]:
    """Return the summaries of all sessions; damaged ones are logged and omitted."""
    found = []
    for folder in registry.store.all():
        try:
            summary = SessionState.load(folder).summary()
        except AuralError as error:
            _log.warning("%s", error)
            continue
        found.append(summary | {"open": registry.known(folder.id) is not None})
    return found


def _media_file(folder: SessionFolder, name: str, media: str) -> Response:
    """Return a file of a session.

    Raises:
        RefusalError: it is missing.
    """
    path = folder.path / name
    if not path.is_file():
        raise RefusalError(404, f"session {folder.id}: {name} is missing: restore it from an export, or delete it")
    return FileResponse(path, media_type=media)


def _narrowed(path: Path, width: int) -> bytes:
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
