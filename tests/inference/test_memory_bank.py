"""The memory bank by hand: which frames a frame attends to, in which order, at which distance."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auralsam2.inference.clip import new_tracker
from auralsam2.inference.memory_bank import MemoryBank, MemoryEntry
from auralsam2.inference.tracker import processing_order
from auralsam2.modeling.network import AuralNetwork
from helpers.small_networks import small_config, small_sam2

SLOTS, POINTERS = 7, 16


def remembered(t: int) -> MemoryEntry:
    """Marks that tell the frame: t in the memory, -t in the pointer."""
    return MemoryEntry(torch.tensor([float(t)]), torch.tensor([-float(t)]))


def filled(frames: list[int], conditioning: set[int]) -> MemoryBank:
    bank = MemoryBank(SLOTS, POINTERS)
    for t in frames:
        bank.add(t, remembered(t), conditioning=t in conditioning)
    return bank


def told(pairs: list[tuple[int, torch.Tensor]]) -> list[tuple[int, int]]:
    """(distance, frame)."""
    return [(distance, abs(int(value))) for distance, value in pairs]


def test_the_order_of_a_long_clip() -> None:
    bank = filled(list(range(20)), {0})
    # The conditioning frame at distance 0, then oldest to newest.
    assert told(bank.memories(20)) == [(0, 0), (6, 14), (5, 15), (4, 16), (3, 17), (2, 18), (1, 19)]
    # The conditioning frame at its true distance, then newest to oldest.
    assert told(bank.pointers(20, 15)) == [(20, 0), *((d, 20 - d) for d in range(1, 16))]


def test_the_first_frames() -> None:
    bank = filled([0], {0})
    assert told(bank.memories(1)) == [(0, 0)]
    assert told(bank.pointers(1, 4)) == [(1, 0)]
    bank.add(1, remembered(1), conditioning=False)
    bank.add(2, remembered(2), conditioning=False)
    assert told(bank.memories(3)) == [(0, 0), (2, 1), (1, 2)]
    assert told(bank.pointers(3, 4)) == [(3, 0), (1, 2), (2, 1)]


def test_a_short_clip_bounds_the_reach_of_pointers() -> None:
    bank = filled([0, 1, 2, 3, 4], {0})
    assert told(bank.pointers(5, 2)) == [(5, 0), (1, 4), (2, 3)]


def test_a_conditioning_frame_in_the_future_gives_its_memory_but_no_pointer() -> None:
    """Clips that start in their middle: frame 5 of 10 first, then 0, 1, …"""
    bank = filled([5, 0, 1], {5})
    assert told(bank.memories(2)) == [(0, 5), (2, 0), (1, 1)]
    assert told(bank.pointers(2, 9)) == [(1, 1), (2, 0)]
    for t in (2, 3, 4):
        bank.add(t, remembered(t), conditioning=False)
    # Frame 5 itself is no frame between others: its distance from 6 takes no slot of its own.
    assert told(bank.memories(6)) == [(0, 5), (6, 0), (5, 1), (4, 2), (3, 3), (2, 4)]
    assert told(bank.pointers(6, 9)) == [(1, 5), (2, 4), (3, 3), (4, 2), (5, 1), (6, 0)]


def test_the_first_frame_before_a_conditioning_one_in_the_middle() -> None:
    bank = filled([5], {5})
    assert told(bank.memories(0)) == [(0, 5)]
    assert told(bank.pointers(0, 9)) == []


def test_several_conditioning_frames_all_count() -> None:
    bank = filled([0, 1, 2, 3, 4], {0, 3})
    assert told(bank.memories(5)) == [(0, 0), (0, 3), (4, 1), (3, 2), (1, 4)]
    assert told(bank.pointers(5, 15)) == [(5, 0), (2, 3), (1, 4), (3, 2), (4, 1)]


@given(st.integers(1, 10), st.integers(1, 20), st.integers(1, 1000))
def test_the_bank_does_not_grow(slots: int, pointers: int, frames: int) -> None:
    bank = MemoryBank(slots, pointers)
    bank.add(0, remembered(0), conditioning=True)
    for t in range(1, frames):
        bank.add(t, remembered(t), conditioning=False)
        assert len(bank) <= 1 + max(slots, pointers) - 1


def test_forgetting_takes_nothing_that_can_still_be_reached() -> None:
    """A bounded bank and one that keeps everything give every frame the same."""
    bank, full = MemoryBank(SLOTS, POINTERS), MemoryBank(10_000, 10_000)
    for t in range(1000):
        if t:
            assert told(bank.memories(t)) == [pair for pair in told(full.memories(t)) if pair[0] < SLOTS]
            assert told(bank.pointers(t, POINTERS - 1)) == told(full.pointers(t, POINTERS - 1))
        for one in (bank, full):
            one.add(t, remembered(t), conditioning=t == 0)
    assert len(bank) == POINTERS


def test_empty_until_there_is_a_conditioning_frame() -> None:
    bank = MemoryBank(SLOTS, POINTERS)
    assert bank.empty
    bank.add(3, remembered(3), conditioning=False)
    assert bank.empty
    bank.add(4, remembered(4), conditioning=True)
    assert not bank.empty


@pytest.mark.parametrize(
    ("frames", "first", "middle"),
    [(1, [0], [0]), (4, [0, 1, 2, 3], [2, 0, 1, 3]), (5, [0, 1, 2, 3, 4], [2, 0, 1, 3, 4])],
)
def test_processing_order(frames: int, first: list[int], middle: list[int]) -> None:
    assert processing_order(frames, "first") == first
    assert processing_order(frames, "middle") == middle


def test_a_tracker_cannot_start_without_a_conditioning_frame() -> None:
    network = AuralNetwork(small_config(), small_sam2(64)).eval()
    with torch.inference_mode():
        (frame,) = network.encode(torch.zeros(1, 3, 64, 64), with_patches=False)
        with pytest.raises(ValueError, match="frame 3 has no memory"):
            new_tracker(network).step(3, frame)


def test_a_tracker_of_a_long_video_holds_a_bounded_bank() -> None:
    network = AuralNetwork(small_config(), small_sam2(64)).eval()
    tracker = new_tracker(network)
    with torch.inference_mode():
        (frame,) = network.encode(torch.zeros(1, 3, 64, 64), with_patches=False)
        for t in range(22):
            tracker.step(t, frame, conditioning=t == 0)
            assert len(tracker.bank) <= 16
    assert len(tracker.bank) == 16
