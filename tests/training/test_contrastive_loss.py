"""Eq. 8 and its relatives: against the released code's numbers, and against the equations written as loops."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from auralsam2.training import contrastive_loss as contrastive_loss_module
from auralsam2.training.config import Contrast, ContrastConfig
from auralsam2.training.contrastive_loss import Embeddings, audiocon, contrastive_loss, info_nce, supcon
from helpers.loss_inputs import golden_embeddings, golden_prediction, golden_truth
from helpers.released_sampler import released_sample
from helpers.rule_weights import golden, tensor

TAU = 0.1
EVERY: tuple[Contrast, ...] = ("none", "audiocon", "supcon", "supcon-joint", "released")


def test_released_info_nce() -> None:
    drawn = Embeddings(
        F.normalize(tensor("loss/anchors", (60, 128)), dim=1),
        torch.arange(60) % 3 == 0,
        F.normalize(tensor("loss/contrast", (9, 128)), dim=1),
        torch.tensor([1, 1, 1, 0, 1, 1, 0, 1, 1]) == 1,
    )
    assert float(info_nce(drawn, TAU)) == pytest.approx(float(golden("losses_metrics")["info_nce"]), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "limit", "total"),
    [
        ("limit8", 8, 15_240),
        ("limit64", 64, 15_240),
        ("limit128", 128, 15_240),
        ("limit128_total1000", 128, 1000),
    ],
)
def test_released_loss_with_its_sampling(name: str, limit: int, total: int) -> None:
    """The loss is the product's; the sampling with its bugs is `released_sampler`'s."""
    expected = {
        key.removeprefix(f"contrast_{name}_"): value
        for key, value in golden("losses_metrics").items()
        if key.startswith(f"contrast_{name}_") and (total == 1000 or "total" not in key)
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn, count = released_sample(*golden_embeddings(), golden_truth(256), golden_prediction(), limit, total)
    found = {
        "loss_seed0": float(info_nce(drawn, TAU)),
        "n_visual": count,
        "n_audio": len(drawn.audio),
        "n_kept": len(drawn.visual),
        "kept": len(drawn.visual),
        "label_sum": int(drawn.visual_label.sum()),
    }
    assert len(expected) == (2 if total == 1000 else 5)
    for key, value in expected.items():
        assert found[key] == pytest.approx(float(value), rel=1e-5), key


def random_drawn(seed: int, visual: int = 12, audio: int = 5, objects: float = 0.4) -> Embeddings:
    generator = torch.Generator().manual_seed(seed)

    def rows(count: int) -> torch.Tensor:
        made = torch.randn(count, 6, generator=generator, dtype=torch.float64)
        return F.normalize(made, dim=1).requires_grad_()

    return Embeddings(
        rows(visual),
        torch.rand(visual, generator=generator) < objects,
        rows(audio),
        torch.rand(audio, generator=generator) < 0.6,
    )


def listed(drawn: Embeddings) -> tuple[list[list[float]], list[bool], list[list[float]], list[bool]]:
    return (
        drawn.visual.tolist(),
        drawn.visual_label.tolist(),
        drawn.audio.tolist(),
        drawn.audio_label.tolist(),
    )


def power(a: list[float], b: list[float]) -> float:
    return math.exp(sum(x * y for x, y in zip(a, b, strict=True)) / TAU)


def equation_8(drawn: Embeddings) -> float:
    visual, v_label, audio, a_label = listed(drawn)
    total = 0.0
    for e, y in zip(visual, v_label, strict=True):
        for positive, y_b in zip(audio, a_label, strict=True):
            if y_b == y:
                away = sum(power(e, negative) for negative, other in zip(visual, v_label, strict=True) if other != y)
                total -= math.log(power(e, positive) / (power(e, positive) + away))
    return total / len(visual) / len(audio)


def released_equation(drawn: Embeddings) -> float:
    visual, v_label, audio, a_label = listed(drawn)
    everything = list(zip([*visual, *audio], [*v_label, *a_label], strict=True))
    total = 0.0
    for e, y in zip(visual, v_label, strict=True):
        away = sum(power(e, negative) for negative, other in everything if other != y)
        terms = [
            -math.log(power(e, positive) / (power(e, positive) + away))
            for positive, y_b in zip(audio, a_label, strict=True)
            if y_b == y
        ]
        total += sum(terms) / len(terms) if terms else 0.0
    return total / len(visual)


def supcon_equation(rows: list[list[float]], labels: list[bool]) -> float:
    total = 0.0
    for i, e in enumerate(rows):
        others = [j for j in range(len(rows)) if j != i]
        everything = sum(power(e, rows[j]) for j in others)
        positives = [j for j in others if labels[j] == labels[i]]
        if positives:
            total -= sum(math.log(power(e, rows[p]) / everything) for p in positives) / len(positives)
    return total / len(rows)


@pytest.mark.parametrize("seed", range(4))
def test_equations(seed: int) -> None:
    drawn = random_drawn(seed)
    visual, v_label, audio, a_label = listed(drawn)
    both = torch.cat([drawn.visual, drawn.audio]), torch.cat([drawn.visual_label, drawn.audio_label])
    with torch.no_grad():
        found = {
            "audiocon": audiocon(drawn, TAU),
            "released": info_nce(drawn, TAU),
            "supcon": supcon(drawn.visual, drawn.visual_label, TAU),
            "supcon-joint": supcon(*both, TAU),
        }
    expected = {
        "audiocon": equation_8(drawn),
        "released": released_equation(drawn),
        "supcon": supcon_equation(visual, v_label),
        "supcon-joint": supcon_equation([*visual, *audio], [*v_label, *a_label]),
    }
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=1e-9)


def test_equation_8_on_paper() -> None:
    """One object pixel, one other, one sound of the object: −ln(e^10 / (e^10 + e^0)) / 2, worked by hand."""
    drawn = Embeddings(
        torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
        torch.tensor([True, False]),
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([True]),
    )
    assert float(audiocon(drawn, TAU)) == pytest.approx(math.log1p(math.exp(-10)) / 2, rel=1e-3)


def test_a_sound_without_object_is_negative_only_as_released() -> None:
    """Move the sound of an empty frame onto the object: the released loss rises, AudioCon's prototypes do not push."""
    pixels = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([True, False])
    silence = [torch.tensor([[1.0, 0.0], silent]) for silent in ([-1.0, 0.0], [1.0, 0.0])]
    of_object = torch.tensor([True, False])
    far, near = (Embeddings(pixels[0][:1], pixels[1][:1], sound, of_object) for sound in silence)
    assert info_nce(near, TAU) > info_nce(far, TAU) + 0.5
    assert audiocon(near, TAU) == audiocon(far, TAU)


