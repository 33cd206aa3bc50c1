"""Zero-shot pipeline with scripted tagger and detector."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.inference.clip import new_tracker
from auralsam2.inference.results import NOTHING
from auralsam2.model import AuralSAM2
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.preprocess import normalise
from auralsam2.modeling.prompt_encoder import VisualPrompts
from auralsam2.zero_shot.interfaces import Detection, DetectionBox, RuleSelector, Tag
from auralsam2.zero_shot.pipeline import ResponseCache, ZeroShotPipeline
from auralsam2.zero_shot.predictor import ZeroShotPredictor
from helpers.evaluation_clips import Loader, sample
from helpers.media_files import write_media
from helpers.small_networks import small_config, small_sam2

SECONDS, RATE, HEIGHT, WIDTH = 4, 16_000, 48, 64
LOUD = (1, 2)
"""Seconds with audio."""


def square(second: int) -> tuple[int, int, int, int]:
    """Box of the bright square; the last second has no square."""
    return (4 + 8 * second, 10, 20 + 8 * second, 26)


def picture(second: int) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
    if second < SECONDS - 1:
        x0, y0, x1, y1 = square(second)
        image[y0:y1, x0:x1] = 230
    return image


class LoudTagger:
    """Tagger with two labels for each loud second."""

    name = "loud"

    def __init__(self) -> None:
        self.calls = 0

    def tag(self, seconds: np.ndarray) -> list[Tag]:
        self.calls += 1
        assert seconds.shape == (SECONDS, RATE)
        active = tuple((np.abs(seconds).max(1) > 0.1).tolist())
        return [Tag(label="square", score=0.9, active=active), Tag(label="ghost", score=0.5, active=active)]


class BrightDetector:
    """Detector of the bright square; its score for a ghost is low."""

    name = "bright"

    def __init__(self) -> None:
        self.calls = 0

    def detect(self, image: np.ndarray, label: str) -> list[tuple[DetectionBox, float]]:
        self.calls += 1
        rows, columns = (image[..., 0] > 128).nonzero()
        if not len(rows):
            return []
        box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
        return [(box, 0.8 if label == "square" else 0.1)]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sound = np.zeros((SECONDS * RATE, 2), np.int16)
    for second in LOUD:
        sound[second * RATE : (second + 1) * RATE] = 12_000
    pictures = [picture(number // 4) for number in range(4 * SECONDS)]
    return write_media(
        tmp_path_factory.mktemp("video") / "square.mkv", pictures, fps=4, sound=sound, audio_codec="pcm_s16le"
    )


@pytest.fixture(scope="module")
def model() -> AuralSAM2:
    return AuralSAM2(AuralNetwork(small_config(), small_sam2(64)), "small")


def test_sounding_object_is_segmented_while_it_sounds(model, video):
    pipeline = ZeroShotPipeline(model, LoudTagger(), BrightDetector(), RuleSelector())
    (start,) = pipeline.starts(video)  # the ghost has no box of a high score
    assert start.tag.active == tuple(second in LOUD for second in range(SECONDS))
    assert start.detection.index in (1, 2)  # motion is 0 in the first frame
    assert start.detection.box == pytest.approx(square(start.detection.index), abs=1)
    frames = list(pipeline.segment(video))
    with model.open(video, audio="none") as session:
        session.add_box(start.detection.box, start.detection.time)
        tracked = {actual.index: actual for actual in session.propagate(direction="both")}
    assert [frame.index for frame in frames] == list(range(SECONDS))
    for frame in frames:
        expected = tracked[frame.index].mask if frame.index in LOUD else np.zeros((HEIGHT, WIDTH), bool)
        assert np.array_equal(frame.mask, expected)
    assert any(tracked[second].mask.any() for second in LOUD)


def test_responses_are_cached(model, video, tmp_path):
    first = ZeroShotPipeline(model, LoudTagger(), BrightDetector(), RuleSelector(), tmp_path / "cache")
    starts = first.starts(video)
    assert (first.tagger.calls, first.detector.calls) == (1, 2 * SECONDS)  # type: ignore[attr-defined]
    again = ZeroShotPipeline(model, LoudTagger(), BrightDetector(), RuleSelector(), tmp_path / "cache")
    assert again.starts(video) == starts
    assert (again.tagger.calls, again.detector.calls) == (0, 0)  # type: ignore[attr-defined]
    other = LoudTagger()
    other.name = "another"
    third = ZeroShotPipeline(model, other, BrightDetector(), RuleSelector(), tmp_path / "cache")
    third.starts(video)
    assert other.calls == 1


def test_no_tags_give_empty_masks(model, video):
    class SilentTagger:
        name = "silent"

        def tag(self, seconds: np.ndarray) -> list[Tag]:
            return []

    detector = BrightDetector()
    frames = list(ZeroShotPipeline(model, SilentTagger(), detector, RuleSelector()).segment(video))
    assert len(frames) == SECONDS
    assert not any(frame.mask.any() or frame.sounding for frame in frames)
    assert detector.calls == 0


def test_pipeline_predicts_clips_of_a_data_set(model, video, tmp_path):
    frames = [picture(second) for second in range(SECONDS)]
    clip = Loader()(sample(1, frames=SECONDS), 64)
    clip = dataclasses.replace(clip, frames=frames, sample=dataclasses.replace(clip.sample, audio=video))
    pipeline = ZeroShotPipeline(model, LoudTagger(), BrightDetector(), RuleSelector(), tmp_path)
    predictor = ZeroShotPredictor(pipeline, EvaluationOptions(dataset="stampavs", split="test"))
    actual = predictor.predict(clip, predictor.prepare(clip))
    quiet = [second for second in range(SECONDS) if second not in LOUD]
    assert (actual.logits[quiet] == NOTHING).all()
    with torch.inference_mode():
        encoded = model.network.encode(normalise(predictor.prepare(clip)), with_patches=False)  # type: ignore[attr-defined]
        scale = torch.tensor([64 / WIDTH, 64 / HEIGHT]).repeat(2)
        box = VisualPrompts(torch.zeros(0, 2), torch.zeros(0), torch.tensor(square(1)).float() * scale)
        first = new_tracker(model.network).step(1, encoded[1], None, box, conditioning=True)
        for reverse in (False, True):
            tracker, sign = new_tracker(model.network), -1 if reverse else 1
            tracker.bank.add(sign, first.entry, conditioning=True)
            for t in [0] if reverse else range(2, SECONDS):
                tracked = tracker.step(sign * t, encoded[t])
                if t in LOUD:
                    assert torch.equal(actual.logits[t], tracked.logits.clamp(min=NOTHING))
                    assert float(actual.object_scores[t]) == pytest.approx(max(tracked.object_score, NOTHING))
        assert torch.equal(actual.logits[1], first.logits.clamp(min=NOTHING)) == (1 in LOUD)
    # Backward propagation, as `segment` does: the first frame does not depend on later ones.
    segmented = {frame.index: frame for frame in pipeline.segment(video)}
    assert set(segmented) == set(range(SECONDS))


def test_truncated_cache_line_is_computed_again(tmp_path):
    path = tmp_path / "responses.jsonl"
    responses = ResponseCache(path)
    assert responses.get("a", lambda: [1]) == [1]
    assert responses.get("b", lambda: [2]) == [2]
    path.write_bytes(path.read_bytes()[:-8])
    responses = ResponseCache(path)
    assert responses.get("a", lambda: [3]) == [1]
    assert responses.get("b", lambda: [4]) == [4]
    assert ResponseCache(path).get("b", lambda: [5]) == [4]


def detection(box: DetectionBox, score: float = 0.8, index: int = 0, motion: float = 0.0) -> Detection:
    area = (box[2] - box[0]) * (box[3] - box[1]) / 100**2
    return Detection(index=index, time=float(index), box=box, score=score, area=area, motion=motion)


WHOLE, PART, ASIDE = (10.0, 10.0, 60.0, 60.0), (12.0, 12.0, 40.0, 40.0), (62.0, 10.0, 90.0, 60.0)


@pytest.mark.parametrize(
    ("detections", "expected"),
    [
        ([detection(PART, 0.7, motion=0.3), detection(WHOLE, 0.8, motion=0.1)], 1),  # part of a box of higher score
        ([detection(PART, 0.8), detection(WHOLE, 0.7)], 0),  # the part has the higher score
        ([detection(WHOLE), detection(ASIDE, motion=0.2)], 1),  # motion
        ([detection((0.0, 0.0, 100.0, 100.0), 0.9), detection(ASIDE, 0.6)], 1),  # the whole image
        ([detection((0.0, 0.0, 5.0, 5.0), 0.9), detection(ASIDE, 0.5)], 1),  # a small box
        (
            [detection(WHOLE, index=2), detection(WHOLE, index=1), detection(ASIDE, index=1)],
            1,
        ),  # equal boxes
    ],
)
def test_selector_choices(detections, expected):
    assert RuleSelector().select(detections) == detections[expected]
    assert RuleSelector().select(detections[::-1]) == detections[expected], "independent of their order"


def test_selector_has_a_minimum_score():
    assert RuleSelector().select([]) is None
    assert RuleSelector(min_score=0.5).select([detection(WHOLE, 0.4)]) is None
