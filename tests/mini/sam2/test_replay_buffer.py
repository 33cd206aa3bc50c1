"""Content of the replay buffer, and its repair after an interruption."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from auralsam2.errors import OutputError
from auralsam2.modeling.preprocess import normalise
from projects.mini import sam2_data
from projects.mini.sam2_data import FeatureBatch, ReplayBuffer, SceneStream
from projects.mini.sam2_model import CHANNELS, backbone_maps, mini_sam2

SIZE = 64


@pytest.fixture(scope="module")
def sam2():
    return mini_sam2(None, SIZE)


@pytest.fixture(scope="module")
def scenes(stamps) -> SceneStream:
    return SceneStream("train", size=SIZE, frames=2, seed=0, stamps=stamps)


def open_buffer(folder: Path, sam2, scenes, seed: int | None = None) -> ReplayBuffer:
    """Open a buffer of 16 clips: 8 at step 0, 8 new ones every second step."""
    if seed is not None:
        scenes = SceneStream(scenes.split, size=SIZE, frames=2, seed=seed, stamps=scenes.pool.silent[0].path.parent)
    return ReplayBuffer(folder, sam2, scenes, capacity=16, initial=8, every=2)


def filled_sample(buffer: ReplayBuffer, step: int, count: int) -> FeatureBatch:
    buffer.fill(step)
    return buffer.sample(step, count, np.random.default_rng(step))


def assert_equal(actual: FeatureBatch, expected: FeatureBatch) -> None:
    assert all(torch.equal(a, b) for a, b in zip(actual.maps, expected.maps, strict=True))
    assert np.array_equal(actual.objects, expected.objects)
    assert np.array_equal(actual.classes, expected.classes)


def clip_numbers(batch: FeatureBatch, scenes: SceneStream, count: int) -> list[int]:
    """Return the numbers of the clips, by their object maps."""
    numbers = {scenes[number].objects.tobytes(): number for number in range(count)}
    return [numbers[owners.tobytes()] for owners in batch.objects]


def test_new_clips_replace_the_oldest(tmp_path, sam2, scenes):
    buffer = open_buffer(tmp_path / "pool", sam2, scenes)
    assert [buffer.total(step) for step in range(6)] == [8, 8, 16, 16, 24, 24]
    assert sorted(clip_numbers(filled_sample(buffer, 1, 8), scenes, 24)) == list(range(8))
    assert sorted(clip_numbers(filled_sample(buffer, 2, 16), scenes, 24)) == list(range(16))
    assert sorted(clip_numbers(filled_sample(buffer, 4, 16), scenes, 24)) == list(range(8, 24))


def test_sample_has_maps_and_classes_of_its_clips(tmp_path, sam2, scenes):
    batch = filled_sample(open_buffer(tmp_path / "pool", sam2, scenes), 2, 4)
    numbers = clip_numbers(batch, scenes, 16)
    assert len(set(numbers)) == 4
    for slot, number in enumerate(numbers):
        clip = scenes[number]
        assert batch.classes[slot].tolist() == [*clip.classes.tolist(), *[-1] * (8 - len(clip.classes))]
        maps = backbone_maps(sam2, normalise(torch.from_numpy(clip.frames).permute(0, 3, 1, 2)))
        for level, computed, channels in zip(batch.maps, maps, reversed(CHANNELS), strict=True):
            assert level.dtype == torch.float32
            assert level.shape[1:3] == (2, channels)
            assert torch.allclose(level[slot], computed, rtol=2e-3, atol=1e-4)


def test_content_depends_on_the_step_alone(tmp_path, sam2, scenes):
    """Reach a step directly, through earlier steps, after reopening, and from a later step."""
    straight = filled_sample(open_buffer(tmp_path / "straight", sam2, scenes), 3, 5)
    slow = open_buffer(tmp_path / "slow", sam2, scenes)
    for step in range(3):
        slow.fill(step)
    assert_equal(filled_sample(slow, 3, 5), straight)
    slow.fill(6)
    assert_equal(filled_sample(open_buffer(tmp_path / "slow", sam2, scenes), 3, 5), straight)


def count_computed(monkeypatch) -> list[int]:
    """Return a list to which each run of the backbone appends its number of images."""
    computed: list[int] = []

    def counted(model, pixels):
        computed.append(len(pixels))
        return backbone_maps(model, pixels)

    monkeypatch.setattr(sam2_data, "backbone_maps", counted)
    return computed


def test_incomplete_clips_are_computed_again(tmp_path, sam2, scenes, monkeypatch):
    expected = filled_sample(open_buffer(tmp_path / "complete", sam2, scenes), 4, 16)
    buffer = open_buffer(tmp_path / "pool", sam2, scenes)
    buffer.fill(3)

    class Full:
        """The last file, on a full disk."""

        def __setitem__(self, slots, values) -> None:
            raise OSError(28, "No space left on device")

    buffer._maps[3] = Full()
    with pytest.raises(OSError, match="No space"):
        buffer.fill(4)
    computed = count_computed(monkeypatch)
    assert_equal(filled_sample(open_buffer(tmp_path / "pool", sam2, scenes), 4, 16), expected)
    assert computed == [16]  # eight clips of two frames; the other eight are complete


def test_existing_maps_are_reused_for_the_same_backbone_and_scenes(tmp_path, sam2, scenes, monkeypatch):
    first = filled_sample(open_buffer(tmp_path / "pool", sam2, scenes), 0, 8)
    computed = count_computed(monkeypatch)
    assert_equal(filled_sample(open_buffer(tmp_path / "pool", sam2, scenes), 0, 8), first)
    assert not computed
    other = filled_sample(open_buffer(tmp_path / "pool", sam2, scenes, seed=1), 0, 8)
    assert len(computed) == 1
    assert not np.array_equal(other.objects, first.objects)
    foreign = filled_sample(open_buffer(tmp_path / "pool", mini_sam2(None, SIZE, seed=1), scenes), 0, 8)
    assert len(computed) == 2
    assert np.array_equal(foreign.objects, first.objects)
    assert not torch.equal(foreign.maps[0], first.maps[0])


def test_file_instead_of_a_folder_is_an_error(tmp_path, sam2, scenes):
    (tmp_path / "pool").write_text("a file")
    with pytest.raises(OutputError, match="no room for the buffer"):
        open_buffer(tmp_path / "pool", sam2, scenes)
