"""AuralSAM2 as a predictor: clips through the network, prompted as the options say."""

from __future__ import annotations

import hashlib
import json
from typing import cast

import torch

from auralsam2.audio.logmel import silence
from auralsam2.data.samples import LoadedClip
from auralsam2.errors import UsageError
from auralsam2.evaluation.options import Options
from auralsam2.evaluation.prediction import Prediction
from auralsam2.evaluation.truth import first_target, visual_prompts
from auralsam2.model import AuralSAM2
from auralsam2.network import HearingNetwork
from auralsam2.tracker.converse.found import Found, Merge, merge
from auralsam2.tracker.result import NOTHING
from auralsam2.tracker.tracker import Tracked
from auralsam2.vision.preprocess import normalise, to_square


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

    def __init__(self, model: AuralSAM2, options: Options) -> None:
        if options.reads and model.network.text_encoder is None:
            raise UsageError(
                f"--prompts {options.prompts}: model {model.name} reads no text: take --prompts audio, or a model "
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
            visual = {told: visual_prompts(clip.labels[told], self.options.visual, network.image_size)}
        with self.model.compute():
            pixels = normalise(prepared.to(network.device))
            text = network.read(clip.sample.expression if self.options.reads else None) if fuses else None
            log_mel = None
            if fuses:
                log_mel = (clip.log_mel if self.options.hears else silence_like(clip.log_mel)).to(network.device)
            if self.options.combine != "joint" and log_mel is not None and visual is not None:
                heard, pointed = network.track_apart(pixels, log_mel, text, visual)
                return merged(heard, pointed, cast(Merge, self.options.combine))
            return chosen(network.track(pixels, log_mel, text, visual), self.options.select)


def chosen(frames: list[Tracked], select: str) -> Prediction:
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


def merged(heard: list[Tracked], pointed: list[Tracked], rule: Merge) -> Prediction:
    """The ensemble: of each frame one mask of two."""
    found = [merge(Found.of(one), Found.of(other), rule) for one, other in zip(heard, pointed, strict=True)]
    return Prediction(
        logits=torch.stack([frame.low for frame in found]),
        ious=torch.tensor([frame.iou for frame in found]),
        object_scores=torch.tensor([frame.object_score for frame in found]),
    )


def silence_like(log_mel: torch.Tensor) -> torch.Tensor:
    """The log-mel examples of digital silence, in the shape of others."""
    return silence(len(log_mel)).to(log_mel)


def _nothing(frames: int, device: torch.device) -> Prediction:
    return Prediction(
        logits=torch.full((frames, 1, 1), NOTHING, device=device),
        ious=torch.zeros(frames),
        object_scores=torch.full((frames,), NOTHING),
    )


def _hash(network: HearingNetwork) -> str:
    """Of all weights, the frozen ones too."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return _short(digest)


def _short(digest: hashlib._Hash) -> str:
    return digest.hexdigest()[:16]
