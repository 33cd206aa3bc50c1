"""Conversations about a clip, against `segment` and against the network called by hand."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

from auralsam2.errors import AuralError, UsageError
from auralsam2.inference.clip import new_tracker
from auralsam2.inference.feature_cache import FeatureCache, Key, Tensors
from auralsam2.inference.object_state import MERGES, MaskPrediction, Merge, merge_predictions
from auralsam2.inference.prompt_mapping import from_mask
from auralsam2.inference.tracker import TrackedFrame, full_size
from auralsam2.inference.video_session import SOUNDING, VideoSession, latest_mask, set_latest_mask
from auralsam2.inference.video_source import VideoSource
from auralsam2.media.frame_reader import read_frames
from auralsam2.model import AuralSAM2
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.preprocess import normalise, to_square
from auralsam2.modeling.prompt_encoder import VisualPrompts
from auralsam2.types import FeaturePrompts, Point, Prompts, Segmentation
from auralsam2.utils.mask_geometry import connected_components
from helpers.media_files import number_of

SIZE, SECONDS = 64, 7
CLICK = VisualPrompts(torch.tensor([[20.0, 16.0]]), torch.tensor([1]))
"""(20, 12) in pixels of the source, on the square."""


def features(model: AuralSAM2, video: Path, listen: bool = False) -> list[FrameFeatures]:
    """Each frame on its own, as plain SAM 2 would encode it."""
    with read_frames(video, fps=1.0) as reader, torch.inference_mode():
        squares = [normalise(to_square(frame.image, SIZE)[None]) for frame in reader]
        return [model.network.encode(square, with_patches=listen)[0] for square in squares]


def by_hand(
    model: AuralSAM2, frames: list[FrameFeatures], seed: int, visual: VisualPrompts, *, reverse: bool = False
) -> dict[int, TrackedFrame]:
    """Plain SAM 2 from one prompted frame on, to the end or back to the beginning."""
    tracker = new_tracker(model.network)
    order = range(seed, -1, -1) if reverse else range(seed, len(frames))
    with torch.inference_mode():
        return {
            t: tracker.step(
                -t if reverse else t, frames[t], None, visual if t == seed else None, conditioning=t == seed
            )
            for t in order
        }


def equal(one: Segmentation, other: Segmentation) -> bool:
    fields = (one.index, one.time, one.iou, one.object_score, one.sounding) == (
        other.index,
        other.time,
        other.iou,
        other.object_score,
        other.sounding,
    )
    return fields and np.array_equal(one.logits, other.logits) and np.array_equal(one.mask, other.mask)


def alike(one: Iterable[Segmentation], other: Iterable[Segmentation]) -> None:
    """The same up to the rounding of an encoder that sees frames in batches."""
    for a, b in zip(one, other, strict=True):
        assert (a.index, a.time, a.sounding) == (b.index, b.time, b.sounding)
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-4)
        assert a.iou == pytest.approx(b.iou, abs=1e-5)


@pytest.mark.parametrize("conditioning", ["first", "middle", "each"])
def test_what_sounds_is_what_segment_finds(make: Callable[..., AuralSAM2], video: Path, conditioning: str) -> None:
    model = make(conditioning)
    with model.open(video) as session:
        session.hear(True)
        forward = list(session.propagate())
        alike(forward, model.segment(video))
        backward = list(session.propagate(direction="backward"))
        assert all(equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))
        assert equal(session.predict(4.5), forward[4])
        assert {frame.object_id for frame in forward} == {0}
    assert any(frame.mask.any() for frame in forward)


def test_a_click_is_followed_as_segment_follows_it(model: AuralSAM2, video: Path) -> None:
    prompts = Prompts(points=(Point(x=20, y=12, time=2.4),))
    for audio in ("none", "track"):
        with model.open(video, audio=audio) as session:  # type: ignore[arg-type]
            if audio == "track":
                session.hear(True, object_id=1)
            shown = session.add_points([(20, 12)], [1], 2.4)
            followed = list(session.propagate(direction="both"))
        assert equal(shown, followed[0])
        segmented = list(model.segment(video, prompts=prompts, audio=audio))  # type: ignore[arg-type]
        for frame in followed:
            assert equal(frame, segmented[frame.index])


def test_with_sound_off_masks_equal_plain_sam2_bit_for_bit(model: AuralSAM2, video: Path) -> None:
    frames = features(model, video)
    with model.open(video) as session:
        session.hear(True, object_id=1)
        heard = session.add_points([(20, 12)], [1], 3.2)
        list(session.propagate(direction="both"))
        session.hear(False, object_id=1)
        silent = session.predict(3.2, object_id=1)
        assert not np.array_equal(heard.logits, silent.logits), "sound made no difference"
        for reverse in (False, True):
            plain = by_hand(model, frames, 3, CLICK, reverse=reverse)
            followed = list(session.propagate(direction="backward" if reverse else "forward"))
            assert [frame.index for frame in followed] == list(plain)
            for frame in followed:
                tracked = plain[frame.index]
                assert np.array_equal(frame.logits, tracked.logits.numpy())
                assert (frame.iou, frame.object_score) == (tracked.iou, tracked.object_score)


def test_every_frame_is_encoded_once(model: AuralSAM2, video: Path, encoded: list[int]) -> None:
    with model.open(video) as session:
        session.add_points([(20, 12)], [1], 5.1)
        assert encoded == [1], "a frame is encoded when it is needed"
        session.add_points([(40, 30)], [0], 5.1)
        session.add_box((4, 4, 40, 30), 5.4, object_id=2)
        assert encoded == [1], "a correction and another object need no encoder"
        session.hear(True)
        list(session.propagate(direction="both"))
        session.add_points([(9, 9)], [0], 2.5, object_id=0)
        session.remove(2)
        session.split_components(1.5, min_area=0.001)
        session.undo()
        list(session.propagate(direction="backward"))
    assert encoded == [1] * SECONDS


def test_propagation_is_lazy(model: AuralSAM2, video: Path, encoded: list[int]) -> None:
    with model.open(video) as session:
        session.add_points([(20, 12)], [1], 0.5)
        frames = session.propagate()
        next(frames)
        next(frames)
        assert sum(encoded) == 2


def test_a_correction_goes_with_the_mask_it_corrects(model: AuralSAM2, video: Path) -> None:
    (frame,) = features(model, video)[3:4]
    more = VisualPrompts(torch.tensor([[20.0, 16.0], [40.0, 40.0]]), torch.tensor([1, 0]))
    with torch.inference_mode():
        first = new_tracker(model.network).step(3, frame, None, CLICK, conditioning=True)
        low = first.decoded.logits[0, first.best]
        second = new_tracker(model.network).step(
            3, frame, None, dataclasses.replace(more, logits=low), conditioning=True
        )
        without = new_tracker(model.network).step(3, frame, None, more, conditioning=True)
    with model.open(video) as session:
        session.add_points([(20, 12)], [1], 3.2)
        corrected = session.add_points([(40, 30)], [0], 3.2)
        assert np.array_equal(corrected.logits, second.logits.numpy())
        assert not np.array_equal(corrected.logits, without.logits.numpy())


def test_clicks_on_a_frame_add_nothing_to_the_cache(model: AuralSAM2, video: Path) -> None:
    with model.open(video) as session:
        first = session.add_points([(20, 12)], [1], 3.2)
        size = session._cache.size
        for x in range(21, 25):
            session.add_points([(x, 12)], [1], 3.2)
        assert session._cache.size == size
        for _ in range(4):
            session.undo()
        assert equal(session.predict(3.2, object_id=1), first)


def test_a_mask_on_display_is_corrected_on_a_frame_that_was_followed(model: AuralSAM2, video: Path) -> None:
    frames = features(model, video)
    followed = by_hand(model, frames, 1, CLICK)[4]
    low = followed.decoded.logits[0, followed.best]
    visual = VisualPrompts(torch.tensor([[40.0, 40.0]]), torch.tensor([1]), logits=low)
    with torch.inference_mode():
        expected = new_tracker(model.network).step(4, frames[4], None, visual, conditioning=True)
    with model.open(video) as session:
        session.add_points([(20, 12)], [1], 1.5)
        list(session.propagate())
        assert np.array_equal(session.add_points([(40, 30)], [1], 4.5).logits, expected.logits.numpy())
        session.undo()
        assert np.array_equal(session.add_points([(40, 30)], [1], 4.5).logits, expected.logits.numpy())


def test_a_box_begins_its_frame_anew(model: AuralSAM2, video: Path) -> None:
    with model.open(video) as session:
        alone = session.add_box((4, 4, 40, 30), 2.5, object_id=1)
        session.add_points([(20, 12)], [1], 2.5, object_id=2)
        assert equal(dataclasses.replace(session.add_box((4, 4, 40, 30), 2.5, object_id=2), object_id=1), alone)
        both = session.add_points([(20, 12)], [1], 2.5, object_id=3, box=(4, 4, 40, 30))
        assert not np.array_equal(both.logits, alone.logits)


@pytest.mark.parametrize("combine", ["joint", "ensemble"])
@pytest.mark.parametrize("hears", [True, False])
def test_a_mask_is_kept_until_a_click_corrects_it(model: AuralSAM2, video: Path, combine: str, hears: bool) -> None:
    """Thin shapes and holes, which no decoder returns."""
    mask = np.zeros((48, 64), np.uint8)
    mask[8:40, 10:50] = 7
    mask[20:28, 25:35] = 0
    mask[44, 3:60] = 255
    with model.open(video, combine=combine) as session:  # type: ignore[arg-type]
        session.hear(hears, object_id=1)
        shown = session.add_mask(mask, 2.5)
        for segmentation in (shown, session.predict(2.5, object_id=1), next(session.propagate(2.5))):
            assert np.array_equal(segmentation.mask, mask > 0)
        stored = latest_mask(session, 2.5, 1)
        assert stored is not None
        assert stored.given is not None
        assert np.array_equal(set_latest_mask(session, stored, 2.5, 1).mask, mask > 0)
        clicked = session.add_points([(20, 12)], [1], 2.5)
        assert not np.array_equal(clicked.mask, mask > 0)
        assert latest_mask(session, 2.5, 1).given is None  # type: ignore[union-attr]
        session.undo()
        assert np.array_equal(session.predict(2.5, object_id=1).mask, mask > 0)


def test_a_click_corrects_the_given_mask(model: AuralSAM2, video: Path) -> None:
    (frame,) = features(model, video)[2:3]
    mask = np.zeros((48, 64), bool)
    mask[8:40, 10:50] = True
    given = from_mask(torch.from_numpy(mask), SIZE)
    with torch.inference_mode():
        first = new_tracker(model.network).step(2, frame, None, given, conditioning=True)
        click = dataclasses.replace(CLICK, logits=first.decoded.logits[0, 0])
        expected = new_tracker(model.network).step(2, frame, None, click, conditioning=True)
    with model.open(video) as session:
        session.add_mask(mask, 2.5)
        assert np.array_equal(session.add_points([(20, 12)], [1], 2.5).logits, expected.logits.numpy())


def test_later_prompted_frames_are_remembered_too(model: AuralSAM2, video: Path) -> None:
    frames = features(model, video)
    tracker = new_tracker(model.network)
    with torch.inference_mode():
        late = new_tracker(model.network).step(5, frames[5], None, CLICK, conditioning=True)
        early = tracker.step(1, frames[1], None, CLICK, conditioning=True)
        tracker.bank.add(5, late.entry, conditioning=True)
        expected = [early, *(tracker.step(t, frames[t]) for t in (2, 3, 4)), late, tracker.step(6, frames[6])]
    with model.open(video) as session:
        session.add_points([(20, 12)], [1], 5.5)
        session.add_points([(20, 12)], [1], 1.5)
        for frame, tracked in zip(session.propagate(), expected, strict=True):
            assert np.array_equal(frame.logits, tracked.logits.numpy())


def test_whether_sound_or_click_comes_first_does_not_matter(model: AuralSAM2, video: Path) -> None:
    with model.open(video, end=3.0) as session:
        session.hear(True, object_id=1)
        session.add_points([(20, 12)], [1], 1.5)
        one = session.add_points([(40, 30)], [0], 1.5)
        session.add_points([(20, 12)], [1], 1.5, object_id=2)
        session.add_points([(40, 30)], [0], 1.5, object_id=2)
        before = session.predict(1.5, object_id=2)
        session.hear(True, object_id=2)
        other = session.predict(1.5, object_id=2)
    assert np.array_equal(one.logits, other.logits)
    assert not np.array_equal(before.logits, other.logits)


def test_pictures_cannot_be_spoilt(model: AuralSAM2, video: Path) -> None:
    with model.open(video) as session:
        for frame in (session.add_points([(20, 12)], [1], 1.5), session.predict(1.5, object_id=1)):
            with pytest.raises(ValueError, match="read-only"):
                frame.image[:] = 0


@pytest.mark.parametrize("rule", MERGES)
def test_an_ensemble_merges_what_is_heard_and_what_is_pointed_at(model: AuralSAM2, video: Path, rule: Merge) -> None:
    def found(session: VideoSession) -> dict[int, MaskPrediction]:
        assert session._frames.has(2)
        return {
            index: next(session._propagator.propagate(track, [index], reverse=False))
            for track in map(session._objects.get, session.objects)
            for index in (1, 2)
        }

    with model.open(video, end=3.0) as one, model.open(video, end=3.0) as other:
        one.hear(True)
        other.add_points([(20, 12)], [1], 1.5)
        heard, pointed = found(one), found(other)
    with model.open(video, end=3.0, combine="ensemble", merge=rule) as session:
        shown = session.add_points([(20, 12)], [1], 1.5)
        session.hear(True, object_id=1)
        frames = list(session.propagate())
        assert equal(session.predict(1.5, object_id=1), frames[0])
    assert [frame.index for frame in frames] == [1, 2]
    for frame in frames:
        expected = merge_predictions(heard[frame.index], pointed[frame.index], rule)
        assert np.array_equal(frame.logits, full_size(expected.low_res[None, None], SIZE)[0, 0].numpy())
        assert (frame.iou, frame.object_score) == (expected.iou, expected.object_score)
    if rule != "max_iou_score":
        assert not np.array_equal(shown.logits, frames[0].logits), "sound made no difference"


def test_prompts_come_and_go(model: AuralSAM2, video: Path) -> None:
    with model.open(video) as session:
        first = session.add_points([(20, 12)], [1], 1.5)
        alone = list(session.propagate())
        session.add_box((4, 4, 40, 30), 3.5, object_id=2)
        session.add_points([(40, 30)], [1], 4.5, object_id=1)
        frames = list(session.propagate(direction="both"))
        assert [(frame.index, frame.object_id) for frame in frames] == [
            (index, number) for index in (1, 2, 3, 4, 5, 6, 0) for number in (1, 2)
        ]
        session.remove(2)
        assert session.objects == (1,)
        session.clear(1, 4.5)
        assert all(equal(a, b) for a, b in zip(session.propagate(), alone, strict=True))
        session.clear(1, 1.5)
        assert session.objects == ()
        for there in ((1,), (1,), (1, 2)):
            session.undo()
            assert session.objects == there
        assert all(equal(a, b) for a, b in zip(session.propagate(direction="both"), frames, strict=True))
        session.redo()
        assert session.objects == (1,)
        assert equal(session.predict(1.5, object_id=1), first)


def test_parts_of_what_sounds_become_objects(model: AuralSAM2, video: Path) -> None:
    frames = features(model, video)
    with model.open(video) as session:
        session.hear(True)
        shown = {frame.index: connected_components(frame.logits > 0, 4) for frame in session.propagate()}
        index = max(shown, key=lambda index: (len(shown[index]), -index))
        assert len(shown[index]) > 1, "nothing to be split"
        numbers = session.split_components(min_area=4 / SIZE**2)
        assert session.objects == (0, *numbers)
        assert len(numbers) == len(shown[index])
        for number, part in zip(numbers, shown[index], strict=True):
            with torch.inference_mode():
                expected = new_tracker(model.network).step(
                    index, frames[index], None, from_mask(torch.from_numpy(part), SIZE), conditioning=True
                )
            assert np.array_equal(session.predict(index + 0.5, object_id=number).logits, expected.logits.numpy())
        session.undo()
        assert session.objects == (0,)
        assert session.split_components(index + 0.5, min_area=0.9) == ()
        assert session.objects == (0,)


@pytest.mark.parametrize(("memory", "disk"), [(0, 1 << 30), (400_000, 300_000)], ids=["on disk", "hardly anything"])
def test_bounded_memory_changes_nothing(
    model: AuralSAM2, video: Path, encoded: list[int], memory: int, disk: int
) -> None:
    def converse(session: VideoSession) -> list[Segmentation]:
        session.hear(True)
        session.add_points([(20, 12)], [1], 5.5)
        return list(session.propagate(direction="both"))

    source = VideoSource.open(video, Prompts(), prompts_later=True)
    with VideoSession(model.network, source) as session:
        expected = converse(session)
    encoded.clear()
    with VideoSession(model.network, source, memory=memory, disk=disk) as session:
        found = converse(session)
        assert session._cache.size <= memory + disk
        assert session._cache._spool.in_memory <= memory
        dropped = bool(session._cache.evicted)
        assert any("encoded again" in warning for warning in session.warnings) is dropped
    assert (sum(encoded) > SECONDS) is dropped
    assert dropped is (disk < 1 << 30)
    for one, other in zip(found, expected, strict=True):
        assert equal(one, other)
        assert number_of(one.image) == number_of(other.image) == 4 * one.index + 2


def test_words(make: Callable[..., AuralSAM2], video: Path, tmp_path: Path) -> None:
    reader = make("first", tmp_path)
    with reader.open(video, audio="none", end=3.0) as session:
        session.say("the dog on the left")
        said = list(session.propagate())
        alike(said, reader.segment(video, text="the dog on the left", audio="none", end=3.0))
        session.say("the cat")
        assert not np.array_equal(session.predict(0.5).logits, said[0].logits)
        session.say(None)
        assert session.objects == ()


ERRORS: dict[str, tuple[Callable[[VideoSession], object], str]] = {
    "no such object": (lambda s: s.remove(3), r"no object 3: there are none yet"),
    "nothing asked": (lambda s: s.propagate(), r"no object: call hear\(\)"),
    "outside the frame": (lambda s: s.add_points([(70, 5)], [1], 0.5), r"70,5 lies outside the frame of 64x48"),
    "box outside": (lambda s: s.add_box((4, 4, 60, 50), 0.5), r"60,50 lies outside the frame"),
    "empty box": (lambda s: s.add_box((9, 4, 9, 8), 0.5), r"empty: give X0,Y0,X1,Y1"),
    "outside the clip": (lambda s: s.add_points([(5, 5)], [1], 9.0), r"9 s lies outside .* 0 to 7 s"),
    "no time": (lambda s: s.predict(float("nan")), r"no object 0"),
    "not a number": (lambda s: s.add_box((4, 4, 9, 9), float("nan")), r"`time=nan`: give a number"),
    "labels": (lambda s: s.add_points([(5, 5)], [1, 0], 0.5), r"1 points but 2 labels"),
    "label": (lambda s: s.add_points([(5, 5)], [2], 0.5), r"label 2: give 1"),
    "no points": (lambda s: s.add_points([], [], 0.5), r"no points: give"),
    "mask": (lambda s: s.add_mask(np.ones((64, 48), bool), 0.5), r"\(48, 64\)"),
    "words": (lambda s: s.say("the dog"), r"reads no text"),
    "number": (lambda s: s.hear(object_id=-1), r"`object_id=-1`: give a whole number, 0 or more"),
    "nothing said": (lambda s: s.add(Prompts()), r"no prompts: give points"),
    "outside the end": (lambda s: s.add(Prompts(points=(Point(x=5, y=5, time=9.0),))), r"9 s lies outside .* 0 to 7 s"),
    "words at once": (lambda s: s.add(Prompts(text="the dog")), r"reads no text"),
    "undo": (lambda s: s.undo(), r"nothing to undo"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_name_the_remedy_and_change_nothing(model: AuralSAM2, video: Path, case: str) -> None:
    act, message = ERRORS[case]
    with model.open(video) as session:
        with pytest.raises(AuralError, match=message) as caught:
            act(session)
        assert "\n" not in str(caught.value)
        assert session.objects == ()


def test_clearing_a_frame_without_prompts_names_those_with(model: AuralSAM2, video: Path) -> None:
    with model.open(video) as session:
        session.add_points([(20, 12)], [1], 1.5)
        with pytest.raises(UsageError, match=r"no prompts on the frame at 4\.5 s: it has some at 1\.5"):
            session.clear(1, 4.5)


def test_what_is_not_there_cannot_be_heard(model: AuralSAM2, video: Path) -> None:
    with model.open(video, audio="none") as session, pytest.raises(UsageError, match=r"numbers\.mkv: no sound.*FILE"):
        session.hear(True)
    with pytest.raises(UsageError, match="closed: open it again"):
        session.add_points([(5, 5)], [1], 0.5)
    with pytest.raises(UsageError, match="`merge='both'`: choose from mean_prob"):
        model.open(video, merge="both")  # type: ignore[arg-type]


def test_several_things_said_at_once_are_one_step(model: AuralSAM2, video: Path) -> None:
    points = (Point(x=40, y=30, positive=False, time=1.5), Point(x=20, y=12, time=4.5), Point(x=9, y=9, time=4.1))
    with model.open(video) as session:
        before, after = session.add(Prompts(points=points))
        assert (before.index, after.index, before.object_id) == (1, 4, 1)
        at_once = list(session.propagate(direction="both"))
        session.undo()
        assert session.objects == ()
        assert equal(session.add_points([(20, 12), (9, 9)], [1, 1], 4.5), after)
        assert equal(session.add_points([(40, 30)], [0], 1.5), before), "taken away from what the others gave"
        assert all(equal(a, b) for a, b in zip(session.propagate(direction="both"), at_once, strict=True))


def test_what_is_said_at_once_may_hold_words(make: Callable[..., AuralSAM2], video: Path, tmp_path: Path) -> None:
    with make("first", tmp_path).open(video, audio="none", end=3.0) as session:
        (said,) = session.add(Prompts(points=(Point(x=20, y=12, time=1.5),), text="the dog on the left"), object_id=3)
        assert session.objects == (3,)
        session.say("the dog on the left", object_id=4)
        assert equal(dataclasses.replace(session.add_points([(20, 12)], [1], 1.5, object_id=4), object_id=3), said)


@pytest.mark.parametrize(("memory", "disk"), [(1 << 30, 0), (300_000, 0)], ids=["kept", "hardly anything"])
@pytest.mark.parametrize("hears", [False, True])
def test_a_stream_is_in_the_order_of_time(model: AuralSAM2, video: Path, hears: bool, memory: int, disk: int) -> None:
    def hear(session: VideoSession) -> None:
        session.hear(True)

    def click(session: VideoSession) -> None:
        session.add_points([(20, 12)], [1], 4.5)

    def mark(session: VideoSession) -> None:
        session.add_box((4, 4, 40, 30), 5.5, object_id=2)

    objects = (*((hear,) if hears else ()), click, mark)
    alone: list[Segmentation] = []
    for prompt in objects:
        with model.open(video) as session:
            prompt(session)
            alone += session.propagate(direction="both")
    expected = sorted(alone, key=lambda frame: (frame.index, frame.object_id))
    source = VideoSource.open(video, Prompts(), prompts_later=True)
    with VideoSession(model.network, source, memory=memory, disk=disk) as session:
        for prompt in objects:
            prompt(session)
        found = list(session.stream())
        assert {key[-1] for key in session._cache._sizes} <= {4, 5, 6}
        dropped = bool(session._cache.evicted)
    assert dropped is (memory < 1 << 30)
    assert [frame.index for frame in found] == [frame.index for frame in expected]
    assert all(equal(a, b) for a, b in zip(found, expected, strict=True))
    if hears:
        assert [frame.object_id for frame in found] == [0, 1, 2] * SECONDS


def test_a_stream_of_what_is_only_heard_is_that_of_segment(model: AuralSAM2, video: Path) -> None:
    with model.open(video) as session:
        session.hear(True)
        alike(session.stream(), model.segment(video))


def test_damage_is_told(model: AuralSAM2, video: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    with model.open(cut) as session:
        session.hear(True)
        assert 3 <= len(list(session.propagate())) < SECONDS
        assert any(warning.startswith("video damaged at ") for warning in session.warnings)


def test_what_is_on_display_can_be_told_and_put_back(model: AuralSAM2, video: Path) -> None:
    with model.open(video) as session:
        session.hear(True)
        assert latest_mask(session, 2.5) is None
        followed = list(session.propagate())
        shown = latest_mask(session, 2.5)
        assert shown is not None
        assert (shown.iou, shown.object_score) == (followed[2].iou, followed[2].object_score)
        corrected = session.add_points([(20, 12)], [0], 2.5, object_id=SOUNDING)
        session.undo()
        back = latest_mask(session, 2.5)
        assert back is not None
        assert torch.equal(back.low_res, shown.low_res)
    with model.open(video) as session:
        session.hear(True)
        assert equal(set_latest_mask(session, shown, 2.5), followed[2])
        # As if it had come of a run here.
        assert equal(session.add_points([(20, 12)], [0], 2.5, object_id=SOUNDING), corrected)


def test_feature_prompts_of_a_window_are_not_all_in_memory(
    model: AuralSAM2, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache holds them; only one clip and the requested frame have tensors outside of it."""
    most = 0
    put = FeatureCache.put

    def counted(self: FeatureCache, key: Key, tensors: Tensors) -> None:
        nonlocal most
        if key[0] == "prompts":
            most = max(most, sum(isinstance(thing, FeaturePrompts) for thing in gc.get_objects()))
        put(self, key, tensors)

    monkeypatch.setattr(FeatureCache, "put", counted)
    before = sum(isinstance(thing, FeaturePrompts) for thing in gc.get_objects())
    frames = list(model.segment(video, fps=4.0, end=3.0))
    assert len(frames) == 12
    assert 0 < most - before <= 4
