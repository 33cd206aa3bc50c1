"""Zero-shot pipeline as a predictor, for evaluation on the clips of a data set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from auralsam2.data.audio import read_sound
from auralsam2.data.sample import LoadedClip
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor, Prediction
from auralsam2.inference.clip import track_both_ways
from auralsam2.inference.results import NOTHING
from auralsam2.model import inference_context, streaming_network
from auralsam2.modeling.preprocess import normalise
from auralsam2.modeling.prompt_encoder import VisualPrompts
from auralsam2.types import AUDIO_RATE, Frame
from auralsam2.zero_shot.interfaces import DetectionBox
from auralsam2.zero_shot.pipeline import ZeroShotPipeline


class ZeroShotPredictor:
    """Predictor of the sounding objects of a clip, one frame per second.

    As in other evaluations, SAM 2 processes the prompted frame first and all others in ascending order. The clip is
    encoded once. The pipeline provides the prompts of the evaluation.
    """

    def __init__(self, pipeline: ZeroShotPipeline, options: EvaluationOptions) -> None:
        self.pipeline = pipeline
        self._aural = AuralPredictor(pipeline.model, options)
        self.name = f"zero-shot on {pipeline.model.name}"
        components = {
            "tagger": pipeline.tagger.name,
            "detector": pipeline.detector.name,
            "selector": repr(pipeline.selector),
        }
        self.identity = self._aural.identity | components

    def prepare(self, clip: LoadedClip) -> torch.Tensor:
        """Resize the frames to the model's input, (T, 3, S, S) uint8."""
        return self._aural.prepare(clip)

    @torch.inference_mode()
    def predict(self, clip: LoadedClip, prepared: torch.Tensor) -> Prediction:
        """Segment the clip."""
        network = streaming_network(self.pipeline.model)
        starts = self.pipeline.choose(
            f"{clip.sample.dataset} {clip.sample.clip}", _frames(clip), lambda: _seconds(clip)
        )
        count, side = len(prepared), network.image_size
        logits = torch.full((count, side, side), NOTHING, device=network.device)
        ious, scores = torch.zeros(count), torch.full((count,), NOTHING)
        if not starts:
            return Prediction(logits=logits, ious=ious, object_scores=scores)
        with inference_context(self.pipeline.model):
            frames = network.encode(normalise(prepared.to(network.device)), with_patches=False)
            for start in starts:
                prompted = start.detection.index
                box = _on_square(start.detection.box, clip.frames[prompted], side)
                for tracked in track_both_ways(network, frames, prompted, box):
                    if start.sounds(tracked.t):
                        logits[tracked.t] = torch.maximum(logits[tracked.t], tracked.logits)
                        ious[tracked.t] = max(float(ious[tracked.t]), tracked.iou)
                        scores[tracked.t] = max(float(scores[tracked.t]), tracked.object_score)
        return Prediction(logits=logits, ious=ious, object_scores=scores)


def _frames(clip: LoadedClip) -> Iterator[Frame]:
    for index, image in enumerate(clip.frames):
        yield Frame(
            index=index, time=float(index), instant=index + 0.5, slot=(index, index + 1.0), image=np.asarray(image)
        )


def _seconds(clip: LoadedClip) -> np.ndarray:
    """Return the audio of each frame's second, the mean of left and right: (T, 16000) float32; zero after its end."""
    sound = read_sound(clip.sample).mean(1)[clip.sample.first_example * AUDIO_RATE :]
    count = len(clip.frames)
    padded = np.zeros(count * AUDIO_RATE, np.float32)
    length = min(len(sound), len(padded))
    padded[:length] = sound[:length]
    return padded.reshape(count, AUDIO_RATE)


def _on_square(box: DetectionBox, image: np.ndarray, side: int) -> VisualPrompts:
    height, width = image.shape[:2]
    scale = torch.tensor([side / width, side / height]).repeat(2)
    return VisualPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int32), torch.tensor(box) * scale)
