"""Classes of the data sets with semantic labels, and their codes in label files."""

from __future__ import annotations

from functools import cache

import numpy as np

from auralsam2.data.class_names import AVSS, VPO

IGNORE = 255
"""Class of ignored pixels."""

_VPO_VALUES = {
    "background": 0, "car": 3, "motorcycle": 4, "airplane": 5, "bus": 6, "bird": 16, "cat": 17, "dog": 18, "horse": 19,
    "sheep": 20, "cow": 21, "elephant": 22, "zebra": 24, "sports ball": 37, "skateboard": 41, "tennis racket": 43,
    "mouse": 74, "keyboard": 76, "cell phone": 77, "male": 92, "female": 93, "baby": 94,
}  # fmt: skip
"""Pixel values of VPO's masks: COCO's category ids and three more."""


@cache
def palette() -> np.ndarray:
    """Return the colours of AVSBench-semantic, the first 71 of the Pascal VOC colour map.

    The bits of a class number go, three at a time from the lowest, to red, green and blue; the first three set bit 7 of
    their channels, the next bit 6, then bit 5.

    Returns:
        (71, 3) uint8 RGB.
    """
    colours = np.zeros((len(AVSS), 3), dtype=np.uint8)
    for number in range(len(AVSS)):
        for bit in range(9):
            colours[number, bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
    return colours


def classes_from_colours(image: np.ndarray) -> tuple[np.ndarray, int]:
    """Convert a label image of AVSBench-semantic to classes.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (H, W) uint8, a colour outside the palette counts as background; and the number of pixels with such a colour.
    """
    keys = _key(palette())
    order = np.argsort(keys)
    wanted = _key(image)
    places = np.searchsorted(keys[order], wanted).clip(max=len(keys) - 1)
    known = keys[order][places] == wanted
    return np.where(known, order[places], 0).astype(np.uint8), int((~known).sum())


def classes_from_values(image: np.ndarray) -> tuple[np.ndarray, int]:
    """Convert a mask of VPO to classes.

    All values are exchanged at once. The public code does it one after another, so that in a picture of a car and an
    airplane the car becomes an airplane too.

    Args:
        image: (H, W) uint8, COCO category ids, 255 to be ignored.

    Returns:
        (H, W) uint8, another value counts as background; and the number of pixels with such a value.
    """
    table = np.zeros(256, dtype=np.uint8)
    known = np.zeros(256, dtype=bool)
    for number, name in enumerate(VPO):
        table[_VPO_VALUES[name]] = number
        known[_VPO_VALUES[name]] = True
    table[IGNORE], known[IGNORE] = IGNORE, True
    return table[image], int((~known[image]).sum())


def _key(colours: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue
