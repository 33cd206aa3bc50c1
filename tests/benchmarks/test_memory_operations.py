"""Counted operations of memory attention, against formulas."""

from __future__ import annotations

import memory_operations


def test_counts_equal_formulas(monkeypatch, capsys) -> None:
    counts = []
    count = memory_operations.count
    monkeypatch.setattr(memory_operations, "count", lambda *given: counts.append(count(*given)) or counts[-1])
    assert memory_operations.main(["--image-size", "64", "--memories", "1", "2"]) == 0
    pixels, width, memory_width, layers = 16, 256, 64, 4
    for (projections, attention, everything), memories in zip(counts, (1, 2), strict=True):
        tokens = memories * pixels
        assert projections == layers * 2 * (2 * tokens * memory_width * width)
        assert attention == layers * 2 * (2 * pixels * tokens * width)
        assert everything > projections + attention
    assert len(capsys.readouterr().out.splitlines()) == 3
