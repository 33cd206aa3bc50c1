"""Which embeddings are drawn, and that labels, predictions and limits are right where the released code's are not."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auralsam2.training.config import ContrastConfig
from auralsam2.training.contrastive_loss import choose_embeddings, class_share, draw_embeddings

SIDE = 8


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("total", "first", "second", "expected"),
    [
        (512, 4000, 4000, (256, 256)),
        (512, 20, 4000, (20, 492)),
        (512, 4000, 20, (492, 20)),
        (512, 100, 100, (100, 100)),
        (512, 0, 300, (0, 300)),
        (7, 10, 10, (3, 4)),
        (7, 10, 3, (4, 3)),
        (1, 5, 0, (1, 0)),
        (0, 5, 5, (0, 0)),
    ],
)
def test_share(total: int, first: int, second: int, expected: tuple[int, int]) -> None:
    assert class_share(total, first, second) == expected


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_share_takes_all_it_may(total: int, first: int, second: int) -> None:
    a, b = class_share(total, first, second)
    assert 0 <= a <= first
    assert 0 <= b <= second
    assert a + b == min(total, first + second)
    if min(first, second) * 2 > total:
        assert 0 <= b - a <= 1


def test_classes_and_difficulties_are_drawn_alike() -> None:
    truth, right = torch.arange(400) < 200, torch.arange(400) % 10 < 3
    chosen = choose_embeddings(truth, right, 100, generator())
    assert len(chosen.unique()) == 100
    for klass in (False, True):
        for fits in (False, True):
            assert int(((truth == klass) & (right == fits))[chosen].sum()) == 25


def test_a_lack_is_filled_up() -> None:
    """4 object positions, all predicted rightly; of the rest only 2 wrongly."""
    truth, right = torch.arange(100) < 4, ~((torch.arange(100) >= 4) & (torch.arange(100) < 6))
    chosen = choose_embeddings(truth, right, 50, generator()).tolist()
    assert {0, 1, 2, 3, 4, 5} <= set(chosen)
    assert len(set(chosen)) == 50


def test_every_position_where_there_are_few() -> None:
    chosen = choose_embeddings(torch.arange(9) < 3, torch.arange(9) % 2 == 0, 512, generator())
    assert sorted(chosen.tolist()) == list(range(9))


def test_draws_are_random_and_repeatable() -> None:
    truth, right = torch.arange(400) < 200, torch.arange(400) % 2 == 0
    first, again, other = (choose_embeddings(truth, right, 20, generator(seed)).tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def marked(frames: int, levels: int = 3) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """Embeddings that say where they are from: (level, frame, position); position −1 for sound."""
    visual, audio = [], []
    for level in range(levels):
        t, p = torch.meshgrid(torch.arange(frames), torch.arange(SIDE * SIDE), indexing="ij")
        visual.append(torch.stack([torch.full_like(t, level), t, p], dim=2).float())
        audio.append(torch.tensor([[level, t, -1] for t in range(frames + 2)]).float())
    return tuple(visual), tuple(audio)


def clip() -> tuple[torch.Tensor, torch.Tensor]:
    """Labels (3, 64, 64): the object to the lower right, none, one pixel. Logits (3, 32, 32), half of them right."""
    label = torch.zeros(3, 64, 64, dtype=torch.uint8)
    label[0, 32:, 32:] = 255
    label[2, 63, 63] = 1
    return label, torch.linspace(-1, 1, 32)[None, None, :].expand(3, 32, 32)


def test_labels_are_those_of_the_drawn_positions() -> None:
    """The released code reads them at other places (reference 9 f)."""
    visual, audio = marked(3)
    label, logits = clip()
    drawn = draw_embeddings(visual, audio, label, logits, ContrastConfig(samples=32), generator())
    assert len(drawn.visual) == 3 * 3 * 32
    for (_, t, p), of_object in zip(drawn.visual.int().tolist(), drawn.visual_label.tolist(), strict=True):
        row, column = divmod(p, SIDE)
        assert of_object == (t == 0 and row >= 4 and column >= 4)
    for level in range(3):
        for t, objects in ((0, 16), (1, 0), (2, 0)):
            here = (drawn.visual[:, 0] == level) & (drawn.visual[:, 1] == t)
            assert int(here.sum()) == 32
            assert int(drawn.visual_label[here].sum()) == objects


def test_predictions_are_masks() -> None:
    """A prediction is right where the sign of its logit is (9 g): half of the others are hard, half easy."""
    visual, audio = marked(3)
    label, logits = clip()
    drawn = draw_embeddings(visual, audio, label, logits, ContrastConfig(samples=32), generator())
    column = drawn.visual[:, 2].int() % SIDE
    for level in range(3):
        here = (drawn.visual[:, 0] == level) & (drawn.visual[:, 1] == 1)
        assert int((column[here] >= 4).sum()) == 16


def test_the_limit_is_reached_exactly_and_by_chance() -> None:
    """The released code keeps a prefix of random length (9 h)."""
    visual, audio = marked(3)
    label, logits = clip()
    drawn = draw_embeddings(visual, audio, label, logits, ContrastConfig(samples=32, limit=100), generator())
    assert len(drawn.visual) == len(drawn.visual_label) == 100
    assert len(drawn.visual.unique(dim=0)) == 100
    assert drawn.visual[:, 0].unique().tolist() == [0, 1, 2]
    for (_, t, p), of_object in zip(drawn.visual.int().tolist(), drawn.visual_label.tolist(), strict=True):
        assert of_object == (t == 0 and p // SIDE >= 4 and p % SIDE >= 4)


def test_sound_of_a_frame_has_the_label_of_the_frame() -> None:
    """Also where the object is too small for the grid; rows beyond the frames are no sound of a frame."""
    visual, audio = marked(3)
    label, logits = clip()
    drawn = draw_embeddings(visual, audio, label, logits, ContrastConfig(), generator())
    assert drawn.audio.tolist() == [[level, t, -1] for level in range(3) for t in range(3)]
    assert drawn.audio_label.tolist() == [True, False, True] * 3


def test_draws_carry_gradients() -> None:
    visual, audio = (tuple(level.requires_grad_() for level in side) for side in marked(3))
    label, logits = clip()
    drawn = draw_embeddings(visual, audio, label, logits, ContrastConfig(samples=8), generator())
    (drawn.visual.sum() + drawn.audio.sum()).backward()
    for level in visual:
        assert level.grad is not None
        assert int(level.grad[..., 0].sum()) == 3 * 8


def test_what_does_not_fit_is_refused() -> None:
    visual, audio = marked(3)
    label, logits = clip()
    with pytest.raises(ValueError, match="3 frames need as many audio embeddings, got 2"):
        draw_embeddings(visual, tuple(rows[:2] for rows in audio), label, logits, ContrastConfig(), generator())
    with pytest.raises(ValueError, match="60 positions"):
        draw_embeddings(tuple(level[:, :60] for level in visual), audio, label, logits, ContrastConfig(), generator())
