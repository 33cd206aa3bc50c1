"""State of a session: log, stored masks, styles and sliders; saved after every change."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from auralsam2.errors import InputError, UsageError
from auralsam2.inference.object_history import DEPTH
from auralsam2.outputs.overlay import OBJECT_COLOURS
from auralsam2.outputs.result_json import intervals
from auralsam2.studio.commands import (
    MAX_OBJECTS,
    LoggedCommand,
    SettingsCommand,
    StyleCommand,
    read_logged,
)
from auralsam2.studio.prompt_summary import ObjectPrompts, as_json, summarise_prompts
from auralsam2.studio.storage import SessionFolder, StoredClip, write_atomically
from auralsam2.utils import strict_json
from auralsam2.version import __version__


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectStyle:
    """Style of an object.

    Attributes:
        name: name for the user.
        colour: `#rrggbb`.
        hidden: neither shown nor exported.
    """

    name: str
    colour: str
    hidden: bool = False

    @classmethod
    def default(cls, number: int) -> ObjectStyle:
        """Return the default style of an object."""
        name = "What sounds" if number == 0 else f"Object {number}"
        return cls(name=name, colour=OBJECT_COLOURS[number % len(OBJECT_COLOURS)])

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Colour, 8 bits per channel."""
        red, green, blue = bytes.fromhex(self.colour[1:])
        return red, green, blue


SCHEMA = 1
MAX_ENTRIES = 5000
"""Maximum number of log entries."""
MAX_BYTES = strict_json.MOST_BYTES - (10 << 20)
"""Size of the document above which no prompts are added; one entry, with a mask and an image, has at most 8 MB."""
_MAX_TEXT = 1000
SCORE_OFF = -20.0
"""Object score that hides no mask."""


