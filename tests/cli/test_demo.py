"""`auralsam2 demo` with small clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from auralsam2.cli import demo
from auralsam2.errors import EXIT_UNAVAILABLE, ConfigError
from auralsam2.hub import download
from auralsam2.media.frame_reader import read_frames
from auralsam2.media.probe import probe
from auralsam2.model import load
from auralsam2.outputs import rle
from helpers.media_files import numbered, tone, write_media

FRAMES = 3
SIZE = (48, 64)
"""H, W of the clip."""


def write_truth(bundle: Path, masks: dict[int, np.ndarray], name: str = "demo") -> None:
    frames = [{"index": index, "rle": rle.encode_rle(mask)} for index, mask in masks.items()]
    (bundle / f"{name}.json").write_text(json.dumps({"frames": frames}))


@pytest.fixture
def bundle(tmp_path):
    """Two clips, of three seconds and of one, without objects."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name, seconds in (("demo", FRAMES), ("demo-photograph", 1)):
        write_media(folder / f"{name}.mp4", [numbered(n) for n in range(10 * seconds)], sound=tone(seconds))
        write_truth(folder, {index: np.zeros(SIZE, bool) for index in range(seconds)}, name)
    return folder


def written_masks(out: Path, name: str = "demo") -> dict[int, np.ndarray]:
    return {int(path.stem): np.array(Image.open(path)) > 0 for path in (out / name / "masks").iterdir()}


def empty_share(masks: dict[int, np.ndarray]) -> float:
    return sum(not mask.any() for mask in masks.values()) / len(masks)


def test_score_is_the_mean_iou(bundle, small_model, tmp_path):
    photograph, first = demo.run_demo(tmp_path / "first", str(small_model), bundle)
    assert photograph.overlay == tmp_path / "first" / "demo-photograph" / "overlay.mp4"
    assert (photograph.frames, photograph.score) == (
        1,
        empty_share(written_masks(tmp_path / "first", "demo-photograph")),
    )
    actual = written_masks(tmp_path / "first")
    assert sorted(actual) == list(range(FRAMES))
    assert first.overlay == tmp_path / "first" / "demo" / "overlay.mp4"
    assert first.overlay.is_file()
    assert first.frames == FRAMES
    assert first.score == empty_share(actual)

    # A truth that the masks meet in full, in part and not at all.
    remaining = np.zeros(SIZE, bool)
    remaining[:, :32] = True
    truth = {0: actual[0], 1: actual[1] | remaining, 2: ~actual[2]}
    write_truth(bundle, truth)
    expected = [1.0, actual[1].sum() / (actual[1] | remaining).sum(), 0.0]
    _, second = demo.run_demo(tmp_path / "second", str(small_model), bundle)
    assert second.score == pytest.approx(np.mean(expected), abs=1e-12)


@pytest.mark.parametrize("name", demo.CLIPS)
def test_demo_clip_matches_its_ground_truth(name):
    """Each clip has seconds with and without sounding objects, and is small."""
    clip, truth = download.BUNDLED / f"{name}.mp4", demo.read_truth(download.BUNDLED / f"{name}.json")
    assert clip.stat().st_size <= 1_000_000
    frames = list(read_frames(clip, fps=1))
    assert [frame.index for frame in frames] == list(truth)
    assert {frame.image.shape[:2] for frame in frames} == {mask.shape for mask in truth.values()}
    assert probe(clip).audio_rate is not None
    audible = [mask.any() for mask in truth.values()]
    assert any(audible)
    assert not all(audible)
    # Objects differ from a plain ground inside their masks.
    for frame in frames if name == "demo" else ():
        mask = truth[frame.index]
        ground = np.median(frame.image.reshape(-1, 3), axis=0)
        offset = np.abs(frame.image - ground).mean(axis=2) > 12
        assert not mask.any() or offset[mask].mean() > 0.8


def test_demo_prints_overlay_and_score(bundle, small_model, tmp_path, monkeypatch, command):
    monkeypatch.setattr(download, "BUNDLED", bundle)
    outcome = command("demo", "--out", tmp_path / "out", "--model", small_model)
    assert outcome.code == 0
    lines = iter(outcome.out.splitlines())
    for name in demo.CLIPS:
        masks = written_masks(tmp_path / "out", name)
        assert next(lines) == f"overlay: {tmp_path / 'out' / name / 'overlay.mp4'}"
        assert next(lines) == f"M_J: {empty_share(masks):.3f} (mean IoU of {len(masks)} frames)"
    assert not list(lines)


@pytest.mark.parametrize("missing", ["demo.mp4", "demo.json", "demo-photograph.mp4"])
def test_missing_bundle_names_the_remedy(bundle, missing, tmp_path, monkeypatch, command):
    (bundle / missing).unlink()
    monkeypatch.setattr(download, "BUNDLED", bundle)
    outcome = command("demo", "--out", tmp_path / "out")
    assert outcome.code == EXIT_UNAVAILABLE
    assert "come with a later version" in outcome.error
    assert "auralsam2 segment VIDEO --model v1m" in outcome.error
    assert not (tmp_path / "out").exists()


def test_missing_model_writes_nothing(bundle, tmp_path, monkeypatch, command):
    monkeypatch.setattr(download, "BUNDLED", bundle)
    outcome = command("demo", "--out", tmp_path / "out")
    assert outcome.code == EXIT_UNAVAILABLE
    assert "'mini'" in outcome.error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "masks",
    [
        {0: np.zeros(SIZE, bool)},
        {index: np.zeros(SIZE, bool) for index in range(FRAMES + 1)},
        {index: np.zeros((SIZE[0] + 2, SIZE[1]), bool) for index in range(FRAMES)},
    ],
    ids=["too few", "too many", "another size"],
)
def test_ground_truth_of_another_clip_is_refused(masks, bundle, small_model, tmp_path):
    write_truth(bundle, masks)
    with pytest.raises(ConfigError, match=r"demo\.json: frame \d of clip and truth do not match"):
        list(demo.run_demo(tmp_path / "out", str(small_model), bundle))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"frames": []}', '{"frames": [{"index": 0, "rle": 1}]}'])
def test_damaged_ground_truth_is_refused(text, tmp_path):
    (tmp_path / "demo.json").write_text(text)
    with pytest.raises(ConfigError, match=r"demo\.json: .*install the package again"):
        demo.read_truth(tmp_path / "demo.json")


@pytest.mark.parametrize(("end", "intervals"), [(None, [[0, 6], [8, 10]]), (2.5, [[0, 2.5]])])
def test_intervals_of_the_bundled_clip_are_exact(tmp_path, end, intervals):
    folder = load("mini").segment(download.BUNDLED / "demo.mp4", end=end).save(tmp_path)
    result = json.loads((folder / "result.json").read_text())
    assert result["intervals"] == intervals
    info = probe(folder / "overlay.mp4")
    assert info.duration == pytest.approx(intervals[-1][1], abs=0.1)
    with read_frames(folder / "overlay.mp4") as reader:
        assert [frame.time for frame in reader] == pytest.approx(range(len(result["frames"])), abs=1e-3)
