"""Schemas of a model's `config.json`, and the upgrade from schema 1 to schema 2."""

from __future__ import annotations

from typing import Any

from auralsam2.errors import ConfigError

SCHEMA, SCHEMA_1 = "auralsam2.model/2", "auralsam2.model/1"

_MOVED = {
    ("fuser", "scope"): ("extensions", "attention_scope"),
    ("fuser", "draws"): ("extensions", "predict_coarse_mask"),
    ("fuser", "standardise"): ("extensions", "standardize_inputs"),
    ("fuser", "hears"): ("fuser", "use_audio"),
    ("prompting", "into_positions"): ("prompting", "prompt_positions"),
    ("prompting", "gated"): ("extensions", "empty_when_absent"),
    ("prompting", "caution"): ("extensions", "object_score_offset"),
    ("gavs", "standardise"): ("gavs", "standardize_inputs"),
    ("sama", "standardise"): ("sama", "standardize_inputs"),
}
"""Keys of schema 1 and of schema 2: section and name."""


def upgrade_config(values: dict[str, Any]) -> dict[str, Any]:
    """Rename the keys of a schema-1 configuration to those of schema 2; drop the sections of other methods.

    Raises:
        ConfigError: the section `extensions`, which schema 1 does not have.
    """
    if "extensions" in values:
        raise ConfigError(f"unknown key extensions in schema {SCHEMA_1!r}")
    sections = {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}
    sections |= {"schema": SCHEMA, "extensions": {}}
    for (section, old), (new_section, new) in _MOVED.items():
        if isinstance(sections.get(section), dict) and old in sections[section]:
            sections[new_section][new] = sections[section].pop(old)
    method = sections.get("method")
    return {key: value for key, value in sections.items() if key not in ("gavs", "sama") or key == method}
