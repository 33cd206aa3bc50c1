"""Differences of tensor tables; precision and permissions of saved weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from auralsam2.errors import ConfigError
from auralsam2.model import AuralSAM2
from auralsam2.modeling.network import AuralNetwork
from auralsam2.utils.weights import CONFIG_FILE, WEIGHTS_FILE, describe_mismatch, save_weights
from helpers.small_networks import small_config, small_sam2


def test_matching_tables():
    assert describe_mismatch([("fuser: ", {"a": (2, 3)}, {"a": (2, 3)})]) == ""


def test_all_differences_are_named():
    actual = {"a": (2, 3), "c": (1,)} | {f"extra{n}": (1,) for n in range(10)}
    message = describe_mismatch([("fuser: ", actual, {"a": (3, 2), "b": (1,), "c": (1,)})])
    assert "1 missing: fuser: b" in message
    assert "10 unexpected: fuser: extra0" in message
    assert message.count("extra") == 8
    assert "1 wrongly shaped: fuser: a [2, 3] instead of [3, 2]" in message


def test_names_of_a_damaged_file_stay_on_one_short_line():
    message = describe_mismatch([("", {"a\nb": (1,), "x" * 100_000: (1,)}, {})])
    assert "\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_saved_tensors(tmp_path, mode):
    (tmp_path / CONFIG_FILE).write_text("{}")
    (tmp_path / CONFIG_FILE).chmod(mode)
    tensor = torch.arange(1000, dtype=torch.bfloat16)
    save_weights({"part": tensor[:10], "count": torch.tensor(3), "turned": torch.ones(2, 3).T}, tmp_path)
    loaded = load_file(tmp_path / WEIGHTS_FILE)
    assert loaded["part"].dtype == torch.float32
    assert loaded["part"].tolist() == list(range(10))
    assert loaded["count"].dtype == torch.int64
    assert loaded["turned"].shape == (3, 2)
    assert (tmp_path / WEIGHTS_FILE).stat().st_size < 1000, "a view is saved without its base tensor"
    assert (tmp_path / WEIGHTS_FILE).stat().st_mode & 0o777 == mode


def test_half_precision(tmp_path):
    (tmp_path / CONFIG_FILE).write_text("{}")
    value = torch.tensor([1.0, 1 / 3, -65504.0])
    save_weights(
        {"one": value, "other": value, "halves": value.half()[:2], "count": torch.tensor(3)}, tmp_path, half=True
    )
    loaded = load_file(tmp_path / WEIGHTS_FILE)
    assert {name: tensor.dtype for name, tensor in loaded.items() if name != "count"} == dict.fromkeys(
        ("one", "other", "halves"), torch.float16
    )
    assert torch.equal(loaded["one"], value.half())
    assert loaded["count"].dtype == torch.int64


@pytest.mark.parametrize("value", [1e5, float("nan")])
def test_values_beyond_float16_are_refused(tmp_path, value):
    (tmp_path / CONFIG_FILE).write_text("{}")
    with pytest.raises(ConfigError, match=r"fuser\.loud does not fit into half"):
        save_weights({"fuser.loud": torch.tensor([1.0, value])}, tmp_path, half=True)
    assert not (tmp_path / WEIGHTS_FILE).exists()


def test_weights_have_the_permissions_of_the_configuration(tmp_path):
    AuralSAM2(AuralNetwork(small_config(), small_sam2(64)), "small").save_pretrained(tmp_path)
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in (CONFIG_FILE, WEIGHTS_FILE)}
    assert modes[WEIGHTS_FILE] == modes[CONFIG_FILE] != 0o600
