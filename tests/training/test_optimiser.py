"""What learns, how fast, and what decays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from auralsam2.errors import ConfigError
from auralsam2.modeling.network import AuralNetwork
from auralsam2.training.config import OptimiserConfig
from auralsam2.training.optimiser import build_optimiser, build_schedule, parameter_groups, poly, warm_cosine
from helpers.small_networks import small_config, small_sam2


@pytest.fixture
def network() -> AuralNetwork:
    return AuralNetwork(small_config(), small_sam2())


def test_poly() -> None:
    assert poly(0, 100, 0.9) == 1
    assert poly(50, 100, 0.9) == pytest.approx(0.5358867312681466)
    assert poly(99, 100, 0.9) == pytest.approx(0.01**0.9)


def test_poly_is_0_beyond_the_end() -> None:
    """The released code computes a power of a negative number there (reference 9 k)."""
    assert poly(100, 100, 0.9) == poly(140, 100, 0.9) == 0


def test_rates_over_a_training(network: AuralNetwork) -> None:
    config = OptimiserConfig(rate=0.01, audio_encoder_rate=0.5)
    adam = build_optimiser(network, config)
    falling = build_schedule(adam, 4, config)
    rates = []
    for _ in range(5):
        rates.append({group["name"]: group["lr"] for group in adam.param_groups})
        adam.step()
        falling.step()
    for step, rate in enumerate(rates):
        factor = (1 - step / 4) ** 0.9
        assert rate["fuser"] == rate["fuser normalisation"] == pytest.approx(0.01 * factor)
        assert rate["audio_encoder"] == pytest.approx(0.005 * factor)


def test_a_resumed_schedule_goes_on(network: AuralNetwork) -> None:
    config = OptimiserConfig()
    rates = []
    adam = build_optimiser(network, config)
    falling = build_schedule(adam, 10, config)
    for step in range(8):
        if step == 4:
            states = adam.state_dict(), falling.state_dict()
        adam.step()
        falling.step()
        rates.append(falling.get_last_lr())
    again = build_optimiser(network, config)
    resumed = build_schedule(again, 10, config)
    again.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    for step in range(4, 8):
        again.step()
        resumed.step()
        assert resumed.get_last_lr() == rates[step]


def names_of(network: AuralNetwork, config: OptimiserConfig) -> dict[str, set[str]]:
    names = {parameter: name for name, parameter in network.named_parameters()}
    return {
        group["name"]: {names[parameter] for parameter in group["params"]}
        for group in parameter_groups(network, config)
    }


def test_groups_hold_what_learns_once(network: AuralNetwork) -> None:
    groups = names_of(network, OptimiserConfig())
    learning = {name for name, _ in network.named_parameters() if name.startswith(("fuser.", "audio_encoder."))}
    assert sum(map(len, groups.values())) == len(learning)
    assert set().union(*groups.values()) == learning
    assert set(groups) == {"fuser", "fuser normalisation", "audio_encoder"}


def test_normalisations_alone_do_not_decay(network: AuralNetwork) -> None:
    config = OptimiserConfig(weight_decay=0.3)
    groups = names_of(network, config)
    kinds = (nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm)
    still = {
        f"{path}.{leaf}"
        for path, module in network.named_modules()
        if isinstance(module, kinds) and path.startswith("fuser.")
        for leaf in ("weight", "bias")
    }
    assert groups["fuser normalisation"] == still
    assert {"fuser.smooth_convs.0.bias", "fuser.a_blocks.0.0.mlp.fc1.bias"} <= groups["fuser"]
    decays = {group["name"]: group["weight_decay"] for group in parameter_groups(network, config)}
    assert decays == {"fuser": 0.3, "fuser normalisation": 0.0, "audio_encoder": 0.3}


def test_a_frozen_ear_stays_as_it_is(network: AuralNetwork) -> None:
    """As released; and the paper's preset lets it learn, with a tenth of the rate."""
    sound, picture = torch.randn(5, 2, 96, 64), torch.randn(5, 3, 128, 128)
    for variant, learns in (("released", False), ("paper", True)):
        adam = build_optimiser(network, OptimiserConfig.preset(variant, rate=0.1, weight_decay=0.0))
        before = {name: value.clone() for name, value in network.state_dict().items()}
        output = network.fuse(network.encode(picture), sound)
        torch.stack([prompt.square().mean() for prompt in output.prompts.audio_prompts]).sum().backward()
        adam.step()
        changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
        assert any(name.startswith("fuser.") for name in changed)
        assert any(name.startswith("audio_encoder.") for name in changed) == learns
        assert not any(name.startswith(("sam2.", "decoder.", "memory.")) for name in changed)
        network.zero_grad()


def test_presets() -> None:
    paper, released = (OptimiserConfig.preset(variant) for variant in ("paper", "released"))
    assert (paper.rate, paper.weight_decay, paper.audio_encoder_rate) == (1e-4, 0.01, 0.1)
    assert (released.rate, released.weight_decay, released.audio_encoder_rate) == (1e-4, 0.05, 0)


def test_the_warm_cosine_rises_and_falls():
    rates = [warm_cosine(step, rate=2.0, warm_up=10, steps=100) for step in range(101)]
    assert rates[0] == 0.2
    assert rates[4] == pytest.approx(1.0, rel=0.01)
    assert rates[50] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == 0.0


def test_the_polynomial_rate_may_rise_first():
    weight = torch.nn.Parameter(torch.zeros(1))
    adam = torch.optim.SGD([weight], lr=1.0)
    decay = build_schedule(adam, 10, OptimiserConfig(warm_up=4))
    rates = []
    for _ in range(10):
        rates.append(adam.param_groups[0]["lr"])
        adam.step()
        decay.step()
    rise = [0.25, 0.5, 0.75, *[1.0] * 7]
    assert rates == pytest.approx([rise[step] * ((10 - step) / 10) ** 0.9 for step in range(10)])


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [("constant", [0.01] * 5), ("cosine", [0.01, 0.0086820, 0.0055, 0.0023180, 0.001])],
)
def test_schedules_of_the_original_baselines(network: AuralNetwork, schedule: str, rates: list[float]) -> None:
    config = OptimiserConfig(rate=0.01, schedule=schedule, final_rate=0.001 if schedule == "cosine" else 0.0)  # type: ignore[arg-type]
    adam = build_optimiser(network, config)
    schedule_of_steps = build_schedule(adam, 4, config)
    for rate in rates:
        assert adam.param_groups[0]["lr"] == pytest.approx(rate, rel=1e-4)
        adam.step()
        schedule_of_steps.step()


def test_a_last_rate_needs_a_cosine() -> None:
    with pytest.raises(ConfigError, match=r"optimiser\.final_rate 0\.1 needs optimiser\.schedule cosine"):
        OptimiserConfig(final_rate=0.1)
