"""Summary of the prompts and the style of each object, replayed from the log of a session."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from auralsam2.studio.commands import (
    AbsentCommand,
    AddedObjects,
    AudioCommand,
    BoxCommand,
    BrushCommand,
    ChangeCommand,
    ClearCommand,
    LoggedCommand,
    PointsCommand,
    RemoveCommand,
    SeparateCommand,
    SplitCommand,
    StyleCommand,
    TextCommand,
    VisualCommand,
)
from auralsam2.studio.object_style import ObjectStyle


@dataclass(slots=True)
class PromptSummary:
    """Visual prompts of an object on one frame.

    Attributes:
        kind: kind of the first prompt.
        points: (x, y, label) in source pixels.
        box: (x0, y0, x1, y1), or None.
    """

    kind: Literal["points", "box", "mask"]
    points: list[tuple[float, float, int]] = field(default_factory=list)
    box: tuple[float, float, float, float] | None = None


@dataclass(slots=True)
class ObjectPrompts:
    """Style and prompts of one object, visual ones by frame, and the frames from which it is absent."""

    style: ObjectStyle
    use_audio: bool = False
    text: str | None = None
    prompts: dict[int, PromptSummary] = field(default_factory=dict)
    absent: set[int] = field(default_factory=set)

    @property
    def empty(self) -> bool:
        """True without any prompt."""
        return not (self.use_audio or self.text is not None or self.prompts)


def summarise_prompts(log: Iterable[LoggedCommand]) -> dict[int, ObjectPrompts]:
    """Replay a log and return the remaining objects by number, ascending."""
    objects: dict[int, ObjectPrompts] = {}
    for entry in log:
        objects = apply_entry(objects, entry)
    return objects


def apply_entry(objects: dict[int, ObjectPrompts], entry: LoggedCommand) -> dict[int, ObjectPrompts]:
    """Return the objects after one more command; the given ones must not be used further."""
    if isinstance(entry, SplitCommand):
        for number in entry.made:
            objects[number] = ObjectPrompts(ObjectStyle.default(number), prompts={entry.tick: PromptSummary("mask")})
    elif isinstance(entry, AddedObjects):
        for number, tick, name in zip(entry.made, entry.ticks, entry.names, strict=True):
            style = ObjectStyle.default(number)
            style = dataclasses.replace(style, name=name or style.name)
            objects[number] = ObjectPrompts(style, prompts={tick: PromptSummary("mask")})
        whole = objects.get(entry.object) if isinstance(entry, SeparateCommand) else None
        if whole is not None:
            whole.style = dataclasses.replace(whole.style, hidden=True)
    elif isinstance(entry, RemoveCommand):
        objects.pop(entry.object, None)
    elif isinstance(entry, StyleCommand):
        if (styled := objects.get(entry.object)) is not None:
            changes = entry.model_dump(include={"name", "colour", "hidden"}, exclude_none=True)
            styled.style = dataclasses.replace(styled.style, **changes)
        return objects
    else:
        target = objects.setdefault(entry.object, ObjectPrompts(ObjectStyle.default(entry.object)))
        _prompt(target, entry)
        if target.empty:
            del objects[entry.object]
    return dict(sorted(objects.items()))


def is_unchanged(objects: Mapping[int, ObjectPrompts], entry: ChangeCommand) -> bool:
    """Return whether a command sets the audio or the text of an object to the value that it has."""
    prompts = objects.get(entry.object)
    if isinstance(entry, AudioCommand):
        return entry.on == (prompts is not None and prompts.use_audio)
    return isinstance(entry, TextCommand) and entry.text == (prompts.text if prompts is not None else None)


def _prompt(target: ObjectPrompts, entry: LoggedCommand) -> None:
    if isinstance(entry, VisualCommand):
        target.absent.discard(entry.tick)
    match entry:
        case PointsCommand():
            prompt = target.prompts.setdefault(entry.tick, PromptSummary("points"))
            prompt.points.extend(entry.points)
        case BoxCommand():
            target.prompts[entry.tick] = PromptSummary("box", box=entry.box)
        case BrushCommand():
            target.prompts[entry.tick] = PromptSummary("mask")
        case AudioCommand():
            target.use_audio = entry.on
        case TextCommand():
            target.text = entry.text
        case ClearCommand():
            target.prompts.pop(entry.tick, None)
        case AbsentCommand():
            for tick in range(entry.tick, entry.last + 1):
                target.prompts.pop(tick, None)
                target.absent.add(tick)


def as_json(objects: dict[int, ObjectPrompts]) -> list[dict[str, Any]]:
    """Return all visual prompts in the format of the page."""
    return [
        {"object": number, "tick": tick, "kind": prompt.kind, "points": prompt.points}
        | ({} if prompt.box is None else {"box": prompt.box})
        for number, target in objects.items()
        for tick, prompt in sorted(target.prompts.items())
    ]
