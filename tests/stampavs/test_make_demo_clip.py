"""Demo clip: its frames at one per second match the ground truth."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from auralsam2.cli.demo import read_truth
from auralsam2.errors import EXIT_UNUSABLE, UsageError
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.frame_reader import read_frames
from auralsam2.media.probe import probe
from auralsam2.modeling.log_mel import log_mel
from auralsam2.types import AUDIO_RATE
from projects.mini import make_demo_clip
from projects.mini.make_demo_clip import FPS, SECONDS, draw_demo_clip

SIZE = 96
CLIP, TRUTH, LICENCE = "demo.mp4", "demo.json", "demo-licence.md"


@pytest.fixture(scope="module")
def demo_clip(stamps):
    return draw_demo_clip(stamps, seed=1, size=SIZE)


@pytest.fixture(scope="module")
def folder(demo_clip, tmp_path_factory):
    return make_demo_clip.write_demo_clip(tmp_path_factory.mktemp("demo") / "new" / "bundle", demo_clip).parent


def test_make_demo_clip_writes_its_files_alone(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted([CLIP, TRUTH, LICENCE])
    info = probe(folder / CLIP)
    assert (info.width, info.height) == (SIZE, SIZE)
    assert info.duration == pytest.approx(SECONDS, abs=0.1)


def test_processed_frames_match_the_ground_truth(folder, demo_clip):
    frames = list(read_frames(folder / CLIP, fps=1))
    facts = json.loads((folder / TRUTH).read_text())
    assert [(f.index, f.time) for f in frames] == [(f["index"], f["time"]) for f in facts["frames"]]
    assert len(frames) == SECONDS
    # Told from what the scene shows a tenth of a second earlier and later.
    for frame in frames[1:-1]:
        offset = [
            np.abs(demo_clip.scene.renderer.render_frame(frame.index + shift)[0].astype(int) - frame.image).mean()
            for shift in (-0.1, 0.0, 0.1)
        ]
        assert offset[1] == min(offset)
        assert offset[1] < 3
        assert (demo_clip.scene.renderer.render_frame(frame.index)[0] == demo_clip.scene.frames[frame.index]).all()


def test_ground_truth_matches_the_audio(folder, demo_clip):
    truth = read_truth(folder / TRUTH)
    assert list(truth) == list(range(SECONDS))
    for index, mask in truth.items():
        assert (mask == demo_clip.scene.target[index]).all()
    assert any(mask.any() for mask in truth.values())


def test_demo_clip_moves_between_frames(folder):
    images = [frame.image.astype(int) for frame in read_frames(folder / CLIP)]
    assert len(images) == SECONDS * FPS
    half = FPS // 2
    within = [np.abs(images[half + n] - images[half]).mean() for n in (FPS // 4, FPS // 2, FPS)]
    assert 0 < within[0] < within[1] < within[2]


def test_poses_are_interpolated_between_frames(demo_clip):
    (path, *_) = demo_clip.scene.renderer.paths
    first, between, second = (path.pose(frame) for frame in (2, 2.25, 3))
    assert between.x == pytest.approx(0.75 * first.x + 0.25 * second.x)
    assert between.angle == pytest.approx(0.75 * first.angle + 0.25 * second.angle)
    assert path.pose(-1) == path.pose(0)
    assert (path.pose(3).x, path.pose(3).y) == tuple(path.centre[3])


def test_log_mel_examples_contain_the_mix(folder, demo_clip):
    with SoundTrack(folder / CLIP) as track:
        audible = track.read(0.0, SECONDS)
    spectra = [log_mel(torch.from_numpy(samples.T.copy())).numpy() for samples in (audible, demo_clip.scene.samples)]
    offset = np.abs(spectra[0] - spectra[1]).mean()
    apart = np.abs(spectra[1] - spectra[1].mean(axis=1, keepdims=True)).mean()
    assert offset < 0.15 * apart
    loud = np.square(audible[: SECONDS * AUDIO_RATE]).reshape(SECONDS, -1).mean(axis=1) > 1e-6
    # A run of sound ends in its last second, so that silence is silence in the file too.
    assert (loud == demo_clip.scene.sounding.any(axis=0)).all()


def test_licence_lists_used_stamps(folder, demo_clip):
    text = (folder / LICENCE).read_text()
    for item in demo_clip.scene.objects:
        assert f"- `{item.stamp}`\n" in text
        assert item.track is None or f"- `{item.track.recording}`\n" in text
    assert "GNU" not in text, "the notice claims no licence for unknown stamps"


def test_clip_over_a_photograph(stamps, tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (140, 120, 3), np.uint8)).save(tmp_path / "ground.png")
    clip = draw_demo_clip(stamps, seed=1, size=SIZE, background=tmp_path / "ground.png")
    make_demo_clip.write_demo_clip(tmp_path / "out", clip)
    names = ["demo-photograph-licence.md", "demo-photograph.json", "demo-photograph.mp4"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert json.loads((tmp_path / "out" / names[1]).read_text())["background"] == "ground.png"
    assert "ground.png" in (tmp_path / "out" / names[0]).read_text()
    # Noise of the photograph is visible beside the objects.
    free = ~clip.scene.masks[:, 0].any(axis=0)
    assert clip.scene.frames[0][free].std() > 40


def test_clip_is_reproducible(stamps, tmp_path, capsys):
    (tmp_path / "mini").mkdir()
    assert make_demo_clip.main(["--stamps", str(stamps), "--out", str(tmp_path), "--seed", "1"]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / CLIP}: ")
    assert json.loads((tmp_path / TRUTH).read_text()) == json.loads(
        json.dumps(make_demo_clip.describe_demo_clip(draw_demo_clip(stamps, seed=1)))
    )
    assert (tmp_path / "mini").is_dir(), "what else is in the folder stays"
    assert make_demo_clip.describe_demo_clip(draw_demo_clip(stamps, seed=2)) != make_demo_clip.describe_demo_clip(
        draw_demo_clip(stamps, seed=1)
    )


def test_negative_seed_is_refused(stamps, tmp_path, capsys):
    with pytest.raises(UsageError, match="--seed -1"):
        draw_demo_clip(stamps, seed=-1)
    assert (
        make_demo_clip.main(["--stamps", str(stamps), "--out", str(tmp_path / "out"), "--seed", "-1"]) == EXIT_UNUSABLE
    )
    assert "--seed -1 must be 0 or greater" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
