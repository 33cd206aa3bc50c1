"""Post-processing of masks, for annotation and editing: temporal median, holes, specks, growing and shrinking."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import ndimage

from auralsam2.errors import UsageError
from auralsam2.types import Segmentation

_SQUARE = ndimage.generate_binary_structure(2, 2)
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class PostProcessing:
    """Steps of post-processing, in the order of computation; all are off by default.

    Attributes:
        smooth: number of neighbouring processed frames, odd, of which each pixel takes the majority; 1 for none. At the
            beginning and the end there are fewer frames; in a tie, the pixel keeps its value.
        fill_holes: fill background that the mask encloses.
        min_area: remove 8-connected parts with fewer pixels.
        grow: pixels by which the mask grows in all directions; negative to shrink. The edge of the frame is no border.
        feather: standard deviation, in pixels, of the Gaussian that softens the edge in cut-outs and mattes. Masks in
            other formats have hard edges.

    Raises:
        UsageError: a value is outside its range.
    """

    smooth: int = 1
    fill_holes: bool = False
    min_area: int = 0
    grow: float = 0.0
    feather: float = 0.0

    def __post_init__(self) -> None:
        if not (1 <= self.smooth <= MAX_SMOOTH and self.smooth % 2):
            raise UsageError(f"`smooth={self.smooth}` must be an odd number of frames, 1 to {MAX_SMOOTH}")
        if self.min_area < 0:
            raise UsageError(f"`min_area={self.min_area}` must be 0 or more pixels")
        if not math.isfinite(self.grow):
            raise UsageError(f"`grow={self.grow}` must be a number of pixels")
        if not 0 <= self.feather <= MAX_FEATHER:
            raise UsageError(f"`feather={self.feather:g}` must be 0 to {MAX_FEATHER} pixels")

    @property
    def changes_masks(self) -> bool:
        """Whether masks with hard edges change."""
        return dataclasses.replace(self, feather=0.0) != PostProcessing()


MAX_SMOOTH = 99
"""Maximum of `PostProcessing.smooth`; that many masks of each object are in memory."""
MAX_FEATHER = 500
"""Maximum of `PostProcessing.feather`."""


def postprocess_mask(mask: np.ndarray, options: PostProcessing) -> np.ndarray:
    """Apply the steps that need one frame: all except `smooth` and `feather`.

    Args:
        mask: (H, W) bool; not modified.
        options: the steps.

    Returns:
        (H, W) bool.
    """
    if options.fill_holes:
        mask = np.asarray(ndimage.binary_fill_holes(mask))
    if options.min_area > 1:
        labels: np.ndarray = np.empty(mask.shape, np.int32)
        ndimage.label(mask, _SQUARE, output=labels)
        large = np.bincount(labels.ravel()) >= options.min_area
        large[0] = False
        mask = large[labels]
    if options.grow > 0 and mask.any():
        mask = _distances(~mask) <= options.grow
    elif options.grow < 0 and not mask.all():
        mask = _distances(mask) > -options.grow
    return mask


def postprocess_window(masks: Sequence[np.ndarray], position: int, options: PostProcessing) -> np.ndarray:
    """Post-process one of several successive masks of an object.

    Args:
        masks: (H, W) bool; those within `smooth` // 2 of the position are used.
        position: of the mask.
        options: the steps; `feather` is ignored.

    Returns:
        (H, W) bool.
    """
    reach = options.smooth // 2
    neighbours = masks[max(0, position - reach) : position + reach + 1]
    return postprocess_mask(_majority(neighbours, masks[position]), options)


def postprocess(segmentations: Iterable[Segmentation], options: PostProcessing) -> Iterator[Segmentation]:
    """Post-process the masks of one or several objects.

    `sounding` becomes false where nothing of the mask is left; scores and logits stay those of the model.

    Args:
        segmentations: in the order of time, the objects of a frame in sequence.
        options: the steps.

    Yields:
        the segmentations in the same order, `smooth` // 2 frames late.
    """

    def replaced(segmentation: Segmentation, mask: np.ndarray) -> Segmentation:
        sounding = segmentation.sounding and bool(mask.any())
        return dataclasses.replace(segmentation, mask=mask, sounding=sounding)

    return postprocess_items(segmentations, options, lambda item: item.object_id, lambda item: item.mask, replaced)


def postprocess_items(
    items: Iterable[Item],
    options: PostProcessing,
    object_of: Callable[[Item], int],
    mask_of: Callable[[Item], np.ndarray],
    replaced: Callable[[Item, np.ndarray], Item],
) -> Iterator[Item]:
    """Post-process masks of any representation; see `postprocess`.

    Args:
        items: one object on one frame each.
        options: the steps.
        object_of: returns the number of the object of an item.
        mask_of: returns the (H, W) bool mask of an item.
        replaced: returns an item with another mask.
    """
    reach = options.smooth // 2
    waiting: deque[tuple[Item, int, int]] = deque()  # item, object and position among the masks of the object
    masks: dict[int, dict[int, np.ndarray]] = defaultdict(dict)
    counts: dict[int, int] = defaultdict(int)

    def finish(item: Item, number: int, position: int) -> Item:
        own = masks[number]
        window = [at for at in range(position - reach, position + reach + 1) if at in own]
        mask = postprocess_window([own[at] for at in window], window.index(position), options)
        own.pop(position - reach, None)
        return replaced(item, mask)

    for item in items:
        number = object_of(item)
        waiting.append((item, number, counts[number]))
        masks[number][counts[number]] = mask_of(item)
        counts[number] += 1
        while waiting and waiting[0][2] + reach < counts[waiting[0][1]]:
            yield finish(*waiting.popleft())
    while waiting:
        yield finish(*waiting.popleft())


def _distances(mask: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel of a mask from its nearest background pixel, float64."""
    return np.asarray(ndimage.distance_transform_edt(mask))


def _majority(masks: Sequence[np.ndarray], own: np.ndarray) -> np.ndarray:
    """Return the majority of masks for each pixel; the own mask in a tie."""
    if len(masks) == 1:
        return own
    votes = np.sum(masks, axis=0, dtype=np.int32)
    return np.where(2 * votes == len(masks), own, 2 * votes > len(masks))
