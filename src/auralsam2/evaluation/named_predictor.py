"""Predictors that add classes to the masks of another predictor."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auralsam2.data.class_names import CLASS_NAMES
from auralsam2.data.sample import LoadedClip
from auralsam2.errors import ConfigError, UsageError
from auralsam2.evaluation.aggregate import V2_SEMANTIC
from auralsam2.evaluation.metrics import threshold_masks
from auralsam2.evaluation.predictor import AuralPredictor, Prediction
from auralsam2.inference.separation import SourceSeparator, describe_mask
from auralsam2.inference.tracker import full_size
from auralsam2.model import inference_context, streaming_network
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.object_namer import SCHEMA as NAMER
from auralsam2.modeling.object_namer import ObjectNamer, pool_features
from auralsam2.modeling.preprocess import normalise
from auralsam2.semantics.second_stage import SCHEMA as SECOND_STAGE
from auralsam2.semantics.second_stage import SecondStage, square_guide, square_picture
from auralsam2.utils import strict_json
from auralsam2.utils.weights import CONFIG_FILE, WEIGHTS_FILE, file_hash


def named_predictor(masks: AuralPredictor, folder: Path) -> SecondStagePredictor | NamedSourcePredictor:
    """Load a namer for a data set with classes: a second stage, or an object namer.

    Args:
        masks: predicts the masks; its options name the data set.
        folder: of the namer.

    Raises:
        UsageError: the folder holds no namer.
        ConfigError: the namer is damaged, has other classes, or belongs to another model.
    """
    try:
        schema = strict_json.read_json(folder / CONFIG_FILE)["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"`namer={folder}`: no namer: give a folder that auralsam2 train wrote ({error})") from error
    if schema == SECOND_STAGE:
        return SecondStagePredictor(masks, SecondStage.load(folder), folder)
    if schema == NAMER:
        return NamedSourcePredictor(masks, ObjectNamer.load(folder), folder)
    raise UsageError(f"`namer={folder}`: {CONFIG_FILE} has the schema {schema!r}: give {SECOND_STAGE} or {NAMER}")


class SecondStagePredictor:
    """Masks of a first stage, and the label maps that the second stage predicts with them as guides.

    Args:
        masks: first stage.
        stage: second stage.
        folder: its folder.

    Raises:
        ConfigError: its classes are not those of the data set.
    """

    def __init__(self, masks: AuralPredictor, stage: SecondStage, folder: Path) -> None:
        dataset = masks.options.dataset
        if stage.stage.names != CLASS_NAMES[dataset]:
            raise ConfigError(f"{folder}: the {len(stage.stage.names)} classes are not those of {dataset}")
        self.masks, self.stage = masks, stage.to(masks.model.network.device).eval()
        self.name, self.identity = masks.name, masks.identity | {"namer": _hash(folder)}

    def prepare(self, clip: LoadedClip) -> tuple[Any, torch.Tensor]:
        """Resize the frames to the inputs of both stages."""
        size = self.stage.stage.image_size
        return self.masks.prepare(clip), torch.stack([square_picture(frame, size) for frame in clip.frames])

    @torch.inference_mode()
    def predict(self, clip: LoadedClip, prepared: tuple[Any, torch.Tensor]) -> Prediction:
        """Segment the clip, and classify the pixels of its frames.

        The guide is the mask that `evaluate --save-masks` writes.
        """
        prediction = self.masks.predict(clip, prepared[0])
        threshold, stage = self.masks.options.rules.threshold, self.stage.stage
        guides = []
        for t, frame in enumerate(clip.frames):
            mask = threshold_masks(prediction.frame_logits(t, (frame.shape[0], frame.shape[1])), threshold)
            guides.append(square_guide(mask.cpu().numpy() * np.uint8(255), stage.label_size))
        device = self.stage.device
        maps = self.stage.label_maps(prepared[1].to(device), torch.stack(guides).to(device), clip.log_mel.to(device))
        return replace(prediction, classes=maps)


class NamedSourcePredictor:
    """Masks of a first stage, divided into sources, each with the class that an object namer gives it.

    A source has one class, from all frames with it. A namer of StampAVS also has the names of its silent objects, which
    no source gets.

    Args:
        masks: first stage.
        namer: for the features of the first stage.
        folder: of the namer.

    Raises:
        ConfigError: a name is no class of v2-semantic, no name is a class, or the namer belongs to another model.
    """

    def __init__(self, masks: AuralPredictor, namer: ObjectNamer, folder: Path) -> None:
        dataset = masks.options.dataset
        classes = CLASS_NAMES[dataset]
        unknown = sorted(set(namer.names) - set(classes[1:]))
        if unknown and (dataset == V2_SEMANTIC or len(unknown) == len(namer.names)):
            raise ConfigError(f"{folder}: {unknown[0]!r} is no class of {dataset}")
        if namer.width != masks.model.network.sam2.hidden_dim:
            raise ConfigError(f"{folder}: the namer belongs to a model of {namer.width} channels")
        self.masks, self.namer = masks, namer.to(masks.model.network.device)
        self.numbers = torch.tensor([classes.index(name) if name in classes[1:] else 0 for name in namer.names])
        self.name, self.identity = masks.name, masks.identity | {"namer": _hash(folder)}

    def prepare(self, clip: LoadedClip) -> torch.Tensor:
        """Resize the frames to the model's input."""
        return self.masks.prepare(clip)

    @torch.inference_mode()
    def predict(self, clip: LoadedClip, prepared: torch.Tensor) -> Prediction:
        """Segment the clip, and name its sources."""
        prediction = self.masks.predict(clip, prepared)
        network = streaming_network(self.masks.model)
        with inference_context(self.masks.model):
            features = network.encode(normalise(prepared.to(network.device)), with_patches=False)
        logits = full_size(prediction.logits[None], self.masks.options.rules.size)[0]
        masks = threshold_masks(logits, self.masks.options.rules.threshold).cpu()
        classes = torch.zeros(masks.shape, dtype=torch.uint8)
        for track in source_tracks(masks, features):
            classes[track] = int(self.numbers[name_track(track, features, self.namer, self.numbers > 0)])
        return replace(prediction, classes=classes)


