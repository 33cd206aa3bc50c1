"""`auralsam2 data check`: what it finds, and how it tells."""

from __future__ import annotations

import json
import wave

import numpy as np
import pytest
from PIL import Image

import helpers.dataset_trees
from auralsam2.data import open_dataset
from auralsam2.data.base import PublishedCounts
from auralsam2.data.check import check_split


@pytest.fixture
def root(tmp_path):
    return helpers.dataset_trees.write_stampavs(tmp_path / "stamp")


@pytest.fixture
def report():
    """Checks one split of a data set and gives what was found, but for the counts."""

    def check(name, root, split):
        reader = open_dataset(name, root)
        return check_split(reader, reader.listing(split))

    return check


def findings(report):
    return [(problem.kind, problem.line, problem.excluded) for problem in report.problems if problem.kind != "count"]


@pytest.mark.parametrize(
    ("name", "write", "split"),
    [
        ("v1s", helpers.dataset_trees.write_avsbench, "test"),
        ("v1m", helpers.dataset_trees.write_avsbench, "train"),
        ("v2", helpers.dataset_trees.write_avsbench, "train"),
        ("v2-semantic", helpers.dataset_trees.write_avsbench, "test"),
        ("s4", helpers.dataset_trees.write_object_release, "train"),
        ("ms3", helpers.dataset_trees.write_object_release, "test"),
        ("ref-avs", helpers.dataset_trees.write_ref_avs, "test_s"),
        ("ref-avs", helpers.dataset_trees.write_ref_avs, "test_n"),
        ("stampavs", helpers.dataset_trees.write_stampavs, "test-seen-hard"),
        ("stampavs-ref", helpers.dataset_trees.write_stampavs, "test-null"),
        ("vpo-ss", helpers.dataset_trees.write_vpo, "test"),
        ("vpo-ms", helpers.dataset_trees.write_vpo, "test"),
        ("vpo-msmi", helpers.dataset_trees.write_vpo, "test"),
        ("avs-synthetic", helpers.dataset_trees.write_avs_synthetic, "train"),
    ],
)
def test_nothing_is_wrong_with_a_tree_as_published(report, tmp_path, name, write, split):
    found = report(name, write(tmp_path), split)
    assert findings(found) == []
    assert found.usable == found.samples > 0


def test_counts_are_compared_with_the_published_ones(report, tmp_path):
    found = report("v1m", helpers.dataset_trees.write_avsbench(tmp_path), "test")
    assert [problem.message for problem in found.problems] == [
        "test has 2 rows, published are 64",
        "test has 2 clips, published are 64",
    ]
    assert all(problem.counts and not problem.excluded for problem in found.problems)


def test_a_split_with_the_published_counts_is_fine(report, tmp_path, monkeypatch):
    monkeypatch.setattr("auralsam2.data.ref_avs.PUBLISHED", {"test_s": PublishedCounts(2, 1)})
    assert report("ref-avs", helpers.dataset_trees.write_ref_avs(tmp_path), "test_s").problems == ()


def test_a_frame_that_cannot_be_read_leaves_out_every_sample_of_the_clip(report, tmp_path):
    root = helpers.dataset_trees.write_ref_avs(tmp_path)
    (root / "media" / "o_ooooooooo_0_10000" / "frames" / "4.jpg").write_bytes(b"x")
    found = report("ref-avs", root, "test_s")
    assert findings(found) == [("unreadable", 5, True), ("unreadable", 6, True)]
    assert (found.samples, found.usable) == (2, 0)


def test_a_label_that_cannot_be_read_leaves_out_its_sample(report, tmp_path):
    root = helpers.dataset_trees.write_ref_avs(tmp_path)
    path = root / "gt_mask" / "o_ooooooooo_0_10000" / "fid_2" / "00004.png"
    path.write_bytes(path.read_bytes()[:40])
    found = report("ref-avs", root, "test_s")
    assert findings(found) == [("unreadable", 6, True)]
    assert found.usable == 1


def test_a_sound_that_cannot_be_read(report, root):
    (root / "media" / "train_00000" / "audio.wav").write_bytes(b"x" * 100)
    found = report("stampavs", root, "train")
    assert findings(found) == [("unreadable", 2, True)]
    assert found.usable == 0


def test_what_is_missing_is_counted_with_what_cannot_be_read(report, root):
    (root / "media" / "test-seen_00000" / "audio.wav").unlink()
    (root / "gt_mask" / "test-seen_00001" / "sounding" / "00001.png").write_bytes(b"")
    found = report("stampavs", root, "test-seen")
    assert findings(found) == [("missing", 3, True), ("unreadable", 4, True)]
    assert (found.rows, found.clips, found.samples, found.usable) == (2, 1, 2, 0)


