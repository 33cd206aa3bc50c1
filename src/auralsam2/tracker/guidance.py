"""The user's prompts on the processed frames: which frame each belongs to, and its place on the model's square."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from auralsam2.decoder.visual import NEGATIVE, POSITIVE, VisualPrompts
from auralsam2.errors import UsageError
from auralsam2.tracker.label import read_label
from auralsam2.types import Box, Mask, Point, Prompts
from auralsam2.vision.preprocess import label_to_square


class Guidance:
    """Hands the visual prompts out to frames as these stream by.

    Args:
        prompts: of the whole video.
        width, height: of a frame, in pixels.
        size: S, the side of the model's square.

    Raises:
        InputError: a mask cannot be read or has another size than the frames.
    """

    def __init__(self, prompts: Prompts, width: int, height: int, size: int) -> None:
        self._left = sorted(prompts.visual, key=lambda prompt: prompt.time)
        self._scale = torch.tensor([size / width, size / height])
        self._masks = {mask: read_mask(mask, width, height, size) for mask in prompts.masks}
        self.wanted = bool(self._left)

    def take(self, frames: Sequence[tuple[int, float]], until: float) -> dict[int, VisualPrompts]:
        """The prompts of a stretch of frames; each prompt goes to the frame whose instant is nearest, once.

        Args:
            frames: (index, instant in seconds), ascending.
            until: second after which the frames of the next stretch are nearer; infinity for the last stretch.

        Raises:
            UsageError: two boxes, or two masks, fall on one frame.
        """
        given: dict[int, list[Point | Box | Mask]] = {}
        while self._left and self._left[0].time <= until:
            prompt = self._left.pop(0)
            index, _ = min(frames, key=lambda frame: abs(frame[1] - prompt.time))
            given.setdefault(index, []).append(prompt)
        return {index: self._together(prompts) for index, prompts in given.items()}

    def _together(self, prompts: list[Point | Box | Mask]) -> VisualPrompts:
        points = [prompt for prompt in prompts if isinstance(prompt, Point)]
        boxes = [prompt for prompt in prompts if isinstance(prompt, Box)]
        masks = [prompt for prompt in prompts if isinstance(prompt, Mask)]
        for kind, several in (("boxes", boxes), ("masks", masks)):
            if len(several) > 1:
                raise UsageError(
                    f"two {kind} fall on the frame at {several[0].time:g} s: all prompts describe one object"
                )
        box = None
        if boxes:
            corners = torch.tensor([[boxes[0].x0, boxes[0].y0], [boxes[0].x1, boxes[0].y1]])
            box = (corners * self._scale).flatten()
        return VisualPrompts(
            points=torch.tensor([[point.x, point.y] for point in points]).reshape(-1, 2) * self._scale,
            labels=torch.tensor([POSITIVE if point.positive else NEGATIVE for point in points]),
            box=box,
            mask=self._masks[masks[0]] if masks else None,
        )


def read_mask(mask: Mask, width: int, height: int, size: int) -> torch.Tensor:
    """A mask file on the model's square: (S, S) bool.

    Raises:
        InputError: the file cannot be read, or has another size than the video's frames.
    """
    return label_to_square(read_label(mask.path, width, height), size)
