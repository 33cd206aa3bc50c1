"""Ref-AVS: expressions, null expressions and their masks."""

from __future__ import annotations

import shutil

import pytest

from auralsam2.data import open_dataset
from auralsam2.errors import UnavailableError
from helpers.dataset_trees import REF_AVS, write_ref_avs


@pytest.fixture
def root(tmp_path):
    return write_ref_avs(tmp_path / "REFAVS")


def listing(root, split):
    return open_dataset("ref-avs", root).listing(split)


def test_one_sample_a_row_in_the_order_of_a_csv_with_crlf(root):
    assert b"\r\n" in (root / "metadata.csv").read_bytes()
    first, second = listing(root, "test_s").samples
    assert [(each.id, each.line) for each in (first, second)] == [
        ("o_ooooooooo_0_10000_dog_1", 5),
        ("o_ooooooooo_0_10000_guitar_2", 6),
    ]
    assert first.clip == second.clip == "o_ooooooooo_0_10000"
    assert first.expression == "The dog on the left"
    assert second.expression == "What is plucked, not the dog"
    assert second.categories == ("guitar",)
    assert not second.null


def test_paths_of_a_sample(root):
    second = listing(root, "test_s").samples[1]
    media, masks = root / "media" / "o_ooooooooo_0_10000", root / "gt_mask" / "o_ooooooooo_0_10000" / "fid_2"
    assert second.frames == tuple(media / "frames" / f"{number}.jpg" for number in range(10))
    assert second.audio == media / "audio.wav"
    assert second.labels == tuple((masks / f"0000{number}.png",) for number in range(10))
    assert second.supervised == (True,) * 10


def test_samples_of_one_clip_share_their_paths(root):
    first, second = listing(root, "test_s").samples
    assert first.frames is second.frames


@pytest.mark.parametrize(
    ("alias", "split"),
    [("seen", "test_s"), ("unseen", "test_u"), ("null", "test_n"), ("val", "val"), ("train", "train")],
)
def test_splits_have_the_names_that_users_know(root, alias, split):
    found = listing(root, alias)
    assert found.split == split
    assert found.samples == listing(root, split).samples
    assert {sample.split for sample in found.samples} == {split}


def test_a_uid_that_comes_again_is_another_sample(root):
    first, second = listing(root, "unseen").samples
    assert (first.id, second.id) == ("ppppppppppp_0_10000_tuba_1", "ppppppppppp_0_10000_tuba_1.2")
    assert first.labels != second.labels
    assert listing(root, "unseen").clips == 1


def test_null_rows_live_in_clips_of_their_own_with_and_without_masks(root):
    with_masks, without = listing(root, "null").samples
    clip = "null_m-o_ooooooooo_0_10000"
    assert with_masks.clip == clip
    assert with_masks.frames[0] == root / "media" / clip / "frames" / "0.jpg"
    assert with_masks.labels[9] == (root / "gt_mask" / clip / "fid_0" / "00009.png",)
    assert without.labels == ((),) * 10
    for sample in (with_masks, without):
        assert sample.null
        assert sample.supervised == (True,) * 10
        assert sample.categories == ()
        assert sample.expression


def test_null_rows_are_part_of_training(root):
    assert [sample.null for sample in listing(root, "train").samples] == [False, True]


def test_null_masks_that_are_there_in_part(root):
    (root / "gt_mask" / "null_m-o_ooooooooo_0_10000" / "fid_0" / "00003.png").unlink()
    sample = listing(root, "null").samples[0]
    assert [len(paths) for paths in sample.labels] == [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]
    assert sample.supervised == (True,) * 10


def test_masks_of_other_rows_must_be_there(root):
    shutil.rmtree(root / "gt_mask" / "o_ooooooooo_0_10000" / "fid_2")
    found = listing(root, "seen")
    (problem,) = found.problems
    assert (problem.kind, problem.line, problem.id) == ("missing", 6, "o_ooooooooo_0_10000_guitar_2")
    assert [sample.line for sample in found.samples] == [5]


def test_published_counts(root):
    """Of the csv of the release."""
    splits = open_dataset("ref-avs", root).splits
    assert {split: (size.rows, size.clips) for split, size in splits.items()} == {
        "train": (14113, 2919),
        "val": (1349, 275),
        "test_s": (2288, 273),
        "test_u": (1656, 269),
        "test_n": (1028, 257),
    }


def test_the_unfinished_split_is_passed_over(root):
    assert open_dataset("ref-avs", root).rows_without_split() == []


@pytest.mark.parametrize(
    ("uid", "told"),
    [
        ("../../x_dog_1", "column uid is not a plain name"),
        (".._dog_1", "the clip in column uid is not a plain name"),
        ("_dog_1", "the clip in column uid is not a plain name"),
        ("dog_1", "not of the form CLIP_OBJECT_NUMBER"),
        ("dog", "not of the form CLIP_OBJECT_NUMBER"),
        ("", "column uid is empty"),
    ],
)
def test_uids_that_name_no_clip(root, uid, told):
    with (root / "metadata.csv").open("a", newline="") as file:
        file.write(f"vid,{uid},test_s,1,The dog\r\n")
    (problem,) = listing(root, "seen").problems
    assert told in problem.message
    assert problem.line == len(REF_AVS) + 2


@pytest.mark.parametrize(
    ("rest", "told"), [("x,The dog", "column fid is not a number"), ("1,", "column exp is empty"), ("", "fid is empty")]
)
def test_rows_that_say_too_little(root, rest, told):
    with (root / "metadata.csv").open("a", newline="") as file:
        file.write(f"vid,o_ooooooooo_0_10000_dog_7,test_s,{rest}\r\n")
    (problem,) = listing(root, "seen").problems
    assert told in problem.message


def test_an_empty_folder_is_not_ref_avs(tmp_path, root):
    with pytest.raises(UnavailableError, match=r"no metadata\.csv: give the folder of Ref-AVS"):
        open_dataset("ref-avs", tmp_path)
    shutil.rmtree(root / "gt_mask")
    with pytest.raises(UnavailableError, match="no gt_mask"):
        open_dataset("ref-avs", root)
