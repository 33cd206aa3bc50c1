"""Configurations of models: sections by method, and the upgrade of folders of schema 1."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auralsam2.config import ExtensionsConfig, FuserConfig, GavsConfig, ModelConfig, SamaConfig
from auralsam2.errors import ConfigError
from auralsam2.hub.download import BUNDLED

MINI_SCHEMA_1 = """
{"schema": "auralsam2.model/1", "method": "auralsam2", "sam2": "sam2", "text": "text", "image_size": 256,
 "audio_encoder": {"channels": [16, 32, 64, 128], "hidden": 256, "embedding": 64},
 "fuser": {"variant": "paper", "modality": "audio+text", "scope": "frame", "fusion": "two_way", "draws": true,
  "standardise": true, "width": 128, "inner_width": 128, "heads": 4, "visual_depths": [1, 1, 1], "token_depth": 1,
  "dropout": 0.0, "projection": 64, "text_width": 128, "levels": 3, "hears": true},
 "prompting": {"coarse_first": false, "mask_tokens": 3, "into_positions": false, "dense": true, "sparse": true,
  "gated": true, "caution": 2.0},
 "gavs": {"start_block": 9, "width": 128, "zero_init_last": true, "norms": false, "stereo": false,
  "standardise": false},
 "sama": {"start_block": 0, "width": 512, "form": "audio_vector", "text_attention": "shared",
  "zero_init_last": false, "stereo": false, "standardise": false},
 "clip": {"frames": 10, "conditioning": "each"}}
"""
"""`config.json` of the bundled model as earlier versions of the package wrote it."""


def schema_1(**sections: dict[str, Any]) -> dict[str, Any]:
    """The bundled model's values of schema 1, some of them changed."""
    values = json.loads(MINI_SCHEMA_1)
    for name, section in sections.items():
        values[name] |= section
    return values


def test_first_bundled_model_differs_in_its_extensions_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(MINI_SCHEMA_1, encoding="utf-8")
    upgraded = ModelConfig.load(tmp_path)
    assert upgraded == replace(ModelConfig.load(BUNDLED / "mini"), extensions=upgraded.extensions)
    assert upgraded.extensions == ExtensionsConfig(
        attention_scope="frame",
        predict_coarse_mask=True,
        standardize_inputs=True,
        empty_when_absent=True,
        object_score_offset=2.0,
    )


@pytest.mark.parametrize(("modality", "positions"), [("audio", True), ("audio+text", False)])
def test_released_layout_of_schema_1_loads(modality: Any, positions: bool) -> None:
    expected = ModelConfig.released(modality)
    values = expected.to_dict() | {"schema": "auralsam2.model/1", "gavs": {}, "sama": {}}
    del values["extensions"]
    values["fuser"] = {name: value for name, value in values["fuser"].items() if name != "use_audio"}
    values["fuser"] |= {"scope": "clip", "draws": False, "standardise": False, "hears": True}
    del values["prompting"]["prompt_positions"]
    values["prompting"] |= {"into_positions": positions, "gated": False, "caution": 0.0}
    upgraded = ModelConfig.from_dict(values)
    assert upgraded.fuser == expected.fuser
    assert upgraded.prompting.prompt_positions == positions
    assert upgraded.extensions == ExtensionsConfig()
    assert (upgraded.gavs, upgraded.sama) == (None, None)
    assert (upgraded == expected) == positions


def test_gavs_configuration_of_schema_1_keeps_its_own_section_alone() -> None:
    values = schema_1(gavs={"start_block": 6, "stereo": True, "standardise": True}) | {"method": "gavs"}
    upgraded = ModelConfig.from_dict(values)
    assert upgraded.gavs == GavsConfig(start_block=6, stereo=True, standardize_inputs=True)
    assert upgraded.sama is None
    assert ModelConfig.from_dict(upgraded.to_dict()) == upgraded


@pytest.mark.parametrize("names", [("hears", "levels"), ("scope", "draws", "standardise"), ()])
def test_options_missing_from_schema_1_have_their_defaults(names: tuple[str, ...]) -> None:
    values = schema_1()
    for name in names:
        del values["fuser"][name]
    fuser, extensions = ModelConfig.from_dict(values).fuser, ModelConfig.from_dict(values).extensions
    assert (fuser.use_audio, fuser.levels) == (True, 3)
    assert (extensions.attention_scope, extensions.predict_coarse_mask) == (
        ("clip", False) if "scope" in names else ("frame", True)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fuser": {"scope": "row"}}, r"^extensions\.attention_scope is 'row'"),
        ({"fuser": {"ears": 2}}, r"^unknown key fuser\.ears"),
        ({"prompting": {"caution": "x"}}, r"^extensions\.object_score_offset is 'x'"),
    ],
)
def test_bad_values_of_schema_1_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelConfig.from_dict(schema_1(**changes))


@pytest.mark.parametrize("section", [5, None, [1], "x"])
@pytest.mark.parametrize("name", ["fuser", "prompting", "extensions", "method"])
def test_broken_sections_of_schema_1_are_refused(name: str, section: Any) -> None:
    with pytest.raises(ConfigError):
        ModelConfig.from_dict(schema_1() | {name: section})


def test_upgrade_leaves_its_input_unchanged() -> None:
    values = schema_1()
    ModelConfig.from_dict(values)
    assert values == schema_1()


def test_another_schema_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"schema is 'auralsam2\.model/3', not 'auralsam2\.model/2'"):
        ModelConfig.from_dict(ModelConfig().to_dict() | {"schema": "auralsam2.model/3"})


def test_only_the_method_in_use_has_a_section() -> None:
    assert {"gavs", "sama"}.isdisjoint(ModelConfig().to_dict())
    values = ModelConfig().to_dict() | {"method": "sama"}
    values["clip"]["conditioning"] = "each"
    assert ModelConfig.from_dict(values).sama == SamaConfig()
    assert ModelConfig.from_dict(values | {"sama": {"width": 64}}).sama == SamaConfig(width=64)
    with pytest.raises(ConfigError, match="section gavs does not match method sama"):
        ModelConfig.from_dict(values | {"gavs": {}})
    with pytest.raises(ConfigError, match="section gavs does not match method auralsam2"):
        ModelConfig(gavs=GavsConfig())


def test_extensions_are_off_by_default() -> None:
    assert ExtensionsConfig() == ModelConfig.released().extensions
    assert not any(value for value in vars(ExtensionsConfig()).values() if value != "clip")


def test_extensions_must_fit_the_fuser() -> None:
    extensions = ExtensionsConfig(attention_scope="frame")
    fuser = FuserConfig.preset("paper")
    assert ModelConfig(fuser=fuser, extensions=extensions).extensions is extensions
    with pytest.raises(ConfigError, match=r"extensions\.attention_scope 'frame' needs fuser\.variant 'paper'"):
        ModelConfig(extensions=extensions)
