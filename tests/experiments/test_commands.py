"""The experiments import only their folder and the package, so that `python experiments/NAME.py` runs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = sorted((REPOSITORY / "experiments").glob("*.py"))
BENCHMARKS = {path.stem for path in (REPOSITORY / "benchmarks").glob("*.py")}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_experiments_do_not_import_benchmarks(script):
    imported = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert not imported & BENCHMARKS
