"""Strict configuration dataclasses, built from the plain values of JSON or YAML."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, Literal, TypeVar

from auralsam2.errors import ConfigError, quoted

T = TypeVar("T")


def bounded_field(default: Any, low: float, high: float) -> Any:
    """Declare a number, or a tuple of numbers, with the range that `check_fields` enforces.

    Args:
        default: default value; the range applies to each element of a tuple, and None is valid.
        low: minimum.
        high: maximum.
    """
    return dataclasses.field(default=default, metadata={"range": (low, high)})


def check_fields(config: Any, section: str = "") -> None:
    """Check the fields of a dataclass, from its `__post_init__`: types as annotated, ranges as in `bounded_field`.

    Lists become tuples, and dictionaries dataclasses, as annotated.

    Args:
        config: the instance.
        section: prefix of the fields' names in messages, such as `fuser`.

    Raises:
        ConfigError: a value of the wrong type or outside its range; the message names the field.
    """
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        key = f"{section}.{field.name}" if section else field.name
        value = _convert(hints[field.name], getattr(config, field.name), key)
        object.__setattr__(config, field.name, value)
        if "range" in field.metadata:
            low, high = field.metadata["range"]
            numbers = [number for number in (value if isinstance(value, tuple) else (value,)) if number is not None]
            if not all(low <= number <= high for number in numbers):  # NaN is outside any range
                raise ConfigError(f"{key} is {quoted(value)}, expected {low} to {high}")


def build_config(kind: type[T], values: dict[str, Any], where: str = "") -> T:
    """Build a (nested) dataclass from plain values, strictly.

    Args:
        kind: a dataclass.
        values: its fields; nested dataclasses as dictionaries, tuples as lists.
        where: prefix for messages, such as `fuser.`.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type; the message names the key.
    """
    hints = typing.get_type_hints(kind)
    unknown = sorted(str(key) for key in values if key not in hints)
    if unknown:
        raise ConfigError(f"unknown key {where}{unknown[0][:80]}; known: {', '.join(hints)}")
    return kind(**{key: _convert(hints[key], value, f"{where}{key}") for key, value in values.items()})


def _convert(hint: Any, value: Any, key: str) -> Any:
    """Convert a value to the type of a hint; supports the types of configurations only."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        return build_config(hint, value, f"{key}.")
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        # Not `in`: True and 1.0 equal 1.
        matches = any(type(value) is type(choice) and value == choice for choice in inner)
    elif origin in (types.UnionType, typing.Union):
        section = next((kind for kind in inner if dataclasses.is_dataclass(kind)), None)
        if section is not None and isinstance(value, dict):
            return _convert(section, value, key)
        matches = any(_is(kind, value) for kind in inner)
    elif origin is tuple:
        value = tuple(value) if isinstance(value, list | tuple) else value
        kinds = inner[:1] * len(value) if isinstance(value, tuple) and Ellipsis in inner else inner
        matches = isinstance(value, tuple) and len(value) == len(kinds) and all(map(_is, kinds, value))
    else:
        matches = _is(hint, value)
    if not matches:
        raise ConfigError(f"{key} is {quoted(value)}, expected {_name(hint)}")
    return value


def _is(kind: Any, value: Any) -> bool:
    if kind is type(None):
        return value is None
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, typing.get_origin(kind) or kind)


def _name(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return f"one of {', '.join(map(repr, typing.get_args(hint)))}"
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
