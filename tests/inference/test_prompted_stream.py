"""`segment` with visual prompts, against the network called by hand on the same frames and sound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from auralsam2.errors import UsageError
from auralsam2.inference import streaming
from auralsam2.inference.clip import new_tracker
from auralsam2.inference.feature_cache import FeatureCache, Key, Tensors
from auralsam2.inference.prompt_mapping import with_positive_anchor
from auralsam2.inference.tracker import TrackedFrame
from auralsam2.inference.video_session import VideoSession
from auralsam2.media.frame_reader import read_frames
from auralsam2.model import AuralSAM2
from auralsam2.modeling import log_mel as log_mel_module
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.preprocess import mask_to_square, normalise, to_square
from auralsam2.modeling.prompt_encoder import VisualPrompts
from auralsam2.types import Box, FeaturePrompts, Mask, Point, Prompts, Segmentation
from helpers.media_files import number_of, numbered, write_media

SIZE, RATE, SECONDS, VIDEO_FPS = 64, 16_000, 7, 4
CLICK = VisualPrompts(torch.tensor([[20.0, 16.0]]), torch.tensor([1]))
"""(20, 12) in pixels of the source, on the square."""
WINDOW_OF = (0, 0, 0, 3, 3, 3, 4)
"""First second of the window that gives out each frame: the last one is moved back."""


def click(time: float, *, positive: bool = True) -> Point:
    return Point(x=20, y=12, time=time, positive=positive)


def by_hand(model: AuralSAM2, video: Path, *, fps: float | None = 1.0, listen: bool = False) -> list[FrameFeatures]:
    """Each frame encoded on its own."""
    with read_frames(video, fps=fps) as reader, torch.inference_mode():
        squares = [normalise(to_square(frame.image, SIZE)[None]) for frame in reader]
        return [model.network.encode(square, with_patches=listen)[0] for square in squares]


@torch.inference_mode()
def fused(
    model: AuralSAM2, frames: list[FrameFeatures], track: torch.Tensor | None, text: str | None = None
) -> list[FeaturePrompts]:
    """The feature prompts of each frame: windows of three seconds, each with its own sound."""
    network, found = model.network, {}
    for first in set(WINDOW_OF):
        log_mel = log_mel_module.silent_examples(3)
        if track is not None:
            begins = [round((first + 0.96 * i) * RATE) for i in range(3)]
            log_mel = torch.stack(
                [
                    log_mel_module.log_mel_example(track[begin : begin + log_mel_module.EXAMPLE_SAMPLES])
                    for begin in begins
                ]
            )
        found[first] = network.prompts(tuple(frames[first : first + 3]), log_mel, network.encode_text(text))
    return [found[first].frame(t - first) for t, first in enumerate(WINDOW_OF)]


@torch.inference_mode()
def follow(
    model: AuralSAM2,
    frames: list[FrameFeatures],
    prompts: list[FeaturePrompts] | list[None],
    seeds: Mapping[int, VisualPrompts],
) -> list[TrackedFrame]:
    """Prompted frames first, each by itself; from the first of them forward, and backward with negative numbers."""
    found: dict[int, TrackedFrame] = {}
    begin = min(seeds)
    for t, visual in seeds.items():
        found[t] = new_tracker(model.network).step(t, frames[t], prompts[t], visual, conditioning=True)
    for sign, order in ((-1, range(begin - 1, -1, -1)), (1, range(begin + 1, len(frames)))):
        tracker = new_tracker(model.network)
        for t in sorted(seeds, reverse=sign < 0):
            tracker.bank.add(sign * t, found[t].entry, conditioning=True)
        for t in (t for t in order if t not in seeds):
            found[t] = tracker.step(sign * t, frames[t], prompts[t])
    return [found[t] for t in range(len(frames))]


def check(frames: list[Segmentation], expected: list[TrackedFrame]) -> None:
    assert [frame.index for frame in frames] == [abs(tracked.t) for tracked in expected]
    assert {frame.object_id for frame in frames} == {0}
    for frame, tracked in zip(frames, expected, strict=True):
        assert np.array_equal(frame.logits, tracked.logits.numpy())
        assert (frame.iou, frame.object_score) == (tracked.iou, tracked.object_score)
        assert frame.sounding is (frame.object_score > 0 and bool(frame.mask.any()))


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[VideoSession]:
    """The conversations that are held."""
    held: list[VideoSession] = []

    class Watched(VideoSession):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            held.append(self)

    monkeypatch.setattr(streaming, "VideoSession", Watched)
    return held


@pytest.mark.parametrize("index", [0, 3, 6])
@pytest.mark.parametrize("audio", ["none", "track"])
def test_all_frames_attend_to_a_click(
    model: AuralSAM2, video: Path, track: torch.Tensor, audio: str, index: int
) -> None:
    hears = audio == "track"
    encoded = by_hand(model, video, listen=hears)
    prompts = fused(model, encoded, track) if hears else [None] * SECONDS
    found = list(model.segment(video, prompts=Prompts(points=(click(index + 0.6),)), audio=audio))  # type: ignore[arg-type]
    check(found, follow(model, encoded, prompts, {index: CLICK}))
    assert [number_of(frame.image) for frame in found] == [4 * second + 2 for second in range(SECONDS)]
    assert any(frame.mask.any() and not frame.mask.all() for frame in found[: index or None])


def test_a_click_on_the_first_frame_is_tracked_as_a_clip(model: AuralSAM2, video: Path, track: torch.Tensor) -> None:
    """As in evaluation, where the first frame is prompted."""
    encoded = by_hand(model, video, listen=True)
    with torch.inference_mode():
        fuser = fused(model, encoded, track)
        tracker = new_tracker(model.network)
        expected = [
            tracker.step(t, encoded[t], fuser[t], CLICK if t == 0 else None, conditioning=t == 0)
            for t in range(SECONDS)
        ]
    check(list(model.segment(video, prompts=Prompts(points=(click(0.0),)))), expected)


def test_prompts_of_one_frame_are_one_call(model: AuralSAM2, video: Path, tmp_path: Path) -> None:
    label = np.zeros((48, 64), np.uint8)
    label[10:30, 8:40] = 1
    Image.fromarray(label).save(tmp_path / "mask.png")
    prompts = Prompts(
        points=(click(2.9), Point(x=40, y=30, time=2.1, positive=False)),
        boxes=(Box(x0=4, y0=3, x1=40, y1=30, time=2.5),),
        masks=(Mask(path=tmp_path / "mask.png", time=2.2),),
    )
    visual = VisualPrompts(
        torch.tensor([[20.0, 16.0], [40.0, 40.0]]),
        torch.tensor([1, 0]),
        box=torch.tensor([4.0, 4.0, 40.0, 40.0]),
        mask=mask_to_square(torch.from_numpy(label > 0), SIZE),
    )
    found = list(model.segment(video, prompts=prompts, audio="none"))
    check(found, follow(model, by_hand(model, video), [None] * SECONDS, {2: visual}))


@pytest.mark.parametrize("audio", ["none", "track"])
def test_a_mask_is_output_unchanged_and_remembered(
    model: AuralSAM2, video: Path, track: torch.Tensor, tmp_path: Path, audio: str
) -> None:
    label = np.zeros((48, 64), np.uint8)
    label[10:30, 8:40] = label[40, 2:60] = label[3, 50] = 1
    Image.fromarray(label * 255).save(tmp_path / "mask.png")
    prompts = Prompts(masks=(Mask(path=tmp_path / "mask.png", time=2.2),))
    found = list(model.segment(video, prompts=prompts, audio=audio))  # type: ignore[arg-type]
    assert np.array_equal(found[2].mask, label > 0)
    assert np.array_equal(found[2].logits, np.where(label > 0, np.float32(10), np.float32(-10)))
    assert (found[2].iou, found[2].object_score, found[2].sounding) == (1.0, 10.0, True)
    source = torch.from_numpy(label > 0)
    visual = VisualPrompts(torch.zeros(0, 2), torch.zeros(0), mask=mask_to_square(source, SIZE), source_mask=source)
    hears = audio == "track"
    encoded = by_hand(model, video, listen=hears)
    expected = follow(model, encoded, fused(model, encoded, track) if hears else [None] * SECONDS, {2: visual})
    assert any(frame.mask.any() for frame in found[3:])
    check([found[t] for t in (0, 1, 3, 4, 5, 6)], [expected[t] for t in (0, 1, 3, 4, 5, 6)])


def test_all_frames_attend_to_all_prompted_ones(model: AuralSAM2, video: Path) -> None:
    prompts = Prompts(points=(click(5.2), click(2.2)))
    expected = follow(model, by_hand(model, video), [None] * SECONDS, {2: CLICK, 5: CLICK})
    check(list(model.segment(video, prompts=prompts, audio="none")), expected)
    one = follow(model, by_hand(model, video), [None] * SECONDS, {2: CLICK})
    assert not any(torch.equal(expected[t].logits, one[t].logits) for t in (0, 1, 3, 4, 5, 6))


def test_what_is_only_taken_away_is_taken_from_what_the_other_prompts_give(model: AuralSAM2, video: Path) -> None:
    encoded = by_hand(model, video)
    with torch.inference_mode():
        tracker = new_tracker(model.network)
        tracker.step(5, encoded[5], None, CLICK, conditioning=True)
        shown = tracker.step(1, encoded[1])
    away = VisualPrompts(torch.tensor([[40.0, 40.0]]), torch.tensor([0]), logits=shown.decoded.logits[0, shown.best])
    prompts = Prompts(points=(Point(x=40, y=30, positive=False, time=1.5), click(5.5)))
    found = list(model.segment(video, prompts=prompts, audio="none"))
    check(found, follow(model, encoded, [None] * SECONDS, {1: away, 5: CLICK}))


def test_what_is_only_taken_away_is_taken_from_what_sounds(model: AuralSAM2, video: Path, track: torch.Tensor) -> None:
    encoded = by_hand(model, video, listen=True)
    prompts = fused(model, encoded, track)
    with torch.inference_mode():
        clip = new_tracker(model.network, 3)
        # Frame 4 is the second of its window.
        clip.step(0, encoded[3], prompts[3], conditioning=True)
        heard = clip.step(1, encoded[4], prompts[4])
    low = heard.decoded.logits[0, heard.best]
    away = with_positive_anchor(VisualPrompts(torch.tensor([[20.0, 16.0]]), torch.tensor([0])), low, SIZE)
    seed = VisualPrompts(away.points, away.labels, logits=low)
    found = list(model.segment(video, prompts=Prompts(points=(click(4.5, positive=False),))))
    check(found, follow(model, encoded, prompts, {4: seed}))


@pytest.mark.parametrize("audio", ["none", "track"])
def test_words_and_a_click(
    make: Callable[..., AuralSAM2], video: Path, track: torch.Tensor, tmp_path: Path, audio: str
) -> None:
    reader = make("first", tmp_path)
    encoded = by_hand(reader, video, listen=True)
    said = fused(reader, encoded, track if audio == "track" else None, "the dog on the left")
    prompts = Prompts(points=(click(3.5),))
    found = list(reader.segment(video, prompts=prompts, text="the dog on the left", audio=audio))  # type: ignore[arg-type]
    check(found, follow(reader, encoded, said, {3: CLICK}))
    unsaid = list(reader.segment(video, prompts=prompts, audio=audio))  # type: ignore[arg-type]
    assert np.abs(found[0].logits - unsaid[0].logits).max() > 1e-4


def test_a_click_means_the_picture_on_display(model: AuralSAM2, tmp_path: Path) -> None:
    """Slides of ten seconds: just before the second one appears, the first is still shown."""
    slides = write_media(tmp_path / "slides.mkv", [numbered(1), numbered(2), numbered(3)], times=[0.0, 10.0, 12.0])
    found = list(model.segment(slides, prompts=Prompts(points=(click(9.4),)), end=12.0))
    assert [number_of(frame.image) for frame in found] == [1] * 10 + [2] * 2
    encoded = by_hand(model, slides)[:12]
    check(found, follow(model, encoded, [None] * 12, {9: CLICK}))


@pytest.mark.parametrize("time", [2.75, 3.0])
def test_a_click_on_a_frame_at_the_border_of_windows_stays_on_it(model: AuralSAM2, video: Path, time: float) -> None:
    found = list(model.segment(video, prompts=Prompts(points=(click(time),)), fps=None, audio="none", end=5.0))
    encoded = by_hand(model, video, fps=None)[: 5 * VIDEO_FPS]
    check(found, follow(model, encoded, [None] * len(encoded), {round(time * VIDEO_FPS): CLICK}))


def test_every_frame_is_encoded_once(model: AuralSAM2, video: Path, encoded: list[int]) -> None:
    """Also those of windows that are fused early for a prompt, and of the last one, which reaches back."""
    points = (click(6.5), click(3.5), click(0.5, positive=False))
    assert len(list(model.segment(video, prompts=Prompts(points=points)))) == SECONDS
    assert encoded == [1] * SECONDS


def test_frames_are_given_out_as_they_are_computed(model: AuralSAM2, video: Path, encoded: list[int]) -> None:
    frames = iter(model.segment(video, prompts=Prompts(points=(click(2.5),)), audio="none"))
    seen = []
    for _ in range(5):
        next(frames)
        seen.append(len(encoded))
    assert seen == [3, 3, 3, 4, 5], "those before the prompt are found backward from it"


@pytest.mark.parametrize("audio", ["none", "track"])
def test_memory_does_not_grow(
    model: AuralSAM2, tmp_path: Path, sessions: list[VideoSession], encoded: list[int], audio: str
) -> None:
    sound = np.random.default_rng(3).integers(-9000, 9000, (60 * RATE, 2), np.int16)
    pictures = [numbered(number % 100) for number in range(60 * 2)]
    long = write_media(tmp_path / "long.mkv", pictures, fps=2, sound=sound, audio_codec="pcm_s16le")
    held: list[int] = []
    masks: list[int] = []
    kept = FeatureCache.put

    def counted(self: FeatureCache, key: Key, tensors: Tensors) -> None:
        kept(self, key, tensors)
        held.append(len({key[-1] for key in self._sizes if key[0] in ("features", "picture", "prompts")}))
        masks.append(sum(key[0] == "mask" for key in self._sizes))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureCache, "put", counted)
        left = []
        for frame in model.segment(long, prompts=Prompts(points=(click(30.5),)), audio=audio):  # type: ignore[arg-type]
            assert number_of(frame.image) == (2 * frame.index + 1) % 100
            left.append(len(sessions[0]._cache))
    assert len(left) == len(encoded) == 60
    # A stretch of pictures on the way back, with the windows around it and that of the click.
    assert max(held) <= 16 + 4 * 3 + 1
    # The mask of each frame before the click, until it is yielded.
    assert max(masks) == 30
    assert max(left[31:]) <= 5 * 2 * 3, "five things of the frames of two windows"


def test_a_silent_track_is_told(model: AuralSAM2, video: Path, tmp_path: Path) -> None:
    silent = write_media(tmp_path / "silent.wav", sound=np.zeros((5 * RATE, 2), np.int16), audio_codec="pcm_s16le")
    segmentation = model.segment(video, prompts=Prompts(points=(click(3.5),)), audio=silent)
    frames = list(segmentation)
    assert segmentation.warnings == ["the sound track is silent"]
    assert not any(frame.sounding for frame in frames)
    assert any(frame.object_score > 0 and frame.mask.any() for frame in frames), "nothing to be silenced"
    heard = model.segment(video, prompts=Prompts(points=(click(3.5),)))
    assert any(frame.sounding for frame in heard)
    assert heard.warnings == []
    early = model.segment(video, prompts=Prompts(points=(click(3.5),)), audio=silent)
    for _ in early:
        break
    assert early.warnings == ["nothing was audible where the sound track was heard"]


@pytest.mark.parametrize("time", [0.5, 6.5])
def test_damage_is_told(model: AuralSAM2, video: Path, tmp_path: Path, time: float) -> None:
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    segmentation = model.segment(cut, prompts=Prompts(points=(click(time),)))
    assert 3 <= len(list(segmentation)) < SECONDS
    assert any(warning.startswith("video damaged at ") for warning in segmentation.warnings)
    streamed = model.segment(cut)
    assert sum(1 for _ in streamed) >= 3
    assert segmentation.warnings == streamed.warnings


def test_two_boxes_on_one_frame_are_refused(model: AuralSAM2, video: Path) -> None:
    boxes = (Box(x0=0, y0=0, x1=9, y1=9, time=1.2), Box(x0=5, y0=0, x1=9, y1=9, time=1.7))
    with pytest.raises(UsageError, match="two boxes"):
        list(model.segment(video, prompts=Prompts(boxes=boxes)))


@pytest.mark.parametrize("how", ["closed", "broken off", "an error"])
def test_nothing_is_left_open(model: AuralSAM2, video: Path, sessions: list[VideoSession], how: str) -> None:
    frames = iter(model.segment(video, prompts=Prompts(points=(click(3.5),))))
    next(frames)
    (session,) = sessions
    assert len(session._cache) > 0
    if how == "closed":
        frames.close()  # type: ignore[attr-defined]
    elif how == "broken off":
        del frames
    else:
        with pytest.raises(RuntimeError, match="stumbled"):
            frames.throw(RuntimeError("stumbled"))  # type: ignore[attr-defined]
    assert len(session._cache) == 0
    with pytest.raises(UsageError, match="closed"):
        session.predict(0.5)
