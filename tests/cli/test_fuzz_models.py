"""Damaged models and checkpoints: each is used, or refused by an error of the family."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from auralsam2.errors import AuralError
from fuzz_models import KINDS

LONGEST = 20.0
"""Seconds of computing that one case may take, whatever else the machine does."""


@pytest.mark.parametrize(("kind", "count", "fewest_refused"), [("model", 30, 10), ("checkpoint", 60, 40)])
def test_each_model_is_used_or_refused_on_one_line(tmp_path: Path, kind: str, count: int, fewest_refused: int) -> None:
    fuzz = KINDS[kind](tmp_path, 1)
    messages: list[str] = []
    for number in range(count):
        case = fuzz.make(number)
        start = time.process_time()
        try:
            fuzz.run(case)
        except AuralError as error:
            messages.append(str(error))
        assert time.process_time() - start < LONGEST, number
        assert fuzz.leftovers(case) == []
        shutil.rmtree(case) if case.is_dir() else case.unlink()
    assert len(messages) >= fewest_refused
    assert not [message for message in messages if "\n" in message or len(message) > 3000]
