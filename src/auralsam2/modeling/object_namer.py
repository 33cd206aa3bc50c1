"""Namer: the category of an object from its mask and the frozen features of SAM 2."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from auralsam2.errors import ConfigError
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.utils import strict_json
from auralsam2.utils.weights import CONFIG_FILE, WEIGHTS_FILE, describe_mismatch, load_weights, save_weights

SCHEMA = "auralsam2.namer/1"
_MAX_NAMES, _MAX_WIDTH = 10_000, 8192


@dataclass(frozen=True, kw_only=True)
class ObjectName:
    """Category of an object.

    Attributes:
        label: name of the category.
        score: its probability, in [0, 1].
    """

    label: str
    score: float


class ObjectNamer(nn.Module):
    """A head of two layers on features that are pooled over a mask.

    The features are the mean and the maximum, over the mask, of the stride-16 map and of the mask decoder's stride-8
    map.

    Args:
        names: of the K categories.
        width: C, channels of the stride-16 map; the stride-8 map has C/4.
        hidden: channels of the hidden layer.
    """

    def __init__(self, names: Sequence[str], width: int, hidden: int = 192) -> None:
        super().__init__()
        self.names, self.width, self.hidden = tuple(names), width, hidden
        pooled = 2 * (width + width // 4)
        self.head = nn.Sequential(
            nn.LayerNorm(pooled), nn.Linear(pooled, hidden), nn.GELU(), nn.Linear(hidden, len(self.names))
        )

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Return logits (n, K) of pooled features (n, 5C/2); see `pool_features`."""
        return self.head(pooled)

    def name(self, logits: torch.Tensor) -> ObjectName:
        """Return the most probable category for logits (K,)."""
        score, number = logits.float().softmax(0).max(0)
        return ObjectName(label=self.names[int(number)], score=float(score))

    def save(self, folder: Path) -> None:
        """Write `config.json` and, as float16, `model.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        config = {"schema": SCHEMA, "names": list(self.names), "width": self.width, "hidden": self.hidden}
        (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1), encoding="utf-8")
        save_weights(self.state_dict(), folder, half=True)

    @classmethod
    def load(cls, folder: Path) -> ObjectNamer:
        """Load a namer, in evaluation mode.

        Raises:
            UnavailableError: the weights are missing.
            ConfigError: the configuration or the weights are damaged or do not match.
        """
        file = folder / CONFIG_FILE
        try:
            config = strict_json.read_json(file)
            names, width, hidden = config["names"], config["width"], config["hidden"]
            valid = config["schema"] == SCHEMA and 0 < len(names) <= _MAX_NAMES and all(map(_is_name, names))
            valid = valid and all(type(value) is int and 4 <= value <= _MAX_WIDTH for value in (width, hidden))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{file}: no configuration of a namer ({error}); train it again") from error
        if not valid:
            raise ConfigError(f"{file}: names, width or hidden are out of range; train the namer again")
        namer, state = cls(names, width, hidden), load_weights(folder)
        shapes = [
            {name: tuple(tensor.shape) for name, tensor in table.items()} for table in (state, namer.state_dict())
        ]
        if mismatch := describe_mismatch([("", shapes[0], shapes[1])]):
            raise ConfigError(f"{folder / WEIGHTS_FILE}: the weights do not fit the configuration: {mismatch}")
        namer.load_state_dict({name: tensor.float() for name, tensor in state.items()})
        return namer.eval().requires_grad_(False)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name.strip()) and len(name) <= 200


def pool_features(features: FrameFeatures, masks: torch.Tensor) -> torch.Tensor:
    """Pool the features of one frame over masks.

    Args:
        features: of the frame.
        masks: (n, H, W) bool, not empty; any size.

    Returns:
        (n, 5C/2) float32: mean and maximum over each mask of the stride-16 map, then of the stride-8 map.
    """
    pooled = []
    for image in (features.embedding, features.middle):
        image = image[0].float()
        height, width = image.shape[-2:]
        share = F.adaptive_avg_pool2d(masks[:, None].to(image.device, torch.float32), (height, width))[:, 0]
        # A mask smaller than a cell still has its largest share somewhere.
        weight = share / share.sum((1, 2), keepdim=True).clamp(min=1e-6)
        mean = torch.einsum("nhw,chw->nc", weight, image)
        inside = share >= share.amax((1, 2), keepdim=True).clamp(max=0.5)
        maximum = torch.where(inside[:, None], image[None], -torch.inf).amax((2, 3))
        pooled += [mean, maximum]
    return torch.cat(pooled, dim=1)
