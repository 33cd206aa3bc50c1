"""AVS-Synthetic: the sound of a class, never out of the pickle."""

from __future__ import annotations

import json

import pytest

from auralsam2.data import open_dataset
from auralsam2.errors import UnavailableError
from helpers.dataset_trees import write_avs_synthetic

SOUNDS = "category_for_vggsound_audios.json"


@pytest.fixture
def root(tmp_path):
    return write_avs_synthetic(tmp_path)


def test_a_row_of_evaluation_names_its_sound(root):
    (sample,) = open_dataset("avs-synthetic", root).listing("test").samples
    assert sample.id == "i3"
    assert sample.frames == (root / "images" / "picture_2.jpg",)
    assert sample.labels == ((root / "masks" / "i3.png",),)
    assert sample.audio == root / "audios" / "dog_2.wav"
    assert sample.first_example == 1
    assert sample.categories == ("dog",)
    assert sample.line == 4


def test_val_is_another_name_of_validate(root):
    (sample,) = open_dataset("avs-synthetic", root).listing("val").samples
    assert (sample.split, sample.audio) == ("validate", root / "audios" / "cat_1.wav")


def test_a_training_row_keeps_one_sound_of_its_class(root):
    """The pickle in the tree would end the program, were it opened."""
    heard = {open_dataset("avs-synthetic", root).listing("train").samples[0].audio for _ in range(3)}
    assert len(heard) == 1
    assert heard <= {root / "audios" / "dog_1.wav", root / "audios" / "dog_2.wav"}


def test_training_needs_the_export(root):
    (root / SOUNDS).unlink()
    reader = open_dataset("avs-synthetic", root)
    assert len(reader.listing("test").samples) == 1
    with pytest.raises(UnavailableError, match="no such file, training clips need it: export the pickle"):
        reader.listing("train")


@pytest.mark.parametrize("content", ["{", "[]", '{"3": "dog_1"}', '{"3": [1]}'])
def test_an_export_of_something_else(root, content):
    (root / SOUNDS).write_text(content)
    with pytest.raises(UnavailableError, match=SOUNDS):
        open_dataset("avs-synthetic", root).listing("train")


@pytest.mark.parametrize(
    ("sounds", "told"),
    [
        ({"4": ["cat_1"]}, "has no sound for class 3"),
        ({"3": []}, "has no sound for class 3"),
        ({"3": ["../masks/i1"]}, "not a plain name"),
        ({"3": ["cow_1"]}, "cow_1.wav: no such file"),
    ],
)
def test_classes_without_a_sound(root, sounds, told):
    (root / SOUNDS).write_text(json.dumps(sounds))
    (problem,) = open_dataset("avs-synthetic", root).listing("train").problems
    assert told in problem.message
    assert problem.line == 2


def test_names_stay_in_their_folder(root):
    table = root / "annotations.csv"
    table.write_text(table.read_text().replace("picture_2", "../images/picture_2"))
    (problem,) = open_dataset("avs-synthetic", root).listing("test").problems
    assert "column img_id is not a plain name" in problem.message


def test_an_empty_folder_is_not_avs_synthetic(tmp_path):
    with pytest.raises(UnavailableError, match=r"no annotations\.csv"):
        open_dataset("avs-synthetic", tmp_path)
