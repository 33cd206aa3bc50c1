"""Generate two reference pages of the documentation: commands from their help, configuration from the dataclasses."""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Iterator
from typing import Any

import typer

from auralsam2 import config
from auralsam2.cli.main import app
from auralsam2.training import recipe, semantic_recipe
from auralsam2.zero_shot import pipeline_config

PAGES = (
    (
        "Model: `config.json`",
        "The configuration of a model folder. In a recipe, these keys are in the section `model`.",
        config.ModelConfig,
    ),
    (
        "Training: recipes",
        "A recipe is a YAML file; `--set KEY=VALUE` changes one value. [Train](../guide/train.md) explains recipes.",
        recipe.TrainingRecipe,
    ),
    (
        "Training: recipes of the second stage",
        "Recipes with the key `mask2former`; see [Train](../guide/train.md#classes-the-second-stage). "
        "`trainer` has the keys above without `epochs`, `max_steps` and `conditioning`.",
        semantic_recipe.SemanticRecipe,
    ),
    (
        "Zero-shot pipeline",
        "Files for `auralsam2 evaluate --zero-shot`: see [Baselines](../concepts/baselines.md#the-zero-shot-pipeline).",
        pipeline_config.ZeroShotConfig,
    ),
)
"""Heading, introduction and root dataclass of each part of the configuration."""


def cli_page() -> str:
    """Markdown with the help text of every command."""
    lines = [
        "# Command line",
        "",
        "Generated from `--help`. Coordinates are pixels of the source video; times are seconds.",
        "Exit codes: 0 success, 1 some inputs failed, 2 bad arguments or unreadable input, "
        "3 model or data not available,",
        "130 interrupted by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.",
        "",
    ]
    for name, text in _helps(typer.main.get_command(app), "auralsam2"):
        lines += [f"## {name}", "", "```text", text.rstrip(), "```", ""]
    return "\n".join(lines)


def config_page() -> str:
    """Markdown with one table per configuration dataclass: key, values, default and description."""
    lines = [
        "# Configuration",
        "",
        "Generated from the dataclasses. Unknown keys and values outside their range are errors.",
        "",
    ]
    described: set[type] = set()
    for heading, introduction, root in PAGES:
        lines += [f"## {heading}", "", introduction, ""]
        for section, kind in sections(root):
            if kind not in described:
                described.add(kind)
                lines += _table(section, kind)
    return "\n".join(lines)


def sections(kind: type, name: str = "") -> Iterator[tuple[str, type]]:
    """Yield a configuration dataclass and all dataclasses of its fields, with the key of each; the root has none."""
    yield name, kind
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        inner = _dataclass_of(hints[field.name])
        if inner is not None:
            yield from sections(inner, f"{name}.{field.name}".lstrip("."))


def _helps(command: Any, name: str) -> Iterator[tuple[str, str]]:
    context = command.make_context(name, [], resilient_parsing=True)
    context.info_name = name
    yield name, command.get_help(context)
    for child, subcommand in getattr(command, "commands", {}).items():
        yield from _helps(subcommand, f"{name} {child}")


def _table(section: str, kind: type) -> Iterator[str]:
    docstring = kind.__doc__ or ""
    described = attributes(docstring)
    hints = typing.get_type_hints(kind)
    yield from (f"### {kind.__name__}", "")
    yield from ((f"Section `{section}`. " if section else "") + docstring.partition("\n")[0], "")
    yield from ("| key | values | default | description |", "|---|---|---|---|")
    for field in dataclasses.fields(kind):
        row = (f"`{field.name}`", _values(hints[field.name], field), _default(field), described.get(field.name, ""))
        yield f"| {' | '.join(map(_cell, row))} |"
    yield ""


def _dataclass_of(hint: Any) -> type | None:
    """Return the dataclass of a type hint, optional or not; None if there is none."""
    return next((kind for kind in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(kind)), None)


def _values(hint: Any, field: dataclasses.Field[Any]) -> str:
    """Return the allowed values of a field: a link to its section, its choices, or its type and range."""
    inner = _dataclass_of(hint)
    if inner is not None:
        return f"[{inner.__name__}](#{inner.__name__.lower()})"
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(hint))
    low_high = field.metadata.get("range")
    return _type_name(hint) + (f", {low_high[0]:g} to {low_high[1]:g}" if low_high else "")


def _type_name(hint: Any) -> str:
    """Return a type hint in the words of YAML."""
    names = {str: "text", int: "integer", float: "number", bool: "`true`, `false`", type(None): "`null`"}
    arguments = typing.get_args(hint)
    if not arguments:
        return names.get(hint, str(hint))
    if typing.get_origin(hint) is tuple:
        count = "" if Ellipsis in arguments else f"{len(arguments)} "
        return f"list of {count}{names[arguments[0]]}s"
    return " or ".join(map(_type_name, arguments))


def attributes(docstring: str) -> dict[str, str]:
    """The entries of a Google docstring's section `Attributes`, by name; an entry may describe several names."""
    _, _, section = docstring.partition("Attributes:\n")
    entries: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        entry = re.match(r" {8}([\w`][\w, `]*?)(?: \([^)]*\))?: (.*)", line)
        if entry:
            names = [name.strip(" `") for name in entry[1].split(",")]
            entries |= dict.fromkeys(names, entry[2].strip())
        elif line.startswith(" " * 9) and names:
            entries |= {name: f"{entries[name]} {line.strip()}" for name in names}
        else:
            names = []
    return entries


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return "`null`" if field.default is None else f"`{_plain(field.default)}`"
    return "required" if field.default_factory is dataclasses.MISSING else "its defaults"


def _plain(value: Any) -> str:
    """Return a value as YAML writes it."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|")
