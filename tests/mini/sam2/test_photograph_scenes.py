"""Scenes of photographs by number: masks that move with their objects, and separate splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.photograph_sources import BOX, HEIGHT, KINDS, WIDTH, colour, write_sources
from projects.mini.photograph_scenes import CompositeStream, MixedScenes, PhotographStream, read_photographs
from projects.mini.sam2_data import SceneStream

SIZE = 64


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    return write_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture
def photographs(sources):
    def open_split(split, excluded=frozenset()):
        return PhotographStream(split, size=SIZE, frames=4, seed=0, sources=read_photographs(sources, split, excluded))

    return open_split


@pytest.fixture
def composites(sources, tmp_path):
    shape = {"size": SIZE, "frames": 4, "seed": 0}
    return CompositeStream("train", sources=read_photographs(sources, "train"), cutouts=tmp_path / "cutouts", **shape)


def test_masks_move_with_their_objects(photographs):
    stream = photographs("held-out")
    assert stream.classes == KINDS
    areas = []
    for number in range(3):
        clip = stream[number]
        assert clip.frames.shape == (4, SIZE, SIZE, 3)
        kind = int(clip.classes[0])
        for frame, objects in zip(clip.frames, clip.objects, strict=True):
            coloured = np.abs(frame.astype(int) - colour(kind, "held-out")).max(-1) < 40
            assert (coloured == (objects == 1)).mean() > 0.97
            areas.append(int(objects.sum()))
    assert len(set(areas)) > 6


def test_held_out_clip_begins_with_the_whole_photograph(photographs):
    objects = photographs("held-out")[0].objects[0]
    rows, columns = (np.flatnonzero(objects.any(axis)) for axis in (1, 0))
    x0, y0, x1, y1 = BOX
    expected = np.array([x0 / WIDTH, (x1 + 1) / WIDTH, y0 / HEIGHT, (y1 + 1) / HEIGHT]) * SIZE
    actual = np.array([columns[0], columns[-1] + 1, rows[0], rows[-1] + 1])
    assert np.abs(actual - expected).max() <= 1


def test_splits_and_exclusions_do_not_share_photographs(photographs, composites, sources, tmp_path):
    train, held_out = photographs("train"), photographs("held-out")
    assert not set(train.sources) & set(held_out.sources)
    assert set(composites.sources) == set(train.sources)
    assert len(photographs("train", excluded=frozenset({"pig"}))) == 2
    others = read_photographs(sources, "train", frozenset({"pig"}))
    without = CompositeStream("train", size=SIZE, frames=1, seed=0, sources=others, cutouts=tmp_path / "without")
    assert without.classes == ("cat", "dog")


def test_clip_depends_on_its_number_alone(photographs, composites):
    for stream in (photographs("train"), composites):
        clips = [stream[number] for number in (0, 1, 0)]
        assert np.array_equal(clips[0].frames, clips[2].frames)
        assert np.array_equal(clips[0].objects, clips[2].objects)
        assert not np.array_equal(clips[0].frames, clips[1].frames)


def test_composites_have_exact_masks(composites):
    for number in range(3):
        clip = composites[number]
        assert clip.objects.shape == (4, SIZE, SIZE)
        assert 1 <= clip.objects.max() <= len(clip.classes)
        first = clip.objects[0]
        for index in np.unique(first[first > 0]):
            shape = first == index
            if shape.sum() > 50:
                colours = np.median(clip.frames[0][shape].astype(int), axis=0)
                assert np.abs(colours - colour(int(clip.classes[index - 1]), "train")).max() < 40


def test_mixed_scenes_share_classes(photographs, composites, stamps):
    toys = SceneStream("train", size=SIZE, frames=4, seed=0, stamps=stamps)
    mixed = MixedScenes([toys, MixedScenes([photographs("train"), composites])])
    assert set(mixed.classes) == {*toys.classes, *KINDS}
    assert len(set(mixed.classes)) == len(mixed.classes)
    for number, (stream, index) in {
        0: (toys, 0),
        2: (toys, 1),
        1: (photographs("train"), 0),
        3: (composites, 0),
    }.items():
        clip = stream[index]
        assert np.array_equal(mixed[number].frames, clip.frames)
        assert [mixed.classes[one] for one in mixed[number].classes] == [stream.classes[one] for one in clip.classes]
