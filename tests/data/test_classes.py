"""The palette of AVSBench-semantic and the values of VPO."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import auralsam2
from auralsam2.data import classes
from auralsam2.data.class_names import STAMPAVS
from helpers.dataset_trees import colour_of

# The Pascal VOC colour map as everybody prints it; the palette is its continuation.
VOC = [
    (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128),
    (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0), (64, 0, 128), (192, 0, 128), (64, 128, 128), (192, 128, 128),
    (0, 64, 0), (128, 64, 0), (0, 192, 0), (128, 192, 0), (0, 64, 128),
]  # fmt: skip


def test_the_palette_is_exact():
    palette = classes.palette()
    assert palette.shape == (71, 3)
    assert palette.dtype == np.uint8
    assert [tuple(colour) for colour in palette[:21].tolist()] == VOC
    assert tuple(palette[70].tolist()) == (32, 128, 128)
    assert [tuple(colour) for colour in palette.tolist()] == [colour_of(number) for number in range(71)]


def test_no_two_colours_are_the_same_and_each_has_its_name():
    assert len({tuple(colour) for colour in classes.palette().tolist()}) == 71
    assert len(set(classes.AVSS)) == 71
    assert (classes.AVSS[0], classes.AVSS[17], classes.AVSS[70]) == ("background", "dog", "woman")
    assert len(set(classes.VPO)) == 22


def test_classes_of_stampavs_are_the_categories_with_a_recording():
    catalogue = json.loads((Path(auralsam2.__file__).parent / "stampavs/catalogue.json").read_text(encoding="utf-8"))
    assert ("background", *sorted(catalogue["categories"])) == STAMPAVS


def test_each_colour_gives_its_class():
    numbers, strange = classes.classes_from_colours(classes.palette()[None])
    assert numbers.tolist() == [list(range(71))]
    assert strange == 0


def test_other_colours_are_background_and_are_counted():
    image = np.array([[[128, 0, 0], [129, 0, 0], [255, 255, 255], [0, 0, 1], [32, 128, 128]]], dtype=np.uint8)
    numbers, strange = classes.classes_from_colours(image)
    assert numbers.tolist() == [[1, 0, 0, 0, 70]]
    assert strange == 3


@pytest.mark.parametrize(
    ("value", "name"),
    [(0, "background"), (3, "car"), (5, "airplane"), (18, "dog"), (77, "cell phone"), (92, "male"), (93, "female"),
     (94, "baby"), (24, "zebra")],
)  # fmt: skip
def test_values_of_vpo(value, name):
    numbers, strange = classes.classes_from_values(np.full((2, 3), value, dtype=np.uint8))
    assert {classes.VPO[number] for number in numbers.flatten()} == {name}
    assert strange == 0


def test_values_are_exchanged_at_once():
    """One after another, 3 would become 5, the value of an airplane, and then 1."""
    numbers, _ = classes.classes_from_values(np.array([[3, 5]], dtype=np.uint8))
    assert [classes.VPO[number] for number in numbers[0]] == ["car", "airplane"]


def test_pixels_to_ignore_stay_and_unknown_ones_are_counted():
    numbers, strange = classes.classes_from_values(np.array([[255, 1, 18, 200]], dtype=np.uint8))
    assert numbers.tolist() == [[255, 0, classes.VPO.index("dog"), 0]]
    assert strange == 2
