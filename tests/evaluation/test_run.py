"""Evaluation end to end, on clips in memory and the small model."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from auralsam2.data.sample import LoadedClip
from auralsam2.errors import InputError, OutputError, UsageError
from auralsam2.evaluation.options import PROMPTS, PROTOCOLS, SELECTS, SOUNDS, EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor, Prediction, Predictor
from auralsam2.evaluation.report import save_masks
from auralsam2.evaluation.run import evaluate
from auralsam2.model import AuralSAM2
from helpers.evaluation_clips import Left, Listed, Loader, listing, sample


@pytest.fixture(scope="module")
def model(small_model):
    return AuralSAM2.from_pretrained(small_model, "cpu", "fp32")


def options(**changes: object) -> EvaluationOptions:
    return EvaluationOptions(**({"dataset": "stampavs", "split": "test"} | changes))  # type: ignore[arg-type]


class Truth:
    """A predictor that knows the labels."""

    name = "truth"

    def __init__(self) -> None:
        self.identity = {"weights": "none"}

    def prepare(self, clip: LoadedClip) -> None:
        return None

    def predict(self, clip: LoadedClip, prepared: None) -> Prediction:
        there = clip.labels.flatten(1).any(1)
        return Prediction(
            logits=clip.labels.float() * 20 - 10, ious=torch.ones(len(there)), object_scores=there * 2.0 - 1
        )


class Guess(Truth):
    """One that is right here and there: noise that depends on the clip."""

    def predict(self, clip: LoadedClip, prepared: None) -> Prediction:
        generator = torch.Generator().manual_seed(int(clip.sample.clip[4:]))
        true = super().predict(clip, prepared)
        return Prediction(
            logits=true.logits / 8 + torch.randn(true.logits.shape, generator=generator),
            ious=true.ious,
            object_scores=true.object_scores + torch.randn(len(true.ious), generator=generator),
        )


def run(predictor: Predictor, listed: Listed | None = None, load: Loader | None = None, report=None, **changes):
    return evaluate(predictor, listed or listing(), options(**changes), load=load or Loader(), report=report)


def run_model(model: AuralSAM2, listed: Listed | None = None, **changes):
    return run(AuralPredictor(model, options(**changes)), listed or listing(3, frames=2), **changes)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_truth_scores_1(protocol):
    got = evaluate(Truth(), listing(), options(protocol=protocol), load=Loader()).numbers
    ones = ("M_J", "J with target", "F with target", "boundary F with target", "presence AUROC", "presence recall")
    assert {name: got[name]["value"] for name in ones} == pytest.approx(dict.fromkeys(ones, 1.0), abs=1e-6)
    assert got["M_F"]["value"] == pytest.approx(1, abs=1e-6)
    assert got["false area in silence"]["value"] == 0
    assert got["IoU of neighbouring masks"] == got["IoU of neighbouring labels"]


def test_a_report(tmp_path):
    report = tmp_path / "new" / "report.json"
    evaluation = run(Guess(), report=report)
    members = json.loads(report.read_text(), object_pairs_hook=list)
    written = json.loads(report.read_text())
    assert len(members) == len(written), "a name comes twice"
    assert written["summary"] == evaluation.numbers
    assert written["scored"] == 5
    assert [row["id"] for row in written["samples"]] == [s.id for s in listing().samples]
    assert all(len(column) == 5 for column in written["samples"][0]["frames"].values())
    assert written["options"]["protocol"]["name"] == "per-frame"
    assert list(report.parent.iterdir()) == [report]
    for name, number in evaluation.numbers.items():
        assert number["low"] <= number["value"] <= number["high"], name


def test_deterministic(tmp_path):
    reports = []
    for name in ("a", "b"):
        run(Guess(), report=tmp_path / name)
        written = json.loads((tmp_path / name).read_text())
        del written["seconds"], written["overhead"]
        reports.append(written)
    assert reports[0] == reports[1]


def test_the_order_of_clips_does_not_matter():
    forth, back = listing(), listing()
    back.samples.reverse()
    for protocol in ("avsbench", "per-frame"):
        assert run(Guess(), forth, protocol=protocol).numbers == run(Guess(), back, protocol=protocol).numbers


def test_one_protocol_depends_on_the_order():
    """The check above can fail: four samples a call."""
    few, many = [sample(0), sample(4)], [sample(number) for number in (1, 2, 3)]

    class Whole(Truth):
        def predict(self, clip, prepared):
            prediction = super().predict(clip, prepared)
            return (
                prediction
                if clip.sample.clip in ("clip0", "clip4")
                else Prediction(logits=-prediction.logits, ious=prediction.ious, object_scores=prediction.object_scores)
            )

    got = [
        evaluate(Whole(), Listed(order), options(protocol="ref-avs"), load=Loader()).numbers["M_J"]["value"]
        for order in (few + many, many + few)
    ]
    assert got[0] != pytest.approx(got[1])


def test_a_bad_clip_is_excluded(tmp_path):
    told = []
    chosen = options()
    evaluation = evaluate(
        Guess(),
        Listed(listing().samples, [Left("metadata.csv:7: no folder"), Left("2 rows are published", excluded=False)]),
        chosen,
        load=Loader(frozenset({"clip2"})),
        report=tmp_path / "report.json",
        on_sample=told.append,
    )
    assert evaluation.excluded == ({"id": "clip2/0", "error": "2/0.jpg: cut short"},)
    assert evaluation.left_out == ("metadata.csv:7: no folder",)
    assert evaluation.scored == 4
    assert [row.get("error") for row in told] == [None, None, "2/0.jpg: cut short", None, None]
    without = Listed([s for s in listing().samples if s.clip != "clip2"])
    assert evaluation.numbers == run(Guess(), without).numbers
    written = json.loads((tmp_path / "report.json").read_text())
    assert len(written["samples"]) == 4
    assert written["excluded"] == [{"id": "clip2/0", "error": "2/0.jpg: cut short"}]


def test_nothing_but_bad_clips(tmp_path):
    with pytest.raises(InputError, match=r"none of 2 samples could be scored; clip0/0: 0/0\.jpg: cut short"):
        run(Guess(), listing(2), Loader(frozenset({"clip0", "clip1"})), tmp_path / "report.json")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_split():
    with pytest.raises(InputError, match="no usable samples, 1 problems; the first: line 3"):
        run(Guess(), Listed([], [Left("line 3")]))


def test_masks_that_are_no_numbers_exclude_a_clip():
    class Broken(Truth):
        def predict(self, clip, prepared):
            prediction = super().predict(clip, prepared)
            if clip.sample.clip == "clip1":
                prediction.logits[0, 0, 0] = float("nan")
            return prediction

    evaluation = evaluate(Broken(), listing(3), options(), load=Loader())
    assert [entry["id"] for entry in evaluation.excluded] == ["clip1/0"]
    assert "not finite" in evaluation.excluded[0]["error"]


class Failing(Guess):
    """Memory lacks for one clip, and a bug concerns another."""

    def prepare(self, clip):
        return np.zeros(2**58, np.uint8) if clip.sample.clip == "clip1" else None

    def predict(self, clip, prepared):
        return [][0] if clip.sample.clip == "clip3" else super().predict(clip, prepared)


def test_any_exception_excludes_a_clip():
    evaluation = run(Failing())
    assert evaluation.scored == 3
    assert {entry["id"]: entry["error"] for entry in evaluation.excluded} == {
        "clip1/0": "not enough memory (allocating 256. PiB failed): use a smaller model or more memory",
        "clip3/0": "IndexError: list index out of range: a bug, please report it with the traceback",
    }


def test_a_stopped_run_tries_clips_again_that_lacked_memory_or_met_a_bug(tmp_path):
    def stop(row):
        if row["id"] == "clip4/0":
            raise KeyboardInterrupt

    report, load = tmp_path / "report.json", Loader()
    bad = Loader(frozenset({"clip0"}))
    with pytest.raises(KeyboardInterrupt):
        evaluate(Failing(), listing(), options(), load=bad, report=report, on_sample=stop)
    evaluation = run(Guess(), load=load, report=report)
    assert load.calls == ["clip1/0", "clip3/0"]
    assert [entry["id"] for entry in evaluation.excluded] == ["clip0/0"]


def test_goes_on_after_it_was_stopped(tmp_path):
    report = tmp_path / "report.json"
    whole = run(Guess(), protocol="ref-avs").numbers

    def stop(row):
        if row["id"] == "clip2/0":
            raise KeyboardInterrupt

    chosen = options(protocol="ref-avs")
    with pytest.raises(KeyboardInterrupt):
        evaluate(Guess(), listing(), chosen, load=Loader(), report=report, on_sample=stop)
    assert not report.exists()
    journal = tmp_path / "report.json.partial.jsonl"
    with journal.open("a") as file:
        file.write('{"id": "clip3/0", "fra')  # as a killed process leaves it
    load = Loader()
    assert run(Guess(), load=load, report=report, protocol="ref-avs").numbers == whole
    assert load.calls == ["clip3/0", "clip4/0"]
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert len(json.loads(report.read_text())["samples"]) == 5


def test_a_run_with_other_options_does_not_go_on(tmp_path):
    report = tmp_path / "report.json"

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(Guess(), listing(), options(), load=Loader(), report=report, on_sample=stop)
    with pytest.raises(UsageError, match=r"report\.json\.partial\.jsonl holds rows of a run with another options"):
        run(Guess(), report=report, select="first")
    (tmp_path / "report.json.partial.jsonl").write_text("1\n")
    with pytest.raises(UsageError, match="not the rows of an evaluation"):
        run(Guess(), report=report)


@pytest.mark.parametrize("prompts", [prompts for prompts in PROMPTS if "text" not in prompts])
def test_every_prompt_set(model, prompts):
    evaluation = run_model(model, listing(2), prompts=prompts)
    assert evaluation.scored == 2


def test_prompts_change_the_masks(model):
    values = {
        prompts: run_model(model, prompts=prompts).numbers["J with target"]["value"]
        for prompts in ("audio", "points", "box", "mask")
    }
    assert len(set(values.values())) == len(values)


def test_text_needs_a_model_that_reads(model):
    with pytest.raises(UsageError, match=r"small reads no text"):
        run_model(model, prompts="audio+text")


def test_visual_prompts_without_a_target_find_nothing(model):
    listed = Listed([sample(0, frames=1)])  # its frame has no target
    numbers = run_model(model, listed, prompts="box").numbers
    assert numbers["M_J"]["value"] == 1
    assert numbers["false area in silence"]["value"] == 0
    assert run_model(model, listed, prompts="audio+points+box").scored == 1


@pytest.mark.parametrize("select", SELECTS)
def test_every_selection(model, select):
    evaluation = run_model(model, select=select)
    assert evaluation.scored == 3


def test_every_sound_is_another_one(model):
    scores = set()
    for sound in SOUNDS:
        rows = []
        chosen = options(sound=sound)
        predictor = AuralPredictor(model, chosen)
        evaluate(predictor, listing(2, frames=2), chosen, load=Loader(), on_sample=rows.append)
        scores.add(rows[1]["frames"]["object_score"][1])
    assert len(scores) == len(SOUNDS)


def test_only_supervised_frames_count():
    listed = Listed([replace(s, supervised=(True, False, False, True, True)) for s in listing(3).samples])
    rows = []
    evaluate(Guess(), listed, options(), load=Loader(), on_sample=rows.append)
    assert all(row["frames"]["t"] == [0, 3, 4] for row in rows)
    assert all(row["neighbours"]["pairs"] == 1 for row in rows)


def test_a_limit():
    assert run(Guess(), limit=2).scored == 2


def test_saved_masks(tmp_path):
    chosen = options()
    evaluate(Truth(), listing(2), chosen, load=Loader(), masks=tmp_path)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png"))
    assert files == [f"clip{n}/0/{i}.png" for n in range(2) for i in range(5)]
    pixels = np.array(Image.open(tmp_path / "clip1/0/0.png"))
    assert pixels.shape == (48, 64)
    assert sorted(np.unique(pixels)) == [0, 255]
    clip = Loader()(listing(2).samples[1], 48)
    there = np.array(Image.fromarray(clip.labels[0].numpy()).resize((64, 48))) > 0
    assert ((pixels > 0) == there).mean() > 0.95


def test_a_mask_stays_in_its_folder(tmp_path):
    clip = Loader()(sample(1), 48)
    clip = replace(clip, sample=replace(clip.sample, id="../out"))
    with pytest.raises(OutputError, match="no name for a folder"):
        save_masks(tmp_path / "masks", clip, Truth().predict(clip, None), None)
    assert list(tmp_path.iterdir()) == []
