"""From frames to data sets: values of the public code over several calls (golden/METRICS.md), and what must hold."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auralsam2.evaluation.aggregate import ScoreAggregator
from auralsam2.evaluation.clip_scores import score_maps
from auralsam2.evaluation.options import PROTOCOLS, ScoringProtocol, find_protocol
from helpers.rule_weights import GOLDEN

TOLERANCE = 2e-6
AGGREGATE = np.load(GOLDEN / "metrics_aggregate.npz", allow_pickle=False)
NULL = np.load(GOLDEN / "metrics_null.npz", allow_pickle=False)


def rules(threshold: float | None, call: int | None, null: Any = "root") -> ScoringProtocol:
    return ScoringProtocol(name="test", size=64, threshold=threshold, call=call, null=null)


def row(
    name: str, logits: torch.Tensor, labels: torch.Tensor, how: ScoringProtocol, null: bool = False
) -> dict[str, Any]:
    columns, curve = score_maps(logits, labels, how)
    frames = {key: values.tolist() for key, values in columns.items()}
    count = len(logits)
    frames |= {"object_score": logits.flatten(1).amax(1).tolist(), "silent": [False] * count}
    found = {"id": name, "clip": name, "kind": "", "null": null, "frames": frames}
    found["neighbours"] = {"pairs": 0, "masks": 0.0, "labels": 0.0}
    if curve is not None:
        found["curve"] = curve.tolist()
    return json.loads(json.dumps(found))  # as a journal gives it back


def values(rows: list[dict[str, Any]], how: ScoringProtocol, seed: int = 0) -> dict[str, float]:
    return {name: number["value"] for name, number in numbers(rows, how, seed).items()}


def numbers(rows: list[dict[str, Any]], how: ScoringProtocol, seed: int = 0) -> dict[str, dict[str, Any]]:
    summary = ScoreAggregator(how, seed)
    for entry in rows:
        summary.add(entry)
    return summary.numbers()


def golden_rows(archive: Any, how: ScoringProtocol, null: bool = False) -> list[dict[str, Any]]:
    logits = (archive["q"].astype(np.float32) + archive["offset"]) * archive["scale"]
    labels = archive["gt"] > 0 if "gt" in archive else np.zeros_like(logits, dtype=bool)
    return [
        row(f"clip{n}", torch.from_numpy(logits[n]), torch.from_numpy(labels[n]), how, null) for n in range(len(logits))
    ]


@pytest.mark.parametrize("call", [1, 4])
@pytest.mark.parametrize(("code", "threshold"), [("avsbench", 0.5), ("refavs", 0.4), ("auralsam2", None)])
def test_golden_sets(code, threshold, call):
    null = "ratio" if code == "auralsam2" else "root"
    how = rules(threshold, call, null)
    got = values(golden_rows(AGGREGATE, how, null=True), how)
    keys = {"M_J": "J", "M_F": "F"} | ({} if code == "avsbench" else {"S": "S"})
    expected = {name: float(AGGREGATE[f"{code}_bs{call}/{key}"]) for name, key in keys.items()}
    assert {name: got[name] for name in keys} == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("call", [1, 4])
def test_golden_calls(call):
    """The mean over calls hides which is which; so one call at a time."""
    for code, threshold in (("avsbench", 0.5), ("refavs", 0.4)):
        how = rules(threshold, call)
        rows = golden_rows(AGGREGATE, how, null=True)
        for number in range(math.ceil(len(rows) / call)):
            got = values(rows[number * call : (number + 1) * call], how)
            for name, key in (("M_J", "J"), ("M_F", "F")) if code == "avsbench" else (("S", "S"),):
                expected = float(AGGREGATE[f"{code}_bs{call}/{key}_batches"][number])
                assert got[name] == pytest.approx(expected, abs=TOLERANCE)


def test_golden_two_ranks():
    """The released code scores the first clip twice where clips do not divide by processes."""
    how = rules(None, 1, "ratio")
    rows = golden_rows(AGGREGATE, how, null=True)
    got = values([*rows, rows[0]], how)
    expected = {name: float(AGGREGATE[f"auralsam2_2ranks_bs1/{name[-1]}"]) for name in ("M_J", "M_F", "S")}
    assert {name: got[name] for name in expected} == pytest.approx(expected, abs=TOLERANCE)


def test_golden_null():
    for key, call, null in (
        ("refavs_bs1", 1, "root"),
        ("refavs_bs4", 4, "root"),
        ("auralsam2_bs1", 1, "ratio"),
        ("auralsam2_bs4", 4, "ratio"),
    ):
        how = rules(0.4, call, null)
        rows = golden_rows(NULL, how, null=True)
        assert values(rows, how)["S"] == pytest.approx(float(NULL[f"{key}/S"]), abs=TOLERANCE)
    how = rules(0.4, 1)
    each = [values([entry], how)["S"] for entry in golden_rows(NULL, how, null=True)]
    assert each == pytest.approx(NULL["per_clip_S"].tolist(), abs=TOLERANCE)


def test_null_scores_only_what_refers_to_nothing():
    how = rules(None, 1)
    assert "S" not in values(golden_rows(NULL, how, null=False), how)


@st.composite
def clips(draw: st.DrawFn) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    found = []
    for _ in range(draw(st.integers(1, 6))):
        shape = (draw(st.integers(1, 4)), 6, 7)
        labels = torch.rand(shape, generator=generator) > draw(st.sampled_from([0.3, 0.8, 1.0]))
        found.append((torch.randn(shape, generator=generator) - 0.5, labels))
    return found


@given(clips(), st.randoms())
@settings(deadline=None, max_examples=30)
@pytest.mark.parametrize("call", [1, None])
def test_the_order_of_clips_does_not_matter(call, data, random):
    how = rules(0.5, call)
    rows = [row(f"clip{n}", *maps, how) for n, maps in enumerate(data)]
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert numbers(rows, how) == numbers(shuffled, how)


@given(clips())
@settings(deadline=None, max_examples=30)
def test_per_frame_does_not_depend_on_the_grouping(data):
    how = rules(None, None)
    grouped = values([row(f"clip{n}", *maps, how) for n, maps in enumerate(data)], how)
    frames = [(logits[t : t + 1], labels[t : t + 1]) for logits, labels in data for t in range(len(logits))]
    single = values([row(f"frame{n}", *maps, how) for n, maps in enumerate(frames)], how)
    together = values([row("all", torch.cat([a for a, _ in data]), torch.cat([b for _, b in data]), how)], how)
    assert grouped == pytest.approx(single, rel=1e-12)
    assert grouped == pytest.approx(together, rel=1e-12)


def test_the_public_protocols_do_depend_on_it():
    """The check above can fail."""
    one, four = rules(0.5, 1), rules(0.5, 4)
    rows = golden_rows(AGGREGATE, one)
    assert values(rows, one)["M_F"] != pytest.approx(values(rows, four)["M_F"], abs=1e-4)


@given(clips())
@settings(deadline=None, max_examples=30)
@pytest.mark.parametrize("how", [rules(0.5, 1), rules(0.4, 4), rules(None, None)], ids=["one", "four", "frames"])
def test_numbers_lie_between_0_and_1_and_in_their_interval(how, data):
    rows = [row(f"clip{n}", *maps, how, null=True) for n, maps in enumerate(data)]
    for name, number in numbers(rows, how).items():
        assert -1e-9 <= number["low"] <= number["high"] <= 1 + 1e-6, name
        assert -1e-9 <= number["value"] <= 1 + 1e-6, name


def test_per_frame_by_hand():
    how = rules(None, None)
    labels = torch.zeros(4, 2, 4, dtype=torch.bool)
    labels[:2, 0] = True  # half of the picture; frames 2 and 3 without a target
    logits = torch.full((4, 2, 4), -1.0)
    logits[0, 0] = 1.0  # perfect
    logits[1, 0, :2] = 1.0  # half of it
    logits[3, 1, 0] = 1.0  # one false pixel of eight
    got = values([row("clip", logits, labels, how)], how)
    f = 1.3 * 1 * 0.5 / (0.3 * 1 + 0.5)
    assert got["M_J"] == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    assert got["M_F"] == pytest.approx((1 + f + 1 + 0) / 4)
    assert got["J with target"] == pytest.approx(0.75)
    assert got["F with target"] == pytest.approx((1 + f) / 2)
    assert got["J&F"] == pytest.approx((got["M_J"] + got["M_F"]) / 2)
    assert got["false area of sound without target"] == pytest.approx(1 / 16)
    assert "false area in silence" not in got
    # Object scores here are the largest logits: 1, 1, -1, 1.
    assert got["presence precision"] == pytest.approx(2 / 3)
    assert got["presence recall"] == 1
    assert got["presence AUROC"] == pytest.approx(0.75)


def test_kinds_of_scenes_are_told_apart():
    how = rules(None, None)
    rows = golden_rows(AGGREGATE, how)
    for number, entry in enumerate(rows):
        entry["kind"] = ("single", "several")[number % 2]
    got, alone = values(rows, how), values(rows[::2], how)
    assert got["M_J of single"] == alone["M_J"] == alone["M_J of single"]
    assert got["M_J of several"] == values(rows[1::2], how)["M_J"]
    assert 0 < got["false area of single"] == alone["false area of sound without target"]


def test_clips_are_resampled_as_wholes():
    """Ten samples of one clip say no more than one: the interval must not shrink."""
    how = rules(None, None)
    two = golden_rows(AGGREGATE, how)[:2]
    many = [dict(entry, id=f"{entry['id']}/{n}") for entry in two for n in range(10)]
    few, more = numbers(two, how)["M_J"], numbers(many, how)["M_J"]
    assert (few["low"], few["high"]) == pytest.approx((more["low"], more["high"]))


def test_the_seed_moves_the_interval_and_not_the_value():
    how = rules(None, None)
    rows = golden_rows(AGGREGATE, how)
    first, again, other = (numbers(rows, how, seed)["M_F"] for seed in (0, 0, 1))
    assert first == again
    assert first["value"] == other["value"]
    assert first != other


def test_nothing_has_no_numbers():
    assert numbers([], rules(None, None)) == {}


def test_the_protocol_of_a_data_set():
    own = {name: find_protocol(None, name).name for name in ("v1s", "ref-avs", "stampavs", "v2-semantic")}
    assert own == {"v1s": "auralsam2", "ref-avs": "auralsam2", "stampavs": "per-frame", "v2-semantic": "avsbench"}
    assert find_protocol("auralsam2", "v1m").call == 1
    assert find_protocol("auralsam2", "ref-avs").call == 4
    assert find_protocol("avsbench", "ref-avs").call == 1
    assert {name: protocol.null for name, protocol in PROTOCOLS.items() if protocol.call != 1} == {
        "ref-avs": "root",
        "per-frame": "root",
    }
    assert PROTOCOLS["auralsam2"].null == "ratio", "as the released code, unlike the paper"


def test_classes_of_stampavs_are_those_in_a_label():
    """Class 2 is predicted alone: it is in the mean of AVSBench-semantic only, over all 71 classes."""
    logits, labels = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.bool)
    rule = rules(None, None, "root")
    entry = row("a", logits, labels, rule) | {
        "named": True,
        "classes": {
            "names": [0, 1, 2],
            "iou": [0.9, 0.5, 0.0],
            "f": [0.9, 0.6, 0.0],
            "count": [1, 1, 1],
            "true": [True, True, False],
        },
    }

    def summary(dataset: str) -> dict[str, dict[str, Any]]:
        aggregator = ScoreAggregator(rule, 0, dataset)
        aggregator.add(entry)
        return aggregator.numbers()

    stamps, published = summary("stampavs-semantic"), summary("v2-semantic")
    assert stamps["mIoU"] == {"value": pytest.approx(0.7), "count": 2}
    assert stamps["mIoU without background"] == {"value": pytest.approx(0.5), "count": 1}
    assert stamps["class F without background"]["value"] == pytest.approx(0.6)
    assert "mIoU without last class" not in stamps
    assert published["mIoU"] == {"value": pytest.approx(1.4 / 71), "count": 71}
    assert published["mIoU without background"] == {"value": pytest.approx(0.5 / 70), "count": 70}
