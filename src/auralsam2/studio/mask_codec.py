"""A mask on its way to the page, and in the folder of a session: quantised logits behind a short header.

The layout, little endian: magic "AUM1", u32 object, u32 tick, u16 height, u16 width, f32 scale, f32 iou,
f32 object score, u32 flags (bit 0: sounding); then height x width int8, deflated without a header. A logit is the
integer times the scale.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from auralsam2.errors import InputError

_HEADER = struct.Struct("<4sIIHHfffI")
HEADER_BYTES = _HEADER.size
_MAGIC = b"AUM1"
_SOUNDING = 1
SHOWN = 10.0
"""Logits beyond are cut for the page: thresholds go to 8, and finer steps near them matter more."""
_LONGEST_SIDE = 4096
_LARGEST_SCALE = 1e4


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskHeader:
    """What is said of a mask without its logits.

    Attributes:
        object_id: the mask's object.
        tick: its frame.
        height, width: of the logits.
        scale: logit of one step.
        iou: predicted IoU.
        object_score: logit of "the object is in the frame".
        sounding: as in `Segmentation`.
    """

    object_id: int
    tick: int
    height: int
    width: int
    scale: float
    iou: float
    object_score: float
    sounding: bool


def pack_mask(
    logits: np.ndarray,
    *,
    object_id: int,
    tick: int,
    iou: float,
    object_score: float,
    sounding: bool = False,
    most: float = SHOWN,
) -> bytes:
    """A mask as bytes.

    Args:
        logits: (h, w) float; they come back within most / 254, cut at -most and most.
        object_id: the mask's object.
        tick: its frame.
        iou: predicted IoU.
        object_score: logit of "the object is in the frame".
        sounding: as in `Segmentation`.
        most: logit beyond which nothing matters.
    """
    cut = np.clip(logits, -most, most)
    scale = float(np.float32(max(float(np.abs(cut).max()), 1e-3) / 127))
    steps = np.clip(np.rint(cut / scale), -127, 127).astype(np.int8)
    head = _HEADER.pack(_MAGIC, object_id, tick, *steps.shape, scale, iou, object_score, _SOUNDING if sounding else 0)
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return head + packer.compress(steps.tobytes()) + packer.flush()


def read_mask_header(data: bytes) -> MaskHeader:
    """What the first `HEADER_BYTES` of a mask say.

    Raises:
        InputError: they are something else.
    """
    if len(data) < HEADER_BYTES or data[:4] != _MAGIC:
        raise InputError("not a mask of the Studio: export the session again")
    _, number, tick, height, width, scale, iou, object_score, flags = _HEADER.unpack_from(data)
    if not (
        0 < height <= _LONGEST_SIDE
        and 0 < width <= _LONGEST_SIDE
        and 0 <= scale <= _LARGEST_SCALE
        and np.isfinite([iou, object_score]).all()
    ):
        raise InputError("a damaged mask of the Studio: export the session again")
    return MaskHeader(
        object_id=number,
        tick=tick,
        height=height,
        width=width,
        scale=scale,
        iou=iou,
        object_score=object_score,
        sounding=bool(flags & _SOUNDING),
    )


def unpack_mask(data: bytes) -> tuple[MaskHeader, np.ndarray]:
    """The header and the (h, w) float32 logits of a mask; no more is inflated than the header announces.

    Raises:
        InputError: the bytes are something else.
    """
    header = read_mask_header(data)
    size = header.height * header.width
    try:
        steps = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[HEADER_BYTES:], size + 1)
    except zlib.error as error:
        raise InputError("a damaged mask of the Studio: export the session again") from error
    if len(steps) != size:
        raise InputError("a damaged mask of the Studio: export the session again")
    logits = np.frombuffer(steps, np.int8).reshape(header.height, header.width).astype(np.float32)
    return header, logits * np.float32(header.scale)
