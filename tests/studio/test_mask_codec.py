"""Mask codec."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from auralsam2.errors import InputError
from auralsam2.studio.mask_codec import HEADER_BYTES, pack_mask, read_mask_header, unpack_mask

SCORES = {"object_id": 3, "tick": 70_000, "iou": 0.75, "object_score": -2.5}


def test_mask_layout_matches_the_page() -> None:
    logits = np.array([[-10.0, 0.0, 10.0], [5.0, -5.0, 1.0]], np.float32)
    data = pack_mask(logits, sounding=True, **SCORES)
    magic, number, tick, height, width, scale, iou, score, flags = struct.unpack_from("<4sIIHHfffI", data)
    assert HEADER_BYTES == 32
    assert (magic, number, tick, height, width, iou, score, flags) == (b"AUM1", 3, 70_000, 2, 3, 0.75, -2.5, 1)
    steps = np.frombuffer(zlib.decompress(data[32:], -15), np.int8).reshape(2, 3)
    np.testing.assert_allclose(steps * scale, logits, atol=10 / 254 + 1e-6)


@pytest.mark.parametrize("spread", [0.01, 3.0, 100.0])
def test_logits_round_trip(spread: float) -> None:
    logits = np.random.default_rng(1).normal(0, spread, (16, 20)).astype(np.float32)
    header, back = unpack_mask(pack_mask(logits, **SCORES))
    assert (header.height, header.width, header.sounding) == (16, 20, False)
    np.testing.assert_allclose(back, logits.clip(-10, 10), atol=10 / 254 + 1e-6)
    _, more = unpack_mask(pack_mask(logits, limit=32.0, **SCORES))
    np.testing.assert_allclose(more, logits.clip(-32, 32), atol=32 / 254 + 1e-6)


def test_zero_logits_round_trip() -> None:
    assert not unpack_mask(pack_mask(np.zeros((4, 4), np.float32), **SCORES))[1].any()


def test_damaged_masks_are_refused() -> None:
    data = pack_mask(np.random.default_rng(2).normal(0, 3, (64, 64)), **SCORES)
    for damaged in (b"", data[:20], b"AUM2" + data[4:], data[: len(data) // 2], data[:33] + b"\xff" * 20):
        with pytest.raises(InputError, match="export the session again"):
            unpack_mask(damaged)


def test_decompression_is_limited_by_the_header() -> None:
    """A few bytes that would become a gigabyte."""
    head = pack_mask(np.ones((8, 8), np.float32), **SCORES)[:HEADER_BYTES]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(50_000_000)) + packer.flush()
    with pytest.raises(InputError):
        unpack_mask(head + bomb)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError):
        read_mask_header(pack_mask(np.ones((2, 2), np.float32), **SCORES | {"iou": float("nan")}))
