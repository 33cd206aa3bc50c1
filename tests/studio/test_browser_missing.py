"""A machine without Chromium: the tests of the page are skipped, and the summary names the reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from helpers.forked_process import checkout_environment

PAGE = Path(__file__).with_name("test_page_play.py")


def test_the_summary_of_a_run_with_workers_names_the_reason(tmp_path: Path) -> None:
    options = ["-q", "-n", "1", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'run'}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, PAGE],
        cwd=PAGE.parents[2],
        env=checkout_environment() | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "THE PAGE OF THE STUDIO WAS NOT TESTED" in done.stdout
    assert "no Chromium: apt-get install chromium" in done.stdout
    assert "2 skipped" in done.stdout