@pytest.mark.parametrize("objects", [0.0, 1.0])
@pytest.mark.parametrize("loss", [audiocon, info_nce])
def test_one_label_alone_has_finite_gradients(loss, objects: float) -> None:
    drawn = random_drawn(0, objects=objects)
    value = loss(drawn, TAU)
    value.backward()
    assert torch.isfinite(value)
    for embeddings in (drawn.visual, drawn.audio):
        assert embeddings.grad is not None
        assert torch.isfinite(embeddings.grad).all()


def test_no_negatives_no_loss() -> None:
    assert audiocon(random_drawn(0, objects=1.0), TAU) == 0


def test_supcon_of_a_single_embedding_of_its_label() -> None:
    rows = F.normalize(torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=1)
    rows.requires_grad_()
    label = torch.tensor([True, False, False, False])
    loss = supcon(rows, label, TAU)
    assert loss.item() == pytest.approx(supcon_equation(rows.tolist(), label.tolist()), rel=1e-9)
    loss.backward()
    assert rows.grad is not None
    assert torch.isfinite(rows.grad).all()


@pytest.mark.parametrize("name", ["audiocon", "info_nce", "supcon"])
def test_pieces_give_the_same_values_and_gradients(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for piece in (2**25, 30):
        monkeypatch.setattr(contrastive_loss_module, "PIECE", piece)
        drawn = random_drawn(3)
        if name == "supcon":
            value = supcon(drawn.visual, drawn.visual_label, TAU)
        else:
            value = getattr(contrastive_loss_module, name)(drawn, TAU)
        value.backward()
        assert drawn.visual.grad is not None
        results.append((value.detach(), drawn.visual.grad))
    torch.testing.assert_close(results[0], results[1])


def test_gradients_are_those_of_the_equation() -> None:
    """By differences of Eq. 8 itself, for visual and audio embeddings."""
    drawn = random_drawn(1, visual=5, audio=3)
    audiocon(drawn, TAU).backward()
    for name, row, column in (("visual", 2, 4), ("audio", 1, 0)):
        rows = getattr(drawn, name)
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                rows[row, column] += step
                values.append(equation_8(drawn))
                rows[row, column] -= step
        assert float(rows.grad[row, column]) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-7)


def loss_of(mode: Contrast, seed: int = 0) -> torch.Tensor:
    config = ContrastConfig(mode=mode, samples=64)
    clip = (*golden_embeddings(), golden_truth(256), golden_prediction())
    return contrastive_loss(*clip, config, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("mode", EVERY)
def test_a_seed_decides(mode: Contrast) -> None:
    once = loss_of(mode)
    assert once == loss_of(mode)
    assert once.isfinite()
    assert (once == loss_of(mode, seed=1)) == (mode == "none")


def test_modes_differ() -> None:
    values = {mode: float(loss_of(mode)) for mode in EVERY}
    assert values["none"] == 0
    assert len(set(values.values())) == len(EVERY)


def test_autocast_changes_nothing() -> None:
    exact = loss_of("audiocon")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss_of("audiocon") == exact


def test_descent_aligns_what_is_heard_with_what_is_seen() -> None:
    """A few steps down Eq. 8 bring the object's pixels to its sound and leave the others away."""
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(1, 16, 8, generator=generator).requires_grad_()
    heard = torch.randn(1, 8, generator=generator).requires_grad_()
    label = torch.zeros(1, 4, 4)
    label[0, :2, :2] = 1
    optimiser = torch.optim.Adam([raw, heard], lr=0.1)

    def gap() -> float:
        pixels, sound = F.normalize(raw[0], dim=1), F.normalize(heard[0], dim=0)
        close = (pixels @ sound).detach()
        inside = label.flatten() == 1
        return float(close[inside].mean() - close[~inside].mean())

    before = gap()
    for _ in range(30):
        optimiser.zero_grad()
        visual, audio = F.normalize(raw, dim=2), F.normalize(heard, dim=1)
        contrastive_loss((visual,), (audio,), label, label - 0.5, ContrastConfig(), generator).backward()
        optimiser.step()
    assert before < 0.5
    assert gap() > 0.9
