"""Application of page and log commands to a VideoSession."""

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
    AudioCommand,
    BoxCommand,
    BrushCommand,
    ClearCommand,
    LoggedCommand,
    PointsCommand,
    RemoveCommand,
    SplitCommand,
    TextCommand,
)
from auralsam2.studio.storage import StoredClip
from auralsam2.types import Segmentation


def apply_command(
    session: VideoSession, clip: StoredClip, entry: LoggedCommand, *, first: bool
) -> tuple[LoggedCommand, list[Segmentation]]:
    """Apply one command.

    Args:
        session: session of the clip.
        clip: its properties, for the times of frames.
        entry: the command.
        first: the object has no visual prompt on this frame yet.

    Returns:
        the log entry, with all that a replay in a new session needs, and the resulting masks.

    Raises:
        UsageError: the command is invalid in this state.
    """
    match entry:
        case PointsCommand():
            return _click(session, clip, entry, first=first)
        case BoxCommand():
            return entry, [session.add_box(entry.box, _time(clip, entry.tick), entry.object)]
        case BrushCommand():
            mask = read_png(entry.png, clip.width, clip.height)
            return entry, [session.add_mask(mask, _time(clip, entry.tick), entry.object)]
        case AudioCommand():
            session.hear(entry.on, object_id=entry.object)
        case TextCommand():
            session.say(entry.text, object_id=entry.object)
        case RemoveCommand():
            session.remove(entry.object)
        case ClearCommand():
            time = _time(clip, entry.tick)
            session.clear(entry.object, time)
            if entry.object in session.objects:
                return entry, [session.predict(time, entry.object)]
        case SplitCommand():
            time = _time(clip, entry.tick)
            numbers = session.split_components(time, object_id=entry.object)
            return entry.model_copy(update={"made": numbers}), [session.predict(time, number) for number in numbers]
    return entry, []


def predict_mask(session: VideoSession, clip: StoredClip, number: int, tick: int) -> Segmentation:
    """Predict the mask of an object on one frame.

    Raises:
        UsageError: there is no such object or frame.
    """
    return session.predict(_time(clip, tick), number)


def displayed_mask(session: VideoSession, clip: StoredClip, number: int, tick: int) -> Segmentation | None:
    """Return the latest mask of an object on a frame, for instance after an undo, or None."""
    time = _time(clip, tick)
    prediction = latest_mask(session, time, number)
    return None if prediction is None else set_latest_mask(session, prediction, time, number)


def start_time(clip: StoredClip, tick: int) -> float:
    """Return the time of a start frame in seconds.

    Raises:
        UsageError: there is no such frame.
    """
    return _time(clip, tick)


def read_png(text: str, width: int, height: int) -> np.ndarray:
    """Decode a brush mask.

    Args:
        text: PNG of at most the frame's size, as base64.
        width: width of the frame in pixels.
        height: height of the frame in pixels.

    Returns:
        (height, width) uint8, 255 for the object.

    Raises:
        UsageError: the text is no such PNG, or the mask is empty.
    """
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as picture:
            # Size from the header, before a larger image takes memory.
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
    session: VideoSession, clip: StoredClip, entry: PointsCommand, *, first: bool
) -> tuple[LoggedCommand, list[Segmentation]]:
    time = _time(clip, entry.tick)
    if first and entry.object in session.objects:
        # The mask that these clicks correct may come from a propagation, which the log does not contain.
        if entry.shown is not None:
            header, logits = mask_codec.unpack_mask(_decode(entry.shown))
            prediction = MaskPrediction(torch.from_numpy(logits), header.iou, header.object_score)
            set_latest_mask(session, prediction, time, entry.object)
        elif (shown := latest_mask(session, time, entry.object)) is not None:
            logits = mask_codec.pack_mask(
                shown.low_res.float().cpu().numpy(),
                object_id=entry.object,
                tick=entry.tick,
                iou=shown.iou,
                object_score=shown.object_score,
                limit=MAX_MASK_LOGIT,
            )
            entry = entry.model_copy(update={"shown": base64.b64encode(logits).decode()})
    points = [(x, y) for x, y, _ in entry.points]
    labels = [label for *_, label in entry.points]
    return entry, [session.add_points(points, labels, time, entry.object)]


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise UsageError("the session has a damaged mask: restore it from an export, or delete it") from error


def _time(clip: StoredClip, tick: int) -> float:
    if tick >= len(clip.times):
        raise UsageError(f"frame {tick}: the clip has frames 0 to {len(clip.times) - 1}")
    return clip.instant(tick)
