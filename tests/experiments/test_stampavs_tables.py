"""Tables of StampAVS: statistics of masks, differences with intervals, sections of a document, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import stampavs_tables
from auralsam2.model import AuralSAM2
from helpers.dataset_trees import write_picture, write_stampavs
from helpers.small_networks import save_small_model, save_small_text_model
from paired import clip_sums, difference, ratio
from reporting import replace_section
from runs import Runs
from stampavs_blind import main as blind_main
from stampavs_masks import clip_terms


def square(min_x: int, max_x: int) -> np.ndarray:
    """Rows 0 to 3 and columns min_x to max_x - 1 of 8 x 8 pixels."""
    mask = np.zeros((8, 8), dtype=bool)
    mask[:4, min_x:max_x] = True
    return mask


def test_mask_statistics_by_hand(tmp_path: Path) -> None:
    """Object 1 sounds in frames 0 to 2. The masks are object 1, half of it, and object 2; frame 3 has no target."""
    first, second, empty = square(0, 4), square(4, 8), square(0, 0)
    masks = (first, square(0, 2), second, empty)
    for t, mask in enumerate(masks):
        write_picture(tmp_path / f"truth/sounding/0000{t}.png", first if t < 3 else empty)
        write_picture(tmp_path / f"truth/fid_1/0000{t}.png", first)
        write_picture(tmp_path / f"truth/fid_2/0000{t}.png", second)
        write_picture(tmp_path / f"masks/{t}.png", mask)
    terms = clip_terms(tmp_path / "truth", tmp_path / "masks")
    assert terms["picked"] == (2, 3)
    assert terms["steady"] == (0.5 + 0, 2)
    assert terms["steady truth"] == (2, 2)
    assert terms["all objects"] == (1.5, 3)
    assert terms["random object"] == (1.5, 3)
    assert terms["filled boxes"] == (3, 3)


def test_an_empty_mask_picks_nothing_and_is_not_steady(tmp_path: Path) -> None:
    for t in range(2):
        write_picture(tmp_path / f"truth/sounding/0000{t}.png", square(0, 4))
        write_picture(tmp_path / f"truth/fid_1/0000{t}.png", square(0, 4))
        write_picture(tmp_path / f"masks/{t}.png", square(0, 0))
    terms = clip_terms(tmp_path / "truth", tmp_path / "masks")
    assert terms["picked"] == (0, 2)
    assert terms["steady"] == (0, 0)


def rows(*clips: tuple[list[float], list[float]]) -> list[dict[str, object]]:
    return [{"clip": f"c{n}", "frames": {"iou": iou, "truth": truth}} for n, (iou, truth) in enumerate(clips)]


def test_differences_are_paired_by_clip() -> None:
    own = rows(([1.0, 0.5], [0.1, 0.0]), ([0.8, 0.8], [0.1, 0.1]))
    other = rows(([0.5, 0.5], [0.1, 0.0]), ([0.2, 0.4], [0.1, 0.1]))
    gain = difference(clip_sums(own), clip_sums(other), seed=0)
    assert gain is not None
    assert gain["value"] == pytest.approx((0.5 + 0 + 0.6 + 0.4) / 4)
    # A bootstrap sample has one of the clips twice, or both clips.
    assert (gain["low"], gain["high"]) == (pytest.approx(0.25), pytest.approx(0.5))
    of_targets = difference(clip_sums(own, with_target=True), clip_sums(other, with_target=True), seed=0)
    assert of_targets is not None
    assert of_targets["value"] == pytest.approx((0.5 + 0.6 + 0.4) / 3)
    assert ratio({"c0": (0.0, 0)}, seed=0) is None


def test_only_the_section_changes() -> None:
    text = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n"
    assert replace_section(text, "x", "new\n") == "a\n<!-- begin x -->\nnew\n<!-- end x -->\nb\n"
    with pytest.raises(ValueError, match="<!-- begin y -->"):
        replace_section(text, "y", "new")


def test_command_writes_tables_and_reuses_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_stampavs(
        tmp_path / "stamp",
        (
            ("test-seen_00000", "test-seen", "standard", "single", 3),
            ("test-seen_00001", "test-seen", "standard", "silence", 3),
            ("test-seen_00002", "test-seen", "standard", "single", 3),
        ),
    )
    save_small_model(tmp_path / "model", frames=3)
    document = tmp_path / "mini.md"
    document.write_text("Mini\n\n<!-- begin stampavs -->\n<!-- end stampavs -->\n")
    out = tmp_path / "out"
    call = ["stampavs_tables", str(root), "--model", str(tmp_path / "model"), "--splits", "test-seen", "--clips", "2"]
    call += ["--out", str(out), "--write", str(document), "--dtype", "fp32"]
    monkeypatch.setattr("sys.argv", call)
    assert stampavs_tables.main() == 0
    text = document.read_text()
    assert "| test-seen | own | 2 |" in text
    assert "| test-seen | own minus swapped |" in text
    result = json.loads((out / "tables.json").read_text())["stampavs"]["splits"]["test-seen"]
    report = json.loads((out / "model/stampavs.test-seen.audio.shuffled.json").read_text())
    assert result["sounds"]["shuffled"]["numbers"]["M_J"] == report["summary"]["M_J"]
    gain = result["sounds"]["own"]["numbers"]["M_J"]["value"] - report["summary"]["M_J"]["value"]
    assert result["differences"]["shuffled"]["M_J"]["value"] == pytest.approx(gain)

    def evaluate_again(*_: object, **__: object) -> None:
        raise AssertionError("evaluated twice")

    monkeypatch.setattr("runs.evaluate", evaluate_again)
    assert stampavs_tables.main() == 0
    assert document.read_text() == text


def test_text_tables_compare_audio_and_text_with_either_alone(tmp_path: Path) -> None:
    root = write_stampavs(
        tmp_path / "stamp",
        (
            ("test-seen_00000", "test-seen", "standard", "single", 3),
            ("test-null_00000", "test-null", "standard", "off-screen", 3),
        ),
    )
    model = AuralSAM2.from_pretrained(str(save_small_text_model(tmp_path / "model")), "cpu", "fp32")
    out = tmp_path / "out"
    out.mkdir()
    runs = Runs(model, root, out, seed=0, clips=1)
    results = {split: stampavs_tables.measure_text(runs, split) for split in stampavs_tables.REF_SPLITS}
    seen = results["test-seen"]
    assert {prompts: run["scored"] for prompts, run in seen["prompts"].items()} == {
        "audio+text": 2,
        "audio": 2,
        "text": 2,
    }
    text = json.loads((out / "stampavs-ref.test-seen.text.own.json").read_text())
    both = seen["prompts"]["audio+text"]["numbers"]["M_J"]["value"]
    assert seen["differences"]["text"]["value"] == pytest.approx(both - text["summary"]["M_J"]["value"])
    assert "S" in results["test-null"]["prompts"]["text"]["numbers"]
    assert "| test-null | audio+text | 1 |" in stampavs_tables.text_tables(results)


def test_guesses_without_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object 1 sounds; both objects have 16 pixels, so that all objects together reach an IoU of one half."""
    for t in range(2):
        write_picture(tmp_path / f"gt_mask/clip/sounding/0000{t}.png", square(0, 4) if t else square(0, 0))
        write_picture(tmp_path / f"gt_mask/clip/fid_1/0000{t}.png", square(0, 4))
        write_picture(tmp_path / f"gt_mask/clip/fid_2/0000{t}.png", square(4, 8))
    (tmp_path / "metadata.csv").write_text("uid,split,mix,frames\nclip,test-seen,standard,2\n")
    document = tmp_path / "stampavs.md"
    document.write_text("<!-- begin blind -->\n<!-- end blind -->\n")
    monkeypatch.setattr("sys.argv", ["stampavs_blind", str(tmp_path), "--write", str(document)])
    assert blind_main() == 0
    assert "| test-seen | standard | 1 | 2 | 1 | 0.500 | 1.000 | 0.000 | 0.500 |" in document.read_text()
