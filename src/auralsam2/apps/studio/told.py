"""What was told of the objects: the prompts that are left when a log has been gone through."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from auralsam2.apps.studio.commands import Box, Brush, Clear, Hear, Logged, Points, Remove, Say, Split


@dataclass(slots=True)
class Prompt:
    """What was pointed at on one frame of an object.

    Attributes:
        kind: of the first thing said there.
        points: (x, y, label) in source pixels.
        box: (x0, y0, x1, y1), or None.
    """

    kind: Literal["points", "box", "mask"]
    points: list[tuple[float, float, int]] = field(default_factory=list)
    box: tuple[float, float, float, float] | None = None


@dataclass(slots=True)
class Told:
    """What was told of one object."""

    hears: bool = False
    text: str | None = None
    prompts: dict[int, Prompt] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing is asked of it."""
        return not (self.hears or self.text is not None or self.prompts)


def told(log: Iterable[Logged]) -> dict[int, Told]:
    """The objects that there are after a log, by number."""
    objects: dict[int, Told] = {}
    for entry in log:
        _tell(objects, entry)
        objects = {number: objects[number] for number in sorted(objects) if not objects[number].empty}
    return objects


def _tell(objects: dict[int, Told], entry: Logged) -> None:
    if isinstance(entry, Split):
        for number in entry.made:
            objects[number] = Told(prompts={entry.tick: Prompt("mask")})
        return
    if isinstance(entry, Remove):
        objects.pop(entry.object, None)
        return
    known = objects.setdefault(entry.object, Told())
    match entry:
        case Points():
            prompt = known.prompts.setdefault(entry.tick, Prompt("points"))
            prompt.points.extend(entry.points)
        case Box():
            known.prompts[entry.tick] = Prompt("box", box=entry.box)
        case Brush():
            known.prompts[entry.tick] = Prompt("mask")
        case Hear():
            known.hears = entry.on
        case Say():
            known.text = entry.text
        case Clear():
            known.prompts.pop(entry.tick, None)


def as_json(objects: dict[int, Told]) -> list[dict[str, Any]]:
    """All prompts as the page gets them."""
    return [
        {"object": number, "tick": tick, "kind": prompt.kind, "points": prompt.points}
        | ({} if prompt.box is None else {"box": prompt.box})
        for number, known in objects.items()
        for tick, prompt in sorted(known.prompts.items())
    ]
