"""Plot of a log."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from auralsam2.errors import InputError
from projects.mini import plot_log
from projects.mini.stage_loop import LogTable, read_log


def write(path: Path, values: list[float]) -> None:
    log = LogTable(path, ("phase", "step", "seconds", "box", "point"))
    for step, value in enumerate(values):
        log.write({"phase": "prompts" if step < 2 else "memory", "step": step, "seconds": 60.0 * step, "box": value})


def test_column_is_plotted_over_minutes_with_a_line_between_phases(tmp_path):
    write(tmp_path / "log.csv", [0.0, 0.5, 1.0])
    (axes,) = plot_log.plot_log(read_log(tmp_path / "log.csv"), ["box", "point"]).axes
    phase, box, point = axes.get_lines()
    assert list(phase.get_xdata()) == [1.0, 1.0]
    assert box.get_xydata().tolist() == [[0, 0], [1, 0.5], [2, 1]]
    assert len(point.get_xydata()) == 0
    assert axes.get_xlabel() == "minutes"


def test_command_writes_an_image(tmp_path):
    write(tmp_path / "log.csv", [0.0, 0.5, 1.0])
    assert plot_log.main([str(tmp_path / "log.csv"), str(tmp_path / "curve.png"), "--columns", "box"]) == 0
    with Image.open(tmp_path / "curve.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 20)) > 2


def test_log_with_one_row_is_refused(tmp_path, capsys):
    write(tmp_path / "log.csv", [0.5])
    assert plot_log.main([str(tmp_path / "log.csv"), str(tmp_path / "curve.png"), "--columns", "box"]) == 2
    assert not (tmp_path / "curve.png").exists()
    assert "fewer than two" in capsys.readouterr().err


def test_log_without_seconds_is_plotted_over_steps():
    rows = [{"step": "9", "val/J": ""}, {"step": "10", "val/J": "0.25"}, {"step": "20", "val/J": "0.75"}]
    (axes,) = plot_log.plot_log(rows, ["val/J"]).axes
    assert axes.get_lines()[0].get_xydata().tolist() == [[10, 0.25], [20, 0.75]]
    assert axes.get_xlabel() == "step"
    with pytest.raises(InputError, match="no column val/F; it has step, val/J"):
        plot_log.plot_log(rows, ["val/F"])
