"""The tables of StampAVS: what masks tell, differences with intervals, marks in a document, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import stampavs_tables
from auralsam2.model import AuralSAM2
from helpers.dataset_trees import write_picture, write_stampavs
from helpers.small_networks import save_small_model, save_small_text_model
from marked import replace_marked
from paired import clip_sums, difference, ratio
from runs import Runs
from stampavs_masks import clip_terms


def square(left: int, right: int) -> np.ndarray:
    """Rows 0 to 3 of a picture of 8 x 8, some columns."""
    mask = np.zeros((8, 8), dtype=bool)
    mask[:4, left:right] = True
    return mask


def test_what_masks_tell_by_hand(tmp_path: Path) -> None:
    """Object 1 sounds in frames 0 to 2; the masks pick it, then half of it, then object 2; frame 3 has no target."""
    one, two, nothing = square(0, 4), square(4, 8), square(0, 0)
    masks = (one, square(0, 2), two, nothing)
    for t, mask in enumerate(masks):
        write_picture(tmp_path / f"truth/sounding/0000{t}.png", one if t < 3 else nothing)
        write_picture(tmp_path / f"truth/fid_1/0000{t}.png", one)
        write_picture(tmp_path / f"truth/fid_2/0000{t}.png", two)
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
    found = difference(clip_sums(own), clip_sums(other), seed=0)
    assert found is not None
    assert found["value"] == pytest.approx((0.5 + 0 + 0.6 + 0.4) / 4)
    # Each draw holds one of the clips twice, or both: the difference lies between those of the two clips.
    assert (found["low"], found["high"]) == (pytest.approx(0.25), pytest.approx(0.5))
    of_targets = difference(clip_sums(own, with_target=True), clip_sums(other, with_target=True), seed=0)
    assert of_targets is not None
    assert of_targets["value"] == pytest.approx((0.5 + 0.6 + 0.4) / 3)
    assert ratio({"c0": (0.0, 0)}, seed=0) is None


def test_only_what_stands_between_the_marks_changes() -> None:
    text = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n"
    assert replace_marked(text, "x", "new\n") == "a\n<!-- begin x -->\nnew\n<!-- end x -->\nb\n"
    with pytest.raises(ValueError, match="<!-- begin y -->"):
        replace_marked(text, "y", "new")


def test_the_command_writes_tables_and_goes_on_from_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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

    def again(*_: object, **__: object) -> None:
        raise AssertionError("evaluated twice")

    monkeypatch.setattr("runs.evaluate", again)
    assert stampavs_tables.main() == 0
    assert document.read_text() == text


def test_reading_compares_both_with_either_alone(tmp_path: Path) -> None:
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
    found = {split: stampavs_tables.reading(runs, split) for split in stampavs_tables.REF_SPLITS}
    seen = found["test-seen"]
    assert {prompts: run["scored"] for prompts, run in seen["prompts"].items()} == {
        "audio+text": 2,
        "audio": 2,
        "text": 2,
    }
    text = json.loads((out / "stampavs-ref.test-seen.text.own.json").read_text())
    both = seen["prompts"]["audio+text"]["numbers"]["M_J"]["value"]
    assert seen["differences"]["text"]["value"] == pytest.approx(both - text["summary"]["M_J"]["value"])
    assert "S" in found["test-null"]["prompts"]["text"]["numbers"]
    assert "| test-null | audio+text | 1 |" in stampavs_tables.reading_tables(found)
