"""AuralSAM2 as a predictor: clips through the network, prompted as the options say."""

from __future__ import annotations

import hashlib

import torch

from auralsam2.data.samples import LoadedClip
from auralsam2.errors import UsageError
from auralsam2.evaluation.options import Options
from auralsam2.evaluation.prediction import Prediction
from auralsam2.evaluation.truth import first_target, visual_prompts
from auralsam2.model import AuralSAM2
from auralsam2.network import AuralNetwork
from auralsam2.tracker.session import NOTHING
from auralsam2.tracker.tracker import Tracked
from auralsam2.types import FeaturePrompts
from auralsam2.vision.preprocess import normalise, to_square
from auralsam2.vision.pyramid import FrameFeatures


class AuralPredictor:
    """A loaded model under some options.

    With prompts of sound or text the fuser runs: without sound it hears silence, and without text a model that reads
    some is told the expression that `segment` tells it too. With visual prompts alone it is plain SAM 2. Visual prompts
    come from the first supervised frame with a target, which then starts the memory; where no frame has a
    target nobody would point at anything, so with visual prompts alone the masks are empty.

    Args:
        model: in evaluation mode, on its device.
        options: prompts and choice of the mask.

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
        self.identity = {"weights": _hash(model.network), "dtype": model.dtype, "device": model.network.device.type}

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
            frames = network.encode(normalise(prepared.to(network.device)), listen=fuses)
            fused = self._fuse(clip, frames) if fuses else None
            tracker = network.tracker(len(frames))
            found = sorted(
                tracker.track(frames, fused, network.config.clip.conditioning, visual), key=lambda frame: frame.t
            )
        return chosen(found, self.options.select)

    def _fuse(self, clip: LoadedClip, frames: tuple[FrameFeatures, ...]) -> FeaturePrompts:
        network = self.model.network
        log_mel = clip.log_mel if self.options.hears else silence_like(clip.log_mel)
        text = network.read(clip.sample.expression if self.options.reads else None)
        return network.fuse(frames, log_mel.to(network.device), text).prompts


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


def silence_like(log_mel: torch.Tensor) -> torch.Tensor:
    """The log-mel examples of digital silence, in the shape of others."""
    return torch.full_like(log_mel, OFFSET).log()


def _nothing(frames: int, device: torch.device) -> Prediction:
    return Prediction(
        logits=torch.full((frames, 1, 1), NOTHING, device=device),
        ious=torch.zeros(frames),
        object_scores=torch.full((frames,), NOTHING),
    )


def _hash(network: AuralNetwork) -> str:
    """Of all weights, the frozen ones too."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
