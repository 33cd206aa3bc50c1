"""VPO: one picture, several panned sounds."""

from __future__ import annotations

import pytest

from auralsam2.data import open_dataset
from auralsam2.data.sample import AudioMix
from auralsam2.errors import UnavailableError
from helpers.dataset_trees import VPO_MS, write_csv, write_vpo


@pytest.fixture
def root(tmp_path):
    return write_vpo(tmp_path)


def test_single_source(root):
    (sample,) = open_dataset("vpo-ss", root).listing("train").samples
    folder = root / "VPO" / "VPO-SS"
    assert sample.frames == (folder / "data" / "dog" / "000000000139.jpg",)
    assert sample.labels == ((folder / "mask" / "dog" / "000000000139_000000000098.png",),)
    assert sample.coding == "coco"
    assert sample.categories == ("dog",)
    assert sample.id == "dog/000000000139_000000000098"
    assert isinstance(sample.audio, AudioMix)
    (voice,) = sample.audio.voices
    assert (voice.path, voice.position) == (root / "VGGSound" / "audios" / "dog_1.wav", 0.25)


def test_val_belongs_to_test(root):
    reader = open_dataset("vpo-ss", root)
    assert tuple(reader.splits) == ("train", "test")
    (sample,) = reader.listing("test").samples
    assert sample.line == 3
    assert reader.rows_without_split() == []


def test_the_rows_of_a_picture_make_one_sample(root):
    listing = open_dataset("vpo-ms", root).listing("test")
    (sample,) = listing.samples
    assert (listing.rows, listing.groups) == (2, 1)
    assert sample.id == "000000000872"
    assert sample.line == 3
    assert sample.categories == ("cat", "baby")
    assert [path.name for path in sample.labels[0]] == ["000000000872_000000000007.png"]
    assert isinstance(sample.audio, AudioMix)
    assert [(voice.path.stem, voice.position) for voice in sample.audio.voices] == [("cat_1", 0.75), ("baby_1", 0.0)]
    assert sample.sounds == tuple(voice.path for voice in sample.audio.voices)


def test_pictures_of_msmi_without_several_instances_lie_in_ms(root):
    first, second = open_dataset("vpo-msmi", root).listing("test").samples
    assert first.frames[0].parts[-3:] == ("VPO-MS", "data", "000000000872.jpg")
    assert first.labels[0][0].parts[-3:-1] == ("VPO-MS", "mask")
    assert second.frames[0].parts[-3:] == ("VPO-MSMI", "data", "000000000999.jpg")


def test_the_folder_vpo_can_be_left_out(root):
    for folder in (root / "VPO").iterdir():
        folder.rename(root / folder.name)
    assert len(open_dataset("vpo-ms", root).listing("train").samples) == 1


def test_the_sounds_must_be_there(root):
    (root / "VGGSound").rename(root / "elsewhere")
    with pytest.raises(UnavailableError, match="no VGGSound/audios"):
        open_dataset("vpo-ss", root)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (("../1", 7, "cat", 17, "cat_1", "test", 0.5, 0), "column img_Id is not a number"),
        ((872, 7, "cat", 17, "../cat_1", "test", 0.5, 0), "column vgg_file is not a plain name"),
        ((872, 7, "cat", 17, "cat_1", "test", 1.5, 0), "column audio_pos is not a number from 0 to 1: '1.5'"),
        ((872, 7, "cat", 17, "cat_1", "test", "nan", 0), "column audio_pos is not a number from 0 to 1"),
        ((872, 7, "cat", 17, "cow_1", "test", 0.5, 0), "cow_1.wav: no such file"),
        ((5, 7, "cat", 17, "cat_1", "test", 0.5, 0), "000000000005.jpg: no such file"),
        ((872, 8, "cat", 17, "cat_1", "test", 0.5, 0), "000000000872_000000000008.png: no such file"),
    ],
)
def test_rows_that_cannot_be_used(root, row, told):
    table = root / "VPO" / "VPO-MS" / "vpo_ms_data_stereo.csv"
    header = table.read_text().splitlines()[0]
    write_csv(table, header, [VPO_MS[0], row])
    listing = open_dataset("vpo-ms", root).listing("test")
    (problem,) = listing.problems
    assert told in problem.message
    assert problem.line == 3
    assert not listing.samples


def test_categories_stay_in_their_folder(root):
    table = root / "VPO" / "VPO-SS" / "vpo_ss_data_stereo.csv"
    table.write_text(table.read_text().replace("dog,18", "../dog,18"))
    (problem,) = open_dataset("vpo-ss", root).listing("train").problems
    assert "column cateName is not a plain name" in problem.message
