"""Second stage: label maps from frames, guides and audio."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

from auralsam2.errors import ConfigError
from auralsam2.hub import download
from auralsam2.modeling.audio_encoder import AudioEncoder
from auralsam2.modeling.preprocess import DEVIATION, MEAN
from auralsam2.semantics.mask2former import GuidedMask2Former
from auralsam2.semantics.stage_config import SecondStageConfig
from auralsam2.utils import strict_json
from auralsam2.utils.atomic_io import Staging, writing
from auralsam2.utils.configs import build_config
from auralsam2.utils.pretrained import check_config, load_part, pretrained_errors
from auralsam2.utils.weights import CONFIG_FILE, WEIGHTS_FILE, describe_mismatch, load_weights, save_weights

SCHEMA = "auralsam2.second-stage/1"
IGNORED = 255
"""Class of pixels that no target covers."""


class SecondStage(nn.Module):
    """Guided Mask2Former and a frozen audio encoder.

    Args:
        mask2former: with or without its trained weights.
        audio_encoder: VGGish.
    """

    def __init__(self, mask2former: GuidedMask2Former, audio_encoder: AudioEncoder) -> None:
        super().__init__()
        self.mask2former, self.audio_encoder = mask2former, audio_encoder.requires_grad_(False)
        mask2former.freeze()

    @property
    def stage(self) -> SecondStageConfig:
        """Configuration."""
        return self.mask2former.stage

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.mask2former.class_predictor.weight.device

    def trained_state(self) -> dict[str, torch.Tensor]:
        """Return the trained tensors by name."""
        return {name: value.detach() for name, value in self.named_parameters() if value.requires_grad}

    def forward(
        self, pixels: torch.Tensor, guide: torch.Tensor, log_mel: torch.Tensor, classes: torch.Tensor | None = None
    ) -> Any:
        """Run the network on the B frames of a clip, each alone.

        Args:
            pixels: (B, 3, S, S) uint8 RGB, from `square_picture`.
            guide: (B, h, w) float in [0, 1], the mask of the sounding objects.
            log_mel: (B, 2, 96, 64). The audio of a frame is the mean of the embeddings of both channels.
            classes: (B, h, w) uint8, true classes, for the loss.

        Returns:
            output of transformers' Mask2Former.
        """
        scale = pixels.new_tensor(DEVIATION, dtype=torch.float32)[:, None, None]
        shift = pixels.new_tensor(MEAN, dtype=torch.float32)[:, None, None]
        audio = None
        if self.stage.audio:
            with torch.no_grad():
                audio = self.audio_encoder(log_mel).unflatten(1, (2, -1)).mean(1)
        targets: dict[str, Any] = {}
        if classes is not None:
            masks, numbers = zip(*(class_masks(frame, self.stage.image_size) for frame in classes), strict=True)
            targets = {"mask_labels": list(masks), "class_labels": list(numbers)}
        return self.mask2former((pixels / 255 - shift) / scale, guide[:, None], audio, **targets)

    @torch.inference_mode()
    def label_maps(self, pixels: torch.Tensor, guide: torch.Tensor, log_mel: torch.Tensor) -> torch.Tensor:
        """Return the classes (B, h, w) uint8 at the size of labels; arguments as in `forward`."""
        output = self(pixels, guide, log_mel)
        size, side = self.stage.image_size, self.stage.label_size
        return torch.stack(
            [
                label_map(logits, masks, size, side)
                for logits, masks in zip(output.class_queries_logits, output.masks_queries_logits, strict=True)
            ]
        )

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`, with the frozen weights.

        Raises:
            OutputError: the folder cannot be written; earlier files in it are unchanged.
        """
        config = {
            "schema": SCHEMA,
            "stage": dataclasses.asdict(self.stage),
            "mask2former": json.loads(self.mask2former.config.to_json_string(use_diff=False)),
        }
        with writing(folder), Staging(folder) as staging:
            (staging.path / CONFIG_FILE).write_text(json.dumps(config, indent=1), encoding="utf-8")
            save_weights(self.state_dict(), staging.path)
            staging.publish([WEIGHTS_FILE, CONFIG_FILE])

    @classmethod
    def load(cls, folder: Path) -> SecondStage:
        """Load a second stage, in evaluation mode on the CPU.

        Raises:
            UnavailableError: a file is missing or damaged.
            ConfigError: the configuration or the weights are out of range or do not match.
        """
        with pretrained_errors(folder, "second stage"):
            check_config(folder)
            values = strict_json.read_json(folder / CONFIG_FILE)
            if values["schema"] != SCHEMA:
                raise ConfigError(f"{folder / CONFIG_FILE}: schema {values['schema']!r} is not {SCHEMA!r}")
            stage = build_config(SecondStageConfig, values["stage"], "stage.")
            config = Mask2FormerConfig.from_dict(values["mask2former"])
            state = load_weights(folder)
            # Without storage: a damaged configuration cannot ask for more memory than the file has.
            with torch.device("meta"):
                network = cls(GuidedMask2Former(config, stage), AudioEncoder(stage.audio_encoder))
            shapes = [
                {name: tuple(tensor.shape) for name, tensor in table.items()} for table in (state, network.state_dict())
            ]
            if mismatch := describe_mismatch([("", shapes[0], shapes[1])]):
                raise ConfigError(f"{folder / WEIGHTS_FILE}: the weights do not fit the configuration: {mismatch}")
            network = cls(GuidedMask2Former(config, stage), AudioEncoder(stage.audio_encoder))
            network.load_state_dict(state)
        return network.eval()


