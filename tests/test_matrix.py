"""`make matrix`: lower bounds, interpreters, and rows from pytest's summary."""

from __future__ import annotations

import stat
import sys

import pytest

import matrix


def test_lower_bounds_are_those_of_the_project_and_its_test_extras():
    project = {
        "dependencies": ["av>=18,<20", "numpy>=2.3.2"],
        "optional-dependencies": {
            "train": ["pyyaml>=6.0.3"],
            "studio": ["fastapi[all]>=0.116"],
            "dev": ["ruff>=0.11"],
            "test": ["auralsam2[studio,train]", "pytest>=8.2"],
        },
    }
    found = matrix.lower_bounds(project)
    assert sorted(found) == ["av==18", "fastapi==0.116", "numpy==2.3.2", "pytest==8.2", "pyyaml==6.0.3"]
    with pytest.raises(ValueError, match="timm"):
        matrix.lower_bounds(project | {"dependencies": ["timm"]})


def test_an_interpreter_that_does_not_start_is_left_out(tmp_path, monkeypatch):
    """As a pyenv shim of a version that is not active."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shim = tmp_path / f"python{version}"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert matrix.interpreters((version,)) == {}
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    assert list(matrix.interpreters((version, "3.99"))) == [version]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("...\n12 passed, 3 warnings in 4.20s", (12, 0)),
        ("1 failed, 12 passed, 2 errors in 65.00s (0:01:05)", (12, 3)),
        ("1 error in 0.51s", (0, 1)),
        ("Killed", (0, 0)),
    ],
)
def test_counts_of_a_run(text, counts):
    assert matrix.summary(text) == counts


def test_a_row_is_good_only_if_tests_ran_and_passed():
    rows = [
        matrix.Row(
            python="3.11.7", resolution="lowest", versions=("2.11", "18.0", "5.20", "2.3.2"), passed=7, seconds=61.4
        ),
        matrix.Row(python="3.13.0", resolution="newest", passed=6, failed=1, problem="see LOG"),
        matrix.Row(python="3.14.0", resolution="newest"),
    ]
    assert [row.good for row in rows] == [True, False, False]
    assert matrix.table(rows).splitlines()[2] == "| 3.11.7 | lowest | 2.11 | 18.0 | 5.20 | 2.3.2 | 7 | 0 | 61 |  |"


def test_the_suite_exists():
    deselected = [option.partition("=")[2].partition("::")[0] for option in matrix.DESELECTED]
    assert all((matrix.REPOSITORY / name).exists() for name in (*matrix.SUITE, *deselected))
    (test,) = (option.partition("::")[2] for option in matrix.DESELECTED if "::" in option)
    assert f"def {test}(" in (matrix.REPOSITORY / "tests/cli/test_help.py").read_text(encoding="utf-8")