def test_mono_sound_is_told_and_used(report, root):
    helpers.dataset_trees.write_wav(root / "media" / "train_00000" / "audio.wav", 5, channels=1)
    found = report("stampavs", root, "train")
    assert findings(found) == [("mono", 2, False)]
    assert found.usable == 1


def test_short_sound_is_told_and_used_as_long_as_it_has_an_example(report, root):
    sound = root / "media" / "train_00000" / "audio.wav"
    helpers.dataset_trees.write_wav(sound, 4.8)
    found = report("stampavs", root, "train")
    assert findings(found) == [("short", 2, False)]
    assert "4.800 s of sound are 4 of 5 log-mel examples" in found.problems[0].message
    helpers.dataset_trees.write_wav(sound, 4.815)
    assert findings(report("stampavs", root, "train")) == []
    helpers.dataset_trees.write_wav(sound, 0.9)
    assert findings(report("stampavs", root, "train")) == [("unreadable", 2, True)]


def test_sound_that_breaks_off_is_told(report, root):
    sound = root / "media" / "train_00000" / "audio.wav"
    sound.write_bytes(sound.read_bytes()[:200_000])
    assert ("damaged", 2, False) in findings(report("stampavs", root, "train"))


def test_pictures_of_wrong_sizes(report, root):
    helpers.dataset_trees.write_picture(
        root / "media" / "train_00000" / "frames" / "3.jpg", helpers.dataset_trees.frame(3, (40, 27))
    )
    helpers.dataset_trees.write_picture(
        root / "gt_mask" / "train_00000" / "sounding" / "00001.png", helpers.dataset_trees.rectangle(1, (9, 7))
    )
    found = report("stampavs", root, "train")
    told = [problem.message for problem in found.problems if problem.kind == "size"]
    assert told[0].endswith("frames/3.jpg: 40 x 27 pixels, the first has 35 x 27")
    assert told[1].endswith("sounding/00001.png: 9 x 7 pixels, its frame has 35 x 27")
    # The masks of frame 3, one of what sounds and two of objects, fit its neighbours.
    assert len(told) == 5
    assert not any(problem.counts for problem in found.problems)


def test_the_object_release_has_one_size(report, tmp_path):
    found = report("s4", helpers.dataset_trees.write_object_release(tmp_path, size=(35, 27)), "train")
    assert findings(found) == [("size", 2, False)] * 5
    assert found.problems[-1].message.endswith("35 x 27 pixels, all have 224 x 224")


def test_colours_outside_the_palette(report, tmp_path):
    root = helpers.dataset_trees.write_avsbench(tmp_path)
    path = root / "v1m" / "fffffffffff" / "labels_rgb" / "4.png"
    pixels = np.array(Image.open(path))
    pixels[0, :3] = (1, 2, 3)
    Image.fromarray(pixels).save(path)
    assert findings(report("v1m", root, "test")) == []  # there, what is not black is the object
    (problem,) = [each for each in report("v2-semantic", root, "test").problems if each.kind != "count"]
    assert (problem.kind, problem.id, problem.excluded) == ("label", "v1m/fffffffffff", False)
    assert "4.png: 3 pixels of no known class" in problem.message


def test_null_masks_that_show_something(report, tmp_path):
    root = helpers.dataset_trees.write_ref_avs(tmp_path)
    clip = "null_m-o_ooooooooo_0_10000"
    helpers.dataset_trees.write_picture(
        root / "gt_mask" / clip / "fid_0" / "00007.png", helpers.dataset_trees.rectangle(7)
    )
    found = report("ref-avs", root, "test_n")
    assert findings(found) == [("label", 9, False)]


def test_each_file_of_a_clip_is_opened_once(report, tmp_path, monkeypatch):
    from auralsam2.data import check

    opened = []
    monkeypatch.setattr(check, "read_frame", lambda path: opened.append(path) or np.zeros((27, 35, 3), dtype=np.uint8))
    report("ref-avs", helpers.dataset_trees.write_ref_avs(tmp_path), "test_s")
    assert len(opened) == len(set(opened)) == 10


def test_progress_is_told_clip_by_clip(root):
    reader, steps = open_dataset("stampavs-ref", root), []
    check_split(reader, reader.listing("test-seen"), lambda: steps.append(1))
    assert len(steps) == 2


