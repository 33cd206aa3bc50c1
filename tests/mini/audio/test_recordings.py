"""Recordings of a folder beside those of stamps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from auralsam2.errors import ConfigError, InputError
from auralsam2.stampavs import audio
from auralsam2.stampavs.assets import Category, Recording
from auralsam2.stampavs.recordings import RecordingFolder, add_recordings, read_recordings
from helpers.photograph_sources import KINDS
from projects.mini.audio_data import TaggingSamples
from projects.mini.recordings import change_recording
from projects.mini.train_audio import AudioRecipe, AudioStage


def test_folder_by_split(recordings):
    train, test = (read_recordings(recordings, split, frozenset({"zebra"})) for split in ("train", "test"))
    assert list(train.kinds) == list(test.kinds) == list(KINDS)
    assert train.kinds["dog"][0].path == recordings / "sounds" / "dog-train.ogg"
    assert test.kinds["dog"][0].path == recordings / "sounds" / "dog-held-out.ogg"
    assert [noise.path.name for noise in train.noises] == ["dog-train.ogg"]
    with pytest.raises(InputError, match="no usable recording"):
        read_recordings(recordings, "train", frozenset({"zebra", *KINDS}))


def test_recordings_join_their_category():
    one, other = (Recording(key=name, path=Path(name)) for name in ("one", "other"))
    dog = Category(name="dog", group="animal", verb="", pictures=(), recordings=(one,))
    folder = RecordingFolder(kinds={"cat": (one,), "dog": (other,)}, noises=())
    first, second = add_recordings([dog], folder)
    assert first == replace(dog, recordings=(one, other))
    assert (second.name, second.recordings) == ("cat", (one,))


def test_examples_of_stamps_and_recordings(stamps, recordings):
    plain = TaggingSamples("train", seed=1, stamps=stamps)
    assert plain.batch(range(4)).plain.all()
    samples = TaggingSamples("train", seed=1, stamps=stamps, recordings=recordings)
    assert samples.categories == (*plain.categories, *KINDS)
    batch = samples.batch(range(60))
    assert 15 < int(batch.plain.sum()) < 45
    added = batch.tags[:, len(plain.categories) :]
    assert not added[batch.plain].any()
    assert added[~batch.plain].any(0).all()
    held_out = TaggingSamples("held-out", seed=1, stamps=stamps, recordings=recordings)
    assert held_out.categories == samples.categories
    tags = held_out.batch(range(30)).tags
    assert not tags[:, : len(plain.categories)].any()
    assert tags[:, len(plain.categories) :].any(0).all()


def test_changed_recording_keeps_its_energy():
    rng = np.random.default_rng(3)
    samples = audio.draw_noise(1, 0.1, rng)[:, 0]
    changed = [change_recording(samples, np.random.default_rng(number)) for number in range(6)]
    for one in changed:
        assert one.dtype == np.float32
        assert np.isfinite(one).all()
        assert np.sqrt(np.square(one).mean()) == pytest.approx(np.sqrt(np.square(samples).mean()), rel=1e-3)
        assert not np.allclose(one, samples, atol=0.01)
    assert not change_recording(np.zeros(400, np.float32), rng).any()


def test_tokens_stay_near_those_of_the_start(recipe, recordings, tmp_path):
    first = replace(recipe, out=str(tmp_path / "first"))
    AudioStage(first).run()
    more = replace(recipe, start=first.out, recordings=str(recordings), rate=1e-2)
    distances = []
    for weight in (0.0, 100.0):
        out = tmp_path / f"weight-{weight}"
        figures = AudioStage(replace(more, token_weight=weight, out=str(out))).run()
        assert list(figures) == ["fresh", "held-out"]
        states = [load_file(Path(folder) / "model.safetensors") for folder in (first.out, out)]
        distances.append(sum(float((states[0][name] - states[1][name]).square().sum()) for name in states[0]))
    assert 0 < distances[1] < distances[0]
    resumed = AudioStage(replace(more, token_weight=100.0, out=str(tmp_path / "weight-100.0")), resume=True)
    state = load_file(Path(first.out) / "model.safetensors")
    assert resumed._target is not None
    for name, value in resumed._target.state_dict().items():
        assert torch.equal(value, state[f"audio_encoder.{name}"])


def test_token_weight_needs_a_start(recipe):
    with pytest.raises(ConfigError, match="token_weight"):
        replace(recipe, token_weight=1.0)
    assert AudioRecipe(out="run", steps=1, start="mini", token_weight=1.0).start == "mini"
