"""Sends new masks to the pages of a session, and stores them."""

from __future__ import annotations

import numpy as np

from auralsam2.studio import mask_codec
from auralsam2.studio.commands import AbsentCommand, LoggedCommand
from auralsam2.studio.session_state import SessionState
from auralsam2.studio.subscribers import Subscribers
from auralsam2.types import Segmentation

_EMPTY_SIDE = 16
"""Rows and columns of the empty masks of absent objects."""


class MaskSender:
    """Sends and stores masks.

    Args:
        state: stores the masks.
        subscribers: pages of the session.
    """

    def __init__(self, state: SessionState, subscribers: Subscribers) -> None:
        self._state, self._subscribers = state, subscribers

    def send(self, segmentation: Segmentation) -> None:
        """Send and store the mask of an object on a frame."""
        self.send_logits(
            mask_codec.MaskHeader(
                object_id=segmentation.object_id,
                tick=segmentation.index,
                height=segmentation.logits.shape[0],
                width=segmentation.logits.shape[1],
                scale=1.0,
                iou=segmentation.iou,
                object_score=segmentation.object_score,
                sounding=segmentation.sounding,
            ),
            segmentation.logits,
        )

    def send_logits(self, header: mask_codec.MaskHeader, logits: np.ndarray) -> None:
        """Send and store (S, S) logits; the size and scale of the header are those of the logits' earlier storage."""
        data = mask_codec.pack_mask(
            logits,
            object_id=header.object_id,
            tick=header.tick,
            iou=header.iou,
            object_score=header.object_score,
            sounding=header.sounding,
        )
        self._subscribers.publish(data)
        self._state.store_mask(header.object_id, header.tick, data, sounding=header.sounding)

    def send_present(self, segmentation: Segmentation) -> None:
        """Send and store a mask of a propagation; it is empty on frames from which the object is absent."""
        prompts = self._state.objects.get(segmentation.object_id)
        if prompts is not None and segmentation.index in prompts.absent:
            self._send_empty(segmentation.object_id, segmentation.index, segmentation.logits.shape)
        else:
            self.send(segmentation)

    def clear_absent(self, entry: LoggedCommand, *, undone: bool = False) -> None:
        """Empty the masks of the frames from which a command declares an object absent; delete them after its undo."""
        if not isinstance(entry, AbsentCommand):
            return
        for tick in range(entry.tick, entry.last + 1):
            if undone:
                self.delete(entry.object, tick)
            elif entry.object in self._state.objects:
                self._send_empty(entry.object, tick, (_EMPTY_SIDE, _EMPTY_SIDE))

    def _send_empty(self, number: int, tick: int, shape: tuple[int, ...]) -> None:
        logits = np.full(shape, -mask_codec.MAX_LOGIT, np.float32)
        height, width = shape
        header = mask_codec.MaskHeader(
            object_id=number,
            tick=tick,
            height=height,
            width=width,
            scale=1.0,
            iou=1.0,
            object_score=-mask_codec.MAX_LOGIT,
            sounding=False,
        )
        self.send_logits(header, logits)

    def delete(self, number: int, tick: int) -> None:
        """Delete the mask of an object on a frame."""
        self._state.delete_mask(number, tick)
        self._subscribers.publish({"is": "gone", "object": number, "tick": tick})
