"""Examples by number, and that their labels tell what is in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from auralsam2.errors import InputError
from auralsam2.stampavs import audio
from auralsam2.stampavs.assets import collect_assets
from projects.mini import audio_data as drawing
from projects.mini.audio_data import TaggingSamples, final_splits


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but what the labels speak of."""
    monkeypatch.setattr(audio, "draw_noise", lambda seconds, level, rng: np.zeros((seconds * 16_000, 2), np.float32))


@pytest.fixture
def spare(stamps, monkeypatch: pytest.MonkeyPatch) -> str:
    """One trained thing has a second recording, of which the splits keep one; gives its name."""
    collection = collect_assets(stamps)
    name = TaggingSamples("train", seed=0, stamps=stamps).categories[0]
    # A recording of its own, by the name of a thing that is never trained.
    unseen = next(iter(collection.categories.keys() - set(TaggingSamples("train", seed=0, stamps=stamps).categories)))
    two = (*collection.categories[name].recordings, *collection.categories[unseen].recordings)
    changed = collection.categories | {name: replace(collection.categories[name], recordings=two)}
    monkeypatch.setattr(drawing, "collect_assets", lambda folder: replace(collection, categories=changed))
    return name


def test_an_example_is_the_same_whenever_it_is_drawn(stamps):
    one, again = (TaggingSamples("train", seed=1, stamps=stamps) for _ in range(2))
    whole, alone = one.batch([3, 4, 5]), again.batch([4])
    assert whole.log_mel.shape == (3, 2, 96, 64)
    assert torch.equal(whole.log_mel[1:2], alone.log_mel)
    assert torch.equal(whole.positions[1:2], alone.positions)
    for other in (TaggingSamples("train", seed=2, stamps=stamps), TaggingSamples("fresh", seed=1, stamps=stamps)):
        assert not torch.equal(other.batch([4]).log_mel, alone.log_mel)


@pytest.mark.usefixtures("quiet")
def test_labels_tell_what_sounds_and_where(stamps):
    sounds = TaggingSamples("train", seed=0, stamps=stamps)
    counts = []
    for number in range(60):
        samples, tags, positions = sounds._draw(number)
        assert samples.shape == (15_600, 2)
        assert samples.any() == tags.any(), "silence is silent"
        counts.append(tags.sum())
        if tags.sum() == 1:
            left, right = np.sqrt(np.square(samples, dtype=np.float64).mean(axis=0))
            assert np.arctan2(right, left) / (np.pi / 2) == pytest.approx(positions[tags][0], abs=0.08)
        assert not positions[~tags].any()
    assert np.bincount(counts, minlength=3).min() > 5


def test_what_is_not_trained_never_sounds(stamps):
    categories = TaggingSamples("train", seed=0, stamps=stamps).categories
    assert len(categories) == 6
    assert categories == tuple(sorted(categories))


def test_kept_recordings_sound_only_where_they_are_tested(stamps, spare, monkeypatch):
    played = set()

    def recording(path):
        played.add(path)
        return original(path)

    original = audio.read_recording
    monkeypatch.setattr(audio, "read_recording", recording)
    assert final_splits(stamps) == ("fresh", "held-out")
    held = TaggingSamples("held-out", seed=0, stamps=stamps)
    tags = held.batch(range(20)).tags
    kept = set(played)
    assert len(kept) == 1
    assert tags.any(0).tolist() == [category == spare for category in held.categories]
    played.clear()
    for part in ("train", "fresh"):
        TaggingSamples(part, seed=0, stamps=stamps).batch(range(30))
    assert len(played) >= 5
    assert not played & kept


def test_a_folder_of_single_recordings_has_none_to_keep(stamps):
    assert final_splits(stamps) == ("fresh",)
    with pytest.raises(InputError, match="test-new-sound"):
        TaggingSamples("held-out", seed=0, stamps=stamps)


def test_speed_changes_length_and_pitch():
    tone = np.sin(2 * np.pi * 500 * np.arange(16_000) / 16_000).astype(np.float32)
    fast = drawing._change_speed(tone, 1.1)
    assert len(fast) == 14_545
    spectrum = np.abs(np.fft.rfft(fast * np.hanning(len(fast))))
    assert np.argmax(spectrum) * 16_000 / len(fast) == pytest.approx(550, abs=2)
