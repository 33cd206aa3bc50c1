"""Collection of stamps, and exclusions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from auralsam2.errors import InputError, UnavailableError
from auralsam2.stampavs import assets
from auralsam2.stampavs.assets import collect_assets, read_stamp
from helpers.toy_stamps import SILENT, THINGS, write_picture

CATALOGUE = json.loads((Path(assets.__file__).parent / "catalogue.json").read_text(encoding="utf-8"))


def test_pairs_are_categories_and_others_silent(collection):
    assert tuple(collection.categories) == THINGS
    assert [picture.name for picture in collection.silent] == list(SILENT)
    assert not collection.is_package
    bell = collection.categories["bell"]
    assert [picture.key for picture in bell.pictures] == ["things/bell"]
    assert [recording.path.name for recording in bell.recordings] == ["bell.ogg"]


def test_file_name_replaces_a_missing_text(stamps, tmp_path):
    folder = shutil.copytree(stamps, tmp_path / "own")
    (folder / "things" / "bell.txt").unlink()
    for ending in ("png", "ogg"):
        (folder / "things" / f"bell.{ending}").rename(folder / "things" / f"Door_Bell-2.{ending}")
    assert "door bell 2" in collect_assets(folder).categories


def test_duplicate_names_are_distinguished(stamps, tmp_path):
    folder = shutil.copytree(stamps, tmp_path / "own")
    (folder / "things" / "drum.txt").write_text("A bell.\n", encoding="utf-8")
    assert {"bell", "bell 2"} <= collect_assets(folder).categories.keys()


def test_small_and_translucent_silent_images_are_excluded(stamps, tmp_path):
    folder = shutil.copytree(stamps, tmp_path / "own")
    write_picture(folder / "tiny.png", 3, (70, 70))
    glass = np.full((90, 90, 4), 150, dtype=np.uint8)
    Image.fromarray(glass).save(folder / "glass.png")
    assert [picture.name for picture in collect_assets(folder).silent] == list(SILENT)


def test_stamps_are_cropped_and_faint_pixels_removed(tmp_path):
    image = np.zeros((50, 80, 4), dtype=np.uint8)
    image[10:40, 20:70] = (200, 100, 50, 255)
    image[0, 0, 3] = assets.MIN_ALPHA - 1
    image[20, 30, 3] = assets.MIN_ALPHA - 1
    Image.fromarray(image).save(tmp_path / "box.png")
    actual = read_stamp(tmp_path / "box.png")
    assert actual.shape == (30, 50, 4)
    assert actual[10, 10].tolist() == [0, 0, 0, 0]
    assert np.count_nonzero(actual[..., 3]) == 30 * 50 - 1


def test_any_mode_of_png_is_read(tmp_path):
    grey = Image.new("LA", (30, 30), (90, 255))
    grey.save(tmp_path / "grey.png")
    assert read_stamp(tmp_path / "grey.png")[5, 5].tolist() == [90, 90, 90, 255]
    palette = Image.new("P", (30, 30), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert read_stamp(tmp_path / "palette.png")[5, 5].tolist() == [10, 20, 30, 255]


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_unreadable_image_is_named(tmp_path, content):
    if content is None:
        Image.new("RGBA", (70, 70)).save(tmp_path / "bad.png")
    else:
        (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.png: .*remove it"):
        read_stamp(tmp_path / "bad.png")


def test_folder_with_too_few_stamps_is_refused(stamps, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        collect_assets(tmp_path / "nowhere")
    for name in THINGS[:3]:
        for ending in ("png", "ogg"):
            shutil.copy(stamps / "things" / f"{name}.{ending}", tmp_path)
    with pytest.raises(InputError, match=r"3 pairs .* at least four"):
        collect_assets(tmp_path)


def test_missing_package_names_the_option(monkeypatch, tmp_path):
    monkeypatch.setattr(assets, "FOLDER", tmp_path / "nowhere")
    with pytest.raises(UnavailableError, match=r"apt install tuxpaint-stamps-default.*`stamps=DIR`"):
        collect_assets()


@pytest.fixture
def package(tmp_path, stamps):
    """The files of the catalogue, all with the same content, and some of those that it excludes."""
    for entry in CATALOGUE["categories"].values():
        for key in entry["pictures"]:
            (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(stamps / "brick.png", tmp_path / f"{key}.png")
        for key in entry["sounds"]:
            shutil.copy(stamps / "things" / "bell.ogg", tmp_path / f"{key}.ogg")
    for key in ("clothes/t_sock", "animals/birds/nandou", "animals/mammals/dogs/dog_mirror", "sports/ball"):
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(stamps / "plate.png", tmp_path / f"{key}.png")
    return tmp_path


def test_catalogue_applies_to_the_package(package):
    actual = collect_assets(package)
    assert actual.is_package
    assert actual.categories.keys() == CATALOGUE["categories"].keys()
    assert [picture.key for picture in actual.silent] == ["sports/ball"]
    assert actual.categories["duck"].alike == ("goose", "rubber duck")
    assert "duck" in actual.categories["goose"].alike


def test_package_with_a_missing_file_is_refused(package):
    (package / "animals" / "birds" / "owl.ogg").unlink()
    with pytest.raises(InputError, match=r"owl\.ogg is missing: reinstall"):
        collect_assets(package)


def test_catalogue_uses_no_excluded_files():
    used = [key for entry in CATALOGUE["categories"].values() for key in (*entry["pictures"], *entry["sounds"])]
    excluded = CATALOGUE["excluded"]
    assert not [key for key in used if key in excluded or any(key.startswith(f"{out}/") for out in excluded)]
    pictures = [key for entry in CATALOGUE["categories"].values() for key in entry["pictures"]]
    assert len(pictures) == len(set(pictures))
    assert all(reason for reason in excluded.values())
