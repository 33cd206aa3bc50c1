"""Append-only log of the commands that define the objects of a session.

`log.jsonl` has one JSON object a line: a command, {"do": "undo"}, which moves the last command of the log to the undone
ones, or {"do": "redo"}, which moves it back. The end of the file after its last line break was not written completely,
and is ignored.
"""

from __future__ import annotations

import json
from pathlib import Path

from auralsam2.errors import InputError, UsageError
from auralsam2.studio.commands import LoggedCommand, read_logged
from auralsam2.studio.storage import write_errors
from auralsam2.utils import strict_json

MAX_ENTRIES = 5000
"""Maximum number of commands."""
MAX_BYTES = 256 << 20
"""Size of the file above which no commands are added."""
NAME = "log.jsonl"
_UNDO, _REDO = "undo", "redo"


class CommandLog:
    """Log of a session; not thread-safe.

    Args:
        path: the file; a missing one is an empty log.
        ticks: number of frames of the clip.

    Attributes:
        entries: commands in force, the oldest first.
        undone: commands that can be restored, the last undone one at the end.

    Raises:
        InputError: the file is damaged.
    """

    def __init__(self, path: Path, ticks: int) -> None:
        self._path, self._ticks = path, ticks
        self.entries: list[LoggedCommand] = []
        self.undone: list[LoggedCommand] = []
        self._bytes = 0
        try:
            self._load()
        except (OSError, ValueError, IndexError, UsageError) as error:
            raise InputError(f"{NAME} is damaged: restore the session from an export, or delete it") from error

    def check_capacity(self) -> None:
        """Check that the log may grow.

        Raises:
            UsageError: it is full.
        """
        if len(self.entries) >= MAX_ENTRIES:
            raise UsageError(f"this session has {MAX_ENTRIES} steps: open the video in a new one")
        if self._bytes > MAX_BYTES:
            raise UsageError(f"this session has prompts of {MAX_BYTES >> 20} MB: open the video in a new one")

    def add(self, entry: LoggedCommand) -> None:
        """Append a command and forget the undone ones.

        Raises:
            OutputError: the file cannot be written.
        """
        self._append(entry.model_dump(mode="json"))
        self.entries.append(entry)
        self.undone.clear()

    def undo(self) -> LoggedCommand:
        """Move the last command to the undone ones and return it.

        Raises:
            OutputError: the file cannot be written.
        """
        self._append({"do": _UNDO})
        self.undone.append(self.entries.pop())
        return self.undone[-1]

    def redo(self) -> LoggedCommand:
        """Move the last undone command back to the log and return it.

        Raises:
            OutputError: the file cannot be written.
        """
        self._append({"do": _REDO})
        self.entries.append(self.undone.pop())
        return self.entries[-1]

    def check(self, values: object) -> LoggedCommand:
        """Validate a command of a file.

        Raises:
            UsageError: it is invalid, or names a frame that the clip does not have.
        """
        entry = read_logged(values)
        tick = max(getattr(entry, "tick", 0), getattr(entry, "last", 0), *getattr(entry, "ticks", ()), 0)
        if tick >= self._ticks:
            raise UsageError(f"the clip has no frame {tick}")
        return entry

    def _append(self, values: dict[str, object]) -> None:
        line = json.dumps(values).encode() + b"\n"
        with write_errors(NAME), self._path.open("ab") as file:
            if file.tell() != self._bytes:
                file.truncate(self._bytes)
            file.write(line)
        self._bytes += len(line)

    def _load(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            while line := file.readline(strict_json.MAX_BYTES + 1):
                if not line.endswith(b"\n"):
                    if len(line) > strict_json.MAX_BYTES:
                        raise ValueError("a line is too long")
                    return
                self._bytes += len(line)
                self._take(strict_json.parse_json(line))
                if len(self.entries) > MAX_ENTRIES or self._bytes > 2 * MAX_BYTES:
                    raise ValueError("too many commands")

    def _take(self, values: object) -> None:
        match values:
            case {"do": "undo"}:
                self.undone.append(self.entries.pop())
            case {"do": "redo"}:
                self.entries.append(self.undone.pop())
            case _:
                self.entries.append(self.check(values))
                self.undone.clear()
