"""AVSBench in both of its layouts."""

from __future__ import annotations

import shutil

import pytest

from auralsam2.data import open_dataset
from auralsam2.errors import InputError, UnavailableError, UsageError
from helpers.dataset_trees import AVSBENCH, write_avsbench, write_csv, write_object_release


@pytest.fixture
def root(tmp_path):
    return write_avsbench(tmp_path / "AVSBench")


def ids(name, root, split):
    return [sample.id for sample in open_dataset(name, root).listing(split).samples]


def only_problem(listing):
    (problem,) = listing.problems
    assert problem.excluded
    return problem


def test_a_part_keeps_the_order_of_the_csv(root):
    assert ids("v1s", root, "test") == ["v1s/bb-bbbbbb_b_5000_10000", "v1s/ccccccccccc_0_5000"]
    assert ids("v1m", root, "test") == ["v1m/eeeeeeeeeee_1", "v1m/fffffffffff"]


@pytest.mark.parametrize("name", ["v2", "v2-semantic"])
def test_v2_pools_the_parts_one_after_another(root, name):
    assert ids(name, root, "test") == [
        "v1s/bb-bbbbbb_b_5000_10000",
        "v1s/ccccccccccc_0_5000",
        "v1m/eeeeeeeeeee_1",
        "v1m/fffffffffff",
        "v2/-_hhhhhhhhh_1000_11000",
    ]


def test_paths_and_lines_of_a_sample(root):
    sample = open_dataset("v2", root).listing("test").samples[-1]
    folder = root / "v2" / "-_hhhhhhhhh_1000_11000"
    assert sample.frames == tuple(folder / "frames" / f"{number}.jpg" for number in range(10))
    assert sample.labels == tuple((folder / "labels_rgb" / f"{number}.png",) for number in range(10))
    assert sample.audio == folder / "audio.wav"
    assert sample.supervised == (True,) * 10
    assert sample.line == 2 + [uid for _, uid, _ in AVSBENCH].index("-_hhhhhhhhh_1000_11000")
    assert (sample.dataset, sample.split, sample.coding, sample.expression) == ("v2", "test", "mask", None)
    assert sample.categories == ("dog", "guitar")


def test_only_v2_semantic_asks_for_classes(root):
    codings = {name: open_dataset(name, root).listing("test").samples[0].coding for name in ("v1s", "v2-semantic")}
    assert codings == {"v1s": "mask", "v2-semantic": "avss"}


@pytest.mark.parametrize(
    ("name", "split", "flags"),
    [
        ("v1s", "train", (True, False, False, False, False)),
        ("v2", "train", (True, False, False, False, False)),
        ("v2-semantic", "train", (True, False, False, False, False)),
        ("v1s", "test", (True,) * 5),
        ("v1s", "val", (True,) * 5),
        ("v1m", "train", (True,) * 5),
    ],
)
def test_which_frames_are_supervised(root, name, split, flags):
    sample = open_dataset(name, root).listing(split).samples[0]
    assert sample.supervised == flags
    assert tuple(bool(paths) for paths in sample.labels) == flags


def test_labels_of_later_frames_do_not_make_a_training_clip_supervised(root):
    folder = root / "v1s" / "aaaaaaaaaaa_0_5000" / "labels_rgb"
    shutil.copy(folder / "0.png", folder / "1.png")
    (sample,) = open_dataset("v1s", root).listing("train").samples
    assert sample.supervised == (True, False, False, False, False)
    assert sample.labels == ((folder / "0.png",), (), (), (), ())


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("index", ["metadata.csv", "avss_index/metadata.csv"])
def test_both_places_of_the_csv_and_both_line_ends(tmp_path, index, ending):
    root = write_avsbench(tmp_path, index=index, ending=ending)
    assert len(open_dataset("v2", root).listing("train").samples) == 3


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        (("v1s", "s4"), (3452, 740, 740)),
        (("v1m", "ms3"), (296, 64, 64)),
        (("v2", "v2-semantic"), (8498, 1304, 1554)),
    ],
)
def test_published_counts(tmp_path, names, counts):
    """Of the csv of the semantic release; the object release has the same clips."""
    root = write_object_release(write_avsbench(tmp_path))
    for name in names:
        splits = open_dataset(name, root).splits
        assert {split: size.rows for split, size in splits.items()} == dict(
            zip(("train", "val", "test"), counts, strict=True)
        )
        assert all(size.rows == size.clips for size in splits.values())


