"""Help texts and their speed."""

from __future__ import annotations

import json
import resource
import subprocess

import pytest
import typer

from auralsam2.cli.main import app
from auralsam2.version import __version__


def commands(command=None, path="auralsam2"):
    """All commands with their full names, the program itself first."""
    command = command or typer.main.get_command(app)
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, f"{path} {name}")


def help_lines(path, command):
    """What the help of a command says; the layout is typer's and changes with its versions."""
    yield f"## {path}"
    yield " ".join((command.help or "").split())
    for parameter in command.params:
        names = ", ".join((*parameter.opts, *parameter.secondary_opts))
        if parameter.param_type_name == "argument":
            names = "required" if parameter.required else "optional"
        default = "" if parameter.default in (None, False, True) else f" [{parameter.default}]"
        metavar = f" {parameter.metavar}" if parameter.metavar else ""
        yield f"- {names}{metavar}{default}: {getattr(parameter, 'help', '')}"
    if command.epilog:
        yield command.epilog.replace("\b", "").strip()
    yield ""


def test_help_texts(pin):
    pin("help.txt", "\n".join(line for path, command in commands() for line in help_lines(path, command)))


@pytest.mark.parametrize("path", [path for path, _ in commands()])
def test_each_help_shows_every_option(path, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERMINAL_WIDTH", "100")
    outcome = command(*path.split()[1:], "--help")
    assert outcome.code == 0
    assert outcome.err == ""
    assert outcome.out.startswith(f"Usage: {path} ")
    described = dict(commands())[path]
    for parameter in described.params:
        names = (*parameter.opts, *parameter.secondary_opts)
        expected = (parameter.metavar,) if parameter.param_type_name == "argument" else names
        for name in expected:
            assert name in outcome.out
        assert getattr(parameter, "help", "").split()[0] in outcome.out
    for name in getattr(described, "commands", ()):
        assert f"  {name} " in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 100


def test_short_form_and_version(command):
    assert command("-h").out == command("--help").out
    assert command("--version").out == f"auralsam2 {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["bench"]])
def test_without_a_command_the_help_is_shown(capsys, arguments):
    from auralsam2.cli import main

    assert main.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Usage: auralsam2")
    assert "Commands:" in captured.err
    assert "error" not in captured.err


def test_help_is_fast(start):
    """Under half a second of processor time, which other programs beside do not add to; the best of three."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = start("-m", "auralsam2", "--help")
        out, _ = process.communicate(timeout=120)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert process.returncode == 0
        assert "segment" in out
    assert min(times) < 0.5, times


@pytest.mark.parametrize("arguments", [["--help"], ["segment", "--help"], ["--version"]])
def test_help_imports_no_heavy_library(start, arguments):
    process = start("-X", "importtime", "-m", "auralsam2", *arguments)
    _, err = process.communicate(timeout=20)
    imported = {line.rpartition("|")[2].strip() for line in err.splitlines() if line.startswith("import time:")}
    assert "auralsam2.cli.main" in imported
    assert imported.isdisjoint({"torch", "numpy", "av", "transformers", "huggingface_hub", "PIL", "pycocotools"})


def test_closed_pipe_ends_the_command_quietly(start):
    """As with `auralsam2 models | head -1`: no traceback."""
    process = start("-m", "auralsam2", "models", "--json", stdout=subprocess.PIPE)
    process.stdout.close()
    process.wait(timeout=60)
    assert "Traceback" not in process.stderr.read()


def test_table_in_a_pipe_is_not_truncated(command):
    outcome = command("models")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    names = [line.split()[0] for line in lines[1:]]
    assert names == [entry["name"] for entry in json.loads(command("models", "--json").out)]
    assert any(line.rstrip().endswith("https://huggingface.co/yyliu01/AuralSAM2") for line in lines)