def load_stock(name: str | dict[str, Any], seed: int = 0) -> Mask2FormerForUniversalSegmentation:
    """Load a stock Mask2Former from a folder or the hub, or build one with random weights.

    Args:
        name: folder or hub id; or a configuration of transformers' Mask2Former.
        seed: of random weights.

    Raises:
        UnavailableError: it is neither on this machine nor downloadable, or damaged.
        ConfigError: weights are missing or not finite, or the configuration is not valid.
    """
    if isinstance(name, dict):
        torch.manual_seed(seed)
        try:
            return Mask2FormerForUniversalSegmentation(Mask2FormerConfig.from_dict(name))
        except Exception as error:  # transformers checks values by several libraries, each with its errors
            raise ConfigError(
                f"mask2former: no configuration of Mask2Former: {' '.join(str(error).split())}"
            ) from error
    folder = download.fetch_mask2former(name)
    with pretrained_errors(folder, "Mask2Former"):
        check_config(folder)
        config = Mask2FormerConfig.from_pretrained(folder)
        return load_part(Mask2FormerForUniversalSegmentation, folder, config, ("criterion.",))


def square_picture(image: np.ndarray, size: int) -> torch.Tensor:
    """Resize an image (H, W, 3) uint8 RGB as Mask2Former's processor does: bilinear, (3, S, S) uint8."""
    square = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)


def square_guide(mask: np.ndarray, size: int) -> torch.Tensor:
    """Resize a mask (H, W) uint8, 0 to 255, to the size of labels by nearest neighbour: (S, S) float in [0, 1]."""
    square = Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST)
    return torch.from_numpy(np.array(square)).float() / 255


def class_masks(classes: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Split the classes of a frame into targets of the loss.

    Args:
        classes: (h, w) uint8, 255 for pixels of no target.
        size: S.

    Returns:
        (n, S, S) float, the mask of each class that is present, resized by nearest neighbour, and its number, (n,).
    """
    square = F.interpolate(classes[None, None].float(), (size, size), mode="nearest-exact")[0, 0].long()
    numbers = square.unique()
    numbers = numbers[numbers != IGNORED]
    return (square[None] == numbers[:, None, None]).float(), numbers


def label_map(class_logits: torch.Tensor, mask_logits: torch.Tensor, size: int, side: int) -> torch.Tensor:
    """Merge the queries of a frame to a label map.

    Each query gives its class probabilities, without "no object", to the pixels of its mask, by their probability. The
    masks are resized to the input's size before, the sums to that of the labels after.

    Args:
        class_logits: (Q, K + 1).
        mask_logits: (Q, H, W).
        size: side of the input.
        side: side of the map.

    Returns:
        (side, side) uint8.
    """
    masks = F.interpolate(mask_logits[None].float(), (size, size), mode="bilinear", align_corners=False)[0].sigmoid()
    sums = torch.einsum("qk,qhw->khw", class_logits.float().softmax(-1)[:, :-1], masks)
    sums = F.interpolate(sums[None], (side, side), mode="bilinear", align_corners=False)[0]
    return sums.argmax(0).to(torch.uint8)
