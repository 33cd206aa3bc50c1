"""`make test-tools` installs the programs that tests need; where it cannot, it prints one line and does not fail."""

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
    """Return a function that runs `make test-tools` with only the given commands on the path: output and seconds."""
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
            [str(MAKE), "--no-print-directory", "-C", str(REPOSITORY), "test-tools", "PATIENCE=1"],
            env={"PATH": str(folder), "SHELL": str(folder / "sh")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, time.monotonic() - began

    return run


def names_the_remedy(text: str) -> bool:
    return text.count("\n") == 1 and "apt-get install ffmpeg chromium" in text


ROOT, USER = "echo 0", "echo 1000"


@pytest.mark.parametrize("name", ["chromium", "chromium_browser", "google_chrome"])
def test_installed_programs_are_enough(machine: Callable[..., tuple[str, float]], name: str, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    assert machine(**{name: ""}, ffmpeg="", id=ROOT, apt_get=f"touch {calls}")[0] == ""
    assert not calls.exists()


@pytest.mark.parametrize(
    ("present", "missing"), [((), "ffmpeg chromium"), (("ffmpeg",), "chromium"), (("chromium",), "ffmpeg")]
)
def test_root_installs_the_missing_ones(
    machine: Callable[..., tuple[str, float]], present: tuple[str, ...], missing: str, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    assert machine(id=ROOT, apt_get=f'echo "$@" >> {calls}', **dict.fromkeys(present, ""))[0] == ""
    update, download, install = calls.read_text().splitlines()
    assert update.endswith(" update")
    assert download.endswith(f" --download-only {missing}")
    assert "--yes" in install
    assert install.endswith(f" --no-download {missing}")


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
def test_without_installation_one_line_names_the_remedy(
    machine: Callable[..., tuple[str, float]], commands: dict[str, str]
) -> None:
    text, seconds = machine(**commands)
    assert names_the_remedy(text)
    assert seconds < 30


def test_ci_installs_them() -> None:
    assert (REPOSITORY / ".ci/run").read_text().splitlines()[-1] == "exec make test-tools test"
    assert os.access(REPOSITORY / ".ci/run", os.X_OK)
