"""Mutated recipes, sessions and csv files: each gives a result or an error of one line, and leaves no files."""

from __future__ import annotations

import time

import pytest

from auralsam2.errors import AuralError
from fuzz_files import KINDS

LONGEST = 20.0
"""Seconds of computing for one case; on a busy machine it may wait longer."""


@pytest.mark.parametrize(("kind", "count"), [("recipe", 80), ("session", 70), ("csv", 50)])
def test_mutated_files(tmp_path, kind, count):
    cases = KINDS[kind](tmp_path, 0)
    messages = []
    for number in range(count):
        case = cases.make(number)
        began = time.process_time()
        try:
            cases.run(case)
        except AuralError as error:
            messages.append(str(error))
        assert time.process_time() - began < LONGEST, case
        assert cases.leftovers(case) == []
    assert len(messages) >= count // 10
    assert all(message and "\n" not in message for message in messages)


def test_equal_seeds_make_equal_cases(tmp_path):
    for kind in ("recipe", "csv"):
        written = []
        for name in ("one", "two"):
            folder = tmp_path / kind / name
            folder.mkdir(parents=True)
            case = KINDS[kind](folder, 3).make(5)
            files = [case] if case.is_file() else sorted(path for path in case.rglob("*") if path.is_file())
            written.append([file.read_bytes().replace(str(folder).encode(), b"") for file in files])
        assert written[0] == written[1]
