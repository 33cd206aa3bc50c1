"""The experiments import from their folder and the package alone, so that `python experiments/NAME.py` runs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = sorted((REPOSITORY / "experiments").glob("*.py"))
BENCHMARKS = {path.stem for path in (REPOSITORY / "benchmarks").glob("*.py")}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_no_module_of_the_benchmarks_is_imported(script):
    imported = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert not imported & BENCHMARKS
