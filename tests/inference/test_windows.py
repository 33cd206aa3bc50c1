"""Clip windows: what frames each has, what is given out, what is heard."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from auralsam2.inference.windows import FrameTime, Window, slot_length, slot_of, sound_begin, windows

RATES = st.sampled_from([0.1, 0.3, 0.5, 1.0, 2.0, 2.5, 4.0, 7.0, 12.5])
SLOTS = st.integers(1, 10)
STARTS = st.floats(0, 1e4)


def constant(fps: float, count: int, start: float = 0.0) -> list[FrameTime]:
    """The instants of the reader at a wanted rate."""
    length = slot_length(fps)
    instants = [start + (j + 0.5) / fps for j in range(count)]
    return [FrameTime(j, instant, slot_of(instant, start, length)) for j, instant in enumerate(instants)]


def variable(gaps: list[float], start: float) -> list[FrameTime]:
    """Every frame of a video, whatever their distances."""
    instants = [start + offset for offset in itertools.accumulate(gaps)]
    return [FrameTime(j, instant, slot_of(instant, start, 1.0)) for j, instant in enumerate(instants)]


CONSTANT = st.builds(constant, RATES, st.integers(1, 120), STARTS)
VARIABLE = st.builds(
    variable,
    # Mostly a steady trickle, with pauses of up to a minute in it.
    st.lists(st.one_of(st.floats(0.01, 0.5), st.floats(0.01, 4.0), st.floats(0.01, 60.0)), min_size=1, max_size=100),
    STARTS,
)
STREAMS = CONSTANT | VARIABLE


def new(window: Window) -> list[FrameTime]:
    return [moment for moment in window.moments if moment.index >= window.first_new]


@given(STREAMS, SLOTS)
def test_every_frame_is_given_out_once_in_order(moments: list[FrameTime], slots: int) -> None:
    cut = list(windows(iter(moments), slots))
    assert [moment for window in cut for moment in new(window)] == moments
    for window in cut:
        assert list(window.moments) == sorted(window.moments, key=lambda moment: moment.index)
        assert new(window), "a window gives out nothing"


@given(STREAMS, SLOTS)
def test_windows_are_as_long_as_a_clip(moments: list[FrameTime], slots: int) -> None:
    cut = list(windows(iter(moments), slots))
    for window in cut:
        last = window.first_slot + window.slots - 1
        assert all(window.first_slot <= moment.slot <= last for moment in window.moments)
    assert all(window.slots == slots for window in cut[:-1])
    last = cut[-1]
    end = moments[-1].slot + 1
    if last.slots < slots:
        # Nothing before it that could make it whole.
        assert not [moment for moment in moments if end - slots <= moment.slot < last.first_slot]
        assert last.slots == end - last.first_slot
    else:
        assert last.slots == slots
    # No frame that belongs to a window's stretch is left out of it.
    for window in cut:
        stretch = range(window.first_slot, window.first_slot + window.slots)
        assert list(window.moments) == [moment for moment in moments if moment.slot in stretch]


def check_clips(moments: list[FrameTime], slots: int, length: float) -> None:
    for window in windows(iter(moments), slots):
        clips = list(window.clips())
        assert {moment for clip in clips for moment in clip} == set(window.moments)
        filled = {moment.slot for moment in window.moments}
        for clip in clips:
            assert len(clip) == window.slots
            for slot, (before, after) in enumerate(itertools.pairwise(clip), window.first_slot):
                if {slot, slot + 1} <= filled:
                    assert abs(after.instant - before.instant - length) < length + 1e-5


@given(RATES, st.integers(1, 120), STARTS, SLOTS)
def test_members_of_a_clip_lie_a_slot_apart(fps: float, count: int, start: float, slots: int) -> None:
    check_clips(constant(fps, count, start), slots, slot_length(fps))


@given(VARIABLE, SLOTS)
def test_members_of_a_clip_lie_a_slot_apart_at_a_variable_rate(moments: list[FrameTime], slots: int) -> None:
    check_clips(moments, slots, 1.0)


@given(st.sampled_from([1, 2, 4, 5, 25]), SLOTS, st.integers(1, 40), STARTS)
def test_at_whole_rates_clips_are_exact(fps: int, slots: int, seconds: int, start: float) -> None:
    for window in windows(iter(constant(fps, fps * seconds, start)), slots):
        clips = list(window.clips())
        assert len(clips) == fps
        assert sorted((moment for clip in clips for moment in clip), key=lambda m: m.index) == list(window.moments)
        for clip in clips:
            assert all(abs(b.instant - a.instant - 1) < 1e-9 for a, b in itertools.pairwise(clip))


@given(SLOTS, st.integers(1, 60), st.sampled_from([1.0, 0.5, 0.2]))
def test_a_frame_a_slot_makes_a_window_one_clip(slots: int, count: int, fps: float) -> None:
    for window in windows(iter(constant(fps, count)), slots):
        assert list(window.clips()) == [window.moments]


@given(SLOTS, st.integers(1, 60), STARTS)
def test_at_one_frame_a_second_sound_is_cut_as_in_training(slots: int, count: int, start: float) -> None:
    for window in windows(iter(constant(1.0, count, start)), slots):
        for i, moment in enumerate(window.moments):
            assert math.isclose(
                sound_begin(moment, window, 1.0), start + window.first_slot + 0.96 * i, rel_tol=0, abs_tol=1e-9
            )


def test_sound_of_distant_frames_lies_around_them() -> None:
    (window,) = windows(iter(constant(0.5, 4)), 5)
    assert [sound_begin(moment, window, 2.0) for moment in window.moments] == [0.5, 2.5, 4.5, 6.5]


def test_the_last_window_is_moved_back() -> None:
    cut = list(windows(iter(constant(1.0, 12)), 5))
    assert [[moment.index for moment in window.moments] for window in cut] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [7, 8, 9, 10, 11],
    ]
    assert [window.first_new for window in cut] == [0, 5, 10]


def test_a_short_video_is_one_short_window() -> None:
    (window,) = windows(iter(constant(4.0, 10)), 5)
    assert (window.slots, window.first_new, len(window.moments)) == (3, 0, 10)
    # Ten frames in slots of 4, 4, 2: the last slot lends its second frame to the third and fourth clip.
    assert [clip[-1].index for clip in window.clips()] == [8, 9, 9, 9]


def test_an_empty_slot_borrows_the_nearest_frame() -> None:
    moments = [FrameTime(0, 0.2, 0), FrameTime(1, 3.1, 3), FrameTime(2, 3.6, 3)]
    (window,) = windows(iter(moments), 5)
    assert [[moment.index for moment in clip] for clip in window.clips()] == [[0, 0, 1, 1], [0, 0, 1, 2]]


def test_nothing_gives_no_window() -> None:
    assert list(windows(iter(()), 5)) == []


@settings(max_examples=20)
@given(SLOTS)
def test_a_window_is_made_as_soon_as_it_is_full(slots: int) -> None:
    read = 0

    def endless() -> Iterator[FrameTime]:
        nonlocal read
        for j in itertools.count():
            read += 1
            yield FrameTime(j, j + 0.5, j)

    for k, _ in enumerate(itertools.islice(windows(endless(), slots), 5)):
        assert read == (k + 1) * slots + 1
