"""HTTP and WebSocket endpoints of the Studio."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException

from auralsam2.errors import AuralError
from auralsam2.hub import download
from auralsam2.hub.registry import REGISTRY
from auralsam2.model import AuralSAM2
from auralsam2.studio.auth import AccessGuard, media_key
from auralsam2.studio.commands import ExportCommand, ImportOrder, Order, SettingsCommand
from auralsam2.studio.exports import KINDS
from auralsam2.studio.media_routes import add_media, manager_of
from auralsam2.studio.model_downloads import ModelDownloads
from auralsam2.studio.restore import restore_session
from auralsam2.studio.session_manager import SessionManager
from auralsam2.studio.session_state import SessionState, read_summary
from auralsam2.studio.settings import Limits, Settings
from auralsam2.studio.storage import RefusalError, SessionFolder, SessionStore
from auralsam2.studio.uploads import Advance, Uploads, import_video, receive_upload, safe_name
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
_MAX_BODY = 100_000
T = TypeVar("T", bound=BaseModel)


class ModelRequest(BaseModel):
    """Request to use another model."""

    name: Annotated[str, Field(max_length=1000)]


class DemoRequest(BaseModel):
    """Request to open the bundled clip."""

    demo: Literal[True]


def create_app(
    settings: Settings,
    model: AuralSAM2,
    store: SessionStore,
    load: Callable[[str], AuralSAM2] = AuralSAM2.from_pretrained,
) -> FastAPI:
    """Create the ASGI application.

    Args:
        settings: settings of the server.
        model: loaded model.
        store: opened store; the caller closes it.
        load: loads another model by its name, when the page chooses it.
    """
    limits = settings.limits

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.manager = SessionManager(store, model, limits, load)
        app.state.uploads = Uploads(store, limits)
        app.state.manager.start()
        yield
        await app.state.manager.stop()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(AccessGuard, token=settings.token, host=settings.host)
    _add_error_handlers(app)
    _add_page(app, settings.web)
    _add_models(app)
    _add_sessions(app, limits, media_key(settings.token))
    add_media(app)
    _add_exports(app)
    return app


def import_demo(
    store: SessionStore, file: Path, name: str, fps: float | None, limits: Limits, model: str
) -> SessionFolder:
    """Create a session from a file on the server.

    Raises:
        RefusalError: the video is not accepted.
    """
    with store.new_folder() as folder:
        copied = folder.path / "copied"
        shutil.copyfile(file, copied)
        clip = import_video(folder, copied, name, fps, limits, lambda _: None)
        SessionState.new(folder, clip, name, model)
        return store.finish(folder)


def _add_error_handlers(app: FastAPI) -> None:
    """Convert every error to JSON with one sentence."""

    @app.exception_handler(AuralError)
    async def aural_error(_: Request, error: AuralError) -> Response:
        return JSONResponse({"error": str(error)}, error.status if isinstance(error, RefusalError) else 422)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": f"{error.detail}: reload the page".lower()}, error.status_code)

    @app.exception_handler(RequestValidationError)
    async def validation_error(_: Request, error: RequestValidationError) -> Response:
        return JSONResponse({"error": f"{error.errors()[0]['msg']}: reload the page"}, 422)

    @app.exception_handler(Exception)
    async def unexpected_error(_: Request, error: Exception) -> Response:
        _log.error("request failed", exc_info=error)
        return JSONResponse({"error": "this failed: see the server's log"}, 500)


def _add_page(app: FastAPI, web: Path) -> None:
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
    async def web_file(name: str) -> Response:
        return file(name)


def _add_models(app: FastAPI) -> None:
    downloads = ModelDownloads()

    @app.get("/api/models")
    async def models(request: Request) -> Any:
        return await asyncio.to_thread(downloads.listing, manager_of(request).first_model)

    @app.post("/api/models/{name}")
    async def download_model(name: str) -> Any:
        downloads.start(name)
        return {"ok": True}

    @app.put("/api/model")
    async def use_model(request: Request) -> Any:
        await manager_of(request).use_model((await _read(request, ModelRequest)).name)
        return {"ok": True}


def _add_sessions(app: FastAPI, limits: Limits, key: str) -> None:
    @app.get("/api/state")
    async def state(request: Request) -> Any:
        model = manager_of(request).model
        return {
            "version": __version__,
            "model": {
                "name": model.name,
                "reads_text": model.config.fuser.modality == "audio+text",
                "image_size": model.network.image_size,
                "task": REGISTRY[model.name].task if model.name in REGISTRY else "",
                "bundled": model.name in REGISTRY and REGISTRY[model.name].repo is None,
            },
            "media_key": key,
            "limits": {"upload_bytes": limits.upload, "minutes": limits.minutes, "sessions": limits.sessions},
        }

    @app.get("/api/sessions")
    async def sessions(request: Request) -> Any:
        return await asyncio.to_thread(_summaries, manager_of(request))

    @app.put("/api/upload")
    async def upload(
        request: Request, name: str = "", fps: float | None = None, every: bool = False, job: str = ""
    ) -> Any:
        display_name, model = safe_name(name), manager_of(request).model.name

        def read_upload(folder: SessionFolder, file: Path, advance: Advance) -> None:
            clip = import_video(folder, file, display_name, fps, limits, advance, every=every)
            SessionState.new(folder, clip, display_name, model)

        return await _uploads(request).receive(request, job, read_upload)

    @app.put("/api/restore")
    async def restore(request: Request, job: str = "") -> Any:
        def read_upload(folder: SessionFolder, file: Path, advance: Advance) -> None:
            restore_session(folder, file, limits, advance)
            file.unlink()

        return await _uploads(request).receive(request, job, read_upload)

    @app.get("/api/arrivals/{job}")
    async def upload_progress(request: Request, job: str) -> Any:
        return {"part": _uploads(request).progress(job)}

    @app.post("/api/sessions")
    async def demo(request: Request) -> Any:
        await _read(request, DemoRequest)
        clip = download.BUNDLED / _DEMO
        if not clip.is_file():
            raise RefusalError(404, "this version comes without the demo clip: open a video of yours")
        store, model = manager_of(request).store, manager_of(request).model.name
        return await _uploads(request).import_local(lambda: import_demo(store, clip, _DEMO, None, limits, model))

    @app.get("/api/sessions/{name}")
    async def session_state(request: Request, name: str) -> Any:
        manager = manager_of(request)
        session = manager.get_open(name)
        if session is not None:
            return session.snapshot
        loaded = await asyncio.to_thread(SessionState.load, manager.store.get(name))
        return loaded.full_state() | {"open": False, "run": None, "export": None}

    @app.delete("/api/sessions/{name}")
    async def delete(request: Request, name: str) -> Any:
        await manager_of(request).delete(name)
        return {"ok": True}

    @app.patch("/api/sessions/{name}")
    async def change_settings(request: Request, name: str) -> Any:
        settings = await _read(request, SettingsCommand)
        return await _perform(request, name, settings)

    @app.put("/api/sessions/{name}/masks")
    async def masks(request: Request, name: str) -> Any:
        folder = manager_of(request).store.get(name)
        with tempfile.TemporaryDirectory(dir=folder.path, prefix=".masks-") as temporary:
            file = Path(temporary) / "received"
            await receive_upload(request.stream(), None, file, limits)
            return await _perform(request, name, ImportOrder(file))

    @app.websocket("/api/sessions/{name}/live")
    async def live(socket: WebSocket, name: str) -> None:
        await serve_websocket(socket, name, socket.app.state.manager)


def _add_exports(app: FastAPI) -> None:
    @app.post("/api/sessions/{name}/export")
    async def export(request: Request, name: str) -> Any:
        order = await _read(request, ExportCommand)
        return await _perform(request, name, order)

    @app.get("/api/sessions/{name}/export/{kind}")
    async def exported(request: Request, name: str, kind: str) -> Response:
        manager = manager_of(request)
        folder = manager.store.get(name)
        file, media = KINDS.get(kind, ("", ""))
        if not file or not folder.export(file).is_file():
            raise RefusalError(404, "this was not exported yet: press Export first")
        session = manager.get_open(name)
        title = session.snapshot["name"] if session else (await asyncio.to_thread(SessionState.load, folder)).name
        filename = f"{Path(title).stem or 'session'}-{Path(file).stem}{Path(file).suffix}"
        return FileResponse(folder.export(file), media_type=media, filename=filename)


def _uploads(request: Request) -> Uploads:
    return request.app.state.uploads


async def _perform(request: Request, name: str, command: Order) -> Any:
    """Open a session, wait until it has performed a command, and return its response."""
    session = await manager_of(request).open(name)
    reply = await asyncio.wrap_future(session.request(command))
    if "error" in reply:
        raise RefusalError(409, reply["error"])
    return reply


async def _read(request: Request, kind: type[T]) -> T:
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > _MAX_BODY:
            raise RefusalError(413, "this request is too long: reload the page")
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(map(str, first["loc"])) or "request"
        raise RefusalError(422, f"{location}: {first['msg']}: reload the page") from error


def _summaries(manager: SessionManager) -> list[dict[str, Any]]:
    """Return the summaries of all sessions; damaged ones are logged and omitted."""
    summaries = []
    for folder in manager.store.list_folders():
        try:
            summary = read_summary(folder)
        except AuralError as error:
            _log.warning("%s", error)
            continue
        summaries.append(summary | {"open": manager.get_open(folder.id) is not None})
    return summaries
