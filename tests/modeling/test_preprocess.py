"""Golden tests of the frame and label preprocessing: preprocess.npz, made by the released evaluation code."""

import zlib

import numpy as np
import pytest
import torch

from auralsam2.modeling.preprocess import label_to_square, normalise, to_square
from helpers.rule_weights import golden


@pytest.mark.parametrize(("size", "first", "step"), [(256, (0, 0), 2), (1024, (3, 5), 16)])
def test_frame(size: int, first: tuple[int, int], step: int) -> None:
    archive = golden("preprocess")
    pixels = normalise(to_square(archive["image_uint8"], size))
    assert pixels.shape == (3, size, size)
    difference = np.abs(pixels[:, first[0] :: step, first[1] :: step].numpy() - archive[f"frame_{size}"])
    # Pillow versions may round a value of 255 differently: 0.02 on under 1 % of the values.
    assert difference.max() <= 0.02
    assert (difference > 1e-5).mean() < 0.01


def test_label() -> None:
    numbers = np.random.default_rng(zlib.crc32(b"preprocess/label")).uniform(size=(240, 320))
    label = np.where(numbers > 0.5, 200, 0).astype(np.uint8)
    archive = golden("preprocess")
    expected = np.unpackbits(archive["label_256"]).reshape(256, 256).astype(bool)
    assert torch.equal(label_to_square(label, 256), torch.from_numpy(expected))
    assert int(label_to_square(label, 1024).sum()) == int(archive["label_1024_sum"])
