"""What can be chosen, and sounds that are not the clip's own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from auralsam2.errors import InputError, UsageError
from auralsam2.evaluation.audio_conditions import AudioConditions
from auralsam2.evaluation.clip_scores import SILENT, assign_oracle_classes
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.modeling.log_mel import log_mel
from helpers.evaluation_clips import Loader, listing, sample


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": "smell"}, "`prompts=smell`: choose from audio, text"),
        ({"protocol": "mine"}, "`protocol=mine`: choose from auralsam2, avsbench, ref-avs, per-frame"),
        ({"select": "best"}, "`select=best`: choose from iou, iou\\+object, first"),
        ({"sound": "loud"}, "`sound=loud`: choose from own, shuffled"),
        ({"sound": "shuffled", "prompts": "box"}, "`sound=shuffled`: the prompts box have no sound"),
        ({"limit": 0}, "`limit=0`: give at least 1"),
    ],
)
def test_wrong_words(changes, message):
    with pytest.raises(UsageError, match=message):
        EvaluationOptions(dataset="v1m", split="test", **changes)


def test_four_points_are_drawn_as_in_the_paper():
    options = EvaluationOptions(dataset="v1m", split="test", prompts="points+box")
    assert options.points == 4
    assert options.as_json()["points"] == 4
    assert (
        EvaluationOptions(dataset="v1m", split="test", prompts="points", points=None).as_json()["points"] == "innermost"
    )
    assert EvaluationOptions(dataset="v1m", split="test", prompts="mask").as_json()["points"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": "points", "points": 0}, "`points=0`: give at least 1, or innermost"),
        ({"prompts": "mask", "points": 3}, "`points=3`: the prompts mask have no points in them"),
        ({"points": None}, "`points=innermost`: the prompts audio have no points"),
    ],
)
def test_points_that_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        EvaluationOptions(dataset="v1m", split="test", **changes)


def test_parts_of_the_prompts():
    options = EvaluationOptions(dataset="v1m", split="test", prompts="audio+points+box")
    assert (options.hears, options.reads, options.visual) == (True, False, {"points", "box"})


def test_a_shuffled_sound_is_that_of_another_clip():
    samples = [*listing(6).samples, sample(9, frames=3)]
    sounds = AudioConditions(Loader(), "shuffled", samples, seed=0)
    for own in samples[:6]:
        lender = sounds.source(own)
        assert lender.clip != own.clip
        clip = sounds.load(own, 32)
        assert clip.sample == own
        assert torch.equal(clip.log_mel, Loader()(lender, 32).log_mel)
        assert torch.equal(clip.labels, Loader()(own, 32).labels)
    with pytest.raises(InputError, match="clip9/0: no other clip of 3 frames"):
        sounds.source(samples[6])


def test_what_is_shuffled_depends_on_the_seed_alone():
    samples = listing(20).samples

    def lenders(order, seed):
        sounds = AudioConditions(Loader(), "shuffled", order, seed)
        return [sounds.source(own).clip for own in samples]

    assert lenders(samples, 0) == lenders(samples[::-1], 0)
    assert lenders(samples, 0) != lenders(samples, 1)


def test_several_samples_of_a_clip_do_not_lend_to_each_other():
    samples = [*listing(2).samples, replace(sample(0), id="clip0/1")]
    sounds = AudioConditions(Loader(), "shuffled", samples, seed=0)
    assert sounds.source(samples[0]).clip == "clip1"


def test_silence_and_swapped_sides():
    own = Loader()(sample(1), 32)
    silent = AudioConditions(Loader(), "silent", [sample(1)], 0).load(sample(1), 32)
    assert torch.allclose(silent.log_mel[0, 0], log_mel(torch.zeros(1, 15_600))[0])
    assert silent.log_mel.shape == own.log_mel.shape
    swapped = AudioConditions(Loader(), "swapped", [sample(1)], 0).load(sample(1), 32)
    assert torch.equal(swapped.log_mel[:, 0], own.log_mel[:, 1])
    assert torch.equal(swapped.log_mel[:, 1], own.log_mel[:, 0])


def test_what_counts_as_silent():
    """A tone at -60 dBFS is heard, noise at -100 dBFS is not."""
    time = torch.arange(15_600) / 16_000
    assert log_mel(0.001 * torch.sin(2 * torch.pi * 440 * time)[None]).max() > SILENT
    noise = torch.randn(1, 15_600, generator=torch.Generator().manual_seed(0))
    assert log_mel(1e-5 * noise).max() < SILENT


def test_names_by_the_truth():
    classes = torch.tensor([[[0, 0, 5, 5], [0, 3, 5, 255]], [[0] * 4, [0] * 4]], dtype=torch.uint8)
    masks = torch.tensor([[[1, 0, 1, 0], [0, 1, 0, 1]], [[1, 0, 0, 0], [0] * 4]]).bool()
    # Beside the object: 5 fills most of it in the frame, and in the clip.
    expected = [[[5, 0, 5, 0], [0, 3, 0, 5]], [[5, 0, 0, 0], [0] * 4]]
    assert assign_oracle_classes(masks, classes).tolist() == expected
    assert assign_oracle_classes(masks[1:], classes[1:]).tolist() == [[[1, 0, 0, 0], [0] * 4]]
