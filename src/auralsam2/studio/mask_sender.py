"""Sends new masks to the pages of a session, and stores them."""

from __future__ import annotations

import numpy as np

from auralsam2.studio import mask_codec
from auralsam2.studio.session_state import SessionState
from auralsam2.studio.subscribers import Subscribers
from auralsam2.types import Segmentation


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

    def delete(self, number: int, tick: int) -> None:
        """Delete the mask of an object on a frame."""
        self._state.delete_mask(number, tick)
        self._subscribers.publish({"is": "gone", "object": number, "tick": tick})
