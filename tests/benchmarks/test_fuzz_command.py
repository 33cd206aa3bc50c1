"""The fuzzing command."""

from pathlib import Path

import fuzz
from auralsam2.errors import InputError


class Example:
    def __init__(self, error: Exception | None = None, partial: list[Path] | None = None) -> None:
        self.error, self.partial = error, partial or []

    def make(self, number: int) -> Path:
        return Path(str(number))

    def run(self, case: Path) -> None:
        if self.error is not None:
            raise self.error

    def leftovers(self, case: Path) -> list[Path]:
        return self.partial


def test_outcomes():
    cases = {
        "result": Example(),
        "error": Example(InputError("case: is empty")),
        "traceback": Example(IndexError("list index out of range")),
        "half": Example(partial=[Path("part")]),
    }
    for outcome, kind in cases.items():
        assert fuzz._outcome(kind, Path("case"))[0] == outcome


def test_media(tmp_path):
    tally = fuzz.fuzz("media", 8, seconds=60.0)
    assert tally.cases == 8
    assert not tally.failures
    assert tally.counts["result"] >= 2
    heads, row = fuzz.table({"media": tally}).splitlines()
    assert heads.split()[:3] == ["kind", "cases", "results"]
    assert row.split()[:3] == ["media", "8", str(tally.counts["result"])]


def test_case_over_the_limit_is_a_failure_and_is_saved(tmp_path):
    tally = fuzz.fuzz("csv", 2, seconds=0.0, save=tmp_path / "failed")
    assert tally.counts["timeout"] == 2
    assert len(tally.failures) == 2
    assert sorted(path.name for path in (tmp_path / "failed").iterdir()) == ["csv-0-0", "csv-0-1"]
