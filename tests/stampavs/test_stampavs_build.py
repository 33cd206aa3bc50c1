"""Build of the data set: complete, exact, reproducible."""

from __future__ import annotations

import csv
import hashlib
import json
import time
import wave
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from auralsam2.errors import OutputError, UsageError
from auralsam2.stampavs.build import BuildPlan, build_stampavs


@pytest.fixture(scope="module")
def plan(stamps):
    return BuildPlan(stamps=stamps, seed=3, size=48, clips=4)


@pytest.fixture(scope="module")
def tree(plan, tmp_path_factory):
    root = tmp_path_factory.mktemp("stampavs") / "toys"
    build_stampavs(root, plan, workers=1)
    return root


def contents(root):
    """A fingerprint of every file, hidden ones too."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def masks(folder):
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])


def test_two_processes_give_the_same_bytes(tree, plan, tmp_path):
    build_stampavs(tmp_path / "again", plan, workers=2)
    assert contents(tmp_path / "again") == contents(tree)


def test_different_seeds_give_different_bytes(tree, plan, tmp_path, stamps):
    build_stampavs(tmp_path / "other", BuildPlan(stamps=stamps, seed=4, size=48, clips=1), workers=1)
    name = "media/train-standard-00000/audio.wav"
    assert contents(tmp_path / "other")[name] != contents(tree)[name]


def test_larger_build_begins_with_the_same_clips(tree, tmp_path, stamps):
    build_stampavs(tmp_path / "fewer", BuildPlan(stamps=stamps, seed=3, size=48, clips=1), workers=1)
    few, many = contents(tmp_path / "fewer"), contents(tree)
    shared = [name for name in few if name.startswith(("media/", "gt_mask/"))]
    assert shared
    assert all(few[name] == many[name] for name in shared)


def test_tables_list_every_clip(tree):
    facts = json.loads((tree / "stampavs.json").read_text())
    rows = table(tree / "metadata.csv")
    assert facts["schema"] == "stampavs/1"
    assert (facts["seed"], facts["size"]) == (3, 48)
    assert list(rows[0]) == ["uid", "split", "mix", "kind", "frames", "objects"]
    for split, counts in facts["counts"].items():
        for mix, count in counts.items():
            assert sum(row["split"] == split and row["mix"] == mix for row in rows) == count
    assert facts["counts"]["train"] == {"standard": 3, "hard": 1}
    assert facts["counts"]["test-unseen"] == {"standard": 4, "hard": 4}
    uids = [row["uid"] for row in rows]
    assert sorted(uids) == sorted(path.name for path in (tree / "media").iterdir())
    assert sorted(uids) == sorted(path.name for path in (tree / "gt_mask").iterdir())


def test_files_of_a_clip_are_consistent(tree):
    for row in table(tree / "metadata.csv"):
        media, truth = tree / "media" / row["uid"], tree / "gt_mask" / row["uid"]
        scene = json.loads((media / "scene.json").read_text(encoding="utf-8"))
        count, objects = int(row["frames"]), scene["objects"]
        assert (scene["split"], scene["mix"], scene["kind"]) == (row["split"], row["mix"], row["kind"])
        assert len(objects) == int(row["objects"])
        assert sorted(path.name for path in (media / "frames").iterdir()) == [f"{i}.jpg" for i in range(count)]
        assert Image.open(media / "frames" / "0.jpg").size == (48, 48)
        with wave.open(str(media / "audio.wav")) as sound:
            assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (2, 2, 16_000)
            assert sound.getnframes() == count * 16_000
        names = {f"fid_{item['fid']}" for item in objects} | {"sounding"}
        assert {path.name for path in truth.iterdir()} == names
        target = masks(truth / "sounding")
        assert target.shape == (count, 48, 48)
        assert target.dtype == np.uint8
        assert set(np.unique(target)) <= {0, 255}
        union = np.zeros_like(target)
        for item in objects:
            layer = masks(truth / f"fid_{item['fid']}")
            assert [int((mask > 0).sum()) for mask in layer] == item["area"]
            union |= layer * np.array(item["sounding"], dtype=np.uint8)[:, None, None]
        assert (union == target).all()


def test_mask_names_have_five_digits(tree):
    folder = next((tree / "gt_mask").iterdir()) / "sounding"
    assert min(path.name for path in folder.iterdir()) == "00000.png"


def test_expression_ids_contain_clip_and_object(tree):
    scenes = {
        path.name: json.loads((path / "scene.json").read_text(encoding="utf-8")) for path in (tree / "media").iterdir()
    }
    rows = table(tree / "expressions.csv")
    assert list(rows[0]) == ["vid", "uid", "split", "fid", "exp"]
    assert len({row["uid"] for row in rows}) == len(rows)
    for row in rows:
        clip, name, _ = row["uid"].rsplit("_", 2)
        assert clip == row["vid"]
        scene = scenes[clip]
        assert row["split"] == scene["split"]
        if row["fid"] == "0":
            assert name == "null"
        else:
            assert name == scene["objects"][int(row["fid"]) - 1]["category"]
    text = [item for scene in scenes.values() for item in scene["expressions"]]
    assert {item["needs_sound"] for item in text} == {True, False}
    assert not any(item["needs_sound"] for item in text if "hearing" not in item["claim"])
    by_split = {split: {row["fid"] for row in rows if row["split"] == split} for split in ("test-null", "test-seen")}
    assert by_split["test-null"] == {"0"}
    assert "0" not in by_split["test-seen"]


def test_held_out_categories_are_silent_in_training(tree):
    held = json.loads((tree / "stampavs.json").read_text())["held_out"]
    for row in table(tree / "metadata.csv"):
        scene = json.loads((tree / "media" / row["uid"] / "scene.json").read_text(encoding="utf-8"))
        outcome = {item["category"] for item in scene["objects"]}
        audible = {item["category"] for item in scene["objects"] if any(item["sounding"])}
        if row["split"] == "test-unseen":
            assert audible <= set(held["categories"])
        else:
            assert not outcome & set(held["categories"])


class StopError(Exception):
    pass


@contextmanager
def stopping(total):
    """Progress that breaks off half way."""
    done = []

    def advance(_):
        done.append(1)
        if len(done) > total // 2:
            raise StopError

    yield advance


def test_interrupted_build_is_resumed(tree, plan, tmp_path):
    root = tmp_path / "stopped"
    with pytest.raises(StopError):
        build_stampavs(root, plan, workers=1, progress=stopping)
    assert not (root / "stampavs.json").exists()
    assert not (root / "metadata.csv").exists()
    done = list((root / "media").iterdir())
    assert done
    first = done[0] / "audio.wav"
    before = first.stat().st_mtime_ns
    build_stampavs(root, plan, workers=1)
    assert first.stat().st_mtime_ns == before
    assert contents(root) == contents(tree)


def test_incomplete_clip_is_rebuilt(tree, plan, tmp_path):
    """A process that was killed between its two renames left the masks alone."""
    root = tmp_path / "killed"
    with pytest.raises(StopError):
        build_stampavs(root, plan, workers=1, progress=stopping)
    media = next((root / "media").iterdir())
    for path in sorted(media.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    media.rmdir()
    build_stampavs(root, plan, workers=1)
    assert contents(root) == contents(tree)


def test_killed_build_is_resumed(stamps, tmp_path, start):
    plan = BuildPlan(stamps=stamps, size=256, clips=4)  # large, so that there is time to kill it
    root = tmp_path / "killed"
    options = ("--stamps", stamps, "--clips", plan.clips, "--workers", 2)
    process = start("-m", "auralsam2", "data", "build-stampavs", root, *options)
    while process.poll() is None and not (root / "media" / "train-standard-00000").is_dir():
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (root / "stampavs.json").exists(), "killed too late to test anything"
    build_stampavs(root, plan, workers=1)
    build_stampavs(tmp_path / "whole", plan, workers=1)
    assert contents(root) == contents(tmp_path / "whole")


def test_complete_build_is_unchanged(tree, plan):
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}
    (tree / "unfinished.json").touch()  # the build was killed at its very last step
    build_stampavs(tree, plan, workers=1)
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before


def test_folder_with_other_files_is_refused(tree, plan, tmp_path, stamps):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds something else"):
        build_stampavs(tmp_path, plan)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(OutputError, match="other settings"):
        build_stampavs(tree, BuildPlan(stamps=stamps, seed=5, size=48, clips=4))


@pytest.mark.parametrize(("name", "value"), [("seed", -1), ("size", 16), ("size", 2000), ("clips", 0)])
def test_invalid_plans_are_refused(name, value):
    with pytest.raises(UsageError, match=f"`{name}={value}`"):
        BuildPlan(**{name: value})
