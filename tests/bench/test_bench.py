"""`auralsam2 bench`, with small models and short videos."""

from __future__ import annotations

import json

import pytest

from auralsam2.bench import memory, report, roofline, speed
from auralsam2.utils.timing import STAGES
from helpers.small_networks import small_sam2

HARDWARE = {"cpu", "threads", "device", "torch", "auralsam2"}


def test_speed_reports_every_stage_and_the_audio_overhead(command, small_model):
    outcome = command("bench", "speed", "--model", small_model, "--frames", "4", "--json")
    assert outcome.code == 0, outcome.err
    printed = json.loads(outcome.out)
    assert printed["machine"].keys() == HARDWARE
    assert printed["image_size"] == 64
    assert printed["dtypes"].keys() == {"fp32", "bf16"}
    for numbers in printed["dtypes"].values():
        assert numbers["stages"].keys() == set(STAGES)
        assert all(seconds > 0 for seconds in numbers["stages"].values())
        parts = [numbers["stages"][name] for name in ("encoder", "fuser", "decoder", "memory")]
        assert numbers["network"] == pytest.approx(sum(parts), rel=0.01)
        assert 0 < numbers["network_share"] <= 1
        assert 0 < numbers["roofline_share"] < 2
        assert numbers["audio_overhead"] == pytest.approx(numbers["network"] / numbers["click_network"])
        assert {run["prompts"] for run in numbers["runs"]} == {"sound", "click"}


def test_speed_as_a_table(command, small_model):
    outcome = command("bench", "speed", "--model", small_model, "--frames", "2", "--dtype", "fp32")
    assert outcome.code == 0, outcome.err
    for name in (*STAGES, "audio overhead, network", "network / wall"):
        assert any(line.startswith(name) for line in outcome.out.splitlines()), name


def test_prompting_reports_the_cost_of_audio_and_of_a_click(command, small_model):
    outcome = command("bench", "prompting", "--model", small_model, "--frames", "3", "--rounds", "1", "--json")
    assert outcome.code == 0, outcome.err
    numbers = json.loads(outcome.out)["dtypes"]["fp32"]
    assert numbers["audio_overhead"] == numbers["first_pass_audio"] / numbers["first_pass_visual"]
    assert 0 < numbers["click"] == pytest.approx(numbers["click_share"] * numbers["first_pass_audio"])
    assert [(run["prompts"], run["frames"]) for run in numbers["passes"]] == [
        ("points+box", 3),
        ("audio+points+box", 3),
    ]
    table = command("bench", "prompting", "--model", small_model, "--frames", "1", "--rounds", "1")
    assert any(line.startswith("click / frame of the first pass") for line in table.out.splitlines())


def test_operations_of_the_encoder_are_those_of_its_products():
    """More than the products of weights with the tokens of each block alone, of which attention adds a part."""
    sam2 = small_sam2(64)
    weights = sum(p.numel() for name, p in sam2.vision_encoder.named_parameters() if p.ndim == 2)
    operations = roofline.encoder_operations(sam2)
    assert 2 * weights * (64 // 32) ** 2 < operations < 2 * weights * (64 // 4) ** 2 * 2
    assert roofline.encoder_operations(small_sam2(256)) > 3.5 * roofline.encoder_operations(small_sam2(128))


def test_stretches_are_whole_windows():
    assert speed.stretches(12, 5) == [(0, 5), (5, 10)]
    assert speed.stretches(3, 5) == [(0, 3)]


def test_memory_compares_a_short_and_a_long_video(command, small_model):
    """The short one has half the frames, as both are short."""
    outcome = command("bench", "memory", "--model", small_model, "--minutes", "0.1", "--json")
    assert outcome.code in (0, 1), outcome.err
    printed = json.loads(outcome.out)
    assert (printed["short"]["frames"], printed["long"]["frames"]) == (3, 6)
    assert printed["ratio"] == printed["long"]["peak_bytes"] / printed["short"]["peak_bytes"]
    assert printed["passed"] is (outcome.code == 0) is (printed["ratio"] <= memory.LIMIT)
    assert printed["long"]["peak_bytes"] > printed["long"]["loaded_bytes"] > 50e6


@pytest.mark.parametrize(("minutes", "short"), [(0.5, 0.25), (1, 0.5), (2, 0.5), (6, 0.6), (10, 1), (60, 1)])
def test_the_short_video_reaches_a_steady_state(minutes, short):
    assert report.short_minutes(minutes) == pytest.approx(short)


def test_memory_that_grows_fails():
    peaks = [
        memory.MemoryPeak(video_seconds=60 * minutes, frames=60 * minutes, loaded_bytes=1, peak_bytes=peak)
        for minutes, peak in ((1, 100_000), (10, 105_001))
    ]
    assert not memory.MemoryComparison(short=peaks[0], long=peaks[1]).passed


@pytest.mark.parametrize("name", ["speed", "memory"])
def test_missing_model_is_an_error(command, name):
    outcome = command("bench", name, "--model", "no-such-model")
    assert outcome.code == 3
    assert "no model 'no-such-model'" in outcome.error