class SessionState:
    """State of a session without the model. Not thread-safe.

    Args:
        folder: folder of the session.
        clip: properties of its video.
        document: content of `session.json`.

    Attributes:
        log: commands that define the prompts.
        marks: for each object and frame with a mask, whether the object sounds.
        stale: objects with masks older than their prompts.
        styles: styles that the user has changed.

    Raises:
        InputError: the document is damaged, or of another version.
    """

    def __init__(self, folder: SessionFolder, clip: StoredClip, document: dict[str, Any]) -> None:
        self.folder, self.clip = folder, clip
        if document.get("schema") != SCHEMA:
            raise InputError(
                f"the session has schema {document.get('schema')!r}, this version reads {SCHEMA}: update auralsam2"
            )
        self.marks: dict[int, dict[int, bool]] = defaultdict(dict)
        self.styles: dict[int, ObjectStyle] = {}
        self.stale: set[int] = set()
        try:
            settings = SettingsCommand(**{key: document[key] for key in ("name", "threshold", "score")})
            self.model, self.created, self.saved = (_text(document[key]) for key in ("model", "created", "saved"))
            self.log: list[LoggedCommand] = [self._entry(entry) for entry in _list(document["log"])[:MAX_ENTRIES]]
            for entry in _list(document["objects"]):
                style = StyleCommand(
                    do="style", object=entry["number"], **{k: entry[k] for k in ("name", "colour", "hidden")}
                )
                self.change_style(style)
                if entry["stale"]:
                    self.stale.add(style.object)
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise InputError("session.json is damaged: restore the session from an export, or delete it") from error
        self.name = settings.name or clip.video
        self.threshold, self.score = settings.threshold or 0.0, SCORE_OFF if settings.score is None else settings.score
        self.undone: list[LoggedCommand] = []
        self._bytes = 0
        self._undo_steps = min(len(self.log), DEPTH)
        self._objects = summarise_prompts(self.log)
        for header in folder.masks():
            if header.object_id < MAX_OBJECTS and header.tick < len(clip.times):
                self.marks[header.object_id][header.tick] = header.sounding

    @classmethod
    def new(cls, folder: SessionFolder, clip: StoredClip, name: str, model: str) -> Self:
        """Create and save a session without prompts."""
        now = _now()
        document = {"schema": SCHEMA, "name": name, "threshold": 0.0, "score": SCORE_OFF, "model": model}
        state = cls(folder, clip, document | {"created": now, "saved": now, "log": [], "objects": []})
        state.save()
        return state

    @classmethod
    def load(cls, folder: SessionFolder) -> Self:
        """Load a saved session.

        Raises:
            InputError: it is damaged.
        """
        return cls(folder, folder.clip(), folder.read_document())

    @property
    def objects(self) -> dict[int, ObjectPrompts]:
        """Prompts of the objects by number."""
        return self._objects

    @property
    def can_undo(self) -> bool:
        """Whether a step can be undone."""
        return self._undo_steps > 0

    def style(self, number: int) -> ObjectStyle:
        """Return the style of an object."""
        return self.styles.get(number) or ObjectStyle.default(number)

    def change_style(self, command: StyleCommand) -> None:
        """Change the style of an object."""
        changes = command.model_dump(include={"name", "colour", "hidden"}, exclude_none=True)
        self.styles[command.object] = dataclasses.replace(self.style(command.object), **changes)

    def apply_settings(self, command: SettingsCommand) -> None:
        """Change name or sliders."""
        for key, value in command.model_dump(exclude={"do"}, exclude_none=True).items():
            setattr(self, key, value)

    def check_capacity(self) -> None:
        """Check that the log may grow.

        Raises:
            UsageError: it is full.
        """
        if len(self.log) >= MAX_ENTRIES:
            raise UsageError(f"this session has {MAX_ENTRIES} steps: open the video in a new one")
        if self._bytes > MAX_BYTES:
            raise UsageError(f"this session has prompts of {MAX_BYTES >> 20} MB: open the video in a new one")

    def add(self, entry: LoggedCommand) -> set[int]:
        """Append a command to the log.

        Returns:
            numbers of new objects; masks and styles of earlier objects with these numbers are deleted.
        """
        before = self._objects
        self.log.append(entry)
        self.undone.clear()
        self._undo_steps = min(self._undo_steps + 1, DEPTH)
        self._replay()
        new = self._objects.keys() - before.keys()
        for number in new:
            self.marks.pop(number, None)
            self.styles.pop(number, None)
            self.stale.discard(number)
            self.folder.delete_masks(number)
        return new

    def undo(self) -> LoggedCommand:
        """Remove the last entry of the log and return it."""
        entry = self.log.pop()
        self.undone.append(entry)
        self._undo_steps -= 1
        self._replay()
        return entry

    def redo(self) -> LoggedCommand:
        """Restore the last undone entry and return it."""
        entry = self.undone.pop()
        self.log.append(entry)
        self._undo_steps = min(self._undo_steps + 1, DEPTH)
        self._replay()
        return entry

    def mark_stale(self, numbers: set[int]) -> None:
        """Mark objects with changed prompts as stale, if they have masks on frames without prompts."""
        for number in numbers & self._objects.keys():
            if self.marks[number].keys() - self._objects[number].prompts.keys():
                self.stale.add(number)

    def store_mask(self, number: int, tick: int, data: bytes, *, sounding: bool) -> None:
        """Store the mask of an object on a frame."""
        self.folder.write_mask(number, tick, data)
        self.marks[number][tick] = sounding

    def delete_mask(self, number: int, tick: int) -> None:
        """Delete the mask of an object on a frame, if there is one."""
        self.folder.mask(number, tick).unlink(missing_ok=True)
        self.marks[number].pop(tick, None)

    def save(self) -> None:
        """Write `session.json`, whole or not at all."""
        self.saved = _now()
        document = {
            "schema": SCHEMA,
            "auralsam2": __version__,
            "model": self.model,
            "name": self.name,
            "video": self.clip.video,
            "fps": self.clip.fps,
            "created": self.created,
            "saved": self.saved,
            "objects": [
                {"number": number, **dataclasses.asdict(self.style(number)), "stale": number in self.stale}
                for number in sorted(self._objects.keys() | self.styles.keys())
            ],
            "log": [entry.model_dump(mode="json", exclude_none=False) for entry in self.log],
            "threshold": self.threshold,
            "score": self.score,
        }
        data = json.dumps(document).encode()
        self._bytes = len(data)
        write_atomically(self.folder.document, data)

    def summary(self) -> dict[str, Any]:
        """Return the entry of the session list."""
        clip = self.clip
        return {
            "id": self.folder.id,
            "name": self.name,
            "duration": clip.duration,
            "width": clip.width,
            "height": clip.height,
            "fps": clip.fps,
            "ticks": len(clip.times),
            "saved": self.saved,
            "audio": clip.audio,
        } | {"objects": len(self._objects)}

    def live_state(self) -> dict[str, Any]:
        """Return the parts of the state that can change."""
        return self.summary() | {
            "objects": [self._object_state(number) for number in self._objects],
            "prompts": as_json(self._objects),
            "undo": self.can_undo,
            "redo": bool(self.undone),
            "threshold": self.threshold,
            "score": self.score,
        }

    def full_state(self) -> dict[str, Any]:
        """Return the whole state."""
        return self.live_state() | {"times": self.clip.times, "sound": {"peaks": self.clip.peaks}}

    def _object_state(self, number: int) -> dict[str, Any]:
        prompts, marks = self._objects[number], self.marks[number]
        visible = (self.clip.slot(tick) for tick in range(len(self.clip.times)) if marks.get(tick, False))
        return {
            "number": number,
            **dataclasses.asdict(self.style(number)),
            "hears": prompts.use_audio,
            "text": prompts.text,
            "intervals": list(intervals(visible)),
            "done": len(marks),
            "masks": _runs(sorted(marks)),
            "stale": number in self.stale,
        }

    def _entry(self, values: object) -> LoggedCommand:
        entry = read_logged(values)
        if getattr(entry, "tick", 0) >= len(self.clip.times):
            raise UsageError(f"the clip has no frame {getattr(entry, 'tick', 0)}")
        return entry

    def _replay(self) -> None:
        self._objects = summarise_prompts(self.log)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise TypeError("not a short text")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _runs(ticks: list[int]) -> list[tuple[int, int]]:
    """Return the first and last frame of each run of consecutive frames."""
    edges = [index for index in range(1, len(ticks)) if ticks[index] != ticks[index - 1] + 1]
    return [(ticks[first], ticks[end - 1]) for first, end in itertools.pairwise([0, *edges, len(ticks)]) if first < end]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
