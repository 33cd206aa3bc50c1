"""RealAVS: sources by split, cutouts, exact masks, resumed builds, and the reader."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from auralsam2.data import open_dataset
from auralsam2.data.load import load_clip
from auralsam2.errors import InputError, OutputError, UsageError
from auralsam2.stampavs.photographs import cut_out, cut_share, decode_segmentation, read_sources
from auralsam2.stampavs.realavs import RealPlan, build_realavs
from helpers.media_files import tone, write_media

KINDS = ("cat", "dog", "pig")
WIDTH, HEIGHT = 120, 100
BOX = (20, 15, 99, 89)
CREDIT = {"licence": "CC0", "author": "nobody known"}


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def colour(kind: int, split: str) -> tuple[int, int, int]:
    return (200 - 60 * kind, 40 + 60 * kind, 220 if split == "train" else 30)


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """Two photographs a kind, one held out; the pig's mask is a polygon, the others are run lengths."""
    folder = tmp_path_factory.mktemp("sources")
    images, annotations, backgrounds, sounds = [], [], [], []
    for part in ("photos", "backgrounds", "sounds"):
        (folder / part).mkdir()
    x0, y0, x1, y1 = BOX
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y0 : y1 + 1, x0 : x1 + 1] = 1
    coded = coco.encode(np.asfortranarray(mask))
    rle = {"size": coded["size"], "counts": coded["counts"].decode()}
    polygon = [[x0, y0, x1 + 1, y0, x1 + 1, y1 + 1, x0, y1 + 1]]
    for split in ("train", "held-out"):
        for kind, name in enumerate(KINDS):
            number = len(images) + 1
            picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            picture[mask > 0] = colour(kind, split)
            Image.fromarray(picture).save(folder / f"photos/{number}.png")
            images.append(
                {"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT, "split": split}
                | {"licence": "CC BY 4.0", "origin": f"set {split}"}
            )
            annotations.append(
                {"id": number, "image_id": number, "category_id": kind, "iscrowd": 0, "bbox": [x0, y0, 80, 75]}
                | {"segmentation": polygon if name == "pig" else rle}
            )
            wave = tone(1.5, frequency=300 + 200 * kind + (50 if split == "train" else 0), channels=1)
            write_media(folder / f"sounds/{name}-{split}.ogg", sound=wave, audio_codec="flac")
            sounds.append({"file": f"{name}-{split}.ogg", "folder": name, "category": name, "split": split} | CREDIT)
        Image.fromarray(np.full((80, 90, 3), 120 if split == "train" else 60, np.uint8)).save(
            folder / f"backgrounds/{split}.png"
        )
        backgrounds.append({"file": f"{split}.png", "split": split} | CREDIT)
    crowd = {"id": 99, "image_id": 1, "category_id": 0, "iscrowd": 1, "bbox": [0, 0, 99, 99], "segmentation": rle}
    categories = [{"id": kind, "name": name, "supercategory": "animal"} for kind, name in enumerate(KINDS)]
    values = {"images": images, "annotations": [*annotations, crowd], "categories": categories}
    (folder / "photos.json").write_text(json.dumps(values))
    write_table(folder / "backgrounds.csv", backgrounds)
    write_table(folder / "sounds.csv", sounds)
    return folder


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
