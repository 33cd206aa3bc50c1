"""Mask files as people make them: transparent, palette, dark, soft, compressed, empty, with several objects."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from auralsam2.errors import InputError, UsageError
from auralsam2.inference.mask_file import read_mask_file
from auralsam2.types import Mask

H, W = 48, 64
OBJECT = np.zeros((H, W), bool)
OBJECT[10:30, 20:40] = True
OTHER = np.zeros((H, W), bool)
OTHER[35:45, 5:60] = True


def rgba(colour, alpha):
    return Image.fromarray(np.dstack([*(np.full((H, W), channel, np.uint8) for channel in colour), np.uint8(alpha)]))


def grey(inside, outside=0, kind=np.uint8):
    return Image.fromarray(np.where(OBJECT, inside, outside).astype(kind))


def palette(labels, colours):
    picture = Image.fromarray(labels.astype(np.uint8), mode="P")
    picture.putpalette(np.array(colours, np.uint8).tobytes())
    return picture


SINGLE = {
    "white": (grey(255), "png"),
    "dark": (grey(1), "png"),
    "bits": (Image.fromarray(OBJECT), "png"),
    "16 bits": (grey(65_535, kind=np.uint16), "png"),
    "white and transparent": (rgba((255, 255, 255), OBJECT * 255), "png"),
    "black and transparent": (rgba((0, 0, 0), OBJECT * 255), "png"),
    "opaque": (Image.merge("RGBA", [grey(255)] * 3 + [Image.new("L", (W, H), 255)]), "png"),
    "grey and transparent": (Image.merge("LA", [Image.new("L", (W, H), 0), grey(255)]), "png"),
    "grey RGB": (grey(255).convert("RGB"), "png"),
    "red RGB": (Image.merge("RGB", [grey(200), grey(0), grey(0)]), "png"),
    "DAVIS": (palette(OBJECT * 1, [(0, 0, 0), (128, 0, 0)]), "png"),
    "black object, white ground": (palette(OBJECT * 0 + ~OBJECT * 1, [(255, 255, 255), (0, 0, 0)]), "png"),
    "JPEG": (grey(255), "jpg"),
    "dim JPEG": (grey(120), "jpg"),
}


@pytest.mark.parametrize("name", SINGLE)
def test_one_object(tmp_path, name):
    picture, ending = SINGLE[name]
    picture.save(tmp_path / f"mask.{ending}")
    label = read_mask_file(Mask(path=tmp_path / f"mask.{ending}"), W, H)
    assert label.dtype == bool
    wrong = (label != OBJECT).sum()
    assert wrong == 0 if ending == "png" else wrong <= 20


def test_soft_edges_end_at_half_the_brightness(tmp_path):
    soft = np.clip(np.arange(W)[None] * 4.0, 0, 255) * np.ones((H, 1))
    Image.fromarray(soft.astype(np.uint8)).save(tmp_path / "soft.png")
    label = read_mask_file(Mask(path=tmp_path / "soft.png"), W, H)
    assert np.array_equal(label, soft > 126)


@pytest.mark.parametrize("form", ["palette", "grey"])
def test_several_objects_are_a_question(tmp_path, form):
    path = tmp_path / "objects.png"
    if form == "palette":
        palette(OBJECT + 2 * OTHER, [(0, 0, 0), (128, 0, 0), (0, 128, 0)]).save(path)
    else:
        Image.fromarray(np.uint8(OBJECT) + 2 * np.uint8(OTHER)).save(path)
    with pytest.raises(UsageError, match=r"holds the values 1, 2, several objects: .*objects\.png#2"):
        read_mask_file(Mask(path=path), W, H)
    assert np.array_equal(read_mask_file(Mask(path=path, value=1), W, H), OBJECT)
    assert np.array_equal(read_mask_file(Mask(path=path, value=2), W, H), OTHER)
    with pytest.raises(InputError, match="the mask of value 3 is empty"):
        read_mask_file(Mask(path=path, value=3), W, H)


@pytest.mark.parametrize(
    ("picture", "ending", "text"),
    [
        (grey(0), "png", "the mask is empty"),
        (rgba((0, 0, 0), OBJECT * 0), "png", "the mask is empty"),
        (grey(12), "jpg", "too dark"),
        (Image.fromarray(np.random.default_rng(0).integers(0, 255, (H, W, 3), np.uint8)), "png", "several colours"),
        (Image.new("L", (3, 3), 255), "png", "mask of 3x3 pixels"),
    ],
)
def test_refused(tmp_path, picture, ending, text):
    path = tmp_path / f"mask.{ending}"
    picture.save(path)
    with pytest.raises(InputError, match=text):
        read_mask_file(Mask(path=path), W, H)
