"""DAVIS label images."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from auralsam2.outputs import davis


def test_palette_equals_that_of_davis() -> None:
    """The first colours as published with PASCAL VOC and DAVIS."""
    colours = np.array(davis.davis_palette()).reshape(256, 3).tolist()
    assert colours[:5] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert colours[8] == [64, 0, 0]
    assert colours[255] == [224, 224, 192]


def test_later_objects_cover_earlier_ones() -> None:
    first, second = np.zeros((2, 6, 8), np.bool_)
    first[1:4], second[3:5] = True, True
    picture = davis.label_image({1: first, 2: second}, 6, 8)
    file = io.BytesIO()
    davis.save_davis(picture, file)
    image = Image.open(file)
    assert image.mode == "P"
    assert image.getpalette() == davis.davis_palette()
    np.testing.assert_array_equal(np.asarray(image), picture)
    assert picture[:, 0].tolist() == [0, 1, 1, 2, 2, 0]
