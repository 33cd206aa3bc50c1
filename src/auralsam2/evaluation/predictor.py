"""Predictors: masks of clips by AuralSAM2 or a baseline."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F

from auralsam2.data.sample import LoadedClip
from auralsam2.errors import UsageError
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.evaluation.simulated_prompts import first_target, simulate_prompts
from auralsam2.inference.clip import track_clip, track_separately
from auralsam2.inference.object_state import MaskPrediction, Merge, merge_predictions
from auralsam2.inference.results import NOTHING
from auralsam2.inference.tracker import TrackedFrame
from auralsam2.model import AuralSAM2, inference_context
from auralsam2.modeling.log_mel import silent_examples
from auralsam2.modeling.network import AudioVisualNetwork
from auralsam2.modeling.preprocess import normalise, to_square
from auralsam2.modeling.prompt_encoder import mask_logits


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """Masks of the T frames of a clip.

    Attributes:
        logits: (T, h, w) float, any size; the object is above 0.
        ious: (T,), predicted IoU of each mask.
        object_scores: (T,), logit of "the object is in this frame".
        given: masks of the user by frame, (H, W) bool, which are output unchanged instead of the logits.
        classes: (T, h, w) uint8, predicted class of each pixel; None without a namer.
    """

    logits: torch.Tensor
    ious: torch.Tensor
    object_scores: torch.Tensor
    given: Mapping[int, torch.Tensor] = field(default_factory=dict)
    classes: torch.Tensor | None = None

    def frame_logits(self, t: int, size: tuple[int, int]) -> torch.Tensor:
        """Return the logits of frame t at a size (H, W), float32: bilinear; those of a given mask nearest."""
        if (mask := self.given.get(t)) is None:
            logits = self.logits[t, None, None].float()
            return F.interpolate(logits, size, mode="bilinear", align_corners=False)[0, 0]
        values = mask_logits(mask.to(self.logits.device))[None, None]
        return F.interpolate(values, size, mode="nearest-exact")[0, 0]


class Predictor(Protocol):
    """Predicts masks of clips.

    Attributes:
        name: name in reports.
        identity: plain values that determine its masks; a run resumes only with equal ones.
    """

    name: str
    identity: dict[str, str]

    def prepare(self, clip: LoadedClip) -> Any:
        """Preprocess a clip in another thread."""
        ...

    def predict(self, clip: LoadedClip, prepared: Any) -> Prediction:
        """Predict the masks of a clip; `prepared` is the result of `prepare`."""
        ...


class AuralPredictor:
    """A loaded model with evaluation options.

    The fuser runs if audio or text is a prompt. Without audio it gets silence; without text, a model with a text
    encoder gets the default expression of `segment`. With visual prompts alone the model is plain SAM 2. Visual prompts
    are made for the first supervised frame with a target, which starts the memory. Without such a frame, visual prompts
    alone give empty masks.

    Args:
        model: in evaluation mode, on its device; AuralSAM2 or a baseline.
        options: prompts, their combination, and choice of the mask.

    Raises:
        UsageError: the model does not support the prompts.
    """

    def __init__(self, model: AuralSAM2, options: EvaluationOptions) -> None:
        if options.reads and model.network.text_encoder is None:
            raise UsageError(
                f"`prompts={options.prompts}`: model {model.name} reads no text: use `prompts=audio`, or a model "
                "such as ref-avs"
            )
        self.model, self.options = model, options
        self.name = model.name
        self.identity = {
            "config": _short(hashlib.sha256(json.dumps(model.network.config.to_dict()).encode())),
            "weights": _hash(model.network),
            "dtype": model.dtype,
            "device": model.network.device.type,
        }

    def prepare(self, clip: LoadedClip) -> torch.Tensor:
        """Resize the frames to the model's input, (T, 3, S, S) uint8."""
        return torch.stack([to_square(frame, self.model.network.image_size) for frame in clip.frames])

    @torch.inference_mode()
    def predict(self, clip: LoadedClip, prepared: torch.Tensor) -> Prediction:
        """Segment the clip."""
        network = self.model.network
        prompted = first_target(clip.labels, clip.supervised) if self.options.visual else None
        fuses = self.options.hears or self.options.reads
        if not fuses and prompted is None:
            return _empty(len(prepared), network.device)
        visual = None
        if prompted is not None:
            # The points of a sample do not depend on the samples before it.
            seed = (self.options.seed, zlib.crc32(clip.sample.id.encode()))
            visual = {
                prompted: simulate_prompts(
                    clip.labels[prompted],
                    self.options.visual,
                    network.image_size,
                    points=self.options.points,
                    seed=seed,
                )
            }
        with inference_context(self.model):
            pixels = normalise(prepared.to(network.device))
            text = network.encode_text(clip.sample.expression if self.options.reads else None) if fuses else None
            log_mel = None
            if fuses:
                log_mel = (clip.log_mel if self.options.hears else silent_log_mel(clip.log_mel)).to(network.device)
            if self.options.combine != "joint" and log_mel is not None and visual is not None:
                with_audio, with_visual = track_separately(network, pixels, log_mel, text, visual)
                return merge_masks(with_audio, with_visual, cast(Merge, self.options.combine))
            prediction = select_masks(track_clip(network, pixels, log_mel, text, visual), self.options.select)
        if visual is not None and prompted is not None and visual[prompted].given_mask is not None:
            return replace(prediction, given={prompted: clip.labels[prompted]})
        return prediction


def select_masks(frames: list[TrackedFrame], select: str) -> Prediction:
    """Select a candidate mask of each frame; see `EvaluationOptions.select`. An emptied mask has logits of 0."""
    logits, ious, scores = [], [], []
    for frame in frames:
        index = 0 if select == "first" else frame.best
        mask = frame.decoded.logits[0, index].float()
        if select == "iou+object" and frame.object_score < 0:
            mask = torch.zeros_like(mask)
        logits.append(mask)
        ious.append(float(frame.decoded.ious[0, index]))
        scores.append(frame.object_score)
    return Prediction(logits=torch.stack(logits), ious=torch.tensor(ious), object_scores=torch.tensor(scores))


def merge_masks(with_audio: list[TrackedFrame], with_visual: list[TrackedFrame], rule: Merge) -> Prediction:
    """Merge the masks of audio and of visual prompts."""
    merged = [
        merge_predictions(MaskPrediction.of(one), MaskPrediction.of(other), rule)
        for one, other in zip(with_audio, with_visual, strict=True)
    ]
    return Prediction(
        logits=torch.stack([frame.low_res for frame in merged]),
        ious=torch.tensor([frame.iou for frame in merged]),
        object_scores=torch.tensor([frame.object_score for frame in merged]),
    )


def silent_log_mel(log_mel: torch.Tensor) -> torch.Tensor:
    """Return log-mel examples of digital silence, in the shape of others."""
    return silent_examples(len(log_mel)).to(log_mel)


def _empty(frames: int, device: torch.device) -> Prediction:
    return Prediction(
        logits=torch.full((frames, 1, 1), NOTHING, device=device),
        ious=torch.zeros(frames),
        object_scores=torch.full((frames,), NOTHING),
    )


def _hash(network: AudioVisualNetwork) -> str:
    """Hash all weights, with the frozen ones."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return _short(digest)


def _short(digest: hashlib._Hash) -> str:
    return digest.hexdigest()[:16]