def test_a_fine_data_set_ends_with_0(command, root):
    outcome = command("data", "check", "--dataset", "stampavs", "--root", root)
    assert outcome.code == 0
    assert outcome.err == ""
    lines = outcome.out.splitlines()
    assert lines[0] == f"stampavs in {root}, listed by {root}/metadata.csv"
    assert lines[1].split() == ["split", "rows", "published", "clips", "published", "samples", "usable"]
    assert [line.split()[0] for line in lines[2:-1]] == ["train", "test-seen", "test-null", "test-seen-hard"]
    assert lines[3].split() == ["test-seen", "2", "2", "2", "2", "2", "2"]
    assert lines[-1] == "0 problems, 0 samples excluded"


def test_findings_end_with_1_and_stand_with_their_lines(command, root):
    (root / "media" / "test-seen_00000" / "audio.wav").unlink()
    helpers.dataset_trees.write_wav(root / "media" / "train_00000" / "audio.wav", 5, channels=1)
    outcome = command("data", "check", "--dataset", "stampavs", "--root", root)
    assert outcome.code == 1
    sound = root / "media" / "train_00000" / "audio.wav"
    mono = f"mono: metadata.csv:2: train_00000: {sound}: one channel of sound, it is heard on both sides"
    assert mono in outcome.out
    gone = root / "media" / "test-seen_00000" / "audio.wav"
    assert f"excluded: metadata.csv:3: test-seen_00000: {gone}: no such file" in outcome.out
    assert outcome.out.splitlines()[-1] == "3 problems, 1 samples excluded"


def test_notes_alone_end_with_0(command, root):
    helpers.dataset_trees.write_wav(root / "media" / "train_00000" / "audio.wav", 5, channels=1)
    assert command("data", "check", "--dataset", "stampavs", "--root", root).code == 0


def test_other_counts_than_published_end_with_1(command, tmp_path):
    outcome = command("data", "check", "--dataset", "ref-avs", "--root", helpers.dataset_trees.write_ref_avs(tmp_path))
    assert outcome.code == 1
    assert "count: metadata.csv: test_s has 2 rows, published are 2288" in outcome.out


def test_rows_of_no_split_end_with_1(command, root):
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace("train_00000,train", "train_00000,tarin"))
    outcome = command("data", "check", "--dataset", "stampavs", "--root", root)
    assert outcome.code == 1
    assert "excluded: metadata.csv:2: train_00000: split 'tarin' is none of train, val" in outcome.out


def test_long_lists_are_cut_and_json_has_them_all(command, root):
    scenes = [(f"train_{number:05}", "train", "standard", "single", 5) for number in range(30)]
    helpers.dataset_trees.write_csv(
        root / "metadata.csv", "uid,split,mix,kind,frames,objects", [(*each, 2) for each in scenes]
    )
    shown = command("data", "check", "--dataset", "stampavs", "--root", root).out
    assert shown.count("excluded: ") == 20
    assert "and 9 more of train of kind missing; --json lists all" in shown
    outcome = command("data", "check", "--dataset", "stampavs", "--root", root, "--json")
    assert outcome.code == 1
    told = json.loads(outcome.out)
    assert (told["dataset"], told["root"], told["fine"]) == ("stampavs", str(root), False)
    missing = [problem for problem in told["problems"] if problem["kind"] == "missing"]
    assert [problem["line"] for problem in missing] == list(range(3, 32))
    assert all(problem["excluded"] for problem in missing)
    assert told["splits"][0] == {
        "split": "train",
        "rows": 30,
        "published_rows": 1,
        "clips": 1,
        "published_clips": 1,
        "samples": 30,
        "usable": 1,
    }


@pytest.mark.parametrize("name", ["v1s", "v2-semantic", "s4", "ref-avs", "stampavs", "vpo-ss", "avs-synthetic"])
def test_a_folder_of_something_else_ends_with_3(command, tmp_path, name):
    outcome = command("data", "check", "--dataset", name, "--root", tmp_path)
    assert outcome.code == 3
    assert str(tmp_path) in outcome.error
    assert outcome.error.endswith("see docs/guide/datasets.md")


def test_no_folder_ends_with_3_and_no_such_name_with_2(command, tmp_path):
    assert command("data", "check", "--dataset", "v1s", "--root", tmp_path / "nowhere").code == 3
    outcome = command("data", "check", "--dataset", "imagenet", "--root", tmp_path)
    assert outcome.code == 2
    assert "choose from v1s, v1m" in outcome.error


def test_a_wav_with_a_header_alone(report, root):
    with wave.open(str(root / "media" / "train_00000" / "audio.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
    assert findings(report("stampavs", root, "train")) == [("unreadable", 2, True)]


def test_the_help_names_every_data_set(command):
    from auralsam2.data import NAMES

    shown = "".join(command("data", "check", "--help").out.split())  # the line may break at a hyphen
    for name in NAMES:
        assert name in shown
