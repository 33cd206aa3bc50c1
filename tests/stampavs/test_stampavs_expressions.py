"""Expressions refer to exactly one object or to none, by an independent evaluation."""

from __future__ import annotations

import re

import numpy as np
import pytest

from auralsam2.stampavs import scene as scene_module
from auralsam2.stampavs.expressions import Claim, referred_objects, write_expressions
from auralsam2.stampavs.presets import KINDS, PRESETS
from helpers.toy_stamps import SILENT, THINGS

SENTENCE = re.compile(
    r"the (?P<name>object|thing|" + "|".join((*THINGS, *SILENT)) + r")"
    r"(?: (?P<place>on the left|on the right|at the top|at the bottom))?"
    r"(?: (?P<heard>.+))?"
)
SOUNDING = {"making sound", "that makes a sound", "that can be heard"}
NEVER = {"that never makes a sound", "that stays silent", "that is never heard"}
PICKS = {
    "that is heard first": lambda item: -item.track.sounding.argmax(),
    "that is the first to make a sound": lambda item: -item.track.sounding.argmax(),
    "that is heard last": lambda item: item.track.sounding.argmax(),
    "that is the last to make a sound": lambda item: item.track.sounding.argmax(),
    "that is heard the longest": lambda item: item.track.sounding.sum(),
    "that sounds for the longest time": lambda item: item.track.sounding.sum(),
    "that is the loudest": lambda item: np.abs(item.track.samples).max(),
    "making the loudest sound": lambda item: np.abs(item.track.samples).max(),
}


def referents(text, scene):
    """The numbers of the objects that a sentence fits, read from its words."""
    match = SENTENCE.fullmatch(text)
    assert match, text
    side = scene.frames.shape[1]
    actual = []
    for item, mask in zip(scene.objects, scene.masks, strict=True):
        rows, columns = (np.nonzero(mask)[axis].mean() / side for axis in (1, 2))
        fits = match["name"] in ("object", "thing", item.category)
        if match["place"]:
            fits &= {
                "on the left": columns < 0.5,
                "on the right": columns > 0.5,
                "at the top": rows < 0.5,
                "at the bottom": rows > 0.5,
            }[match["place"]]
        if match["heard"] in SOUNDING | NEVER:
            fits &= (item.track is not None) == (match["heard"] in SOUNDING)
        elif match["heard"]:
            pick = PICKS[match["heard"]]
            audible = [pick(other) for other in scene.objects if other.track]
            fits &= item.track is not None and pick(item) == max(audible)
        if fits:
            actual.append(item.fid)
    return actual


def write_scene(train, mix, kind, seed):
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    scene = scene_module.draw_scene(rng, train, mix, kind, size=64)
    absent = [category for category in train.targets if category.name not in scene.categories]
    return scene, write_expressions(scene, 4, 3, absent, rng)


@pytest.mark.parametrize("mix", PRESETS, ids=lambda mix: mix.name)
@pytest.mark.parametrize("kind", KINDS)
def test_expressions_refer_to_one_object_or_none(train, kind, mix):
    number = 0
    for seed in range(8):
        scene, text = write_scene(train, mix, kind, seed)
        for expression in text:
            expected = [expression.fid] if expression.fid else []
            assert referents(expression.text, scene) == expected, expression.text
            number += 1
        assert len({expression.text for expression in text}) == len(text)
    assert number > 8 * 4


def test_expressions_use_sound_place_and_name(train):
    text = [e for seed in range(6) for e in write_scene(train, PRESETS[0], "single", seed)[1] if e.fid]
    assert sum(e.needs_sound for e in text) >= len(text) // 4
    assert any(e.claim.place for e in text)
    assert any(e.claim.name and not e.claim.hearing for e in text)


@pytest.mark.parametrize("kind", ["silence", "offscreen", "noise"])
def test_silent_scene_has_no_sounding_object(train, kind):
    scene, _ = write_scene(train, PRESETS[0], kind, 1)
    assert set(referred_objects(Claim(hearing="sounding"), scene)) == {False}
    assert set(referred_objects(Claim(hearing="loudest"), scene)) == {False}
    assert set(referred_objects(Claim(hearing="silent"), scene)) == {True}


def test_needs_sound_means_ambiguous_without_it(train):
    for seed in range(8):
        scene, text = write_scene(train, PRESETS[0], "twins", seed)
        for expression in text:
            match = SENTENCE.fullmatch(expression.text)
            assert match
            mute = " ".join(part for part in ("the", match["name"], match["place"]) if part)
            if expression.needs_sound and expression.fid:
                claim = Claim(name=expression.claim.name, place=expression.claim.place)
                assert referred_objects(claim, scene).count(True) + referred_objects(claim, scene).count(None) > 1, mute


def test_drifting_object_has_no_place(train):
    """An object that crosses the middle is neither surely left nor surely right."""
    for seed in range(30):
        scene, _ = write_scene(train, PRESETS[1], "single", seed)
        for item, remaining, right in zip(
            scene.objects,
            referred_objects(Claim(place="left"), scene),
            referred_objects(Claim(place="right"), scene),
            strict=True,
        ):
            middle = item.boxes[:, [0, 2]].mean(axis=1) / 64
            if middle.min() < 0.5 < middle.max():
                assert remaining is not True
                assert right is not True
            assert not (remaining and right)