def test_a_uid_that_comes_again_is_left_out(tmp_path):
    root = write_avsbench(tmp_path, [*AVSBENCH, ("v1m", "fffffffffff", "test")])
    listing = open_dataset("v1m", root).listing("test")
    assert [sample.id for sample in listing.samples] == ["v1m/eeeeeeeeeee_1", "v1m/fffffffffff"]
    problem = only_problem(listing)
    assert (problem.kind, problem.line, problem.message) == ("row", 11, "listed before, in line 9")


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ("frames", "frames: no such folder"),
        ("frames/3.jpg", "frames: no .jpg file with number 3"),
        ("labels_rgb/4.png", "labels_rgb: no .png file with number 4"),
        ("audio.wav", "audio.wav: no such file"),
    ],
)
def test_what_is_missing_is_listed_with_its_line_and_left_out(root, gone, told):
    path = root / "v1s" / "bb-bbbbbb_b_5000_10000" / gone
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    listing = open_dataset("v2", root).listing("test")
    problem = only_problem(listing)
    assert (problem.kind, problem.line, problem.id) == ("missing", 6, "bb-bbbbbb_b_5000_10000")
    assert problem.message.endswith(told)
    assert str(problem) == f"metadata.csv:6: bb-bbbbbb_b_5000_10000: {problem.message}"
    assert len(listing.samples) == 4
    assert (listing.rows, listing.groups, listing.clips) == (5, 5, 4)


def test_names_in_the_csv_stay_in_their_folder(root):
    rows = [("x", "../v1s/ccccccccccc_0_5000", 0, 0, "", "test", "v1s"), ("x", "..", 0, 0, "", "test", "v1s")]
    write_csv(root / "metadata.csv", "vid,uid,s_min,s_sec,a_obj,split,label", rows)
    listing = open_dataset("v1s", root).listing("test")
    assert not listing.samples
    assert [(problem.kind, problem.line) for problem in listing.problems] == [("row", 2), ("row", 3)]
    assert all("not a plain name" in problem.message for problem in listing.problems)


def test_two_files_of_one_number(root):
    folder = root / "v1m" / "fffffffffff" / "frames"
    shutil.copy(folder / "1.jpg", folder / "1.png")
    problem = only_problem(open_dataset("v1m", root).listing("test"))
    assert problem.message == f"{folder}: 1.jpg and 1.png both carry the number 1"


def test_surplus_and_hidden_files_do_not_disturb(root):
    folder = root / "v1m" / "fffffffffff" / "frames"
    for name in ("5.jpg", "._1.jpg", "Thumbs.db", "list.txt"):
        (folder / name).write_bytes(b"x")
    assert open_dataset("v1m", root).listing("test").samples[1].frames[-1] == folder / "4.jpg"


def test_rows_of_no_split(root):
    rows = [("x", "a", 0, 0, "", "tset", "v1s"), ("x", "b", 0, 0, "", "tset", "v1m")]
    write_csv(root / "metadata.csv", "vid,uid,s_min,s_sec,a_obj,split,label", rows)
    (stray,) = open_dataset("v1m", root).rows_without_split()
    assert str(stray) == "metadata.csv:3: b: split 'tset' is none of train, val, test"
    assert stray.excluded


def test_no_such_split_or_data_set_or_folder(root, tmp_path):
    with pytest.raises(UsageError, match="`split=seen`: v1s has no such split; choose from train, val, test"):
        open_dataset("v1s", root).listing("seen")
    with pytest.raises(UsageError, match="`dataset=v3`: no such data set; choose from v1s, v1m"):
        open_dataset("v3", root)
    with pytest.raises(UnavailableError, match="nowhere: no such folder"):
        open_dataset("v1s", tmp_path / "nowhere")
    with pytest.raises(UnavailableError, match=r"no metadata\.csv or avss_index/metadata\.csv: give the folder of AVS"):
        open_dataset("v1s", tmp_path)


