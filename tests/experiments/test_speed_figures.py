"""Figure 1 and the speed of the stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import image_sizes
import speed_and_quality
import stage_speed
from auralsam2.errors import InputError
from auralsam2.model import AuralSAM2
from helpers.media_files import write_clip

RESULTS = Path(__file__).parents[2] / "docs/benchmarks/results.md"


def test_points_are_the_rows_of_table_7(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = RESULTS.read_text(encoding="utf-8")
    points = speed_and_quality.read_points(text)
    rows = [
        line for line in text.partition("begin table-7")[2].partition("<!-- end")[0].splitlines() if "| SAM" in line
    ]
    assert len(points) >= len(rows) > 4
    (joint,) = [point for point in points if point.method == "AuralSAM2, all at once"]
    assert joint.published is None
    (ensemble,) = [point for point in points if point.method == "AuralSAM2 and SAM 2"]
    assert ensemble.published == (14.1, 0.7426)
    figure = speed_and_quality.plot_points(points)
    drawn = [len(axes.collections) for axes in figure.axes]
    assert drawn == [len(points), len(points) - 1]
    monkeypatch.setattr("sys.argv", ["speed_and_quality", str(RESULTS), str(tmp_path / "figure.png")])
    assert speed_and_quality.main() == 0
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_document_without_the_table_is_refused() -> None:
    with pytest.raises(InputError, match="no Table 7 with FPS"):
        speed_and_quality.read_points("# Results\n")


def test_each_stage_has_its_time(small_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    document = tmp_path / "results.md"
    document.write_text("<!-- begin stages -->\n<!-- end stages -->\n")
    arguments = ["stage_speed", "--model", str(small_model), "--rounds", "1", "--write", str(document)]
    monkeypatch.setattr("sys.argv", arguments)
    assert stage_speed.main() == 0
    assert capsys.readouterr().out.strip() in document.read_text()
    rows = [line.strip("| ").split(" | ") for line in document.read_text().splitlines() if line.startswith("| ")][2:]
    assert [row[:2] for row in rows] == [
        [kind, name] for kind in stage_speed.KINDS for name in (*stage_speed.STAGES, "network")
    ]
    rates = {(row[0], row[1]): float(row[2]) for row in rows if row[2] != "-"}
    assert ("click", "fuser") not in rates, "a click needs no fuser"
    assert ("audio", "fuser") in rates
    for kind in stage_speed.KINDS:
        assert rates[kind, "network"] < min(
            rate for (other, name), rate in rates.items() if (other, name) == (kind, "encoder")
        )


def test_seconds_of_the_stages_add_up(small_model: Path) -> None:
    seconds = stage_speed.stage_seconds(AuralSAM2.from_pretrained(small_model, "cpu", "fp32"), "audio")
    assert seconds["network"] == pytest.approx(sum(seconds[name] for name in stage_speed.STAGES))


def test_agreement_at_other_sizes(small_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    video = write_clip(tmp_path / "clip.mp4", 1.0)
    arguments = ["image_sizes", "--model", str(small_model), "--video", str(video), "--sizes", "64", "96"]
    monkeypatch.setattr("sys.argv", arguments)
    assert image_sizes.main() == 0
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][2:]
    assert [row[0] for row in rows] == ["64", "96"]
    assert rows[0][1:3] == ["1.000", "1.000"], "its own size"
    assert all(0 <= float(row[2]) <= float(row[1]) <= 1 and float(row[3]) > 0 for row in rows)


def test_agreement_is_of_frames() -> None:
    masks = [np.array([[True, True]]), np.array([[True, False]]), np.zeros((1, 2), bool)]
    assert image_sizes.agreement(masks, masks) == (1.0, 1.0)
    assert image_sizes.agreement(masks, [masks[1], masks[1], masks[2]]) == pytest.approx((2.5 / 3, 0.5))
