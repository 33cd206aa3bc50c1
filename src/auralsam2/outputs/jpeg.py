"""JPEG files of frames."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

JPEG_QUALITY = 95


def encode_jpeg(image: np.ndarray) -> bytes:
    """Encode a (H, W, 3) uint8 RGB image as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
