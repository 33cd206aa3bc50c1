"""Prompts lie where they must."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from projects.mini.sam2_data import ABSENT, BOX_JITTER, MIN_AREA, PromptBatch, bounding_box, draw_prompts
from projects.mini.sam2_model import backbone_maps, init_weights
from projects.mini.sam2_network import prompt_targets

SIZE = 64


def plates() -> np.ndarray:
    """Two frames: a rectangle and a disc; a rectangle, and a speck that is too small to be asked for."""
    owners = np.zeros((2, SIZE, SIZE), np.uint8)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    owners[0, 10:30, 5:45] = 1
    owners[0][(rows - 48) ** 2 + (columns - 40) ** 2 < 100] = 2
    owners[1, 30:60, 20:40] = 1
    owners[1, 0, : MIN_AREA - 1] = 2
    return owners


def many(kind: str, owners: np.ndarray, draws: int = 60) -> list[PromptBatch]:
    rng = np.random.default_rng(0)
    return [drawn for _ in range(draws) if (drawn := draw_prompts(owners, 2, kind, rng))]


def prompts(kind: str, owners: np.ndarray):
    """Of many draws, one by one: frame, object, points, labels, mask or None."""
    for drawn in many(kind, owners):
        for row in range(len(drawn.frames)):
            mask = drawn.masks[row, 0] if drawn.has_mask[row] else None
            yield (
                int(drawn.frames[row]),
                int(drawn.objects[row]),
                drawn.points[row].numpy(),
                drawn.labels[row].tolist(),
                mask,
            )


def test_a_box_is_first_and_last_pixels():
    assert bounding_box(plates()[0] == 1).tolist() == [[5, 10], [44, 29]]


def test_each_frame_is_asked_for_its_large_objects():
    for drawn in many("double", plates(), 5):
        assert drawn.frames.tolist() == [0, 0, 1, 1]
        assert sorted(drawn.objects[:2].tolist()) == [1, 2]
        assert drawn.objects[2:].tolist() == [1, 1]
    assert draw_prompts(np.zeros((2, SIZE, SIZE), np.uint8), 2, "single", np.random.default_rng(0)) is None


def test_clicks_and_masks():
    owners, clicks, masks = plates(), 0, 0
    for frame, number, points, labels, mask in prompts("single", owners):
        if mask is None:
            clicks += 1
            ((x, y),) = points.astype(int)
            assert labels == [1]
            assert owners[frame, y, x] == number
        else:
            masks += 1
            assert labels == [-1]
    assert masks / (masks + clicks) == pytest.approx(0.25, abs=0.07)


def test_a_mask_is_the_objects_own_up_to_a_blunt_rim_or_empty_and_asks_for_nothing():
    owners, empty, exact, blunt = plates(), 0, 0, 0
    for frame, number, _, _, mask in prompts("single", owners):
        if mask is None:
            continue
        assert mask.shape == (SIZE // 4, SIZE // 4)
        assert float(mask.min()) >= -10
        assert float(mask.max()) <= 10
        if (mask == -10).all():
            empty += 1
            assert number == ABSENT
            continue
        cells = (owners[frame] == number).reshape(SIZE // 4, 4, SIZE // 4, 4).mean((1, 3)) * 20 - 10
        same = np.allclose(mask.numpy(), cells)
        exact, blunt = exact + same, blunt + (not same)
        found, true = mask.numpy() > 0, cells > 0
        assert (found & true).sum() / (found | true).sum() > 0.5
    assert min(empty, exact, blunt) > 3


def test_a_prompt_for_nothing_has_an_empty_target():
    owners = plates()
    seen = 0
    for drawn in many("single", owners):
        targets = prompt_targets(owners, drawn).numpy()
        for row, number in enumerate(drawn.objects.tolist()):
            expected = owners[int(drawn.frames[row])] == number
            assert np.array_equal(targets[row], expected)
            assert targets[row].any() == (number != ABSENT)
            seen += number == ABSENT
    assert seen


def test_what_the_brush_misses_is_not_asked_for():
    """A line of one pixel covers too little of any cell of the brush."""
    owners = np.zeros((1, SIZE, SIZE), np.uint8)
    owners[0, 31, 2:62] = 1
    drawn = [(number, mask) for _, number, _, _, mask in prompts("single", owners) if mask is not None]
    assert all((number == ABSENT) == bool((mask == -10).all()) for number, mask in drawn)
    assert sum(number == ABSENT for number, _ in drawn) > 0.3 * len(drawn)


def test_boxes_and_pairs_of_clicks():
    owners, boxes, pairs = plates(), 0, {(1, 1): 0, (1, 0): 0}
    for frame, number, points, labels, mask in prompts("double", owners):
        assert mask is None
        shape = owners[frame] == number
        if labels == [2, 3]:
            boxes += 1
            true = bounding_box(shape)
            assert (np.abs(points - true) <= BOX_JITTER * (true[1] - true[0] + 1) + 1e-4).all()
            assert points.min() >= 0
            assert points.max() <= SIZE - 1
        else:
            pairs[tuple(labels)] += 1
            for (x, y), label in zip(points.astype(int), labels, strict=True):
                assert shape[y, x] == label
    assert boxes / (boxes + sum(pairs.values())) == pytest.approx(0.7, abs=0.08)
    assert min(pairs.values()) > 10


def test_an_object_that_fills_the_frame_is_clicked_inside_alone():
    owners = np.ones((1, SIZE, SIZE), np.uint8)
    labels = [label for _, _, _, label, _ in prompts("double", owners)]
    assert [1, 1] in labels
    assert [1, 0] not in labels


def test_the_same_chance_gives_the_same_prompts():
    one, other = (draw_prompts(plates(), 4, "double", np.random.default_rng(7)) for _ in range(2))
    assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in PromptBatch.__slots__)


def test_prompts_are_embedded_as_the_model_embeds_them(mini):
    init_weights(mini, backbone_maps(mini, torch.zeros(1, 3, SIZE, SIZE)))
    drawn = next(drawn for drawn in many("single", plates()) if drawn.has_mask.any() and not drawn.has_mask.all())
    embedded = drawn.embed(mini)
    assert embedded.sparse.shape == (4, 1, 2, 128)
    for row, masked in enumerate(drawn.has_mask.tolist()):
        sparse, dense = mini.prompt_encoder(
            drawn.points[None, row : row + 1],
            drawn.labels[None, row : row + 1],
            None,
            drawn.masks[row : row + 1] if masked else None,
        )
        assert torch.allclose(embedded.sparse[row], sparse[0], atol=1e-6)
        assert torch.allclose(embedded.dense[row].expand(dense.shape[1:]), dense[0], atol=1e-5)
