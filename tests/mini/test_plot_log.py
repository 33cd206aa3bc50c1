"""The picture of a log."""

from __future__ import annotations

import pytest
from PIL import Image

from auralsam2.errors import InputError
from projects.mini import plot_log
from projects.mini.stage_loop import LogTable


def write(path, values) -> None:
    log = LogTable(path, ("phase", "step", "seconds", "box", "point"))
    for step, value in enumerate(values):
        log.write({"phase": "prompts" if step < 2 else "memory", "step": step, "seconds": 60.0 * step, "box": value})


def test_a_column_is_drawn_where_its_values_lie(tmp_path):
    write(tmp_path / "log.csv", [0.0, 0.5, 1.0])
    assert plot_log.main([str(tmp_path / "log.csv"), str(tmp_path / "curve.png"), "--columns", "box,point"]) == 0
    with Image.open(tmp_path / "curve.png") as opened:
        image = opened.convert("RGB")
    red = [
        xy for xy in ((x, y) for x in range(50, 760) for y in range(400)) if image.getpixel(xy) == plot_log.COLOURS[0]
    ]
    xs, ys = zip(*red, strict=True)
    assert (min(xs), max(xs)) == (50, 759)
    assert max(ys) >= 379
    assert min(ys) <= 21
    assert not [xy for xy in red if image.getpixel(xy) == plot_log.COLOURS[1]]


def test_a_log_without_rows_is_told(tmp_path, capsys):
    write(tmp_path / "log.csv", [0.5])
    with pytest.raises(InputError, match="fewer than two rows"):
        plot_log.draw_curve([], ["box"])
    assert plot_log.main([str(tmp_path / "log.csv"), str(tmp_path / "curve.png"), "--columns", "box"]) == 2
    assert not (tmp_path / "curve.png").exists()
    assert "fewer than two" in capsys.readouterr().err


def test_a_log_without_minutes_is_drawn_over_its_steps():
    rows = [{"step": "9", "val/J": ""}, {"step": "10", "val/J": "0.25"}, {"step": "20", "val/J": "0.75"}]
    image = plot_log.draw_curve(rows, ["val/J"])
    pixels = ((x, y) for x in range(50, 760) for y in range(400))
    marked = [xy for xy in pixels if image.getpixel(xy) == plot_log.COLOURS[0]]
    assert min(x for x, _ in marked) == pytest.approx(405, abs=2)  # the middle: step 10 of 20
    with pytest.raises(InputError, match="no column val/F; it has step, val/J"):
        plot_log.draw_curve(rows, ["val/F"])
