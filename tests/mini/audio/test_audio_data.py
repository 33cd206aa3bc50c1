"""Examples by number, and their labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from auralsam2.errors import InputError
from auralsam2.stampavs import audio
from auralsam2.stampavs.assets import collect_assets
from projects.mini import audio_data
from projects.mini.audio_data import TaggingSamples, final_splits


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove noise, so that the audio has labelled sources single."""
    monkeypatch.setattr(audio, "draw_noise", lambda seconds, level, rng: np.zeros((seconds * 16_000, 2), np.float32))


@pytest.fixture
def spare(stamps, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give one trained category a second recording, which the splits hold out; return its name."""
    collection = collect_assets(stamps)
    name = TaggingSamples("train", seed=0, stamps=stamps).categories[0]
    # The second recording is that of a category outside training.
    unseen = next(iter(collection.categories.keys() - set(TaggingSamples("train", seed=0, stamps=stamps).categories)))
    two = (*collection.categories[name].recordings, *collection.categories[unseen].recordings)
    changed = collection.categories | {name: replace(collection.categories[name], recordings=two)}
    monkeypatch.setattr(audio_data, "collect_assets", lambda folder: replace(collection, categories=changed))
    return name


def test_example_depends_on_its_number_alone(stamps):
    samples, same = (TaggingSamples("train", seed=1, stamps=stamps) for _ in range(2))
    several, single = samples.batch([3, 4, 5]), same.batch([4])
    assert several.log_mel.shape == (3, 2, 96, 64)
    assert torch.equal(several.log_mel[1:2], single.log_mel)
    assert torch.equal(several.positions[1:2], single.positions)
    for other in (TaggingSamples("train", seed=2, stamps=stamps), TaggingSamples("fresh", seed=1, stamps=stamps)):
        assert not torch.equal(other.batch([4]).log_mel, single.log_mel)


@pytest.mark.usefixtures("quiet")
def test_labels_match_the_audio(stamps):
    sounds = TaggingSamples("train", seed=0, stamps=stamps)
    counts = []
    for number in range(60):
        samples, tags, positions, _ = sounds._draw(number)
        assert samples.shape == (15_600, 2)
        assert samples.any() == tags.any(), "examples without sources are silent"
        counts.append(tags.sum())
        if tags.sum() == 1:
            rms_left, rms_right = np.sqrt(np.square(samples, dtype=np.float64).mean(axis=0))
            assert np.arctan2(rms_right, rms_left) / (np.pi / 2) == pytest.approx(positions[tags][0], abs=0.08)
        assert not positions[~tags].any()
    assert np.bincount(counts, minlength=3).min() > 5


def test_categories_are_the_trained_ones(stamps):
    categories = TaggingSamples("train", seed=0, stamps=stamps).categories
    assert len(categories) == 6
    assert categories == tuple(sorted(categories))


def test_held_out_recordings_sound_in_their_split_alone(stamps, spare, monkeypatch):
    played = set()

    def recording(path):
        played.add(path)
        return original(path)

    original = audio.read_recording
    monkeypatch.setattr(audio, "read_recording", recording)
    assert final_splits(stamps) == ("fresh", "held-out")
    held_out = TaggingSamples("held-out", seed=0, stamps=stamps)
    tags = held_out.batch(range(20)).tags
    recordings = set(played)
    assert len(recordings) == 1
    assert tags.any(0).tolist() == [category == spare for category in held_out.categories]
    played.clear()
    for split in ("train", "fresh"):
        TaggingSamples(split, seed=0, stamps=stamps).batch(range(30))
    assert len(played) >= 5
    assert not played & recordings


def test_single_recordings_are_not_held_out(stamps):
    assert final_splits(stamps) == ("fresh",)
    with pytest.raises(InputError, match="test-new-sound"):
        TaggingSamples("held-out", seed=0, stamps=stamps)


def test_speed_changes_length_and_pitch():
    tone = np.sin(2 * np.pi * 500 * np.arange(16_000) / 16_000).astype(np.float32)
    fast = audio_data._change_speed(tone, 1.1)
    assert len(fast) == 14_545
    spectrum = np.abs(np.fft.rfft(fast * np.hanning(len(fast))))
    assert np.argmax(spectrum) * 16_000 / len(fast) == pytest.approx(550, abs=2)
