"""Build configurations from plain values, and check their ranges."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, Literal, TypeVar

from auralsam2.errors import ConfigError, quoted

T = TypeVar("T")


def build(kind: type[T], values: dict[str, Any], where: str = "") -> T:
    """Make a (nested) dataclass from plain values, strictly.

    Args:
        kind: a dataclass.
        values: its fields; nested dataclasses as dictionaries, tuples as lists.
        where: prefix for messages, such as `fuser.`.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type; the message names the key.
    """
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ConfigError(f"unknown key {where}{unknown[0]}; known: {', '.join(hints)}")
    return kind(**{key: _convert(hints[key], value, f"{where}{key}") for key, value in values.items()})


def _convert(hint: Any, value: Any, key: str) -> Any:
    """`value` as the type of the hint: only the few types that configurations are made of."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        return build(hint, value, f"{key}.")
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        matches = any(type(value) is type(choice) and value == choice for choice in inner)
    elif origin in (types.UnionType, typing.Union):
        matches = any(_is(kind, value) for kind in inner)
    elif origin is tuple:
        value = tuple(value) if isinstance(value, list | tuple) else value
        kinds = inner[:1] * len(value) if isinstance(value, tuple) and Ellipsis in inner else inner
        matches = isinstance(value, tuple) and len(value) == len(kinds) and all(map(_is, kinds, value))
    else:
        matches = _is(hint, value)
    if not matches:
        raise ConfigError(f"{key} is {quoted(value)}, expected {getattr(hint, '__name__', hint)}")
    return value


def _is(kind: Any, value: Any) -> bool:
    if kind is type(None):
        return value is None
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, kind)


def check_range(config: object, section: str, least: float, most: float, *names: str) -> None:
    """Check the numbers of a dataclass; None passes.

    Args:
        config: the dataclass.
        section: its key, for messages.
        least: lowest value allowed.
        most: highest value allowed.
        names: fields with a number or a tuple of numbers.

    Raises:
        ConfigError: a number lies outside; the message names the key.
    """
    for name in names:
        value = getattr(config, name)
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and not least <= number <= most:
                raise ConfigError(f"{section}.{name} {quoted(value)} must lie between {least:g} and {most:g}")
