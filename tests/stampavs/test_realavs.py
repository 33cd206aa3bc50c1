"""RealAVS: sources by split, cutouts, exact masks, resumed builds, and the reader."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from auralsam2.data import open_dataset
from auralsam2.data.load import load_clip
from auralsam2.errors import InputError, OutputError, UsageError
from auralsam2.stampavs.photographs import cut_out, cut_share, decode_segmentation, read_sources
from auralsam2.stampavs.realavs import RealPlan, build_realavs
from helpers.photograph_sources import KINDS, colour, write_sources


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    return write_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def plan(sources) -> RealPlan:
    return RealPlan(sources=sources, seed=1, size=64, train=2, test=3, excluded=())


@pytest.fixture(scope="module")
def tree(plan, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("realavs") / "real"
    build_realavs(root, plan)
    return root


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_segmentations_decode_to_the_same_mask(sources):
    masks = {mask.kind: mask.mask for mask in read_sources(sources, "train").masks}
    assert list(masks) == list(KINDS)
    assert all((mask == masks["cat"]).all() for mask in masks.values())
    runs = {"size": [2, 3], "counts": [1, 2, 3]}
    assert decode_segmentation(runs, 2, 3).tolist() == [[False, True, False], [True, False, False]]


def test_objects_cut_by_the_border_are_recognised():
    mask = np.zeros((40, 40), bool)
    mask[10:30, 0:20] = True
    assert cut_share(mask) == pytest.approx(20 / 80)
    assert cut_share(np.roll(mask, 5, axis=1)) == 0


def test_a_cutout_is_opaque_inside_its_mask_and_feathered_at_the_outline(sources):
    mask = read_sources(sources, "train").masks[0]
    pixels = np.asarray(cut_out(mask))
    assert (pixels[..., :3][mask.mask] == colour(0, "train")).all()
    assert ((pixels[..., 3] > 127) == mask.mask).mean() > 0.998
    assert np.unique(pixels[..., 3]).size > 2


def test_each_split_uses_its_own_sources(tree):
    for path in sorted((tree / "media").iterdir()):
        scene = json.loads((path / "scene.json").read_text())
        split = path.name.partition("-")[0]
        numbers = {int(item["stamp"].rsplit("-", 1)[1]) for item in scene["objects"]}
        assert numbers <= ({1, 2, 3} if split == "train" else {4, 5, 6})
        played = {item["recording"] for item in scene["objects"] if item["recording"]}
        assert all(name.endswith("train" if split == "train" else "held-out") for name in played)


def test_masks_are_where_the_objects_are(tree):
    """Colours of cutouts differ from the grey background by far more than noise and blur."""
    for path in sorted((tree / "media").iterdir()):
        frame = np.asarray(Image.open(path / "frames/0.jpg")).astype(int)
        folder = tree / "gt_mask" / path.name
        masks = [np.asarray(Image.open(one / "00000.png")) > 0 for one in sorted(folder.glob("fid_*"))]
        coloured = np.ptp(frame, axis=2) > 60
        union = np.logical_or.reduce(masks)
        assert (coloured & union).sum() / (coloured | union).sum() > 0.85


def test_equal_settings_give_equal_bytes_and_an_interrupted_build_is_resumed(tree, plan, tmp_path):
    root = tmp_path / "again"

    class StopAfterTwo:
        def __init__(self, total: int) -> None:
            self.left = 2

        def __enter__(self):
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def __call__(self, _: object) -> None:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_realavs(root, plan, progress=StopAfterTwo)
    assert not (root / "realavs.json").exists()
    build_realavs(root, plan)
    assert contents(root) == contents(tree)


def test_another_plan_does_not_overwrite(tree, sources):
    with pytest.raises(OutputError, match="other settings"):
        build_realavs(tree, RealPlan(sources=sources, seed=2, size=64, train=2, test=3, excluded=()))


def test_the_reader_gives_both_splits(tree):
    reader = open_dataset("realavs", tree)
    assert len(reader.listing("train").samples) == 2
    samples = reader.listing("test").samples
    assert len(samples) == 3
    clip = load_clip(samples[0], 64)
    assert clip.labels.any()
    assert clip.log_mel.shape[1:] == (2, 96, 64)


def test_excluded_categories_have_no_mask_and_no_recording(sources):
    found = read_sources(sources, "train", frozenset({"dog"}))
    assert {mask.kind for mask in found.masks} == {sound.category for sound in found.sounds} == {"cat", "pig"}


def test_categories_that_stampavs_holds_out_are_excluded_by_default(sources):
    assert "elephant" in RealPlan(sources=sources).left_out


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("photos.json", "[]", "COCO"),
        ("sounds.csv", "file\n", "no rows"),
        ("backgrounds.csv", "file\nx\n", "column split"),
    ],
)
def test_damaged_sources_are_named(sources, tmp_path, file, text, message):
    for path in sources.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / file).unlink()
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=message):
        read_sources(tmp_path, "train")


def test_impossible_settings_are_refused(sources):
    with pytest.raises(UsageError, match="train=-1"):
        RealPlan(sources=sources, train=-1)


def test_the_command_builds(command, sources, tmp_path):
    outcome = command("data", "build-realavs", sources, tmp_path / "r", "--size", 48, "--train", 0, "--test", 1)
    assert outcome.code == 0, outcome.err
    assert "test: 1 clips; sounding: cat, dog, pig" in outcome.out