def source_tracks(masks: torch.Tensor, features: Sequence[FrameFeatures]) -> list[torch.Tensor]:
    """Divide the masks (T, H, W) bool of a clip into those of its sources, each (T, H, W) bool."""
    separator = SourceSeparator()
    frames = [separator.assign(mask.numpy(), partial(describe_mask, features[t])) for t, mask in enumerate(masks)]
    tracks = []
    for number in separator.numbers:
        track = torch.zeros_like(masks)
        for t, frame in enumerate(frames):
            if number in frame:
                track[t] = torch.from_numpy(frame[number])
        tracks.append(track)
    return tracks


def name_track(
    track: torch.Tensor, features: Sequence[FrameFeatures], namer: ObjectNamer, possible: torch.Tensor | None = None
) -> int:
    """Return the number of the most probable category of a source (T, H, W) bool, from all frames with it.

    Args:
        track: the source.
        features: of the T frames.
        namer: with K names.
        possible: (K,) bool, the names to choose from; None for all.
    """
    present = track.flatten(1).any(1).nonzero()[:, 0].tolist()
    pooled = torch.cat([pool_features(features[t], track[t][None]) for t in present])
    scores = namer(pooled).log_softmax(1).mean(0)
    return int((scores if possible is None else scores.where(possible.to(scores.device), -torch.inf)).argmax())


def _hash(folder: Path) -> str:
    return hashlib.sha256(
        " ".join(file_hash(folder / name) for name in (CONFIG_FILE, WEIGHTS_FILE)).encode()
    ).hexdigest()[:16]
