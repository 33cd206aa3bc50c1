"""The example scripts run and print plausible figures."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

from helpers.small_training import write_parts

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs a script of `examples/` in `tmp_path`; returns what it prints."""
    monkeypatch.chdir(tmp_path)

    def start(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return start


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A folder with a data set of a few clips in `stamp/` and a small random SAM 2 in `sam2/`."""
    return write_parts(tmp_path_factory.mktemp("parts"))


def test_segment(run, tmp_path):
    printed = run("segment.py", "--out", tmp_path / "results")
    assert len(re.findall(r"% of the frame$", printed, re.MULTILINE)) == 10
    starts = [float(second) for second in re.findall(r"sounds from ([\d.]+)", printed)]
    assert starts[0] == pytest.approx(0.5, abs=0.5), "the sheep bleats in the first second"
    assert (tmp_path / "results" / "demo" / "overlay.mp4").is_file()


def test_evaluate(run, parts):
    printed = run("evaluate.py", parts / "stamp", "--split", "val")
    assert re.search(r"audio own: M_J [01]\.\d{3} \[", printed)
    assert "audio silent: J with target 0.000" in printed, "silence has no sounding objects"


def test_train(run, parts, tmp_path):
    values = (f"model.sam2={parts / 'sam2'}", "model.image_size=64", "data.split=train", "augment.remix_audio=0")
    changes = [word for value in values for word in ("--set", value)]
    printed = run("train.py", parts / "stamp", "--steps", 2, "--out", tmp_path / "run", *changes)
    assert printed.count("% of the frame") == 10
    assert (tmp_path / "run" / "last" / "model.safetensors").is_file()
