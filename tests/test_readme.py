"""What the README shows is run: its shell lines and its Python, on a small model and a generated video."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import auralsam2
from media_files import numbered, tone, write_clip
from networks import save_small_text_model

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SHELL = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    if line.startswith("auralsam2 ")
]
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with the files that the README speaks of."""
    monkeypatch.chdir(tmp_path)
    pictures = [numbered(number, 640, 360) for number in range(20)]
    write_clip(tmp_path / "dog.mp4", pictures=pictures, sound=tone(2.0))
    (tmp_path / "archive").mkdir()
    write_clip(tmp_path / "archive" / "cat.mp4", 1.0)
    return tmp_path


@pytest.fixture(scope="session")
def small_text_model(tmp_path_factory):
    return save_small_text_model(tmp_path_factory.mktemp("models") / "words", 64)


@pytest.mark.parametrize("line", [line for line in SHELL if line.split()[1] == "segment"])
def test_segment(line, desk, command, small_model, small_text_model):
    """Each line, with a small model in place of a released one."""
    arguments = shlex.split(line, comments=True)[1:]
    model = arguments.index("--model") + 1
    arguments[model] = str(small_text_model if arguments[model] == "ref-avs" else small_model)
    outcome = command(*arguments)
    assert outcome.code == 0, outcome.err
    out = desk / ("results" if "--out" in arguments else "out")
    (overlay,) = out.rglob("overlay.mp4")
    assert overlay.stat().st_size > 1000


def test_the_other_lines_are_commands_that_exist(command):
    others = [shlex.split(line, comments=True)[1:] for line in SHELL if line.split()[1] != "segment"]
    assert {arguments[0] for arguments in others} == {
        "models",
        "convert",
        "bench",
        "data",
        "evaluate",
        "train",
        "studio",
    }
    for arguments in others:
        known = command(*arguments[: 2 if arguments[0] in ("bench", "data") else 1], "--help")
        assert known.code == 0
        assert all(word in known.out for word in arguments if word.startswith("--"))
        if arguments[0] == "train":
            assert (Path(__file__).parents[1] / arguments[1]).is_file()


@pytest.mark.parametrize("code", PYTHON)
def test_python(code, desk, small_model, monkeypatch, capsys):
    load = auralsam2.load
    monkeypatch.setattr(auralsam2, "load", lambda _name, **options: load(small_model, **options), raising=False)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    if "result" in names:
        assert (desk / "results" / "dog" / "overlay.mp4").is_file()
    elif "session" in names:
        frames, objects = 2, 2
        assert len(capsys.readouterr().out.splitlines()) == frames * objects
    else:
        assert capsys.readouterr().out.count("of the picture sounds") == 2


def test_links_lead_somewhere():
    root = Path(__file__).parents[1]
    documents = [root / "README.md", *(root / "docs").glob("*.md")]
    for document in documents:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_blocks_are_found():
    assert len(SHELL) == 18
    assert len(PYTHON) == 3
    assert np.all([("dog.mp4" in code) for code in PYTHON])
