"""The Space outside of the wheel."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from auralsam2.errors import UsageError
from auralsam2.media.probe import probe
from helpers.media_files import write_clip

APP = Path(__file__).parents[2] / "spaces" / "app.py"


def test_overlay_of_an_uploaded_video(small_model: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("space", APP)
    assert spec is not None
    assert spec.loader is not None
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    video = write_clip(tmp_path / "dog.mp4")
    overlay = probe(Path(app.segment(str(video), "  ", str(small_model))))
    assert (overlay.width, overlay.height) == (64, 48)
    assert overlay.fps == pytest.approx(10)
    assert overlay.audio_rate is not None
    with pytest.raises(UsageError, match="reads no text"):
        app.segment(str(video), "the dog", str(small_model))
