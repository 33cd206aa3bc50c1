"""The cache of frozen features: a run with it gives what a run without it gives."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
import torch

from auralsam2.errors import ConfigError
from auralsam2.training.feature_disk_cache import FeatureDiskCache
from auralsam2.training.recipe import TrainingRecipe
from auralsam2.training.run import train
from helpers.small_training import values, write_parts

MAPS = (torch.randn(2, 4, 8, 8), torch.randn(2, 4, 4, 4), torch.randn(2, 4, 2, 2))
BYTES = sum(level.nbytes for level in MAPS)


@pytest.fixture
def frames(tmp_path) -> list[Path]:
    files = [tmp_path / "0.jpg", tmp_path / "1.jpg"]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]))
    return files


def test_a_run_from_the_cache_gives_the_same_weights(tmp_path, monkeypatch):
    from auralsam2.training import lightning_module

    calls, encode = [], lightning_module.encode_pyramid
    monkeypatch.setattr(lightning_module, "encode_pyramid", lambda *given: calls.append(1) or encode(*given))
    given = values(write_parts(tmp_path), max_steps=6, accumulate=1, validate_every=6)
    given["augment"] = {"flip": 0.5, "grayscale": 0.0, "clip_jitter": [0, 0, 0], "frame_jitter": [0, 0, 0]}
    state = []
    for name, cache in (("without", None), ("filling", "cache"), ("from", "cache")):
        given["data"]["cache"] = None if cache is None else str(tmp_path / cache)
        calls.clear()
        trained = train(TrainingRecipe.from_dict(given), tmp_path / name)
        state.append((len(calls), trained.network.trained_state(), float(trained.trainer.callback_metrics["val/J"])))
    assert state[0][0] == 8  # six clips and two of validation
    assert state[1][0] in (7, 8)  # of five clips one came twice, flipped alike or not
    assert state[2][0] == 0
    for _, weights, score in state[1:]:
        assert all(torch.equal(weights[name], value) for name, value in state[0][1].items())
        assert score == state[0][2]


def test_keys_tell_apart_pictures_flips_encoders_and_precisions(frames, tmp_path):
    cache = FeatureDiskCache(tmp_path / "cache", "a", 10**9)
    other = FeatureDiskCache(tmp_path / "cache", "b", 10**9)
    half = FeatureDiskCache(tmp_path / "cache", "a", 10**9, half=True)
    keys = {*cache.keys(frames, False), *cache.keys(frames, True), *other.keys(frames, False)}
    keys |= set(half.keys(frames, False))
    os.utime(frames[0], ns=(1, 1))
    assert len(keys | set(cache.keys(frames, False))) == 9
    assert cache.keys(frames[1:], False) == cache.keys(frames, False)[1:]


@pytest.mark.parametrize("half", [False, True])
def test_what_goes_in_comes_out(tmp_path, half):
    cache = FeatureDiskCache(tmp_path / "cache", "a", 10**9, half=half)
    assert cache.get("xy") is None
    cache.put("xy", MAPS)
    found = cache.get("yx")  # by picture, in any order
    assert found is not None
    for one, other in zip(found, MAPS, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, (other.half().float() if half else other).flip(0))


def test_half_precision_takes_half_the_room(tmp_path):
    sizes = []
    for half in (False, True):
        cache = FeatureDiskCache(tmp_path / str(half), "a", 10**9, half=half)
        cache.put("xy", MAPS)
        sizes.append(cache.nbytes)
    assert sizes[1] < 0.6 * sizes[0]


def test_a_damaged_entry_is_as_none(tmp_path):
    cache = FeatureDiskCache(tmp_path / "cache", "a", 10**9)
    cache.put("xy", MAPS)
    file = cache.folder / "x.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    assert cache.get("xy") is None
    assert not file.exists()
    assert cache.get("y") is not None


def test_the_limit_holds(tmp_path):
    cache = FeatureDiskCache(tmp_path / "cache", "a", int(2.9 * BYTES))
    for names in ("ab", "cd", "ef"):
        cache.put(names, MAPS)
    assert cache.full
    assert cache.nbytes <= cache.limit
    assert cache.get("abcd") is not None
    assert cache.get("f") is None
    assert not list(cache.folder.glob("*.part"))


def test_what_vanishes_while_it_is_counted_does_not_count(tmp_path, monkeypatch):
    """Another process renames what it has written: what was listed under one name has another now."""
    cache = FeatureDiskCache(tmp_path / "cache", "owner", 10**6)
    cache.put(["a" * 40], tuple(level[:1] for level in MAPS))
    whole = cache.nbytes
    (cache.folder / "other.part").write_bytes(b"half")
    scan = os.scandir

    @contextlib.contextmanager
    def late(folder):
        with scan(folder) as entries:
            listed = list(entries)
        (cache.folder / "other.part").unlink()
        yield listed

    monkeypatch.setattr(os, "scandir", late)
    assert cache.nbytes == whole


def test_changes_of_pixels_are_refused(tmp_path):
    given = values(tmp_path)
    given["data"]["cache"] = "cache"
    with pytest.raises(ConfigError, match=r"data\.cache"):
        TrainingRecipe.from_dict(given)
