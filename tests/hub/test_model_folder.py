"""Model folders: saved models can be moved, damaged or contradictory ones are refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import auralsam2
from auralsam2.config import (
    AudioEncoderConfig,
    ClipConfig,
    ExtensionsConfig,
    FuserConfig,
    GavsConfig,
    ModelConfig,
    PromptingConfig,
)
from auralsam2.errors import AuralError, ConfigError, UnavailableError
from auralsam2.hub import download
from auralsam2.model import AuralSAM2, inference_context
from auralsam2.model_folder import check_parts
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.object_namer import ObjectNamer
from helpers.small_networks import save_small_model, save_small_text_model, small_config, small_sam2

MINI = download.BUNDLED / "mini"


def linked(source: Path, target: Path) -> Path:
    """A copy of a model folder."""
    return Path(shutil.copytree(source, target))


def assert_same(one: AuralSAM2, other: AuralSAM2) -> None:
    first, second = one.network.state_dict(), other.network.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def set_value(path: Path, key: str, value: Any) -> None:
    values = json.loads(path.read_text())
    inner = values
    for name in key.split(".")[:-1]:
        inner = inner[name]
    inner[key.split(".")[-1]] = value
    path.write_text(json.dumps(values))


def test_mini_is_saved_with_its_parts_and_can_be_moved(tmp_path: Path) -> None:
    model = auralsam2.load("mini", device="cpu")
    saved = model.save_pretrained(tmp_path / "saved")
    again = auralsam2.load(saved.rename(tmp_path / "moved"), device="cpu")
    assert_same(model, again)
    again.save_pretrained(tmp_path / "moved")
    assert_same(model, auralsam2.load(tmp_path / "moved", device="cpu"))


def test_namer_is_saved_with_its_model(tmp_path: Path) -> None:
    first = linked(MINI, tmp_path / "first")
    saved = auralsam2.load(first, device="cpu").save_pretrained(tmp_path / "saved")
    shutil.rmtree(first)
    moved = auralsam2.load(saved.rename(tmp_path / "moved"), device="cpu")
    pooled = torch.randn(3, 5 * moved.network.sam2.hidden_dim // 2, generator=torch.Generator().manual_seed(0))
    namer, bundled = moved.namer(True), ObjectNamer.load(MINI / "namer")
    assert namer is not None
    for logits, expected in zip(namer(pooled), bundled(pooled), strict=True):
        assert namer.name(logits) == bundled.name(expected)
    moved.save_pretrained(tmp_path / "moved")
    assert moved.namer(True) is not None


def test_namer_of_an_earlier_model_is_removed(tmp_path: Path) -> None:
    linked(MINI / "namer", tmp_path / "saved" / "namer")
    AuralSAM2.from_pretrained(save_small_model(tmp_path / "first"), "cpu").save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved" / "namer").exists()


def test_text_model_is_saved_without_its_source_folder(tmp_path: Path) -> None:
    model = AuralSAM2.from_pretrained(save_small_text_model(tmp_path / "first"), "cpu")
    shutil.rmtree(tmp_path / "first")
    assert_same(model, auralsam2.load(model.save_pretrained(tmp_path / "second"), device="cpu"))


def test_part_inside_the_folder_is_saved(tmp_path: Path) -> None:
    folder = save_small_model(tmp_path / "first")
    (folder / "sam2").rename(folder / "large")
    set_value(folder / "config.json", "sam2", str(folder / "large"))
    saved = AuralSAM2.from_pretrained(folder, "cpu").save_pretrained(tmp_path / "second")
    shutil.rmtree(folder)
    assert ModelConfig.load(saved).sam2 == "sam2"
    auralsam2.load(saved, device="cpu")


def test_part_outside_the_folder_keeps_its_name(tmp_path: Path) -> None:
    elsewhere = save_small_model(tmp_path / "other") / "sam2"
    for name in ("some/sam2", "some/sam2@main", str(elsewhere)):
        config = dataclasses.replace(small_config(), sam2=name)
        saved = AuralSAM2(AuralNetwork(config, small_sam2(64)), "x").save_pretrained(tmp_path / "saved")
        assert ModelConfig.load(saved).sam2 == name
        assert not (saved / "sam2").exists()


def test_other_file_of_the_name_keeps_the_folder_unchanged(tmp_path: Path) -> None:
    model = AuralSAM2.from_pretrained(save_small_model(tmp_path / "first"), "cpu")
    (tmp_path / "file").write_text("x")
    with pytest.raises(AuralError, match="cannot be written"):
        model.save_pretrained(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("part", ["", "sam2", "text"])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, part: str, value: float) -> None:
    path = linked(MINI, tmp_path / "mini") / part / "model.safetensors"
    tensors = load_file(path)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point() and tensor.ndim > 1)
    tensors[name].flatten()[-1] = value
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(ConfigError, match=r"holds NaN or infinity") as error:
        auralsam2.load(tmp_path / "mini", device="cpu")
    assert name.split(".")[-2] in str(error.value)


@pytest.mark.parametrize("part", ["sam2", "text"])
def test_missing_weights_of_a_frozen_part_are_named(tmp_path: Path, part: str) -> None:
    path = linked(MINI, tmp_path / "mini") / part / "model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith(".weight") and "pooler" not in name)
    del tensors[name]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(ConfigError, match="1 weights are missing") as error:
        auralsam2.load(tmp_path / "mini", device="cpu")
    assert name in str(error.value)


@pytest.mark.parametrize("file", sorted(str(path.relative_to(MINI)) for path in MINI.rglob("*") if path.is_file()))
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_truncated_files_are_refused(tmp_path: Path, file: str, part: float) -> None:
    if file == "text/tokenizer_config.json":
        return
    path = linked(MINI, tmp_path / "mini") / file
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    whole = partial(auralsam2.load, tmp_path / "mini", device="cpu")
    # A model loads its namer when it names objects.
    load = partial(ObjectNamer.load, path.parent) if file.startswith("namer/") else whole
    with pytest.raises((ConfigError, UnavailableError)) as error:
        load()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("sam2/config.json", "image_size", 0),
        ("sam2/config.json", "memory_attention_num_layers", 10**9),
        ("sam2/config.json", "prompt_encoder_config.hidden_size", 10**9),
        ("sam2/config.json", "mask_decoder_config.hidden_size", 16_384),
        ("sam2/config.json", "mask_decoder_config.num_attention_heads", 7),
        ("text/config.json", "hidden_size", 10**7),
        ("text/config.json", "num_attention_heads", 0),
        ("text/config.json", "num_labels", 10**9),
        ("text/config.json", "vocab_size", 10),
        ("text/config.json", "layer_norm_eps", "x"),
        ("text/config.json", "layer_norm_eps", float("nan")),
        ("text/config.json", "model_type", "clip"),
        ("config.json", "fuser.text_width", 7),
        ("config.json", "audio_encoder.hidden", 16_384),
        ("config.json", "audio_encoder.backbone", "vit_tiny_patch16_224"),
    ],
)
def test_invalid_configuration_is_refused_without_building_the_model(
    tmp_path: Path, file: str, key: str, value: Any
) -> None:
    folder = linked(MINI, tmp_path / "mini")
    set_value(folder / file, key, value)
    if key == "image_size":
        set_value(folder / "config.json", "image_size", None)
    with pytest.raises((ConfigError, UnavailableError)) as error:
        for _ in auralsam2.load(folder, device="cpu").segment(download.BUNDLED / "demo.mp4", end=1.0):
            pass
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("architecture", "hf-hub:name/model"),
        ("architecture", "local-dir:/tmp/model"),
        ("model_args.pretrained", True),
        ("model_args.checkpoint_path", "/tmp/weights.pth"),
        ("model_args.pretrained_cfg", {"file": "/tmp/weights.pth"}),
        ("use_pretrained_backbone", True),
    ],
)
def test_backbone_from_elsewhere_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    """timm would look on the hub, or read a file outside the folder."""
    folder = linked(MINI, tmp_path / "mini")
    set_value(folder / "sam2" / "config.json", f"vision_config.backbone_config.{key}", value)
    with pytest.raises(ConfigError, match=f"{key}.* would load files from elsewhere"):
        auralsam2.load(folder, device="cpu")


def test_shapes_pass_through_all_kinds_of_networks(small_model: Path, tmp_path: Path) -> None:
    """What `check_parts` refuses would be blamed for any failure: it accepts what works."""
    for folder in (MINI, small_model, save_small_text_model(tmp_path / "text")):
        check_parts(AuralSAM2.from_pretrained(folder, "cpu").network, folder)


def test_callers_error_is_not_reported_as_a_model_error(small_model: Path) -> None:
    model = AuralSAM2.from_pretrained(small_model, "cpu")
    with pytest.raises(RuntimeError, match="mine"), inference_context(model):
        raise RuntimeError("mine")


BAD_FIELDS = [
    *((FuserConfig, "fuser.heads", value) for value in (0, -1, 10**9, 1.0, "4", None, True)),
    *((FuserConfig, "fuser.dropout", value) for value in (-0.1, 1.5, float("nan"), float("inf"), "x")),
    *((FuserConfig, "fuser.levels", value) for value in (0, 4, True, 3.0)),
    *((FuserConfig, "fuser.width", value) for value in (0, -256, 10**9)),
    *((FuserConfig, "fuser.inner_width", value) for value in (0, -1)),
    *((FuserConfig, "fuser.visual_depths", value) for value in ((1, 1), (1, 1, -1), (1, 1, 10**6), 3)),
    *((FuserConfig, "fuser.variant", value) for value in ("printed", None, [])),
    *((AudioEncoderConfig, "audio_encoder.channels", value) for value in ((0, 1, 1, 1), (1, 1, 1), "abcd")),
    *((AudioEncoderConfig, "audio_encoder.hidden", value) for value in (0, -1, 10**9)),
    *((AudioEncoderConfig, "audio_encoder.backbone", value) for value in ("", 3, "a\nb", "hf-hub:a/b", "x" * 5000)),
    *((ExtensionsConfig, "extensions.object_score_offset", value) for value in (float("nan"), "x")),
    *((PromptingConfig, "prompting.mask_tokens", value) for value in (3.0, 0)),
    *((ClipConfig, "clip.frames", value) for value in (0, -1, 10**9)),
    *((GavsConfig, "gavs.width", value) for value in (0, 6, -4)),
    *((GavsConfig, "gavs.start_block", value) for value in (-1, 10**9)),
    *((ModelConfig, "image_size", value) for value in (0, -32, 16, 100, 10**9, 256.0)),
    *((ModelConfig, "sam2", value) for value in ("", " ", "a\x00b", "a\nb", None, 3, "x" * 5000)),
]


@pytest.mark.parametrize(("kind", "field", "value"), BAD_FIELDS)
def test_value_out_of_range_names_the_field(kind: Any, field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{field} ") as error:
        kind(**{field.split(".")[-1]: value})
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_values_at_the_limits_are_accepted() -> None:
    assert FuserConfig(dropout=0).dropout == 0
    assert FuserConfig(dropout=1.0, visual_depths=[0, 1, 128]).visual_depths == (0, 1, 128)  # type: ignore[arg-type]
    assert ModelConfig(image_size=32).image_size == 32


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"a":' * 100_000)
    with pytest.raises(ConfigError, match="inside each other"):
        ModelConfig.load(tmp_path)


def test_large_file_is_hashed_by_samples(tmp_path: Path) -> None:
    from auralsam2.utils.weights import file_hash

    numbers = np.random.default_rng(0).random(5_000_000)
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    save_file({"a": torch.from_numpy(numbers)}, first)
    save_file({"a": torch.from_numpy(numbers + 1e-6)}, second)
    assert file_hash(first) != file_hash(second)
    shutil.copyfile(first, second)
    assert file_hash(first) == file_hash(second)
