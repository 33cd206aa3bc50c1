"""Storage of sessions: one folder each in `HOME/sessions`, with an unguessable name."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from auralsam2.errors import AuralError, InputError, OutputError, UsageError
from auralsam2.media.frame_reader import slot_at
from auralsam2.studio import mask_codec
from auralsam2.studio.settings import MAX_TICKS, MIN_FPS
from auralsam2.utils import strict_json
from auralsam2.utils.atomic_io import writing


class RefusalError(AuralError):
    """Rejected request.

    Args:
        status: HTTP status.
        message: one sentence that names the remedy.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


try:
    import fcntl
except ImportError:  # Windows: no lock against a second server on the same folder
    fcntl = None

ID = re.compile(r"[A-Za-z0-9_-]{22}")
_NEW, _DELETED = ".new-", ".gone-"
_MASK = re.compile(r"[0-9]{6}\.bin")
_MAX_FRAMES = 2 * MAX_TICKS + 1
Side = Annotated[int, Field(ge=1, le=65_536)]
Second = Annotated[FiniteFloat, Field(ge=0, le=1e9)]
Sample = Annotated[FiniteFloat, Field(ge=-1e3, le=1e3)]


@dataclass(frozen=True, kw_only=True)
class StoredClip:
    """Properties of the video of a session.

    Attributes:
        video: name of its file in the session's folder.
        media: its content type.
        duration: in seconds.
        width, height: of a displayed frame, in pixels.
        fps: processed frames per second; the average rate if every frame is processed.
        every: whether every frame of the video is processed.
        source_fps: frames per second of the video; 0 if unknown.
        times: presentation time of each processed frame, in seconds.
        audio: whether it has audio.
        peaks: minimum and maximum of equal sections of the audio, in [-1, 1].
        sound: name of a copy of the audio for browsers that cannot play the video; empty if they can.
    """

    video: Annotated[str, Field(pattern=r"^video\.[a-z0-9]{2,4}$")]
    media: Annotated[str, Field(pattern=r"^[a-z]{1,20}/[a-z0-9.+-]{1,40}$")]
    duration: Second
    width: Side
    height: Side
    fps: Annotated[FiniteFloat, Field(ge=MIN_FPS, le=1e6)]
    times: Annotated[tuple[Second, ...], Field(min_length=1, max_length=_MAX_FRAMES)]
    audio: bool
    peaks: tuple[tuple[Sample, Sample], ...]
    sound: Annotated[str, Field(pattern=r"^(sound\.m4a)?$")] = ""
    source_fps: Annotated[FiniteFloat, Field(ge=0, le=1e6)] = 0.0
    every: bool = False

    @property
    def rate(self) -> float | None:
        """Processed frames per second for `read_frames`; None if every frame is processed."""
        return None if self.every else self.fps

    def instant(self, tick: int) -> float:
        """Return the requested time of a processed frame, in seconds; see `FrameReader`."""
        if self.every:
            return self.times[tick]
        instant = (tick + 0.5) / self.fps
        return min(instant, self.duration) if self.duration else instant

    def slot(self, tick: int) -> tuple[float, float]:
        """Return begin and end, in seconds, of the part of the video that a processed frame represents."""
        if self.every:
            end = self.times[tick + 1] if tick + 1 < len(self.times) else max(self.duration, self.times[tick])
            return self.times[tick], end
        return slot_at(tick, self.fps, 0.0, self.duration or math.inf)


_CLIP: TypeAdapter[StoredClip] = TypeAdapter(StoredClip)


