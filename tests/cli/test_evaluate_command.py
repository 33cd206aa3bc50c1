"""`auralsam2 evaluate`."""

from __future__ import annotations

import json
import sys
from types import ModuleType

import pytest

import auralsam2.data
from helpers.evaluation_clips import Left, Listed, Loader, listing


@pytest.fixture
def evaluate(command, small_model, tmp_path, monkeypatch):
    """Runs the command on clips in memory; `evaluate.listed` and `evaluate.load` can be changed."""

    class Run:
        listed = Listed(listing(3, frames=2).samples)
        load = Loader()

        def listing(self, split):
            return self.listed

        def __call__(self, *arguments):
            loading = ModuleType("auralsam2.data.load")
            loading.load_clip = self.load  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, "auralsam2.data.load", loading)
            monkeypatch.setattr(auralsam2.data, "open_dataset", lambda name, root: self, raising=False)
            base = ("--dataset", "stampavs", "--root", tmp_path, "--split", "test", "--model", small_model)
            return command("evaluate", *base, *arguments)

    return Run()


def test_results_are_printed_as_a_table(evaluate):
    outcome = evaluate()
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("stampavs test: 3 samples scored, 0 excluded")
    assert "protocol per-frame" in outcome.out
    assert "presence AUROC" in outcome.out


def test_json_and_report(evaluate, tmp_path):
    outcome = evaluate("--json", "--report", tmp_path / "report.json", "--save-masks", tmp_path / "masks")
    (line,) = outcome.lines
    written = json.loads((tmp_path / "report.json").read_text())
    assert line["summary"] == written["summary"]
    assert line["options"] == written["options"]
    assert len(list((tmp_path / "masks").rglob("*.png"))) == 6


def test_unreadable_clip_is_excluded(evaluate):
    evaluate.load = Loader(frozenset({"clip1"}))
    evaluate.listed.problems.append(Left("metadata.csv:4: no frames"))
    outcome = evaluate()
    assert outcome.code == 1
    assert "auralsam2: warning: excluded clip1/0: 1/0.jpg: cut short" in outcome.err
    assert "auralsam2: warning: metadata.csv:4: no frames" in outcome.err
    assert outcome.out.startswith("stampavs test: 2 samples scored, 1 excluded, 1 left out of the list")


def test_no_usable_clip(evaluate):
    evaluate.load = Loader(frozenset({"clip0", "clip1", "clip2"}))
    outcome = evaluate()
    assert outcome.code == 2
    assert outcome.error.startswith("none of 3 samples could be scored; clip0/0: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--prompts", "smell"), "--prompts smell: choose from"),
        (("--protocol", "mine"), "--protocol mine: choose from"),
        (("--select", "best"), "--select best: choose from"),
        (("--combine", "both"), "--combine both: choose from"),
        (("--combine", "union"), "--combine union merges masks of audio and visual prompts"),
        (("--sound", "loud"), "--sound loud: choose from"),
        (("--device", "tpu"), "--device tpu: choose from"),
        (("--root", "nowhere"), "--root nowhere: no such folder"),
        (("--report", "."), "--report . is a folder"),
    ],
)
def test_wrong_arguments(start, tmp_path, arguments, message):
    """Refused before torch is imported: in a process in which torch cannot be."""
    code = "import sys; sys.modules['torch'] = None; from auralsam2.cli.main import main; main(sys.argv[1:])"
    base = ("evaluate", "--dataset", "v1m", "--root", tmp_path, "--split", "test", "--model", "v1m")
    process = start("-c", code, *base, *arguments)
    _, err = process.communicate(timeout=60)
    assert err.startswith(f"auralsam2: error: {message}"), err
    assert process.returncode == 2
