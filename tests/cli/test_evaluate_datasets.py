"""`auralsam2 evaluate` on every data set in its published layout."""

from __future__ import annotations

import functools
import json

import pytest

from helpers.dataset_trees import (
    write_avs_synthetic,
    write_avsbench,
    write_object_release,
    write_ref_avs,
    write_stampavs,
    write_vpo,
)
from helpers.small_networks import save_small_text_model

# Name, split, what writes the tree, a number that must be there.
TREES = [
    ("v1s", "test", write_avsbench, "M_F"),
    ("v1m", "test", write_avsbench, "M_F"),
    ("v2", "test", write_avsbench, "M_F"),
    ("v2-semantic", "test", write_avsbench, "mIoU, true names"),
    ("v1s", "test", write_object_release, "M_F"),
    ("s4", "test", write_object_release, "M_F"),
    ("ms3", "test", write_object_release, "M_F"),
    ("ref-avs", "seen", write_ref_avs, "M_F"),
    ("ref-avs", "test_u", write_ref_avs, "M_F"),
    ("ref-avs", "null", write_ref_avs, "S"),
    ("stampavs", "test-seen", write_stampavs, "J with target"),
    ("stampavs-ref", "test-seen", write_stampavs, "J with target"),
    ("stampavs-ref", "test-null", write_stampavs, "S"),
    ("vpo-ss", "test", write_vpo, "M_F"),
    ("vpo-ms", "test", write_vpo, "M_F"),
    ("vpo-msmi", "test", write_vpo, "M_F"),
    ("avs-synthetic", "test", write_avs_synthetic, "M_F"),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Returns the folder of a data set for the function that writes it; each is written once."""
    return functools.cache(lambda write: write(tmp_path_factory.mktemp("tree")))


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return save_small_text_model(tmp_path_factory.mktemp("models") / "text")


@pytest.fixture
def evaluate(command, small_model):
    def run(name, root, split, *arguments):
        base = ("--dataset", name, "--root", root, "--split", split, "--model", small_model, "--json")
        outcome = command("evaluate", *base, *arguments)
        assert outcome.code == 0, outcome.err
        (line,) = outcome.lines
        return line

    return run


@pytest.mark.parametrize(("name", "split", "write", "number"), TREES)
def test_every_data_set(evaluate, tree, name, split, write, number):
    """Each by its own protocol the first time; in later layouts and splits by one of smaller maps."""
    first = next(tree for tree in TREES if tree[0] == name)
    smaller = () if first == (name, split, write, number) else ("--protocol", "avsbench")
    line = evaluate(name, tree(write), split, *smaller)
    assert line["scored"] >= 1
    assert line["excluded"] == []
    assert 0.0 <= line["summary"][number]["value"] <= 1.0


@pytest.mark.parametrize("prompts", ["points", "box", "mask", "points+box", "audio+points+box"])
@pytest.mark.parametrize("select", ["iou", "iou+object", "first"])
def test_prompts_and_selections(evaluate, tree, prompts, select):
    line = evaluate("stampavs", tree(write_stampavs), "test-seen", "--prompts", prompts, "--select", select)
    assert 0.0 <= line["summary"]["M_J"]["value"] <= 1.0


@pytest.mark.parametrize("rule", ["mean_prob", "mean_logit", "max_iou_score", "union"])
def test_ensembles(evaluate, tree, rule):
    options = ("--prompts", "audio+points+box", "--combine", rule)
    line = evaluate("stampavs", tree(write_stampavs), "test-seen", *options)
    assert line["options"]["combine"] == rule
    assert 0.0 <= line["summary"]["M_J"]["value"] <= 1.0


@pytest.mark.parametrize("protocol", ["auralsam2", "avsbench", "ref-avs", "per-frame"])
def test_protocols(evaluate, tree, protocol):
    line = evaluate("v1m", tree(write_avsbench), "test", "--protocol", protocol)
    assert line["options"]["protocol"]["name"] == protocol


@pytest.mark.parametrize("prompts", [None, "text", "audio+text"])
def test_text_prompts(evaluate, tree, text_model, prompts):
    """A model that reads text reads it where the data have some, unless `--prompts` differs."""
    chosen = () if prompts is None else ("--prompts", prompts)
    options = ("--model", text_model, "--protocol", "ref-avs", *chosen)
    line = evaluate("ref-avs", tree(write_ref_avs), "seen", *options)
    assert line["options"]["prompts"] == prompts or (prompts, line["options"]["prompts"]) == (None, "audio+text")


def test_clip_without_audio_is_excluded_with_a_warning(command, small_model, tmp_path):
    scenes = [(f"scene-{number}", "test-seen", "standard", "single", 5) for number in range(2)]
    tree = write_stampavs(tmp_path / "tree", scenes)
    (tree / "media" / "scene-0" / "audio.wav").unlink()
    report = tmp_path / "report.json"
    base = ("--dataset", "stampavs", "--root", tree, "--split", "test-seen", "--model", small_model)
    outcome = command("evaluate", *base, "--report", report)
    assert outcome.code == 1
    (warning,) = [line for line in outcome.err.splitlines() if "warning" in line]
    assert "metadata.csv:2: scene-0" in warning
    assert "audio.wav" in warning
    written = json.loads(report.read_text())
    assert written["scored"] == 1
    assert len(written["left_out"]) == 1
