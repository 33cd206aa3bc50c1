"""The model of `auralsam2 segment` without `--model`."""

from __future__ import annotations

import json
import shutil

import pytest

from auralsam2.hub.model_choice import choose_model
from helpers.media_files import write_clip


@pytest.fixture
def cached(small_model, monkeypatch, tmp_path):
    """Puts a whole model into the cache by its name."""
    monkeypatch.setenv("AURALSAM2_CACHE", str(tmp_path / "cache"))

    def put(name):
        return shutil.copytree(small_model, tmp_path / "cache" / "models" / name)

    return put


def test_whole_released_models_come_first(cached):
    assert choose_model() == "mini"
    cached("v1s")
    assert choose_model() == "mini"
    cached("v1m")
    assert choose_model() == "v1m"
    assert choose_model(text=True) == choose_model(names=True) == "mini"
    folder = cached("v2")
    assert choose_model() == "v2"
    (folder / "sam2" / "model.safetensors").unlink()
    assert choose_model() == "v1m"
    cached("ref-avs")
    assert choose_model(text=True) == "ref-avs"


def test_segment_says_which_model_and_why(cached, command, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", 1.0)
    small = command("segment", clip, "--out", tmp_path / "mini", "--save", "json")
    assert "mini is the default without v2 or v1m in the cache; for real videos a released model is better" in small.err
    cached("v1m")
    released = command("segment", clip, "--out", tmp_path / "v1m", "--save", "json")
    assert "v1m is a released model in the cache; --model mini takes the small one of the package" in released.err
    for name in ("mini", "v1m"):
        assert json.loads((tmp_path / name / "clip" / "result.json").read_text())["model"] == name
    chosen = command("segment", clip, "--model", "mini", "--out", tmp_path / "chosen", "--save", "json")
    quiet = command("segment", clip, "--quiet", "--out", tmp_path / "quiet", "--save", "json")
    assert "default" not in chosen.err
    assert "cache" not in chosen.err
    assert quiet.err == ""