@dataclass(frozen=True)
class SessionFolder:
    """Folder of one session."""

    path: Path

    @property
    def id(self) -> str:
        """Id of the session."""
        return self.path.name

    @property
    def document(self) -> Path:
        """Path of the session document."""
        return self.path / "session.json"

    @property
    def log(self) -> Path:
        """Path of the log of commands."""
        return self.path / "log.jsonl"

    def frame(self, tick: int) -> Path:
        """Return the path of a processed frame, a JPEG."""
        return self.path / "frames" / f"{tick:06d}.jpg"

    def mask(self, number: int, tick: int) -> Path:
        """Return the path of the latest mask of an object on a frame."""
        return self.path / "masks" / str(number) / f"{tick:06d}.bin"

    def export(self, name: str) -> Path:
        """Return the path of an export by its file name."""
        return self.path / "exports" / name

    def clip(self) -> StoredClip:
        """Read the properties of the video from `clip.json`.

        Raises:
            InputError: the file is missing or damaged.
        """
        try:
            return _CLIP.validate_python(self._read(self.path / "clip.json"))
        except ValidationError as error:
            raise InputError(f"session {self.id}: clip.json is damaged: delete the session") from error

    def write_clip(self, clip: StoredClip) -> None:
        """Write the properties of the video."""
        write_atomically(self.path / "clip.json", json.dumps(asdict(clip)).encode())

    def read_document(self) -> dict[str, Any]:
        """Read the session document without validation.

        Raises:
            InputError: the session is damaged.
        """
        return self._read(self.document)

    def write_mask(self, number: int, tick: int, data: bytes) -> None:
        """Write the mask of an object on a frame."""
        path = self.mask(number, tick)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)

    def delete_masks(self, number: int) -> None:
        """Delete all masks of an object."""
        shutil.rmtree(self.path / "masks" / str(number), ignore_errors=True)

    def mask_ticks(self, number: int) -> list[int]:
        """Return the frames with a mask of an object, ascending."""
        files = (self.path / "masks" / str(number)).glob("*.bin")
        return sorted(int(path.stem) for path in files if _MASK.fullmatch(path.name))

    def masks(self) -> Iterator[mask_codec.MaskHeader]:
        """Yield the headers of all masks; other files and unreadable masks are skipped."""
        for path in sorted((self.path / "masks").glob("*/*.bin")):
            if not (path.parent.name.isdecimal() and _MASK.fullmatch(path.name)):
                continue
            try:
                with path.open("rb") as file:
                    header = mask_codec.read_mask_header(file.read(mask_codec.HEADER_BYTES))
            except (InputError, OSError):
                continue
            if (header.object_id, header.tick) == (int(path.parent.name), int(path.stem)):
                yield header

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            document = strict_json.read_json(path)
        except (OSError, ValueError) as error:
            raise InputError(f"session {self.id}: {path.name} cannot be read: delete the session") from error
        if not isinstance(document, dict):
            raise InputError(f"session {self.id}: {path.name} is damaged: delete the session")
        return document


class SessionStore:
    """All sessions of a folder; a context manager that locks it against other servers.

    Args:
        home: the folder, created if missing.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._sessions = home / "sessions"
        self._lock: int | None = None

    def __enter__(self) -> SessionStore:
        """Lock the folder and remove the unfinished sessions of a killed server.

        Raises:
            UsageError: another server has locked it.
            OutputError: it cannot be written.
        """
        with writing(self.home):
            self._sessions.mkdir(parents=True, exist_ok=True)
            # Uploads are private.
            self._sessions.chmod(0o700)
            if fcntl is not None:
                self._lock = os.open(self.home, os.O_RDONLY)
                try:
                    fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    os.close(self._lock)
                    raise UsageError(
                        f"{self.home}: another studio keeps its sessions here: use that one, or give another --home"
                    ) from error
            for entry in self._sessions.iterdir():
                if entry.name.startswith((_NEW, _DELETED)):
                    shutil.rmtree(entry, ignore_errors=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Unlock the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def list_folders(self) -> list[SessionFolder]:
        """Return all sessions, the last saved first."""
        folders = [SessionFolder(entry) for entry in self._sessions.iterdir() if ID.fullmatch(entry.name)]
        return sorted((f for f in folders if f.document.exists()), key=lambda f: -f.document.stat().st_mtime)

    def get(self, name: str) -> SessionFolder:
        """Return a session.

        Raises:
            RefusalError: there is no session of this name.
        """
        folder = SessionFolder(self._sessions / name) if ID.fullmatch(name) else None
        if folder is None or not folder.document.is_file():
            raise RefusalError(404, "no such session: it was deleted, or the address is wrong; go back to the list")
        return folder

    @contextmanager
    def new_folder(self) -> Iterator[SessionFolder]:
        """Create a hidden folder for a new session; it is removed on exit unless it was passed to `finish`."""
        path = self._sessions / f"{_NEW}{secrets.token_urlsafe(16)}"
        try:
            with _disk_full_errors():
                path.mkdir()
                yield SessionFolder(path)
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def finish(self, folder: SessionFolder) -> SessionFolder:
        """Rename the hidden folder of a complete session."""
        path = self._sessions / folder.id.removeprefix(_NEW)
        folder.path.rename(path)
        return SessionFolder(path)

    def delete(self, folder: SessionFolder) -> None:
        """Delete a session."""
        path = self._sessions / f"{_DELETED}{folder.id}"
        folder.path.rename(path)
        shutil.rmtree(path, ignore_errors=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    with write_errors(path.name):
        part.write_bytes(data)
        part.replace(path)


@contextmanager
def write_errors(name: str) -> Iterator[None]:
    """Convert write errors to errors for the user, without server paths.

    Raises:
        OutputError: for any OSError inside.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{name} cannot be written on the server ({reason}): free some space there") from error


def public_message(error: AuralError, folder: SessionFolder, name: str) -> str:
    """Return an error's message with the video's name instead of its path on the server."""
    return re.sub(rf"{re.escape(str(folder.path))}(/[\w.]+)?", lambda _: name, str(error))


@contextmanager
def _disk_full_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RefusalError(507, "the disk of the server is full: delete sessions, or free some space") from error
        raise
