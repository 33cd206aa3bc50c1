"""`make browser`: installs Chromium where it can, and where it cannot says so in one line, and fails nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
NEEDED = ("sh", "timeout", "sleep", "touch", "test")
MAKE = shutil.which("make")

pytestmark = pytest.mark.skipif(MAKE is None, reason="no make")


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., tuple[str, float]]:
    """A machine that has nothing but these commands; the answer is what `make browser` says there, and its seconds."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED:
        if path := shutil.which(name):
            (folder / name).symlink_to(path)

    def run(**commands: str) -> tuple[str, float]:
        for name, script in commands.items():
            path = folder / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
        began = time.monotonic()
        done = subprocess.run(
            [str(MAKE), "--no-print-directory", "-C", str(REPOSITORY), "browser", "PATIENCE=1"],
            env={"PATH": str(folder), "SHELL": str(folder / "sh")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, time.monotonic() - began

    return run


def told(text: str) -> bool:
    return text.count("\n") == 1 and "apt-get install chromium" in text


ROOT, USER = "echo 0", "echo 1000"


@pytest.mark.parametrize("name", ["chromium", "chromium_browser", "google_chrome"])
def test_a_browser_that_is_there_is_enough(
    machine: Callable[..., tuple[str, float]], name: str, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    assert machine(**{name: ""}, id=ROOT, apt_get=f"touch {asked}")[0] == ""
    assert not asked.exists()


def test_root_installs_it(machine: Callable[..., tuple[str, float]], tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    assert machine(id=ROOT, apt_get=f'echo "$@" >> {asked}')[0] == ""
    update, download, install = asked.read_text().splitlines()
    assert update.endswith(" update")
    assert "--download-only" in download
    assert "--yes" in install
    assert "--no-download" in install
    assert install.endswith(" chromium")


@pytest.mark.parametrize(
    "commands",
    [
        {"id": USER, "apt_get": "exit 0"},
        {"id": ROOT},
        {"id": ROOT, "apt_get": "exit 100"},
        {"id": ROOT, "apt_get": "exec sleep 50"},
        {"id": ROOT, "apt_get": 'read answer || case "$*" in *--no-download*) exit 1;; esac'},
    ],
    ids=["not root", "no apt-get", "no network", "hangs", "asks and fails"],
)
def test_where_it_cannot_be_had_one_line_says_so(
    machine: Callable[..., tuple[str, float]], commands: dict[str, str]
) -> None:
    text, seconds = machine(**commands)
    assert told(text)
    assert seconds < 30


def test_the_check_of_a_change_asks_for_it() -> None:
    assert (REPOSITORY / ".ci/run").read_text().splitlines()[-1] == "exec make browser test"
    assert os.access(REPOSITORY / ".ci/run", os.X_OK)
