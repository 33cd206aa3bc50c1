"""New objects of a session with masks on many frames, which appear together."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Hashable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np

from auralsam2.errors import UsageError
from auralsam2.studio import mask_codec
from auralsam2.studio.brush_png import write_png
from auralsam2.studio.commands import MAX_OBJECTS, ImportCommand, SeparateCommand
from auralsam2.studio.session_state import SessionState

_EMPTY_SIDE = 16
"""Rows and columns of the empty masks."""


@dataclass(slots=True)
class _NewObject:
    """An object: its name, and its masks in the file as (tick, position, bytes, whether it sounds).

    `first` is a visible frame with its mask as PNG.
    """

    name: str = ""
    first: tuple[int, str] | None = None
    masks: list[tuple[int, int, int, bool]] = field(default_factory=list)


class ObjectCollector:
    """Collects the masks of new objects in a temporary file; a context manager.

    Args:
        state: state of the session.
    """

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._objects: dict[Hashable, _NewObject] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._file = self._stack.enter_context(tempfile.TemporaryFile())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __len__(self) -> int:
        """Number of objects that are visible somewhere."""
        return sum(item.first is not None for item in self._objects.values())

    def name(self, key: Hashable, name: str) -> None:
        """Set the name of an object."""
        self._objects.setdefault(key, _NewObject()).name = name

    def add(
        self,
        key: Hashable,
        tick: int,
        mask: np.ndarray,
        logits: np.ndarray,
        *,
        iou: float = 1.0,
        object_score: float = mask_codec.MAX_LOGIT,
        sounding: bool = False,
    ) -> None:
        """Add the mask of an object on a frame.

        Args:
            key: of the object, created if missing.
            tick: frame.
            mask: (H, W) bool at the size of the video.
            logits: (h, w) float32.
            iou: predicted IoU.
            object_score: logit of the object's presence in the frame.
            sounding: as in `Segmentation`.
        """
        item = self._objects.setdefault(key, _NewObject())
        if item.first is None and mask.any():
            item.first = (tick, write_png(mask))
        data = mask_codec.pack_mask(
            logits, object_id=0, tick=tick, iou=iou, object_score=object_score, sounding=sounding
        )
        item.masks.append((tick, self._file.seek(0, 2), len(data), sounding))
        self._file.write(data)

    def store(self, kind: type[SeparateCommand] | type[ImportCommand], ticks: Collection[int], **values: Any) -> None:
        """Log the visible objects, and store their masks.

        Args:
            kind: command for the log.
            ticks: frames on which an object without a mask gets an empty one.
            values: further values of the command.

        Raises:
            UsageError: there are too many objects.
        """
        state = self._state
        visible = [(item, *item.first) for item in self._objects.values() if item.first is not None]
        first = state.new_number()
        if first + len(visible) > MAX_OBJECTS:
            raise UsageError(f"there are {len(visible)} objects: a session has at most {MAX_OBJECTS}")
        numbers = tuple(range(first, first + len(visible)))
        state.add(
            kind(
                made=numbers,
                ticks=tuple(tick for _, tick, _ in visible),
                masks=tuple(png for _, _, png in visible),
                names=tuple(item.name for item, *_ in visible),
                **values,
            )
        )
        for number, (item, *_) in zip(numbers, visible, strict=True):
            for tick, position, length, sounding in item.masks:
                self._file.seek(position)
                data = mask_codec.renumbered(self._file.read(length), number)
                state.store_mask(number, tick, data, sounding=sounding)
            for tick in sorted(set(ticks) - {tick for tick, *_ in item.masks}):
                state.store_mask(number, tick, _empty_mask(number, tick), sounding=False)


def _empty_mask(number: int, tick: int) -> bytes:
    logits = np.full((_EMPTY_SIDE, _EMPTY_SIDE), -mask_codec.MAX_LOGIT, np.float32)
    return mask_codec.pack_mask(logits, object_id=number, tick=tick, iou=0.0, object_score=-mask_codec.MAX_LOGIT)
