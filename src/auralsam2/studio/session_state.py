"""State of a session: log, stored masks, styles and sliders; saved after every change."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from auralsam2.errors import InputError, UsageError
from auralsam2.outputs.postprocessing import PostProcessing
from auralsam2.outputs.result_json import intervals
from auralsam2.studio import mask_codec
from auralsam2.studio.command_log import MAX_ENTRIES, CommandLog
from auralsam2.studio.commands import (
    MAX_OBJECTS,
    AddedObjects,
    AudioCommand,
    LoggedCommand,
    SettingsCommand,
    SplitCommand,
    StyleCommand,
    TextCommand,
)
from auralsam2.studio.prompt_summary import ObjectPrompts, apply_entry, as_json, summarise_prompts
from auralsam2.studio.storage import SessionFolder, StoredClip, write_atomically
from auralsam2.version import __version__

SCHEMA = 2
_LOG_INSIDE = 1
"""Schema whose document contains the log and the styles."""
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
        log: commands that define the objects.
        marks: for each object and frame with a mask, whether the object sounds.
        done: whether the user has marked the session as finished.
        postprocessing: steps that previews and exports apply.
        stale: objects with masks older than their prompts.

    Raises:
        InputError: the document or the log is damaged, or of another version.
    """

    def __init__(self, folder: SessionFolder, clip: StoredClip, document: dict[str, Any]) -> None:
        self.folder, self.clip = folder, clip
        if document.get("schema") not in (_LOG_INSIDE, SCHEMA):
            raise InputError(
                f"the session has schema {document.get('schema')!r}, this version reads {SCHEMA}: update auralsam2"
            )
        self.marks: dict[int, dict[int, bool]] = defaultdict(dict)
        self.log = CommandLog(folder.log, len(clip.times))
        try:
            settings = SettingsCommand(**{key: document[key] for key in ("name", "threshold", "score")})
            marks = SettingsCommand(done=document.get("done", False), **document.get("edges", {}))
            self.done, self.postprocessing = bool(marks.done), marks.postprocessing(PostProcessing())
            self.model, self.created, self.saved = (_text(document[key]) for key in ("model", "created", "saved"))
            if document["schema"] == _LOG_INSIDE:
                self.stale = self._convert(document)
            else:
                self.stale = {_number(number) for number in _list(document["stale"])}
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise InputError("session.json is damaged: restore the session from an export, or delete it") from error
        self.name = settings.name or clip.video
        self.threshold, self.score = settings.threshold or 0.0, SCORE_OFF if settings.score is None else settings.score
        self._objects = summarise_prompts(self.log.entries)
        for header in folder.masks():
            if header.object_id < MAX_OBJECTS and header.tick < len(clip.times):
                self.marks[header.object_id][header.tick] = header.sounding

    @classmethod
    def new(cls, folder: SessionFolder, clip: StoredClip, name: str, model: str) -> Self:
        """Create and save a session without prompts."""
        now = _now()
        document = {"schema": SCHEMA, "name": name, "threshold": 0.0, "score": SCORE_OFF, "model": model}
        state = cls(folder, clip, document | {"created": now, "saved": now, "stale": []})
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
        """Styles and prompts of the objects by number."""
        return self._objects

    def apply_settings(self, command: SettingsCommand) -> None:
        """Change name, mark, sliders or post-processing.

        Raises:
            UsageError: a step of post-processing is out of range.
        """
        self.postprocessing = command.postprocessing(self.postprocessing)
        changes = command.model_dump(include={"name", "done", "threshold", "score"}, exclude_none=True)
        for key, value in changes.items():
            setattr(self, key, value)

    def new_number(self) -> int:
        """Return the number of a new object: above all numbers that the log contains.

        Raises:
            UsageError: all numbers are in use.
        """
        used = {number for entry in self.log.entries for number in changed_objects(entry)}
        number = max(used | {0}) + 1
        if number >= MAX_OBJECTS:
            free = set(range(1, MAX_OBJECTS)) - self._objects.keys()
            if not free:
                raise UsageError(f"this session has {MAX_OBJECTS} objects: delete one first")
            number = min(free)
        return number

    def add(self, entry: LoggedCommand) -> set[int]:
        """Append a command to the log.

        Returns:
            numbers of new objects; masks of earlier objects with these numbers are deleted.

        Raises:
            OutputError: the log cannot be written.
        """
        before = self._objects.keys()
        self.log.add(entry)
        self._objects = apply_entry(dict(self._objects), entry)
        new = self._objects.keys() - before
        for number in new:
            self.marks.pop(number, None)
            self.stale.discard(number)
            self.folder.delete_masks(number)
        return new

    def undo(self) -> LoggedCommand:
        """Remove the last entry of the log and return it."""
        entry = self.log.undo()
        self._objects = summarise_prompts(self.log.entries)
        return entry

    def redo(self) -> LoggedCommand:
        """Restore the last undone entry and return it."""
        entry = self.log.redo()
        self._objects = apply_entry(self._objects, entry)
        return entry

    def mark_stale(self, entry: LoggedCommand) -> None:
        """Mark the objects of a command as stale if their masks no longer follow from their prompts."""
        if isinstance(entry, AddedObjects):  # whose masks on all frames belong to it
            return
        for number in changed_objects(entry) & self._objects.keys():
            current = () if isinstance(entry, AudioCommand | TextCommand) else self._objects[number].prompts.keys()
            if self.marks[number].keys() - current:
                self.stale.add(number)

    def read_mask(self, number: int, tick: int) -> tuple[mask_codec.MaskHeader, np.ndarray] | None:
        """Read the mask of an object on a frame, None without one.

        Raises:
            InputError: it is damaged.
        """
        if tick not in self.marks[number]:
            return None
        try:
            return mask_codec.unpack_mask(self.folder.mask(number, tick).read_bytes())
        except OSError:
            return None

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
            "video": self.clip.video,
            "threshold": self.threshold,
            "score": self.score,
            "every": self.clip.every,
            "edges": dataclasses.asdict(self.postprocessing),
            "stale": sorted(self.stale & self._objects.keys()),
        }
        write_atomically(self.folder.document, json.dumps(document | self.summary()).encode())

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
            "created": self.created,
            "saved": self.saved,
            "audio": clip.audio,
            "done": self.done,
        } | {"objects": len(self._objects)}

    def live_state(self) -> dict[str, Any]:
        """Return the parts of the state that can change."""
        return self.summary() | {
            "objects": [self._object_state(number) for number in self._objects],
            "prompts": as_json(self._objects),
            "source_fps": self.clip.source_fps,
            "undo": bool(self.log.entries),
            "redo": bool(self.log.undone),
            "threshold": self.threshold,
            "score": self.score,
            "edges": dataclasses.asdict(self.postprocessing),
        }

    def full_state(self) -> dict[str, Any]:
        """Return the whole state."""
        return self.live_state() | {"times": self.clip.times, "sound": {"peaks": self.clip.peaks}}

    def _object_state(self, number: int) -> dict[str, Any]:
        prompts, marks = self._objects[number], self.marks[number]
        visible = (self.clip.slot(tick) for tick in range(len(self.clip.times)) if marks.get(tick, False))
        return {
            "number": number,
            **dataclasses.asdict(prompts.style),
            "hears": prompts.use_audio,
            "text": prompts.text,
            "intervals": list(intervals(visible)),
            "done": len(marks),
            "masks": _runs(sorted(marks)),
            "stale": number in self.stale,
        }

    def _convert(self, document: dict[str, Any]) -> set[int]:
        """Move log and styles of an earlier schema from the document to the log; returns the stale objects."""
        styles = [
            StyleCommand(
                do="style", object=entry["number"], **{key: entry[key] for key in ("name", "colour", "hidden")}
            )
            for entry in _list(document["objects"])
        ]
        stale = {_number(entry["number"]) for entry in document["objects"] if entry["stale"]}
        entries = [self.log.check(entry) for entry in _list(document["log"])[:MAX_ENTRIES]]
        if not self.log.entries:
            for entry in (*entries, *styles):
                self.log.add(entry)
        return stale


class _Summary(BaseModel):
    id: str
    name: Annotated[str, Field(max_length=_MAX_TEXT)]
    duration: FiniteFloat
    width: int
    height: int
    fps: FiniteFloat
    ticks: int
    created: Annotated[str, Field(max_length=_MAX_TEXT)]
    saved: Annotated[str, Field(max_length=_MAX_TEXT)]
    audio: bool
    done: bool = False
    objects: int


def read_summary(folder: SessionFolder) -> dict[str, Any]:
    """Return the entry of the session list from `session.json` alone.

    Raises:
        InputError: the session is damaged, or of a later version.
    """
    document = folder.read_document()
    if document.get("schema") != SCHEMA:
        return SessionState.load(folder).summary()
    try:
        return _Summary.model_validate(document | {"id": folder.id}).model_dump()
    except ValidationError as error:
        raise InputError(f"session {folder.id}: session.json is damaged: delete the session") from error


def changed_objects(entry: LoggedCommand) -> set[int]:
    """Return the numbers of the objects that a command changes."""
    return set(entry.made) if isinstance(entry, SplitCommand | AddedObjects) else {entry.object}


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("not a number")
    return value


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
