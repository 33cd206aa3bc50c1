"""Scenes of StampAVS whose sound is drawn anew for training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from auralsam2.data.load import read_mask
from auralsam2.errors import ConfigError
from auralsam2.stampavs.assets import collect_assets
from auralsam2.stampavs.build import BuildPlan, build_stampavs
from auralsam2.stampavs.recordings import extend_pool, read_recordings
from auralsam2.stampavs.splits import AssetPool, asset_pool, draw_splits
from auralsam2.training import dataset
from auralsam2.training.config import AugmentConfig
from auralsam2.training.dataset import TrainingClips, training_samples
from auralsam2.training.recipe import DataConfig, TrainingRecipe
from helpers.photograph_sources import CREDIT, write_sources, write_table
from helpers.small_training import values
from helpers.toy_stamps import write_stamps

SIZE, FRAMES = 64, 3


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("heard")
    build_stampavs(root / "stamp", BuildPlan(stamps=write_stamps(root / "toys"), seed=3, size=48, clips=6), workers=1)
    return root


@pytest.fixture(scope="module")
def voices(tree) -> AssetPool:
    collection = collect_assets(tree / "toys")
    return asset_pool(collection, draw_splits(collection, 0), "train")


def clips(tree: Path, voices: AssetPool, remix_audio: float) -> TrainingClips:
    given = training_samples(DataConfig(dataset="stampavs", root=str(tree / "stamp")), "train")
    return TrainingClips(given, SIZE, FRAMES, AugmentConfig(remix_audio=remix_audio), seed=0, voices=voices)


def test_pictures_stay_and_labels_follow_the_sound(tree, voices):
    built, anew = clips(tree, voices, 0.0), clips(tree, voices, 1.0)
    others, sounding = 0, 0
    for number in range(24):
        one, other = built[number], anew[number]
        assert torch.equal(one.pixels, other.pixels)
        assert other.log_mel.shape == one.log_mel.shape
        others += not torch.equal(one.labels, other.labels)
        sample = anew.samples[anew.order[number]]
        shapes = torch.stack(
            [torch.stack([read_mask(path, SIZE) for path in paths[: len(other.labels)]]) for paths in sample.objects]
        )
        quiet = other.log_mel.flatten(1).std(1) == 0
        for t, label in enumerate(other.labels):
            if len(sample.frames) == FRAMES:  # else a window, whose place is drawn
                inside = [bool((shape & ~label).sum() == 0 and shape.any()) for shape in shapes[:, t]]
                assert label.any() == any(inside)
            assert not (quiet[t] and label.any())
            sounding += bool(label.any())
    assert others > 12
    assert 0 < sounding < 24 * FRAMES


def test_a_draw_is_the_same_again(tree, voices):
    one, other = clips(tree, voices, 1.0)[5], clips(tree, voices, 1.0)[5]
    assert torch.equal(one.log_mel, other.log_mel)
    assert torch.equal(one.labels, other.labels)
    later = clips(tree, voices, 1.0)[5 + len(clips(tree, voices, 1.0))]
    assert not np.array_equal(one.log_mel, later.log_mel)


def test_strange_voices_reach_the_clips(tree, voices):
    given = clips(tree, voices, 1.0).samples
    strange = TrainingClips(
        given, SIZE, FRAMES, AugmentConfig(remix_audio=1.0, unseen_voice_prob=1.0), seed=0, voices=voices
    )
    usual = clips(tree, voices, 1.0)
    assert any(not torch.equal(usual[number].log_mel, strange[number].log_mel) for number in range(8))


def test_what_a_sentence_was_made_for_is_still_heard(tree, voices):
    config = DataConfig(dataset="stampavs+stampavs-ref", root=str(tree / "stamp"))
    given = training_samples(config, "train")
    anew = TrainingClips(given, SIZE, FRAMES, AugmentConfig(remix_audio=1.0), seed=0, voices=voices)
    built = TrainingClips(given, SIZE, FRAMES, AugmentConfig(), seed=0)
    changed = {"spoken of": 0, "heard": 0}
    for number in range(len(given)):
        one, other = built[number], anew[number]
        changed["heard" if one.expression is None else "spoken of"] += not torch.equal(one.log_mel, other.log_mel)
    assert changed["spoken of"] == 0
    assert changed["heard"] > 0


def test_a_clip_shown_in_part_is_heard_whole(tree, voices):
    given = training_samples(DataConfig(dataset="stampavs", root=str(tree / "stamp")), "train")
    parted = TrainingClips(given, SIZE, FRAMES, AugmentConfig(), seed=0, frames_per_clip=2)
    anew = TrainingClips(
        given, SIZE, FRAMES, AugmentConfig(remix_audio=1.0), 0, None, voices, frames_per_clip=2, rivals=True
    )
    chosen, sounding = set(), 0
    for number in range(12):
        whole, clip, other = clips(tree, voices, 0.0)[number], parted[number], anew[number]
        kept = list(clip.seconds)
        assert kept == list(other.seconds)
        assert torch.equal(clip.log_mel, whole.log_mel)
        assert torch.equal(clip.pixels, whole.pixels[kept])
        assert torch.equal(clip.labels, whole.labels[kept])
        assert torch.equal(other.pixels, clip.pixels)
        assert not (other.rivals & other.labels).any()
        quiet = other.log_mel[kept].flatten(1).std(1) == 0
        assert not other.labels[quiet].any()
        chosen.add(clip.seconds)
        sounding += bool(other.labels.any())
    assert len(chosen) > 1
    assert sounding > 3


def test_frames_that_know_of_each_other_are_not_torn_apart(tree):
    given = values(tree, text=False)
    given["data"]["frames_per_clip"] = 2
    with pytest.raises(ConfigError, match="frames_per_clip"):
        TrainingRecipe.from_dict(given)


def test_half_of_the_remixed_audio_has_further_recordings(tree, voices, monkeypatch):
    more, used = replace(voices), []
    remix = dataset.remix_sample

    def record(sample, pool, *rest):
        used.append(pool is more)
        return remix(sample, pool, *rest)

    monkeypatch.setattr(dataset, "remix_sample", record)
    given = training_samples(DataConfig(dataset="stampavs", root=str(tree / "stamp")), "train")
    remixed = TrainingClips(given, SIZE, FRAMES, AugmentConfig(remix_audio=1.0), 0, None, voices, more_voices=more)
    for number in range(24):
        remixed[number]
    assert 6 <= sum(used) <= 18


def test_recordings_join_the_trained_categories(tree, voices, tmp_path):
    folder = write_sources(tmp_path / "sources")
    (name, *_) = (category.name for category in voices.targets)
    rows = [
        {"file": "dog-train.ogg", "folder": kind, "category": kind, "split": "train"} | CREDIT for kind in (name, "ox")
    ]
    write_table(folder / "sounds.csv", rows)
    wide = extend_pool(voices, read_recordings(folder, "train"))
    counts = {category.name: len(category.recordings) for category in wide.targets}
    assert counts == {category.name: len(category.recordings) + (category.name == name) for category in voices.targets}
    assert wide.distractors == voices.distractors


def test_recordings_need_remixed_audio(tree):
    given = values(tree, text=False)
    given["data"]["recordings"] = "sources"
    with pytest.raises(ConfigError, match=r"data\.recordings needs augment\.remix_audio"):
        TrainingRecipe.from_dict(given)


def test_other_data_sets_cannot_be_heard_anew(tree):
    given = values(tree, text=True)
    given["augment"] = {"remix_audio": 1.0}
    with pytest.raises(ConfigError, match="remix_audio"):
        TrainingRecipe.from_dict(given)


def test_what_keeps_silent_is_looked_for_where_it_is_asked_for(tree, voices):
    given = training_samples(DataConfig(dataset="stampavs", root=str(tree / "stamp")), "train")
    asked = TrainingClips(given, SIZE, FRAMES, AugmentConfig(remix_audio=1.0), seed=0, voices=voices, rivals=True)
    assert clips(tree, voices, 1.0)[0].rivals is None
    for number in range(6):
        clip, sample = asked[number], given[asked.order[number]]
        assert not (clip.rivals & clip.labels).any()
        if len(sample.frames) == FRAMES:  # else a window, whose place is drawn
            shapes = torch.stack([torch.stack([read_mask(path, SIZE) for path in paths]) for paths in sample.objects])
            assert torch.equal(clip.rivals | clip.labels, shapes.any(0))
