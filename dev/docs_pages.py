"""Generate two reference pages of the documentation: commands from their help, configuration from the dataclasses."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import typer

from auralsam2 import config
from auralsam2.cli.main import app
from auralsam2.training import config as training_config
from auralsam2.training import recipe
from auralsam2.zero_shot import pipeline_config

MODEL = (
    config.ModelConfig,
    config.AudioEncoderConfig,
    config.FuserConfig,
    config.PromptingConfig,
    config.GavsConfig,
    config.SamaConfig,
    config.ClipConfig,
)
TRAINING = (
    recipe.TrainingRecipe,
    recipe.DataConfig,
    recipe.TrainerConfig,
    training_config.MaskLossConfig,
    training_config.ContrastConfig,
    training_config.OptimiserConfig,
    training_config.AugmentConfig,
)
ZERO_SHOT = (pipeline_config.ZeroShotConfig, pipeline_config.TaggerConfig, pipeline_config.DetectorConfig)


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
    """Markdown with one table per configuration dataclass: key, type, default and description."""
    lines = [
        "# Configuration",
        "",
        "Generated from the dataclasses. Unknown keys and values outside their range are errors.",
        "",
        "## Model: `config.json`",
        "",
        *_tables(MODEL),
        "## Training: recipes",
        "",
        "A recipe is a YAML file; `--set KEY=VALUE` changes one value. [Train](../guide/train.md) explains recipes.",
        "",
        *_tables(TRAINING),
        "## Zero-shot pipeline",
        "",
        *_tables(ZERO_SHOT),
    ]
    return "\n".join(lines)


def _helps(command: Any, name: str) -> Iterator[tuple[str, str]]:
    context = command.make_context(name, [], resilient_parsing=True)
    context.info_name = name
    yield name, command.get_help(context)
    for child, subcommand in getattr(command, "commands", {}).items():
        yield from _helps(subcommand, f"{name} {child}")


def _tables(kinds: tuple[type, ...]) -> Iterator[str]:
    for kind in kinds:
        described = attributes(kind.__doc__ or "")
        yield from (f"### {kind.__name__}", "", (kind.__doc__ or "").partition("\n")[0], "")
        yield from ("| key | type | default | description |", "|---|---|---|---|")
        for field in dataclasses.fields(kind):
            row = (f"`{field.name}`", f"`{_cell(field.type)}`", _default(field), _cell(described.get(field.name, "")))
            yield f"| {' | '.join(row)} |"
        yield ""


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
        return f"`{_cell(repr(field.default))}`"
    return "required" if field.default_factory is dataclasses.MISSING else "see below"


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|")
