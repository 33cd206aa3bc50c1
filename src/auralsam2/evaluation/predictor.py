"""AuralSAM2 as a predictor: clips through the network, prompted as the options say."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """Masks of the T frames of a clip.

    Attributes:
        logits: (T, h, w) float of any size; above 0 is the object.
        ious: (T,) the predictor's own estimate of each mask's IoU.
        object_scores: (T,) logit of "the object is in this frame".
    """

    logits: torch.Tensor
    ious: torch.Tensor
    object_scores: torch.Tensor


class Predictor(Protocol):
    """Makes masks of clips.

    Attributes:
        name: by which reports name it.
        identity: plain values on which its masks depend; a run goes on only with the same ones.
    """

    name: str
    identity: dict[str, str]

    def prepare(self, clip: LoadedClip) -> Any:
        """What can be done ahead, in another thread, while another clip is predicted."""
        ...

    def predict(self, clip: LoadedClip, prepared: Any) -> Prediction:
        """Make the masks; `prepared` is what `prepare` gave for this clip."""
        ...


class AuralPredictor:
    """A loaded model under some options.

    With prompts of sound or text the fuser runs: without sound it hears silence, and without text a model that reads
    some is told the expression that `segment` tells it too. With visual prompts alone it is plain SAM 2. Visual prompts
    come from the first supervised frame with a target, which then starts the memory; where no frame has a
    target nobody would point at anything, so with visual prompts alone the masks are empty.

    Args:
        model: in evaluation mode, on its device; AuralSAM2 or a baseline.
        options: prompts, how they are combined, and choice of the mask.

    Raises:
        UsageError: the model cannot take the prompts.
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
        """The frames on the model's square, (T, 3, S, S) uint8."""
        return torch.stack([to_square(frame, self.model.network.image_size) for frame in clip.frames])

    @torch.inference_mode()
    def predict(self, clip: LoadedClip, prepared: torch.Tensor) -> Prediction:
        """Segment the clip."""
        network = self.model.network
        told = first_target(clip.labels, clip.supervised) if self.options.visual else None
        fuses = self.options.hears or self.options.reads
        if not fuses and told is None:
            return _nothing(len(prepared), network.device)
        visual = None
        if told is not None:
            visual = {told: simulate_prompts(clip.labels[told], self.options.visual, network.image_size)}
        with inference_context(self.model):
            pixels = normalise(prepared.to(network.device))
            text = network.encode_text(clip.sample.expression if self.options.reads else None) if fuses else None
            log_mel = None
            if fuses:
                log_mel = (clip.log_mel if self.options.hears else silent_log_mel(clip.log_mel)).to(network.device)
            if self.options.combine != "joint" and log_mel is not None and visual is not None:
                heard, pointed = track_separately(network, pixels, log_mel, text, visual)
                return merge_masks(heard, pointed, cast(Merge, self.options.combine))
            return select_masks(track_clip(network, pixels, log_mel, text, visual), self.options.select)


def select_masks(frames: list[TrackedFrame], select: str) -> Prediction:
    """One of the candidate masks of each frame, as `Options.select` says; gating writes logits of 0."""
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


def merge_masks(heard: list[TrackedFrame], pointed: list[TrackedFrame], rule: Merge) -> Prediction:
    """The ensemble: of each frame one mask of two."""
    found = [
        merge_predictions(MaskPrediction.of(one), MaskPrediction.of(other), rule)
        for one, other in zip(heard, pointed, strict=True)
    ]
    return Prediction(
        logits=torch.stack([frame.low_res for frame in found]),
        ious=torch.tensor([frame.iou for frame in found]),
        object_scores=torch.tensor([frame.object_score for frame in found]),
    )


def silent_log_mel(log_mel: torch.Tensor) -> torch.Tensor:
    """The log-mel examples of digital silence, in the shape of others."""
    return silent_examples(len(log_mel)).to(log_mel)


def _nothing(frames: int, device: torch.device) -> Prediction:
    return Prediction(
        logits=torch.full((frames, 1, 1), NOTHING, device=device),
        ious=torch.zeros(frames),
        object_scores=torch.full((frames,), NOTHING),
    )


def _hash(network: AudioVisualNetwork) -> str:
    """Of all weights, the frozen ones too."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return _short(digest)


def _short(digest: hashlib._Hash) -> str:
    return digest.hexdigest()[:16]
