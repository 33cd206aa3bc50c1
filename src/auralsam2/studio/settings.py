"""Settings of the Studio's server."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

MAX_TICKS = 3000
"""Maximum number of processed frames of a session."""
DEFAULT_TICKS = 600
"""Maximum number of processed frames at the default rate."""
MIN_FPS = 0.001
"""Minimum rate of processed frames per second."""
DEFAULT_FPS = 5.0
"""Default rate of processed frames per second, limited by the video's own rate and length."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of the server.

    Attributes:
        upload: maximum size of an uploaded file in bytes.
        minutes: maximum length of a video.
        sessions: maximum number of open sessions.
        idle: seconds after which an unused session is closed.
        grace: seconds after which a session without a page is closed.
        memory: bytes of encoded frames in memory, for all open sessions together.
        disk: bytes of encoded frames in temporary files, for all open sessions together.
    """

    upload: int = 2 << 30
    minutes: float = 20.0
    sessions: int = 4
    idle: float = 30 * 60.0
    grace: float = 20.0
    memory: int = 2 << 30
    disk: int = 16 << 30


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Address, folders and limits of the server.

    Attributes:
        token: secret that grants full access.
        home: folder of the sessions.
        host: address to listen on.
        web: folder of the page.
        limits: limits of the server.
    """

    token: str
    home: Path
    host: str = "127.0.0.1"
    web: Path = Path(__file__).parent / "web"
    limits: Limits = field(default_factory=Limits)


def default_home() -> Path:
    """Return `auralsam2/studio` in the user's data folder: `$XDG_DATA_HOME`, else `~/.local/share`."""
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "auralsam2" / "studio"
