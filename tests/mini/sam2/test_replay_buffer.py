"""What the pool holds, and what becomes of one that was interrupted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from auralsam2.errors import OutputError
from auralsam2.modeling.preprocess import normalise
from projects.mini import sam2_data as module
from projects.mini.sam2_data import FeatureBatch, ReplayBuffer, SceneStream
from projects.mini.sam2_model import CHANNELS, backbone_maps, mini_sam2

SIZE = 64


@pytest.fixture(scope="module")
def sam2():
    return mini_sam2(None, SIZE)


@pytest.fixture(scope="module")
def scenes(stamps) -> SceneStream:
    return SceneStream("train", size=SIZE, frames=2, seed=0, stamps=stamps)


def open_pool(folder: Path, sam2, scenes, seed: int | None = None) -> ReplayBuffer:
    """16 clips at most, 8 at step 0, 8 more every second step."""
    if seed is not None:
        scenes = SceneStream(scenes.split, size=SIZE, frames=2, seed=seed, stamps=scenes.pool.silent[0].path.parent)
    return ReplayBuffer(folder, sam2, scenes, capacity=16, initial=8, every=2)


def everything(pool: ReplayBuffer, step: int, count: int) -> FeatureBatch:
    pool.fill(step)
    return pool.sample(step, count, np.random.default_rng(step))


def assert_equal(one: FeatureBatch, other: FeatureBatch) -> None:
    assert all(torch.equal(a, b) for a, b in zip(one.maps, other.maps, strict=True))
    assert np.array_equal(one.objects, other.objects)
    assert np.array_equal(one.classes, other.classes)


def held(batch: FeatureBatch, scenes: SceneStream, among: int) -> list[int]:
    """Numbers of its clips, found by what their owners show."""
    known = {scenes[number].objects.tobytes(): number for number in range(among)}
    return [known[owners.tobytes()] for owners in batch.objects]


def test_clips_come_and_the_oldest_go(tmp_path, sam2, scenes):
    pool = open_pool(tmp_path / "pool", sam2, scenes)
    assert [pool.total(step) for step in range(6)] == [8, 8, 16, 16, 24, 24]
    assert sorted(held(everything(pool, 1, 8), scenes, 24)) == list(range(8))
    assert sorted(held(everything(pool, 2, 16), scenes, 24)) == list(range(16))
    assert sorted(held(everything(pool, 4, 16), scenes, 24)) == list(range(8, 24))


def test_a_sample_is_the_clips_own(tmp_path, sam2, scenes):
    batch = everything(open_pool(tmp_path / "pool", sam2, scenes), 2, 4)
    numbers = held(batch, scenes, 16)
    assert len(set(numbers)) == 4
    for place, number in enumerate(numbers):
        clip = scenes[number]
        assert batch.classes[place].tolist() == [*clip.classes.tolist(), *[-1] * (8 - len(clip.classes))]
        maps = backbone_maps(sam2, normalise(torch.from_numpy(clip.frames).permute(0, 3, 1, 2)))
        for level, made, channels in zip(batch.maps, maps, reversed(CHANNELS), strict=True):
            assert level.dtype == torch.float32
            assert level.shape[1:3] == (2, channels)
            assert torch.allclose(level[place], made, rtol=2e-3, atol=1e-4)


def test_what_it_holds_depends_on_the_step_alone(tmp_path, sam2, scenes):
    """Straight to a step, by way of those before it, opened again, and back from a later one."""
    straight = everything(open_pool(tmp_path / "straight", sam2, scenes), 3, 5)
    slow = open_pool(tmp_path / "slow", sam2, scenes)
    for step in range(3):
        slow.fill(step)
    assert_equal(everything(slow, 3, 5), straight)
    slow.fill(6)
    assert_equal(everything(open_pool(tmp_path / "slow", sam2, scenes), 3, 5), straight)


def count_made(monkeypatch) -> list[int]:
    """Grows by the number of pictures whenever the backbone runs."""
    made: list[int] = []

    def counted(model, pixels):
        made.append(len(pixels))
        return backbone_maps(model, pixels)

    monkeypatch.setattr(module, "backbone_maps", counted)
    return made


def test_a_pool_that_was_interrupted_while_it_was_written_is_made_again(tmp_path, sam2, scenes, monkeypatch):
    whole = everything(open_pool(tmp_path / "whole", sam2, scenes), 4, 16)
    pool = open_pool(tmp_path / "pool", sam2, scenes)
    pool.fill(3)

    class Full:
        """The last of the files, on a disk that is full."""

        def __setitem__(self, places, values) -> None:
            raise OSError(28, "No space left on device")

    pool._maps[3] = Full()
    with pytest.raises(OSError, match="No space"):
        pool.fill(4)
    made = count_made(monkeypatch)
    assert_equal(everything(open_pool(tmp_path / "pool", sam2, scenes), 4, 16), whole)
    assert made == [16]  # eight clips of two frames; the other eight were whole


def test_maps_that_are_there_are_not_made_again_but_by_another_backbone_or_of_other_scenes(
    tmp_path, sam2, scenes, monkeypatch
):
    first = everything(open_pool(tmp_path / "pool", sam2, scenes), 0, 8)
    made = count_made(monkeypatch)
    assert_equal(everything(open_pool(tmp_path / "pool", sam2, scenes), 0, 8), first)
    assert not made
    other = everything(open_pool(tmp_path / "pool", sam2, scenes, seed=1), 0, 8)
    assert len(made) == 1
    assert not np.array_equal(other.objects, first.objects)
    foreign = everything(open_pool(tmp_path / "pool", mini_sam2(None, SIZE, seed=1), scenes), 0, 8)
    assert len(made) == 2
    assert np.array_equal(foreign.objects, first.objects)
    assert not torch.equal(foreign.maps[0], first.maps[0])


def test_a_folder_that_cannot_be_is_told(tmp_path, sam2, scenes):
    (tmp_path / "pool").write_text("a file")
    with pytest.raises(OutputError, match="no room for the buffer"):
        open_pool(tmp_path / "pool", sam2, scenes)
