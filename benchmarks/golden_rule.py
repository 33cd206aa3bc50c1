"""Number rule: weights and inputs from their names, so that programs can be compared without a checkpoint.

The golden outputs (tests/golden/README.md) were computed with the authors' public code and weights of this rule, in
float32 on a CPU. The masks of such a network have no meaning, but its numbers depend on every equation of the released
model.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch


def normal(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Draw standard normal numbers that depend on the name alone, float64."""
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)


def tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Return the output of `normal` as a float32 tensor."""
    return torch.from_numpy(normal(name, shape).astype(np.float32))


def weight(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Return the value of a parameter by its name in the release (`v_model.…` or `aural_fuser.…`)."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    n = normal(name, shape)
    if name.endswith("running_var"):
        value = 1 + 0.1 * np.abs(n)
    elif name.endswith("positional_encoding_gaussian_matrix"):
        value = n
    elif len(shape) == 1 and name.endswith((".weight", ".gamma")):
        value = 1 + 0.1 * n
    elif len(shape) > 1 and name.endswith(".weight"):
        value = n * np.sqrt((2 if ".vgg." in name else 1) / np.prod(shape[1:]))
    elif name == "v_model.sam_mask_decoder.pred_obj_score_head.layers.2.bias":
        value = 0.02 * n - 0.4
    elif name == "v_model.sam_mask_decoder.iou_prediction_head.layers.2.bias":
        value = 0.02 * n + np.array([0, 0, 0, -0.5])
    else:
        value = 0.02 * n
    return torch.from_numpy(np.asarray(value, dtype=np.float32))


def fill(module: torch.nn.Module, prefix: str) -> torch.nn.Module:
    """Fill a module whose parameters have the names of the release without `prefix`; return the module."""
    state = module.state_dict()
    module.load_state_dict({name: weight(prefix + name, tuple(value.shape)) for name, value in state.items()})
    return module


def wave(seconds: float, name: str, rate: int = 16_000) -> np.ndarray:
    """Generate stereo test audio, (seconds · rate, 2) int16: two modulated tones and noise."""
    length = int(seconds * rate)
    t = np.arange(length) / rate
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * t)
    tones = np.stack([np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 1200 * t)], axis=1) * envelope[:, None]
    return np.clip(np.round(32767 * (0.3 * tones + 0.05 * normal(name, (length, 2)))), -32768, 32767).astype(np.int16)


def samples(wave16: np.ndarray) -> torch.Tensor:
    """Convert int16 to float64 in [-1, 1]."""
    return torch.from_numpy(wave16 / 32768.0)
