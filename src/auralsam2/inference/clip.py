"""Segmentation of one clip of a few frames, for training and evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from auralsam2.config import Conditioning
from auralsam2.inference.tracker import ObjectTracker, TrackedFrame
from auralsam2.modeling.aural_fuser import FuserOutput
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.network import AudioVisualNetwork, AuralNetwork
from auralsam2.modeling.prompt_encoder import VisualPrompts
from auralsam2.types import FeaturePrompts
from auralsam2.utils.timing import StageTimer


@dataclass(frozen=True, slots=True)
class ClipOutput:
    """Result of one clip.

    Attributes:
        features: the T encoded frames.
        fuser: output of AuralFuser.
        frames: the T tracked frames, in the order of time.
    """

    features: tuple[FrameFeatures, ...]
    fuser: FuserOutput
    frames: tuple[TrackedFrame, ...]


def new_tracker(
    network: AudioVisualNetwork,
    frames: int | None = None,
    timer: StageTimer | None = None,
    compute: Callable[[], AbstractContextManager[object]] = nullcontext,
    *,
    stock: bool = False,
) -> ObjectTracker:
    """Make a tracker with an empty memory bank.

    Args:
        network: provides prompt encoder, mask decoder and memory.
        frames: length of the clip; None if it is unknown or long.
        timer: counts seconds per stage.
        compute: returns the context in which each step runs.
        stock: use the frozen SAM 2, without the adapters of a baseline.
    """
    sam2 = network.sam2 if stock else network.prompted_sam2
    decoder = network.decoder if stock else network.prompted_decoder
    return ObjectTracker(sam2, decoder, network.memory, network.position, frames, timer, compute)


def track_frames(
    network: AudioVisualNetwork,
    frames: tuple[FrameFeatures, ...],
    prompts: FeaturePrompts | None,
    visual: Mapping[int, VisualPrompts] | None = None,
    *,
    conditioning: Conditioning | None = None,
    stock: bool = False,
) -> list[TrackedFrame]:
    """Track the object through the encoded frames of a clip.

    Args:
        network: provides prompt encoder, mask decoder and memory.
        frames: T frames.
        prompts: feature prompts of these frames; None without audio and text.
        visual: points, boxes and masks by frame; these frames start the memory.
        conditioning: conditioning frames without visual prompts; by default those of the network's configuration.
        stock: use the frozen SAM 2, without the adapters of a baseline.

    Returns:
        the T frames, in the order of time.
    """
    tracker = new_tracker(network, len(frames), stock=stock)
    tracked = tracker.track_sequence(frames, prompts, conditioning or network.config.clip.conditioning, visual)
    return sorted(tracked, key=lambda frame: frame.t)


def track_both_ways(
    network: AudioVisualNetwork, frames: tuple[FrameFeatures, ...], prompted: int, visual: VisualPrompts
) -> list[TrackedFrame]:
    """Propagate visual prompts of one frame forward to the end of the clip, and backward to its start.

    Args:
        network: provides prompt encoder, mask decoder and memory.
        frames: T frames.
        prompted: index of the frame with the prompts.
        visual: its points, box and mask.

    Returns:
        the T frames, in the order of time.
    """
    forward, backward = new_tracker(network), new_tracker(network)
    first = forward.step(prompted, frames[prompted], None, visual, conditioning=True)
    backward.bank.add(-prompted, first.entry, conditioning=True)
    later = [forward.step(t, frames[t]) for t in range(prompted + 1, len(frames))]
    # Backward, frames have negative numbers.
    earlier = [dataclasses.replace(backward.step(-t, frames[t]), t=t) for t in range(prompted - 1, -1, -1)]
    return [*reversed(earlier), first, *later]


def track_clip(
    network: AudioVisualNetwork,
    pixels: torch.Tensor,
    log_mel: torch.Tensor | None,
    text_features: torch.Tensor | None = None,
    visual: Mapping[int, VisualPrompts] | None = None,
) -> list[TrackedFrame]:
    """Encode a clip and track the object through it, with all prompts at once.

    Args:
        network: AuralSAM2's or that of a baseline.
        pixels: (T, 3, S, S) float, normalised.
        log_mel: (N, 2, 96, 64), N >= T; None without audio and text.
        text_features: output of `read`.
        visual: points, boxes and masks by frame; these frames start the memory.

    Returns:
        the T frames, in the order of time.
    """
    frames, prompts = network.encode_clip(pixels, log_mel, text_features)
    return track_frames(network, frames, prompts, visual)


def track_separately(
    network: AudioVisualNetwork,
    pixels: torch.Tensor,
    log_mel: torch.Tensor,
    text_features: torch.Tensor | None,
    visual: Mapping[int, VisualPrompts],
) -> tuple[list[TrackedFrame], list[TrackedFrame]]:
    """Track the object twice, for an ensemble: with feature prompts, and with visual prompts by the frozen SAM 2.

    Args:
        network: AuralSAM2's or that of a baseline.
        pixels: (T, 3, S, S) float, normalised.
        log_mel: (N, 2, 96, 64), N >= T.
        text_features: output of `read`.
        visual: points, boxes and masks by frame.

    Returns:
        the T frames with feature prompts and the T frames with visual prompts, in the order of time.
    """
    frames, prompts = network.encode_clip(pixels, log_mel, text_features)
    return (
        track_frames(network, frames, prompts),
        track_frames(network, network.encode_stock(pixels, frames), None, visual, stock=True),
    )


def segment_clip(
    network: AuralNetwork, pixels: torch.Tensor, log_mel: torch.Tensor, text_features: torch.Tensor | None = None
) -> ClipOutput:
    """Segment one clip by audio, and by text if the fuser takes text.

    Args:
        network: AuralSAM2's.
        pixels: (T, 3, S, S) float, normalised.
        log_mel: (N, 2, 96, 64), N >= T.
        text_features: (n, width), if the fuser takes text.
    """
    frames = network.encode(pixels)
    fused = network.fuse(frames, log_mel, text_features)
    prompts = network.cap_object_scores(frames, fused.prompts, text_features)
    return ClipOutput(frames, fused, tuple(track_frames(network, frames, prompts)))
