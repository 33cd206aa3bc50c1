"""Prompts of the command line: options grouped by object, and files in JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from auralsam2.cli import options
from auralsam2.errors import AuralError, ConfigError, UsageError, quoted
from auralsam2.paths import is_file
from auralsam2.types import Box, Mask, Point, Prompts
from auralsam2.utils.configs import build_config
from auralsam2.utils.strict_json import read_json

_ORDER = "auralsam2.order"
_LISTS = ("points", "boxes", "masks")


class OrderedCommand(TyperCommand):
    """Command that records the order of its options, for `grouped_prompts`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; `ctx.meta` gets the name of each option in the order of the command line."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[_ORDER] = [parameter.name for parameter in order]
        return super().parse_args(ctx, args)


def grouped_prompts(
    meta: Mapping[str, Any],
    *,
    object_id: Sequence[int],
    point: Sequence[str],
    box: Sequence[str],
    mask: Sequence[str],
    text: Sequence[str],
) -> Prompts:
    """Parse the prompts of a command line. Those after `--object ID` belong to that object, up to the next one.

    Args:
        meta: of the context of an `OrderedCommand`.
        object_id: values of `--object`.
        point: values of `--point`.
        box: values of `--box`.
        mask: values of `--mask`.
        text: values of `--text`.

    Raises:
        UsageError: a value has another form, or an object has no prompts, or two texts.
    """
    values = {"object_id": iter(object_id)} | {
        "point": iter(map(options.parse_point, point)),
        "box": iter(map(options.parse_box, box)),
        "mask": iter(map(options.parse_mask, mask)),
        "text": iter(map(options.parse_expression, text)),
    }
    objects: dict[int, dict[str, list[Any]]] = {0: defaultdict(list)}
    current = 0
    for name in meta.get(_ORDER, ()):
        if name == "object_id":
            current = next(values["object_id"])
            objects.setdefault(current, defaultdict(list))
        elif name in values:
            objects[current][name].append(next(values[name]))
    return _merged(
        (
            number,
            Prompts(
                points=tuple(given["point"]),
                boxes=tuple(given["box"]),
                masks=tuple(given["mask"]),
                text=_single(number, given["text"]),
            ),
        )
        for number, given in objects.items()
    )


def join_prompts(first: Prompts, second: Prompts) -> Prompts:
    """Return the prompts of two sources together, object by object.

    Raises:
        UsageError: both have text for the same object.
    """
    return _merged((number, one.own) for group in (first, second) for number, one in ((0, group), *group.objects))


def read_prompts(path: Path) -> Prompts:
    """Read prompts from JSON: `points`, `boxes` and `masks`, lists of objects, `text`, and `objects`.

    The members of the entries are those of `Point`, `Box` and `Mask`; the path of a mask starts at the folder of the
    file. `objects` is an object of the same members by number, from 1.

    Raises:
        UsageError: the file cannot be read or has another form.
    """
    try:
        return _build(read_json(path), path.parent, ("objects",))
    except (OSError, ValueError, TypeError, AuralError) as error:
        raise UsageError(f"{path}: cannot be read as prompts: {error}") from error


@dataclass(frozen=True, kw_only=True)
class _MaskEntry:
    path: str
    time: float = 0.0
    value: int | None = None


def _build(values: Any, folder: Path, more: tuple[str, ...] = ()) -> Prompts:
    """Return the prompts of one object, with `more` those of further ones."""
    if not isinstance(values, dict) or (unknown := sorted(values.keys() - {*_LISTS, "text", *more})):
        raise ConfigError(f"unknown key {unknown[0]}" if isinstance(values, dict) else "not a JSON object")
    entries = {name: values.get(name, []) for name in _LISTS}
    for name, listed in entries.items():
        if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
            raise ConfigError(f"{name} is {quoted(listed)}, expected a list of objects")
    masks = [build_config(_MaskEntry, entry, "mask ") for entry in entries["masks"]]
    if missing := [mask.path for mask in masks if not is_file(folder / mask.path)]:
        raise ConfigError(f"mask {missing[0]}: no such file")
    text = values.get("text")
    if text is not None and not (isinstance(text, str) and text.strip()):
        raise ConfigError(f"text is {quoted(text)}, expected a description of the object")
    objects = values.get("objects", {})
    if not isinstance(objects, dict) or not all(number.isascii() and number.isdecimal() for number in objects):
        raise ConfigError(f"objects is {quoted(objects)}, expected prompts by number")
    return Prompts(
        points=tuple(build_config(Point, entry, "point ") for entry in entries["points"]),
        boxes=tuple(build_config(Box, entry, "box ") for entry in entries["boxes"]),
        masks=tuple(Mask(path=folder / mask.path, time=mask.time, value=mask.value) for mask in masks),
        text=text,
        objects=tuple((int(number[:10]), _build(one, folder)) for number, one in objects.items()),
    )


def _merged(parts: Iterable[tuple[int, Prompts]]) -> Prompts:
    """Join the prompts of equal numbers; those of number 0 are those without an object."""
    groups: dict[int, list[Prompts]] = {0: []}
    for number, prompts in parts:
        groups.setdefault(number, []).append(prompts)
    merged = {
        number: Prompts(
            points=tuple(point for one in group for point in one.points),
            boxes=tuple(box for one in group for box in one.boxes),
            masks=tuple(mask for one in group for mask in one.masks),
            text=_single(number, [one.text for one in group if one.text is not None]),
        )
        for number, group in groups.items()
    }
    own = merged.pop(0)
    return Prompts(points=own.points, boxes=own.boxes, masks=own.masks, text=own.text, objects=tuple(merged.items()))


def _single(number: int, texts: Sequence[str]) -> str | None:
    if len(texts) > 1:
        whose = f"object {number}" if number else "the prompts"
        raise UsageError(f"two texts for {whose}: give one `text` for each `object`")
    return texts[0] if texts else None
