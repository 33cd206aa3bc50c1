"""Remixed audio of scenes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from auralsam2.errors import InputError
from auralsam2.stampavs.audio import draw_track
from auralsam2.stampavs.clip_files import describe_clip as describe_scene
from auralsam2.stampavs.presets import HARD, STANDARD
from auralsam2.stampavs.remix import SHARES, read_scene, remix_audio
from auralsam2.stampavs.scene import draw_scene
from auralsam2.types import AUDIO_RATE

SEEDS = 60


def scene(train, kind: str, mix=STANDARD, seed: int = 0):
    drawn = draw_scene(np.random.default_rng(seed), train, mix, kind, size=48, frames=5)
    return json.loads(json.dumps(describe_scene("uid", "train", drawn, [])))


@pytest.fixture(scope="module")
def soundings(train):
    built = scene(train, "multi")
    return built, [remix_audio(built, train, np.random.default_rng(seed)) for seed in range(SEEDS)]


def test_remix_is_reproducible(train):
    built = scene(train, "single")
    first, other = (remix_audio(built, train, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first.samples, other.samples)
    assert np.array_equal(first.sounding, other.sounding)


def test_all_kinds_occur_with_their_properties(soundings):
    built, drawn = soundings
    assert {sound.kind for sound in drawn} == {kind for kind, _ in SHARES}
    for sound in drawn:
        assert sound.samples.shape == (5 * AUDIO_RATE, 2)
        assert np.abs(sound.samples).max() <= 1.0
        assert sound.sounding.shape == (len(built["objects"]), 5)
        audible = sound.sounding.any(1)
        assert audible.sum() == {"single": 1, "multi": 2}.get(sound.kind, 0)
        assert (np.abs(sound.samples).max() > 0) == (sound.kind != "silence")


def test_remix_lets_different_objects_sound(soundings):
    built, drawn = soundings
    audible = np.logical_or.reduce([sound.sounding.any(1) for sound in drawn])
    assert audible.sum() >= 2
    able = np.array([item["can_sound"] for item in built["objects"]])
    assert not audible[~able].any()


def test_panning_matches_object_positions(train):
    built = scene(train, "single")
    for item in built["objects"]:
        item["pan"] = [0.0] * 5
    for seed in range(SEEDS):
        sound = remix_audio(built, train, np.random.default_rng(seed))
        if sound.kind == "single":
            assert np.abs(sound.samples[:, 0]).max() > 100 * np.abs(sound.samples[:, 1]).max()


def test_one_of_two_twins_sounds(train):
    built = scene(train, "twins")
    names = [item["category"] for item in built["objects"]]
    twin = max(names, key=names.count)
    indices = [index for index, name in enumerate(names) if name == twin]
    assert len(indices) == 2
    chosen = set()
    for seed in range(SEEDS):
        sound = remix_audio(built, train, np.random.default_rng(seed))
        audible = sound.sounding[indices].any(1)
        assert audible.sum() <= 1
        chosen |= set(np.flatnonzero(audible).tolist())
    assert chosen == {0, 1}


def test_absent_voices_come_from_any_object(train):
    """Any object sounds, even a silent one, so that only its direction identifies it."""
    built = scene(train, "multi")
    for number, item in enumerate(built["objects"]):
        item["pan"] = [float(number % 2)] * 5
    built["objects"][0]["category"] = "brick"
    silent_ones = 0
    for seed in range(SEEDS):
        sound = remix_audio(built, train, np.random.default_rng(seed), absent_voice_prob=1.0)
        audible = np.flatnonzero(sound.sounding.any(1))
        assert len(audible) == {"single": 1, "multi": 2}.get(sound.kind, 0)
        silent_ones += 0 in audible
        if sound.kind == "single":
            side = audible[0] % 2
            assert np.abs(sound.samples[:, side]).max() > np.abs(sound.samples[:, 1 - side]).max()
    assert silent_ones > 0


def test_absent_voices_belong_to_no_visible_category(train, monkeypatch):
    built = scene(train, "distractor")
    visible = {item["category"] for item in built["objects"]}
    drawn = []

    def keep(category, *arguments):
        drawn.append(category.name)
        return draw_track(category, *arguments)

    monkeypatch.setattr("auralsam2.stampavs.remix.draw_track", keep)
    for seed in range(SEEDS):
        remix_audio(built, train, np.random.default_rng(seed), absent_voice_prob=1.0)
    assert len(drawn) > SEEDS // 2
    assert not visible & set(drawn)


def test_hard_scenes_have_noise(train):
    built = scene(train, "single", HARD)
    quiet = [remix_audio(built, train, np.random.default_rng(seed)) for seed in range(20)]
    assert all(np.abs(sound.samples).max() > 0 for sound in quiet)


def test_folder_without_a_scene_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"scene\.json"):
        read_scene(tmp_path)
    (tmp_path / "scene.json").write_text("[]")
    with pytest.raises(InputError, match="StampAVS"):
        read_scene(tmp_path)
