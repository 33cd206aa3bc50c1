"""Stored masks as segmentations, and previews of their post-processing."""

from __future__ import annotations

import bisect
import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from auralsam2.inference.results import make_segmentation
from auralsam2.outputs.cutouts import AlphaOptions
from auralsam2.outputs.postprocessing import PostProcessing, postprocess_window
from auralsam2.studio import mask_codec
from auralsam2.studio.storage import SessionFolder, StoredClip
from auralsam2.types import Frame, Segmentation

_LONGEST = 1600
"""Longest side of a preview, in pixels: that of the canvas of the page."""


@dataclass(frozen=True, kw_only=True)
class StoredMasks:
    """Masks of a session on disk, as the page shows them.

    Attributes:
        folder: of the session.
        clip: properties of its video.
        threshold: logit above which a pixel belongs to an object.
        score: object score below which masks are empty.
    """

    folder: SessionFolder
    clip: StoredClip
    threshold: float
    score: float

    def segmentation(self, number: int, tick: int) -> Segmentation | None:
        """Return the mask of an object on a frame, with a black image; None without one.

        Raises:
            InputError: the mask is damaged.
        """
        clip = self.clip
        try:
            data = self.folder.mask(number, tick).read_bytes()
        except FileNotFoundError:
            return None
        header, logits = mask_codec.unpack_mask(data)
        # Shape without memory: callers that need the image have it.
        blank = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (clip.height, clip.width, 3))
        segmentation = make_segmentation(
            Frame(index=tick, time=clip.times[tick], instant=clip.times[tick], slot=clip.slot(tick), image=blank),
            torch.from_numpy(logits - np.float32(self.threshold)),
            iou=header.iou,
            object_score=header.object_score,
            audible=header.sounding,
            number=number,
        )
        if header.object_score < self.score:
            empty = np.zeros_like(segmentation.mask)
            segmentation = dataclasses.replace(segmentation, mask=empty, sounding=False)
        return segmentation

    def preview(self, number: int, tick: int, options: PostProcessing) -> bytes | None:
        """Return the post-processed mask of an object on a frame, encoded by `mask_codec`.

        Returns:
            a mask whose logits are -1 outside, 1 inside and between them where the edge is soft; None without a
            stored mask.

        Raises:
            InputError: a mask is damaged.
        """
        ticks = self.folder.mask_ticks(number)
        position, reach = bisect.bisect_left(ticks, tick), options.smooth // 2
        window = ticks[max(0, position - reach) : position + reach + 1]
        stored = [self.segmentation(number, other) for other in window]
        present = [segmentation for segmentation in stored if segmentation is not None]
        own = next((at for at, segmentation in enumerate(present) if segmentation.index == tick), None)
        if own is None:
            return None
        mask = postprocess_window([segmentation.mask for segmentation in present], own, options)
        picture = Image.fromarray(AlphaOptions(feather=options.feather).alpha(mask))
        picture.thumbnail((_LONGEST, _LONGEST), Image.Resampling.BILINEAR)
        return mask_codec.pack_mask(
            np.asarray(picture, np.float32) / 127.5 - 1.0,
            object_id=number,
            tick=tick,
            iou=present[own].iou,
            object_score=present[own].object_score,
            sounding=present[own].sounding,
            limit=1.0,
        )
