"""What the Studio is told when it starts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

MOST_TICKS = 600
"""Frames of a session: what a page can hold, and a person look through."""
MIN_FPS = 0.001
"""Lowest rate of processed frames a second."""
DEFAULT_FPS = 5.0
"""Frames a second, where the video has as many and is short enough."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on what the Studio takes and holds.

    Attributes:
        upload: bytes of an uploaded file.
        minutes: length of a video.
        sessions: open at the same time.
        idle: seconds after which an unused session is closed.
        grace: seconds after which a session without a page is closed.
        memory: bytes of encoded frames that all open sessions keep in memory together.
        disk: bytes of encoded frames that they keep in temporary files.
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
    """How the Studio is reached, and where it keeps its sessions.

    Attributes:
        token: whoever has it may do everything.
        home: folder of the sessions.
        host: address that is listened on.
        web: folder of the page.
        limits: bounds.
    """

    token: str
    home: Path
    host: str = "127.0.0.1"
    web: Path = Path(__file__).parent / "web"
    limits: Limits = field(default_factory=Limits)


def default_home() -> Path:
    """`auralsam2/studio` in the user's folder for data: `$XDG_DATA_HOME`, else `~/.local/share`."""
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "auralsam2" / "studio"
