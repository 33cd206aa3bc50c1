"""Random prompts match their objects."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from projects.mini.sam2_data import ABSENT, BOX_JITTER, MIN_AREA, PromptBatch, bounding_box, draw_prompts
from projects.mini.sam2_model import backbone_maps, init_weights
from projects.mini.sam2_network import prompt_targets

SIZE = 64


def object_maps() -> np.ndarray:
    """Two frames: a rectangle and a disc; a rectangle and an object that is too small for a prompt."""
    objects = np.zeros((2, SIZE, SIZE), np.uint8)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    objects[0, 10:30, 5:45] = 1
    objects[0][(rows - 48) ** 2 + (columns - 40) ** 2 < 100] = 2
    objects[1, 30:60, 20:40] = 1
    objects[1, 0, : MIN_AREA - 1] = 2
    return objects


def draw_batches(kind: str, objects: np.ndarray, count: int = 60) -> list[PromptBatch]:
    rng = np.random.default_rng(0)
    return [batch for _ in range(count) if (batch := draw_prompts(objects, 2, kind, rng))]


def prompts(kind: str, objects: np.ndarray):
    """Yield frame, object, points, labels, and mask or None of many prompts."""
    for batch in draw_batches(kind, objects):
        for row in range(len(batch.frames)):
            mask = batch.masks[row, 0] if batch.has_mask[row] else None
            yield (
                int(batch.frames[row]),
                int(batch.objects[row]),
                batch.points[row].numpy(),
                batch.labels[row].tolist(),
                mask,
            )


def test_bounding_box():
    assert bounding_box(object_maps()[0] == 1).tolist() == [[5, 10], [44, 29]]


def test_large_objects_of_each_frame_are_prompted():
    for batch in draw_batches("double", object_maps(), 5):
        assert batch.frames.tolist() == [0, 0, 1, 1]
        assert sorted(batch.objects[:2].tolist()) == [1, 2]
        assert batch.objects[2:].tolist() == [1, 1]
    assert draw_prompts(np.zeros((2, SIZE, SIZE), np.uint8), 2, "single", np.random.default_rng(0)) is None


def test_clicks_and_masks():
    objects, clicks, masks = object_maps(), 0, 0
    for frame, number, points, labels, mask in prompts("single", objects):
        if mask is None:
            clicks += 1
            ((x, y),) = points.astype(int)
            assert labels == [1]
            assert objects[frame, y, x] == number
        else:
            masks += 1
            assert labels == [-1]
    assert masks / (masks + clicks) == pytest.approx(0.25, abs=0.07)


def test_mask_prompts_are_exact_coarse_or_empty():
    objects, empty, exact, coarse = object_maps(), 0, 0, 0
    for frame, number, _, _, mask in prompts("single", objects):
        if mask is None:
            continue
        assert mask.shape == (SIZE // 4, SIZE // 4)
        assert float(mask.min()) >= -10
        assert float(mask.max()) <= 10
        if (mask == -10).all():
            empty += 1
            assert number == ABSENT
            continue
        cells = (objects[frame] == number).reshape(SIZE // 4, 4, SIZE // 4, 4).mean((1, 3)) * 20 - 10
        same = np.allclose(mask.numpy(), cells)
        exact, coarse = exact + same, coarse + (not same)
        predicted, true = mask.numpy() > 0, cells > 0
        assert (predicted & true).sum() / (predicted | true).sum() > 0.5
    assert min(empty, exact, coarse) > 3


def test_empty_mask_prompt_has_an_empty_target():
    objects = object_maps()
    empty_prompts = 0
    for batch in draw_batches("single", objects):
        targets = prompt_targets(objects, batch).numpy()
        for row, number in enumerate(batch.objects.tolist()):
            expected = objects[int(batch.frames[row])] == number
            assert np.array_equal(targets[row], expected)
            assert targets[row].any() == (number != ABSENT)
            empty_prompts += number == ABSENT
    assert empty_prompts


def test_thin_object_missed_by_a_coarse_mask_is_absent():
    """A line of one pixel covers less than the threshold of any cell of a coarse mask."""
    objects = np.zeros((1, SIZE, SIZE), np.uint8)
    objects[0, 31, 2:62] = 1
    batch = [(number, mask) for _, number, _, _, mask in prompts("single", objects) if mask is not None]
    assert all((number == ABSENT) == bool((mask == -10).all()) for number, mask in batch)
    assert sum(number == ABSENT for number, _ in batch) > 0.3 * len(batch)


def test_boxes_and_pairs_of_clicks():
    objects, boxes, pairs = object_maps(), 0, {(1, 1): 0, (1, 0): 0}
    for frame, number, points, labels, mask in prompts("double", objects):
        assert mask is None
        shape = objects[frame] == number
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


def test_frame_filling_object_has_no_negative_click():
    objects = np.ones((1, SIZE, SIZE), np.uint8)
    labels = [label for _, _, _, label, _ in prompts("double", objects)]
    assert [1, 1] in labels
    assert [1, 0] not in labels


def test_equal_seeds_give_equal_prompts():
    first, second = (draw_prompts(object_maps(), 4, "double", np.random.default_rng(7)) for _ in range(2))
    assert all(torch.equal(getattr(first, name), getattr(second, name)) for name in PromptBatch.__slots__)


def test_embeddings_equal_those_of_the_prompt_encoder(mini):
    init_weights(mini, backbone_maps(mini, torch.zeros(1, 3, SIZE, SIZE)))
    batch = next(
        batch for batch in draw_batches("single", object_maps()) if batch.has_mask.any() and not batch.has_mask.all()
    )
    embedded = batch.embed(mini)
    assert embedded.sparse.shape == (4, 1, 2, 128)
    for row, masked in enumerate(batch.has_mask.tolist()):
        sparse, dense = mini.prompt_encoder(
            batch.points[None, row : row + 1],
            batch.labels[None, row : row + 1],
            None,
            batch.masks[row : row + 1] if masked else None,
        )
        assert torch.allclose(embedded.sparse[row], sparse[0], atol=1e-6)
        assert torch.allclose(embedded.dense[row].expand(dense.shape[1:]), dense[0], atol=1e-5)
