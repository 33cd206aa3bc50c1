"""StampAVS as its builder writes it: what sounds, and what an expression says."""

from __future__ import annotations

import json
import shutil

import pytest

from auralsam2.data import open_dataset
from auralsam2.data.class_names import STAMPAVS as CLASSES
from auralsam2.data.load import load_clip
from auralsam2.errors import InputError, UnavailableError
from helpers.dataset_trees import STAMPAVS, STAMPAVS_SPLITS, write_stampavs


@pytest.fixture
def root(tmp_path):
    return write_stampavs(tmp_path / "stamp")


def test_paths_of_a_scene(root):
    (sample,) = open_dataset("stampavs", root).listing("train").samples
    media, masks = root / "media" / "train_00000", root / "gt_mask" / "train_00000"
    assert sample.id == sample.clip == "train_00000"
    assert sample.frames == tuple(media / "frames" / f"{number}.jpg" for number in range(5))
    assert sample.audio == media / "audio.wav"
    assert sample.labels == tuple((masks / "sounding" / f"0000{number}.png",) for number in range(5))
    assert sample.supervised == (True,) * 5
    assert sample.objects == tuple(
        tuple(masks / f"fid_{fid}" / f"0000{number}.png" for number in range(5)) for fid in (1, 2)
    )
    assert (sample.kind, sample.expression, sample.line) == ("single", None, 2)


def test_frames_as_png(tmp_path):
    (sample,) = open_dataset("stampavs", write_stampavs(tmp_path, suffix=".png")).listing("train").samples
    assert sample.frames[0].name == "0.png"


@pytest.mark.parametrize("name", ["stampavs", "stampavs-ref"])
def test_the_mix_is_part_of_the_name_of_a_split(root, name):
    reader = open_dataset(name, root)
    assert {sample.clip for sample in reader.listing("test-seen").samples} == {"test-seen_00000", "test-seen_00001"}
    assert {sample.clip for sample in reader.listing("test-seen-hard").samples} == {"test-seen_hard_00000"}
    assert {len(sample.frames) for sample in reader.listing("test-seen-hard").samples} == {10}
    assert reader.rows_without_split() == []
    assert tuple(reader.splits)[:8] == STAMPAVS_SPLITS
    assert list(reader.splits)[8:] == [f"{split}-hard" for split in list(reader.splits)[:8]]


def test_a_split_that_was_not_built_is_empty(root):
    listing = open_dataset("stampavs", root).listing("val-hard")
    assert (listing.samples, listing.problems, listing.rows) == ((), (), 0)


def test_expressions_ask_for_one_object_whether_it_sounds_or_not(root):
    first, second, _, fourth = open_dataset("stampavs-ref", root).listing("test-seen").samples
    masks = root / "gt_mask" / "test-seen_00000"
    assert first.expression == "the dog that is barking"
    assert first.labels[4] == (masks / "fid_1" / "00004.png",)
    assert second.labels[4] == (masks / "fid_2" / "00004.png",)
    assert second.expression == "the object that never makes a sound"
    assert (second.clip, second.id, second.line) == ("test-seen_00000", "test-seen_00000_guitar_1", 5)
    assert [sample.kind for sample in (first, fourth)] == ["single", "silence"]
    assert first.frames is second.frames


def test_null_expressions(root):
    (sample,) = open_dataset("stampavs-ref", root).listing("test-null").samples
    assert sample.null
    assert sample.labels == ((),) * 5
    assert sample.supervised == (True,) * 5
    assert len(sample.objects) == 2


def test_objects_are_in_the_order_of_their_numbers(root):
    folder = root / "gt_mask" / "train_00000"
    for number in range(3, 11):
        shutil.copytree(folder / "fid_1", folder / f"fid_{number}")
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace("single,5,2", "single,5,10", 1))
    (sample,) = open_dataset("stampavs", root).listing("train").samples
    assert [paths[0].parent.name for paths in sample.objects] == [f"fid_{number}" for number in range(1, 11)]


@pytest.mark.parametrize("gone", ["sounding", "fid_2", ""])
def test_masks_that_are_missing(root, gone):
    shutil.rmtree(root / "gt_mask" / "test-seen_00001" / gone)
    (problem,) = open_dataset("stampavs", root).listing("test-seen").problems
    assert (problem.kind, problem.line, problem.id) == ("missing", 4, "test-seen_00001")


