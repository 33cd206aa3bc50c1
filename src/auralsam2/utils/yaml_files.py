"""Read the YAML file of a recipe, its base files, and changes of single values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from auralsam2.errors import ConfigError, UnavailableError, UsageError, quoted
from auralsam2.paths import exists
from auralsam2.samples import find_recipe
from auralsam2.utils import strict_json
from auralsam2.utils.configs import build_config

T = TypeVar("T")


def read_config(kind: type[T], path: Path, changes: Sequence[str]) -> T:
    """Read a file with changes as a dataclass; errors as of `read_values` and `build_config`."""
    values = read_values(path, changes)
    try:
        return build_config(kind, values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


MAX_BASES = 8
"""Maximum depth of base files."""
MAX_FILES = 32
"""Maximum number of files of a recipe; a file that is read twice counts twice."""
MAX_BYTES = 100_000
"""Maximum size of a file."""
_LARGEST = 2**63


def read_values(path: Path, changes: Sequence[str]) -> dict[str, Any]:
    """Read the values of a file and its bases, and apply `KEY=VALUE` changes.

    Raises:
        UsageError: a file cannot be read, or a change has another form.
        ConfigError: a file or a value of a change is not plain YAML, or the bases are too many or form a circle.
    """
    values = read_layers(find_recipe(path))
    for change in changes:
        _set(values, change)
    return values


def read_layers(path: Path) -> dict[str, Any]:
    """Read the values of a file, merged over those of its `base` files.

    A base that is not beside the file is searched in the packaged recipes.

    Raises:
        UsageError: a file cannot be read.
        ConfigError: a file is not a plain YAML mapping, or the bases are too many or form a circle.
    """
    return _read(path, (), [0])


def _read(path: Path, above: tuple[Path, ...], count: list[int]) -> dict[str, Any]:
    """Read a file, a base of the files `above`, and its own bases; `count` holds the number of files read so far."""
    chain = " -> ".join(map(str, (*above, path)))
    count[0] += 1
    if len(above) > MAX_BASES or count[0] > MAX_FILES:
        raise ConfigError(
            f"{chain}: a recipe may start from {MAX_FILES} files, {MAX_BASES} deep: merge some of them into one"
        )
    text = _text(path)
    if any(path.samefile(other) for other in above):
        raise ConfigError(f"{chain}: base leads in a circle: remove one of these files from the base of another")
    values = parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: not a mapping of keys to values")
    bases = values.pop("base", [])
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise ConfigError(f"{path}: base is {quoted(bases)}, expected a list of files")
    merged: dict[str, Any] = {}
    for base in bases:
        beside = path.parent / base
        file = beside if exists(beside) else find_recipe(Path(base))
        merged = _over(merged, _read(file, (*above, path), count))
    return _over(merged, values)


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise UsageError(f"{path}: no such file: name a YAML file such as those in recipes/")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes: name a YAML file such as those in recipes/")
        return data.decode("utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({error}): name a YAML file such as those in recipes/") from error


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge mappings at all depths; values of `above` win."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _over(merged[key], value) if both else value
    return merged


def _set(values: dict[str, Any], change: str) -> None:
    name, equals, text = change.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise UsageError(f"`changes={change}`: give KEY=VALUE, such as trainer.max_steps=200")
    if len(keys) > strict_json.MAX_DEPTH:
        raise UsageError(f"`changes={quoted(change)}`: no recipe has keys of {len(keys)} parts")
    section = values
    for key in keys[:-1]:
        inner = section.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"`changes={change}`: {key} is a value, not a section")
        section = inner
    section[keys[-1]] = parse_yaml(text, f"`changes={quoted(change)}`")


def parse_yaml(text: str, source: str) -> Any:
    """Parse YAML: mappings with text as keys, lists, text, numbers, booleans and null; `source` names it in messages.

    Raises:
        ConfigError: the text is anything else.
    """
    loader = _loader()
    try:
        value = yaml_package().load(text, loader)
        strict_json.check_depth(value)
        _check_plain(value)
    except RecursionError as error:
        raise ConfigError(f"{source}: no YAML of a recipe (values are nested too deep)") from error
    # PyYAML passes on errors of its conversions: of `!!int`, `0b_` or `!!timestamp x`, for instance.
    except (yaml_package().YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise ConfigError(f"{source}: no YAML of a recipe ({' '.join(str(error).split())[:300]})") from error
    return value


def yaml_package() -> Any:
    """Import the module `yaml`; raise UnavailableError if it is not installed."""
    try:
        import yaml
    except ImportError as error:
        raise UnavailableError("training needs more packages: pip install 'auralsam2[train]'") from error
    return yaml


@cache
def _loader() -> Any:
    yaml = yaml_package()

    class Loader(yaml.SafeLoader):
        """A safe loader for recipes.

        It reads 1e-4 as a number, unlike YAML 1.1, and dates as text. It refuses aliases, as a few of them can expand
        to billions of values.
        """

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                event = self.peek_event()
                raise yaml.composer.ComposerError(
                    None, None, f"write out the value of the alias *{event.anchor}", event.start_mark
                )
            return super().compose_node(parent, index)

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
    )
    return Loader


def _check_plain(value: Any) -> None:
    """Check the types of a value of at most `strict_json.MAX_DEPTH` levels.

    Raises:
        ValueError: a key is not text, an integer has more than 64 bits, or YAML made a set, bytes or a date of a value.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ValueError(f"the key {quoted(key)} is not text")
            _check_plain(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_plain(inner)
    elif isinstance(value, int):
        if abs(value) >= _LARGEST:
            raise ValueError("an integer of more than 64 bits")
    elif not isinstance(value, str | float | None):
        raise ValueError(f"a value of type {type(value).__name__}")
