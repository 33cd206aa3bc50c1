"""CLAP and Grounding DINO with tiny random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import ClapFeatureExtractor

from auralsam2.errors import UnavailableError, UsageError
from auralsam2.zero_shot.clap_tagger import ClapTagger
from auralsam2.zero_shot.grounding_dino import GroundingDinoDetector
from helpers.small_zero_shot import LABELS, small_clap, small_dino, small_tokeniser


@pytest.fixture(scope="module")
def tokeniser():
    return small_tokeniser()


@pytest.fixture(scope="module")
def clap():
    return small_clap()


@pytest.fixture(scope="module")
def dino():
    return small_dino()


def sounds() -> np.ndarray:
    """Three seconds: noise, silence, a tone."""
    random = np.random.default_rng(0)
    time = np.arange(16_000) / 16_000
    rows = [random.uniform(-0.5, 0.5, 16_000), np.zeros(16_000), 0.5 * np.sin(2 * np.pi * 440 * time)]
    return np.stack(rows).astype(np.float32)


def test_tagger_compares_each_second_with_each_label(clap, tokeniser):
    extractor = ClapFeatureExtractor(truncation="rand_trunc")
    tagger = ClapTagger(clap, tokeniser, extractor, LABELS, ("silence",), min_probability=0.0, max_labels=2)
    audible = sounds()
    tags = tagger.tag(audible)
    # The same by the model's own forward pass, with each second three times as fast by plain repetition of its tone.
    rows = []
    for second in audible:
        wide = np.fft.irfft(np.fft.rfft(second.astype(np.float64)), n=48_000) * 3
        inputs = extractor(wide.astype(np.float32), sampling_rate=48_000, return_tensors="pt")
        tokens = tokeniser(
            [f"the sound of {label}" for label in (*LABELS, "silence")], padding=True, return_tensors="pt"
        )
        with torch.no_grad():
            output = clap(
                input_ids=tokens["input_ids"],
                attention_mask=tokens["attention_mask"],
                input_features=inputs["input_features"],
            )
        rows.append(output.logits_per_audio[0].softmax(0))
    odds = torch.stack(rows)[:, :3]
    best = odds.max(0).values.argsort(descending=True)[:2]
    assert [tag.label for tag in tags] == [LABELS[number] for number in best]
    assert [tag.score for tag in tags] == pytest.approx(odds.max(0).values[best].tolist(), abs=1e-4)
    threshold = float(odds[:, best[0]].median())
    strict = ClapTagger(clap, tokeniser, extractor, LABELS, ("silence",), min_probability=threshold + 1e-6).tag(audible)
    actual = {tag.label: tag.active for tag in strict}
    assert actual[LABELS[best[0]]] == tuple((odds[:, best[0]] > threshold + 1e-6).tolist())


def test_tagger_without_labels_or_missing_is_an_error(clap, tokeniser, tmp_path):
    with pytest.raises(UsageError, match="needs labels"):
        ClapTagger(clap, tokeniser, ClapFeatureExtractor(), ())
    with pytest.raises(UnavailableError, match="no CLAP"):
        ClapTagger.from_pretrained(LABELS, str(tmp_path / "nothing"))


def test_detector_returns_the_best_boxes_inside_the_image(dino, tokeniser):
    detector = GroundingDinoDetector(dino, tokeniser, max_boxes=3, shorter=64, longer=96)
    image = np.random.default_rng(0).integers(0, 255, (40, 70, 3), dtype=np.uint8)
    actual = detector.detect(image, "the Dog")
    assert len(actual) == 3
    assert [score for _, score in actual] == sorted((score for _, score in actual), reverse=True)
    for (x0, y0, x1, y1), score in actual:
        assert 0 <= x0 < x1 <= 70
        assert 0 <= y0 < y1 <= 40
        assert 0 <= score <= 1
    assert actual == detector.detect(image, "the dog.")
    assert actual != detector.detect(image, "the cat")
    with torch.no_grad():
        tokens = tokeniser("the dog.", return_tensors="pt")
        output = dino(detector._pixels(image), tokens["input_ids"], attention_mask=tokens["attention_mask"])
    assert actual[0][1] == pytest.approx(float(output.logits.sigmoid().max()))


def test_missing_detector_is_an_error(tmp_path):
    with pytest.raises(UnavailableError, match="no Grounding DINO"):
        GroundingDinoDetector.from_pretrained(str(tmp_path / "nothing"))
