"""Devices and precisions as users of torch name them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import auralsam2
from auralsam2.cli import options
from auralsam2.errors import UsageError
from auralsam2.utils.devices import pick_device, pick_dtype

CPU = torch.device("cpu")


@pytest.mark.parametrize("device", ["cpu", "cpu:0", CPU, torch.device("cpu", 0)])
def test_names_of_the_cpu(device: Any) -> None:
    assert pick_device(device).type == "cpu"


def test_auto_is_a_device_of_this_machine() -> None:
    assert pick_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize(
    "device",
    [
        *("gpu", "", "cpu:1", "cuda:1000", "cuda:-1", "cuda:x", "xpu", "meta", "a\nb"),
        *(None, True, -1, 1000, 1.5, b"cpu", torch.device("meta"), torch.device("cuda", 99), torch.float32, []),
    ],
)
def test_other_devices_are_refused(device: Any) -> None:
    with pytest.raises(UsageError, match="is not available here; available: cpu") as error:
        pick_device(device)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        *(("fp32", "fp32"), ("float32", "fp32"), (torch.float32, "fp32"), (torch.float, "fp32")),
        *(("bf16", "bf16"), ("bfloat16", "bf16"), (torch.bfloat16, "bf16"), ("torch.bfloat16", "bf16")),
    ],
)
def test_names_of_precisions(dtype: Any, name: str) -> None:
    assert pick_dtype(dtype, CPU) == name


@pytest.mark.parametrize(
    ("features", "image_size", "name"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, 1024, "bf16"),
        ({"amx_bf16": True}, 512, "bf16"),
        ({"bf16": True, "neon": True}, 1024, "bf16"),
        ({"avx512_bf16": True}, 480, "fp32"),
        ({"avx512_bf16": False, "avx512_f": True}, 1024, "fp32"),
        ({"sve_max_length": 256}, 1024, "fp32"),
    ],
)
def test_automatic_precision_follows_the_processor(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, Any], image_size: int, name: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert pick_dtype("auto", CPU, image_size) == name
    assert pick_dtype("auto", torch.device("mps"), image_size) == "bf16"


@pytest.mark.parametrize("dtype", [torch.float64, torch.int8, "double", None, 16, "", "a\nb", torch.float16, "half"])
def test_other_precisions_are_refused(dtype: Any) -> None:
    with pytest.raises(UsageError, match="`dtype=") as error:
        pick_dtype(dtype, CPU)
    assert "\n" not in str(error.value)


def test_model_on_a_device_of_torch(small_model: Any) -> None:
    model = auralsam2.load(small_model, device=CPU, dtype=torch.bfloat16)
    assert (model.network.device, model.dtype) == (CPU, "bf16")


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "mps", "cuda:0", "cuda:12"])
def test_option(name: str) -> None:
    assert options.parse_device(name) == name


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "cuda:1\n", "cuda:٣", ""])
def test_option_refuses_others(name: str) -> None:
    with pytest.raises(UsageError, match="choose from auto, cpu, cuda, mps, or cuda:N"):
        options.parse_device(name)
