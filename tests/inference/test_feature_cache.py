"""The store with a bound."""

from __future__ import annotations

import contextlib

import torch

from auralsam2.inference.feature_cache import FeatureCache


def entry(value: int, size: int = 10) -> dict[str, torch.Tensor]:
    return {"x": torch.full((size,), value, dtype=torch.uint8)}


def test_what_was_used_longest_ago_gives_way() -> None:
    with contextlib.closing(FeatureCache(10, 20)) as kept:
        for number in range(3):
            kept.put((number,), entry(number))
        assert kept.get((0,)) is not None
        kept.put((3,), entry(3))
        assert kept.get((1,)) is None, "the oldest by use, not by age"
        for number in (0, 2, 3):
            found = kept.get((number,))
            assert found is not None
            assert found["x"].tolist() == [number] * 10
        assert (kept.evicted, kept.size, len(kept)) == (1, 30, 3)


def test_the_bound_holds_for_entries_of_any_size() -> None:
    with contextlib.closing(FeatureCache(16, 32)) as kept:
        for number in range(40):
            kept.put((number,), entry(number, 1 + number % 20))
            assert kept.size <= 48
        assert kept.evicted > 10


def test_an_entry_larger_than_the_bound_is_not_kept() -> None:
    with contextlib.closing(FeatureCache(10, 10)) as kept:
        kept.put(("large", 0), entry(1, 21))
        assert kept.get(("large", 0)) is None
        assert kept.size == 0


def test_an_entry_takes_the_place_of_its_earlier_form() -> None:
    with contextlib.closing(FeatureCache(10, 10)) as kept:
        kept.put(("one", 0), entry(1))
        kept.put(("one", 0), entry(2, 5))
        found = kept.get(("one", 0))
        assert found is not None
        assert found["x"].tolist() == [2] * 5
        assert (kept.size, kept.evicted) == (5, 0)


def test_frames_are_forgotten() -> None:
    with contextlib.closing(FeatureCache(30, 30)) as kept:
        for index in range(3):
            kept.put(("picture", index), entry(index))
            kept.put(("display", 9, index), entry(index))
        kept.forget(range(2))
        assert kept.get(("display", 9, 1)) is None
        assert kept.get(("display", 9, 2)) is not None
        assert (len(kept), kept.size, kept.evicted) == (2, 20, 0), "forgotten, not dropped for want of space"
        kept.forget([2, 7], "picture", "features")
        assert kept.get(("picture", 2)) is None
        assert kept.get(("display", 9, 2)) is not None
