"""Tables of tensors: what does not fit is told, what is saved is float32 and as readable as its configuration."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from auralsam2.config import CONFIG_FILE, WEIGHTS_FILE
from auralsam2.model import AuralSAM2
from auralsam2.network import AuralNetwork
from auralsam2.weights import misfit, save_weights
from networks import small_config, small_sam2


def test_a_table_that_fits():
    assert misfit([("fuser: ", {"a": (2, 3)}, {"a": (2, 3)})]) == ""


def test_everything_that_does_not_fit_is_named():
    found = {"a": (2, 3), "c": (1,)} | {f"extra{n}": (1,) for n in range(10)}
    told = misfit([("fuser: ", found, {"a": (3, 2), "b": (1,), "c": (1,)})])
    assert "1 missing: fuser: b" in told
    assert "10 unexpected: fuser: extra0" in told
    assert told.count("extra") == 8
    assert "1 wrongly shaped: fuser: a [2, 3] instead of [3, 2]" in told


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_saved_tensors(tmp_path, mode):
    (tmp_path / CONFIG_FILE).write_text("{}")
    (tmp_path / CONFIG_FILE).chmod(mode)
    whole = torch.arange(1000, dtype=torch.bfloat16)
    save_weights({"part": whole[:10], "count": torch.tensor(3), "turned": torch.ones(2, 3).T}, tmp_path)
    loaded = load_file(tmp_path / WEIGHTS_FILE)
    assert loaded["part"].dtype == torch.float32
    assert loaded["part"].tolist() == list(range(10))
    assert loaded["count"].dtype == torch.int64
    assert loaded["turned"].shape == (3, 2)
    assert (tmp_path / WEIGHTS_FILE).stat().st_size < 1000, "a view does not drag along what it was cut from"
    assert (tmp_path / WEIGHTS_FILE).stat().st_mode & 0o777 == mode


def test_a_model_is_as_readable_as_its_configuration(tmp_path):
    AuralSAM2(AuralNetwork(small_config(), small_sam2(64)), "small").save_pretrained(tmp_path)
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in (CONFIG_FILE, WEIGHTS_FILE)}
    assert modes[WEIGHTS_FILE] == modes[CONFIG_FILE] != 0o600
