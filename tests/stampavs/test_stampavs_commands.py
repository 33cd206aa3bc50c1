"""`auralsam2 data build-stampavs` and `auralsam2 data sheet`."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from auralsam2.errors import EXIT_UNAVAILABLE, EXIT_UNUSABLE, InputError
from auralsam2.stampavs import assets
from auralsam2.stampavs.contact_sheet import draw_contact_sheet


@pytest.fixture(scope="module")
def tree(stamps, tmp_path_factory):
    from auralsam2.cli import main

    root = tmp_path_factory.mktemp("commands") / "stamp"
    options = ["--stamps", stamps, "--size", 40, "--clips", 2, "--seed", 1, "--workers", 1]
    assert main.run([str(part) for part in ("data", "build-stampavs", root, *options)]) == 0
    return root


def test_build_prints_the_counts(command, stamps, tmp_path):
    outcome = command("data", "build-stampavs", tmp_path / "a", "--stamps", stamps, "--size", 32, "--clips", 1)
    assert outcome.code == 0
    assert outcome.err == ""
    assert "train: 1 standard, 0 hard\n" in outcome.out
    *_, last = outcome.out.splitlines()
    assert re.fullmatch(rf"written: {re.escape(str(tmp_path / 'a'))}; 11 clips in \d+ s, \d+\.\d per second", last)


def test_missing_stamps_name_the_package(command, tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "FOLDER", tmp_path / "nowhere")
    outcome = command("data", "build-stampavs", tmp_path / "a")
    assert outcome.code == EXIT_UNAVAILABLE
    assert "tuxpaint-stamps-default" in outcome.error
    assert "--stamps" in outcome.error
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--size", 20), "--size 20"),
        (("--clips", 0), "--clips 0"),
        (("--seed", -1), "--seed -1"),
        (("--stamps", "nowhere"), "nowhere: no such folder"),
    ],
)
def test_invalid_arguments_are_refused(command, tmp_path, options, message):
    outcome = command("data", "build-stampavs", tmp_path / "a", *options)
    assert outcome.code == EXIT_UNUSABLE
    assert message in outcome.error
    assert not (tmp_path / "a").exists()


def test_contact_sheet_shows_clips(command, tree, tmp_path):
    outcome = command("data", "sheet", tree, tmp_path / "sheet.png", "--split", "test-seen", "--clips", 3)
    assert outcome.code == 0
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    assert (sheet == (255, 40, 40)).all(axis=2).any(), "a sounding object is outlined in red"
    assert (sheet == (70, 110, 160)).all(axis=2).any(), "there is a waveform"
    again = np.asarray(draw_contact_sheet(tree, split="test-seen", clips=3))
    assert (sheet == again).all()


def test_contact_sheet_of_silence_has_no_red(tree):
    sheet = np.asarray(draw_contact_sheet(tree, split="test-robust", clips=4))
    assert not (sheet == (255, 40, 40)).all(axis=2).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--split", "test"), "--split test: choose from train"),
        (("--mix", "easy"), "--mix easy: choose from standard, hard"),
        (("--split", "test-new-image"), "no clips of split test-new-image"),
    ],
)
def test_contact_sheet_without_clips_is_refused(command, tree, tmp_path, options, message):
    outcome = command("data", "sheet", tree, tmp_path / "sheet.png", *options)
    assert outcome.code == EXIT_UNUSABLE
    assert message in outcome.error
    assert not list(tmp_path.iterdir())


def test_contact_sheet_needs_a_data_set_and_an_image_name(command, tree, tmp_path):
    assert "holds no StampAVS" in command("data", "sheet", tmp_path, tmp_path / "sheet.png").error
    assert "must end in .png or .jpg" in command("data", "sheet", tree, tmp_path / "sheet.gif").error


def test_damaged_clip_is_named(tree):
    frame = tree / "media" / "val-hard-00000" / "frames" / "0.jpg"
    content = frame.read_bytes()
    try:
        frame.write_bytes(b"")
        with pytest.raises(InputError, match="val-hard-00000"):
            draw_contact_sheet(tree, split="val", mix="hard")
    finally:
        frame.write_bytes(content)
