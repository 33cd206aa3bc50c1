"""Says to a conversation what a page has said, or what a log has kept."""

from __future__ import annotations

import base64
import binascii
import io

import numpy as np
import torch
from PIL import Image

from auralsam2.errors import UsageError
from auralsam2.inference.object_state import MaskPrediction
from auralsam2.inference.video_session import VideoSession, latest_mask, set_latest_mask
from auralsam2.modeling.prompt_encoder import MAX_MASK_LOGIT
from auralsam2.studio import mask_codec
from auralsam2.studio.commands import (
    BoxCommand,
    BrushCommand,
    ClearCommand,
    HearCommand,
    LoggedCommand,
    PointsCommand,
    RemoveCommand,
    SayCommand,
    SplitCommand,
)
from auralsam2.studio.storage import StoredClip
from auralsam2.types import Segmentation


def apply_command(
    conversation: VideoSession, clip: StoredClip, entry: LoggedCommand, *, first: bool
) -> tuple[LoggedCommand, list[Segmentation]]:
    """Say one thing.

    Args:
        conversation: about the clip.
        clip: tells the moment of a frame.
        entry: what to say.
        first: nothing was pointed at before on this frame of the object.

    Returns:
        the entry for the log, with what it needs to be said again to a new conversation, and the masks that came of it.

    Raises:
        UsageError: it makes no sense.
    """
    match entry:
        case PointsCommand():
            return _click(conversation, clip, entry, first=first)
        case BoxCommand():
            return entry, [conversation.add_box(entry.box, _time(clip, entry.tick), entry.object)]
        case BrushCommand():
            mask = read_png(entry.png, clip.width, clip.height)
            return entry, [conversation.add_mask(mask, _time(clip, entry.tick), entry.object)]
        case HearCommand():
            conversation.hear(entry.on, object_id=entry.object)
        case SayCommand():
            conversation.say(entry.text, object_id=entry.object)
        case RemoveCommand():
            conversation.remove(entry.object)
        case ClearCommand():
            time = _time(clip, entry.tick)
            conversation.clear(entry.object, time)
            if entry.object in conversation.objects:
                return entry, [conversation.predict(time, entry.object)]
        case SplitCommand():
            time = _time(clip, entry.tick)
            made = conversation.split_components(time, object_id=entry.object)
            return entry.model_copy(update={"made": made}), [conversation.predict(time, number) for number in made]
    return entry, []


def predict_mask(conversation: VideoSession, clip: StoredClip, number: int, tick: int) -> Segmentation:
    """The mask of an object on one frame.

    Raises:
        UsageError: there is no such object or frame.
    """
    return conversation.predict(_time(clip, tick), number)


def displayed_mask(conversation: VideoSession, clip: StoredClip, number: int, tick: int) -> Segmentation | None:
    """The mask that an object has on display on a frame now, after an undo for instance."""
    time = _time(clip, tick)
    found = latest_mask(conversation, time, number)
    return None if found is None else set_latest_mask(conversation, found, time, number)


def start_time(clip: StoredClip, tick: int) -> float:
    """The moment at which to start.

    Raises:
        UsageError: there is no such frame.
    """
    return _time(clip, tick)


def read_png(text: str, width: int, height: int) -> np.ndarray:
    """A painted mask.

    Args:
        text: a PNG of the frame's size or smaller, as base64.
        width: of the frame.
        height: the same.

    Returns:
        (height, width) uint8, 255 where it is painted.

    Raises:
        UsageError: it is something else, or nothing is painted.
    """
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as picture:
            # Told by the header, before a larger picture takes memory.
            if picture.width > width or picture.height > height:
                raise UsageError(f"a painted mask of {picture.width}x{picture.height}: give {width}x{height} or less")
            mask = picture.convert("L").resize((width, height), Image.Resampling.BILINEAR)
    except (binascii.Error, OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise UsageError("the painted mask is no PNG: paint it again") from error
    painted = (np.asarray(mask) >= 128) * np.uint8(255)
    if not painted.any():
        raise UsageError("nothing is painted: draw over the object first")
    return painted


def _click(
    conversation: VideoSession, clip: StoredClip, entry: PointsCommand, *, first: bool
) -> tuple[LoggedCommand, list[Segmentation]]:
    time = _time(clip, entry.tick)
    if first and entry.object in conversation.objects:
        # The mask that these clicks correct may have come of a run; a log does not know of runs.
        if entry.shown is not None:
            header, low = mask_codec.unpack_mask(_decode(entry.shown))
            found = MaskPrediction(torch.from_numpy(low), header.iou, header.object_score)
            set_latest_mask(conversation, found, time, entry.object)
        elif (shown := latest_mask(conversation, time, entry.object)) is not None:
            low = mask_codec.pack_mask(
                shown.low_res.float().cpu().numpy(),
                object=entry.object,
                tick=entry.tick,
                iou=shown.iou,
                object_score=shown.object_score,
                most=MAX_MASK_LOGIT,
            )
            entry = entry.model_copy(update={"shown": base64.b64encode(low).decode()})
    places = [(x, y) for x, y, _ in entry.points]
    labels = [label for *_, label in entry.points]
    return entry, [conversation.add_points(places, labels, time, entry.object)]


def _decode(text: str) -> bytes:
    """The bytes of a base64 text.

    Raises:
        UsageError: it is something else.
    """
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise UsageError("the session has a damaged mask: restore it from an export, or delete it") from error


def _time(clip: StoredClip, tick: int) -> float:
    if tick >= len(clip.times):
        raise UsageError(f"frame {tick}: the clip has frames 0 to {len(clip.times) - 1}")
    return clip.instant(tick)
