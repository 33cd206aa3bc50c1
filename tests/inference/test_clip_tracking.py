"""The order of a whole clip, and which frame starts."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from auralsam2.inference.clip import new_tracker
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.prompt_encoder import VisualPrompts
from auralsam2.types import FeaturePrompts
from helpers.small_networks import small_config, small_sam2


@pytest.fixture(scope="module")
def network():
    return AuralNetwork(small_config(), small_sam2(64)).eval()


@pytest.fixture(scope="module")
def frames(network):
    pixels = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return network.encode(pixels, with_patches=False)


def box(x0: float, y0: float, x1: float, y1: float) -> VisualPrompts:
    return VisualPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int32), torch.tensor([x0, y0, x1, y1]))


@torch.inference_mode()
def track(network, frames, visual, conditioning="first"):
    return list(new_tracker(network, len(frames)).track_sequence(frames, None, conditioning, visual))


def test_a_prompted_frame_starts(network, frames):
    assert [tracked.t for tracked in track(network, frames, {2: box(8, 8, 40, 40)})] == [2, 0, 1, 3]
    assert [tracked.t for tracked in track(network, frames, {3: box(8, 8, 40, 40), 1: box(9, 9, 40, 40)})] == [
        1,
        3,
        0,
        2,
    ]
    assert [tracked.t for tracked in track(network, frames, None, "middle")] == [2, 0, 1, 3]


def test_a_prompted_frame_remembers_nothing_and_all_others_remember_it(network, frames):
    one, other = (track(network, frames, {1: box(*corners)}) for corners in ((4, 4, 20, 20), (30, 30, 60, 60)))
    assert torch.equal(one[0].conditioned, other[0].conditioned)
    for a, b in zip(one[1:], other[1:], strict=True):
        assert not torch.equal(a.conditioned, b.conditioned)


def test_as_the_steps_alone(network, frames):
    prompt = box(8, 8, 40, 40)
    tracker = new_tracker(network, len(frames))
    with torch.inference_mode():
        steps = [tracker.step(1, frames[1], None, prompt, conditioning=True)]
        steps += [tracker.step(t, frames[t]) for t in (0, 2, 3)]
    for step, tracked in zip(steps, track(network, frames, {1: prompt}), strict=True):
        assert torch.equal(step.logits, tracked.logits)


@torch.inference_mode()
@pytest.mark.parametrize("empty_when_absent", [True, False])
@pytest.mark.parametrize("fused", [True, False])
def test_what_is_not_there_has_no_mask(network, frames, fused, empty_when_absent):
    """SAM 2's rule, logits of -1024 where the object score is not positive: an option with feature prompts."""
    decoder = network.decoder
    head = network.sam2.mask_decoder.pred_obj_score_head.proj_out
    kept = head.bias.data.clone()
    width = network.config.fuser.width
    prompts = FeaturePrompts((torch.zeros(1, 16, width),) * 3, (torch.zeros(1, width),) * 3) if fused else None

    def masks(bias):
        head.bias.data.fill_(bias)
        tracker = new_tracker(network, len(frames))
        first = tracker.step(0, frames[0], prompts, box(8, 8, 40, 40), conditioning=True)
        return [first, tracker.step(1, frames[1], prompts)]

    try:
        decoder.extensions = dataclasses.replace(decoder.extensions, empty_when_absent=empty_when_absent)
        there, away = masks(1e4), masks(-1e4)
    finally:
        decoder.extensions = dataclasses.replace(decoder.extensions, empty_when_absent=False)
        head.bias.data.copy_(kept)
    assert not any((tracked.logits == -1024).any() for tracked in there)
    emptied = [bool((tracked.logits == -1024).all()) for tracked in away]
    assert emptied == [empty_when_absent or not fused] * 2
    assert torch.equal(away[0].decoded.ious, there[0].decoded.ious)


@torch.inference_mode()
@pytest.mark.parametrize("fused", [True, False])
def test_memories_are_binary_where_sam2_or_the_fuser_needs_it(network, frames, fused, monkeypatch):
    """SAM 2 binarises the masks of prompted frames; the released fuser was trained with binary masks throughout."""
    width, binary = network.config.fuser.width, []
    encode = type(network.memory).encode

    def recorded(self, *arguments, **options):
        binary.append(options.get("binary", True))
        return encode(self, *arguments, **options)

    monkeypatch.setattr(type(network.memory), "encode", recorded)
    prompts = FeaturePrompts((torch.zeros(1, 16, width),) * 3, (torch.zeros(1, width),) * 3) if fused else None
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[10:40, 20:50] = True
    tracker = new_tracker(network, len(frames))
    tracker.step(0, frames[0], prompts, box(8, 8, 40, 40), conditioning=True)
    tracker.step(1, frames[1], prompts)
    no_box = dataclasses.replace(box(8, 8, 40, 40), box=None, mask=mask)
    given = tracker.step(2, frames[2], prompts, no_box, conditioning=True)
    assert binary == [True, fused, True]
    assert torch.equal(given.logits, torch.where(mask, 10.0, -10.0)), "feature prompts do not change a given mask"


@torch.inference_mode()
def test_a_rough_mask_is_for_frames_where_none_is_given(network, frames):
    width, grid = network.config.fuser.width, 4
    prompts = FeaturePrompts(
        visual_prompts=tuple(torch.zeros(1, grid * grid, width) for _ in range(3)),
        audio_prompts=tuple(torch.zeros(1, width) for _ in range(3)),
        coarse_mask=torch.randn(1, grid, grid, generator=torch.Generator().manual_seed(1)) * 8,
    )
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[10:40, 20:50] = True
    given = {"box": box(8, 8, 40, 40), "mask": dataclasses.replace(box(8, 8, 40, 40), mask=mask)}
    for name, visual in given.items():
        with_drawn, without = (
            new_tracker(network, 1).step(0, frames[0], told, visual, conditioning=True).logits
            for told in (prompts, dataclasses.replace(prompts, coarse_mask=None))
        )
        assert torch.equal(with_drawn, without) == (name == "mask")