def test_a_part_that_is_not_there_at_all(root):
    shutil.rmtree(root / "v2")
    assert ids("v1s", root, "test")
    with pytest.raises(UnavailableError, match="no v2: give the folder of AVSBench-semantic"):
        open_dataset("v2", root)


def test_a_csv_of_something_else(root):
    write_csv(root / "metadata.csv", "a,b", [])
    with pytest.raises(InputError, match="no column uid in the header"):
        open_dataset("v1s", root)


@pytest.fixture
def objects(tmp_path):
    return write_object_release(tmp_path / "object")


@pytest.mark.parametrize("name", ["v1s", "s4"])
def test_s4(objects, name):
    reader = open_dataset(name, objects)
    (training,) = reader.listing("train").samples
    data = objects / "Single-source" / "s4_data"
    clip = "aaaaaaaaaaa_0_5000"
    assert training.dataset == name
    assert training.frames[4] == data / "visual_frames" / "train" / "dog_barking" / clip / f"{clip}_5.png"
    assert training.audio == data / "audio_wav" / "train" / "dog_barking" / f"{clip}.wav"
    mask = data / "gt_masks" / "train" / "dog_barking" / clip / f"{clip}_1.png"
    assert training.labels == ((mask,), (), (), (), ())
    assert training.supervised == (True, False, False, False, False)
    first, second = reader.listing("test").samples
    assert (first.id, first.line, first.categories) == ("bb-bbbbbb_b_5000_10000", 3, ("dog_barking",))
    assert second.supervised == (True,) * 5
    assert reader.frame_size == (224, 224)


@pytest.mark.parametrize("name", ["v1m", "ms3"])
def test_ms3(objects, name):
    first, _ = open_dataset(name, objects).listing("test").samples
    data = objects / "Multi-sources" / "ms3_data"
    assert first.frames[0] == data / "visual_frames" / "eeeeeeeeeee_1" / "eeeeeeeeeee_1.mp4_1.png"
    assert first.audio == data / "audio_wav" / "test" / "eeeeeeeeeee_1.wav"
    assert first.labels[4] == (data / "gt_masks" / "test" / "eeeeeeeeeee_1" / "eeeeeeeeeee_1_5.png",)
    (training,) = open_dataset(name, objects).listing("train").samples
    assert training.supervised == (True,) * 5


def test_the_object_release_is_read_by_position_where_its_header_is_another(objects):
    table = objects / "Multi-sources" / "ms3_meta_data.csv"
    table.write_text(table.read_text().replace("video_id,split", "id,set"))
    assert len(open_dataset("ms3", objects).listing("test").samples) == 2


def test_the_folder_of_the_csv_itself_is_a_root_too(objects):
    assert ids("s4", objects / "Single-source", "test") == ids("s4", objects, "test")


def test_the_semantic_release_wins_where_both_are(root):
    write_object_release(root)
    assert open_dataset("v1s", root).table.path == root / "metadata.csv"
    assert open_dataset("s4", root).table.path == root / "Single-source" / "s4_meta_data.csv"


def test_categories_of_s4_stay_in_their_folder(objects):
    table = objects / "Single-source" / "s4_meta_data.csv"
    table.write_text(table.read_text().replace("horse_clip-clop", "../test/dog_barking"))
    problem = only_problem(open_dataset("s4", objects).listing("test"))
    assert "column category is not a plain name" in problem.message
    assert problem.line == 4


def test_a_name_that_no_file_can_have_is_left_out(root):
    rows = [("x", "y" * 300, 0, 0, "", "test", "v1s"), ("x", "bb-bbbbbb_b_5000_10000", 0, 0, "", "test", "v1s")]
    write_csv(root / "metadata.csv", "vid,uid,s_min,s_sec,a_obj,split,label", rows)
    listing = open_dataset("v1s", root).listing("test")
    problem = only_problem(listing)
    assert (problem.kind, problem.line) == ("row", 2)
    assert "longer than 240 bytes" in problem.message
    assert len(listing.samples) == 1
