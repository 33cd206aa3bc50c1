"""Objects of a stream: sounding sources as objects of their own, and the categories of objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from PIL import Image

from auralsam2.inference.results import NOTHING
from auralsam2.inference.separation import SourceSeparator, describe_mask
from auralsam2.inference.video_session import VideoSession
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.object_namer import ObjectNamer, pool_features
from auralsam2.types import Segmentation


def separate_sources(session: VideoSession, frames: Iterator[Segmentation]) -> Iterator[Segmentation]:
    """Divide the masks of the sounding objects between their sources.

    Args:
        session: provides the features of the frames.
        frames: masks of all sounding objects, in the order of time.

    Yields:
        for each frame one segmentation of each source so far, numbered from 1; without any, an empty one of object 1.
    """
    separator = SourceSeparator()
    for frame in frames:
        sounding = frame.mask if frame.sounding else np.zeros_like(frame.mask)
        masks: dict[int, np.ndarray] = {}
        if sounding.any():
            masks = separator.assign(sounding, partial(describe_mask, _features(session, frame)))
        for number in separator.numbers or (1,):
            yield _part(frame, number, masks.get(number))


def name_objects(session: VideoSession, frames: Iterator[Segmentation], namer: ObjectNamer) -> Iterator[Segmentation]:
    """Add the category of each object: that of the mean log-probability over its frames so far.

    Args:
        session: provides the features of the frames.
        frames: masks of one or several objects.
        namer: names the categories.
    """
    sums: dict[int, torch.Tensor] = {}
    counts: dict[int, int] = {}
    for frame in frames:
        number = frame.object_id
        if frame.mask.any():
            pooled = pool_features(_features(session, frame), torch.from_numpy(frame.mask)[None])
            with torch.inference_mode():
                scores = namer(pooled.cpu())[0].log_softmax(0)
            sums[number] = sums.get(number, torch.zeros_like(scores)) + scores
            counts[number] = counts.get(number, 0) + 1
        if number in sums:
            name = namer.name(sums[number] / counts[number])
            frame = dataclasses.replace(frame, label=name.label, label_score=name.score)
        yield frame


def _features(session: VideoSession, frame: Segmentation) -> FrameFeatures:
    session._frames.has(frame.index)  # reads the file up to the frame
    return session._frames.features(frame.index)


def _part(frame: Segmentation, number: int, mask: np.ndarray | None) -> Segmentation:
    """Return the part of a frame's mask that belongs to one source; None for a silent one."""
    if mask is None:
        empty = np.zeros_like(frame.mask)
        logits = np.full_like(frame.logits, NOTHING)
        return dataclasses.replace(
            frame, object_id=number, mask=empty, logits=logits, iou=0.0, object_score=NOTHING, sounding=False
        )
    height, width = frame.logits.shape
    share = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    return dataclasses.replace(
        frame, object_id=number, mask=mask, logits=np.where(share, frame.logits, np.float32(NOTHING))
    )