def test_the_description_says_how_many_scenes_were_built(root):
    splits = open_dataset("stampavs", root).splits
    assert {split: size.rows for split, size in splits.items() if size.rows} == {
        "train": 1,
        "test-seen": 2,
        "test-null": 1,
        "test-seen-hard": 1,
    }
    assert not any(size.rows for size in open_dataset("stampavs-ref", root).splits.values())


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"counts": {"train": 3}}', '{"counts": {"train": {"hard": "x"}}}']
)
def test_a_description_of_something_else(root, content):
    (root / "stampavs.json").write_text(content)
    with pytest.raises(InputError, match=r"stampavs\.json: does not say how many scenes"):
        open_dataset("stampavs", root)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("train_00000,", "../media/train_00000,", "column uid is not a plain name"),
        ("single,5", "single,0", "column frames is not a number from 1 to 1000"),
        ("single,5", "single,many", "column frames is not a number"),
        ("single,5,2", "single,5,101", "column objects is not a number from 0 to 100"),
        ("single,5,2", "single,5,dog", "column objects is not a number"),
        ("single,5", ",5", "column kind is empty"),
        ("single,5", "single,6", "sounding: no .png file with number 5"),
    ],
)
def test_rows_that_cannot_be_used(root, before, after, told):
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace(before, after, 1))
    (problem,) = open_dataset("stampavs", root).listing("train").problems
    assert told in problem.message
    assert problem.line == 2


def test_a_mix_that_nobody_knows_is_no_split(root):
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace("hard,multi", "harder,multi"))
    (stray,) = open_dataset("stampavs", root).rows_without_split()
    assert "split 'test-seen-harder' is none of" in stray.message
    assert stray.line == 2 + [uid for uid, *_ in STAMPAVS].index("test-seen_hard_00000")


def test_an_expression_of_no_scene(root):
    with (root / "expressions.csv").open("a") as file:
        file.write("nowhere,nowhere_dog_0,train,1,the dog\n")
    (problem,) = open_dataset("stampavs-ref", root).listing("train").problems
    assert problem.message == "column vid names no scene of metadata.csv: 'nowhere'"


def test_a_folder_without_the_description_is_not_stampavs(root):
    (root / "stampavs.json").unlink()
    with pytest.raises(UnavailableError, match=r"no stampavs\.json: give the folder that `auralsam2 data build-stamp"):
        open_dataset("stampavs", root)


def test_classes_of_the_sounding_objects(root):
    (sample,) = open_dataset("stampavs-semantic", root).listing("train").samples
    (union,) = open_dataset("stampavs", root).listing("train").samples
    assert sample.categories == ("dog", "violin")
    clip, expected = load_clip(sample, 32), load_clip(union, 32)
    assert clip.classes is not None
    assert clip.classes.unique().tolist() == [0, CLASSES.index("dog")]
    assert clip.labels.equal(expected.labels)
    assert expected.classes is None


def test_silent_seconds_have_no_class(root):
    path = root / "media" / "train_00000" / "scene.json"
    scene = json.loads(path.read_text())
    scene["objects"][0]["sounding"] = [True, False, False, True, False]
    scene["objects"][1]["sounding"] = [False, False, True, True, False]
    path.write_text(json.dumps(scene))
    (sample,) = open_dataset("stampavs-semantic", root).listing("train").samples
    classes = load_clip(sample, 32).classes
    assert classes is not None
    dog, violin = CLASSES.index("dog"), CLASSES.index("violin")
    assert [frame.unique().tolist() for frame in classes] == [[0, dog], [0], [0, violin], [0, dog, violin], [0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [({"category": "unicorn"}, "'unicorn' is no category"), ({"sounding": [True]}, "does not describe a scene")],
)
def test_scene_without_known_classes_is_left_out(root, change, message):
    path = root / "media" / "train_00000" / "scene.json"
    scene = json.loads(path.read_text())
    scene["objects"][0] |= change
    path.write_text(json.dumps(scene))
    listing = open_dataset("stampavs-semantic", root).listing("train")
    assert listing.samples == ()
    assert message in str(listing.problems[0])
