"""Python blocks of the documentation: imports resolve, and blocks that need no downloaded model run."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import auralsam2
from auralsam2.stampavs import assets
from helpers.media_files import write_clip
from helpers.toy_stamps import SILENT, THINGS, write_stamps

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


PAGES = [page for page in (REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))) if blocks(page)]


def imported(code: str) -> list[tuple[str, str | None]]:
    """Modules of this package that the code imports, with the imported name or None."""
    names: list[tuple[str, str | None]] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            names += [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "auralsam2":
            names.append(("auralsam2", node.attr))
    return [(module, name) for module, name in names if module.partition(".")[0] == "auralsam2"]


def missing(code: str) -> list[str]:
    absent = []
    for module, name in imported(code):
        loaded = importlib.import_module(module)
        if name is not None and not hasattr(loaded, name):
            absent.append(f"{module}.{name}")
    return absent


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_imported_names_exist(page):
    assert [name for code in blocks(page) for name in missing(code)] == []


def test_a_missing_name_is_found():
    assert missing("import auralsam2\nauralsam2.hears") == ["auralsam2.hears"]


def test_quick_start_and_result_json_run(tmp_path, monkeypatch, small_model, capsys):
    monkeypatch.chdir(tmp_path)
    load = auralsam2.load
    monkeypatch.setattr(auralsam2, "load", lambda name: load(small_model), raising=False)
    names: dict[str, object] = {}
    pages = ("quickstart.md", "reference/result-json.md", "guide/export.md")
    for code in (code for page in pages for code in blocks(DOCS / page)):
        exec(compile(code, "documentation", "exec"), names)
    printed = capsys.readouterr().out
    assert printed.count("of the frame, predicted IoU") == 10
    assert printed.count("pixels") == 20, "ten frames, sampled at 2 per second"
    assert {path.name for path in (tmp_path / "exports").iterdir()} == {"coco.json", "masks"}


def test_live_guide_runs(tmp_path, monkeypatch, small_model, capsys):
    monkeypatch.chdir(tmp_path)
    load = auralsam2.load
    monkeypatch.setattr(auralsam2, "load", lambda name: load(small_model), raising=False)
    write_clip(tmp_path / "video.mp4", 3.0)
    for code in blocks(DOCS / "guide" / "live.md"):
        exec(compile(code, "live.md", "exec"), {})
    assert capsys.readouterr().out.count("s late 0") == 3


def test_stampavs_scene_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(assets, "FOLDER", write_stamps(tmp_path / "stamps"))
    (code,) = blocks(DOCS / "benchmarks" / "stampavs.md")
    exec(compile(code, "stampavs.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "256, 256, 3" in printed
    assert set(re.findall(r"'(\w+)'", printed)) <= {*THINGS, *SILENT}


def test_scripts_in_commands_exist():
    commands = [
        line
        for page in (REPOSITORY / "README.md", *DOCS.rglob("*.md"))
        for line in re.findall(r"(?:^|`|\$ )(python (?:-m )?[\w./]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(commands) > 8
    for command in commands:
        name = command.split()[-1]
        file = name.replace(".", "/") + ".py" if "-m" in command else name
        assert (REPOSITORY / file).is_file() or (REPOSITORY / "src" / file).is_file(), command
