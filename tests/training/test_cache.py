"""The cache of frozen features: a run with it gives what a run without it gives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from auralsam2.errors import ConfigError
from auralsam2.training.cache import FeatureCache
from auralsam2.training.recipe import Recipe
from auralsam2.training.run import train
from small_training import values, write_parts

MAPS = (torch.randn(2, 4, 8, 8), torch.randn(2, 4, 4, 4), torch.randn(2, 4, 2, 2))
BYTES = sum(level.nbytes for level in MAPS)


@pytest.fixture
def frames(tmp_path) -> list[Path]:
    files = [tmp_path / "0.jpg", tmp_path / "1.jpg"]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]))
    return files


def test_a_run_from_the_cache_gives_the_same_weights(tmp_path, monkeypatch):
    from auralsam2.training import module

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    calls, encode = [], module.encode
    monkeypatch.setattr(module, "encode", lambda *given: calls.append(1) or encode(*given))
    given = values(write_parts(tmp_path), max_steps=6, accumulate=1, validate_every=6)
    given["augment"] = {"flip": 0.5, "grayscale": 0.0, "clip_jitter": [0, 0, 0], "frame_jitter": [0, 0, 0]}
    state = []
    for name, cache in (("without", None), ("filling", "cache"), ("from", "cache")):
        given["data"]["cache"] = None if cache is None else str(tmp_path / cache)
        calls.clear()
        trained = train(Recipe.from_dict(given), tmp_path / name)
        state.append((len(calls), trained.network.trained_state(), float(trained.trainer.callback_metrics["val/J"])))
    torch.set_num_threads(threads)
    assert state[0][0] == 8  # six clips and two of validation
    assert state[1][0] in (7, 8)  # of five clips one came twice, flipped alike or not
    assert state[2][0] == 0
    for _, weights, score in state[1:]:
        assert all(torch.equal(weights[name], value) for name, value in state[0][1].items())
        assert score == state[0][2]


def test_keys_tell_apart_pictures_flips_and_encoders(frames, tmp_path):
    cache = FeatureCache(tmp_path / "cache", "a", 10**9)
    other = FeatureCache(tmp_path / "cache", "b", 10**9)
    keys = {cache.key(frames, False), cache.key(frames, True), cache.key(frames[:1], False), other.key(frames, False)}
    os.utime(frames[0], ns=(1, 1))
    assert len(keys | {cache.key(frames, False)}) == 5


def test_what_goes_in_comes_out(tmp_path):
    cache = FeatureCache(tmp_path / "cache", "a", 10**9)
    assert cache.get("x") is None
    cache.put("x", MAPS)
    found = cache.get("x")
    assert found is not None
    assert all(torch.equal(one, other) for one, other in zip(found, MAPS, strict=True))


def test_a_damaged_entry_is_as_none(tmp_path):
    cache = FeatureCache(tmp_path / "cache", "a", 10**9)
    cache.put("x", MAPS)
    file = cache.folder / "x.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    assert cache.get("x") is None
    assert not file.exists()


def test_the_limit_holds(tmp_path):
    cache = FeatureCache(tmp_path / "cache", "a", int(2.9 * BYTES))
    for name in "abcd":
        cache.put(name, MAPS)
    assert cache.full
    assert cache.nbytes <= cache.limit
    assert cache.get("a") is not None
    assert cache.get("d") is None
    assert not list(cache.folder.glob("*.part"))


def test_changes_of_pixels_are_refused(tmp_path):
    given = values(tmp_path)
    given["data"]["cache"] = "cache"
    with pytest.raises(ConfigError, match=r"data\.cache"):
        Recipe.from_dict(given)
