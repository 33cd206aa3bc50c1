"""Test the wheel with the Python interpreters of this machine and the lowest and newest dependencies.

    python dev/matrix.py [--python 3.13]... [--lowest | --newest] [--logs DIR]

For each interpreter and resolution: makes a virtual environment, installs the wheel with the extra `test`, runs the
fast tests from the checkout, and deletes the environment. Uses `uv` where it is installed, else pip. Prints a table;
the exit code is 1 where an installation or a test failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
NAME = "auralsam2"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
RESOLUTIONS = ("lowest", "newest")
PACKAGES = ("torch", "av", "transformers", "numpy")
SUITE = (
    "tests/media",
    "tests/outputs",
    "tests/data",
    "tests/cli/test_help.py",
    "tests/cli/test_demo.py",
    "tests/cli/test_option_parsing.py",
    "tests/test_package.py",
    "tests/test_public_api.py",
    "tests/docs/test_readme.py",
    "tests/training/test_recipe.py",
    "tests/training/test_training_config.py",
)
"""Fast tests of files, outputs, data sets, commands and configuration, and runs of the demo clip."""
DESELECTED = (
    "--deselect=tests/cli/test_help.py::test_help_is_fast",  # measures the machine, not the dependencies
)
OPTIONS = ("-q", "--numprocesses=auto", "--dist=worksteal", "-p", "no:cacheprovider")
"""Options of pytest: one process a core, no files in the checkout."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Outcome of one environment.

    Attributes:
        python: full version of the interpreter.
        resolution: `lowest` or `newest`.
        versions: installed versions of `PACKAGES`; `-` where the installation failed.
        passed, failed: numbers of tests; errors count as failed.
        seconds: duration of installation and tests.
        problem: reason for which the tests did not run; empty if they did.
    """

    python: str
    resolution: str
    versions: tuple[str, ...] = ("-",) * len(PACKAGES)
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    problem: str = ""

    @property
    def good(self) -> bool:
        """True if tests ran and all passed."""
        return not self.problem and self.passed > 0 and self.failed == 0


def lower_bounds(project: dict) -> list[str]:
    """Return `name==version` of each dependency's lower bound, of the project and of the extra `test`.

    Args:
        project: table `project` of pyproject.toml.

    Raises:
        ValueError: a dependency has no lower bound.
    """
    extras = project["optional-dependencies"]
    lines, pending = list(project["dependencies"]), ["test"]
    while pending:
        for line in extras[pending.pop()]:
            own = re.fullmatch(rf"{NAME}\[(.*)\]", line)
            if own is None:
                lines.append(line)
            else:
                pending += own[1].split(",")
    bounds = []
    for line in lines:
        match = re.match(r"([\w.-]+)(?:\[.*?\])?\s*>=\s*([\w.]+)", line)
        if match is None:
            raise ValueError(f"{line}: has no lower bound")
        bounds.append(f"{match[1]}=={match[2]}")
    return bounds


def interpreters(versions: tuple[str, ...] = VERSIONS) -> dict[str, str]:
    """Return the interpreters that start: the path by version, from PATH, then from pyenv."""
    pyenv = _output(["pyenv", "root"])
    roots = [Path(pyenv)] if pyenv else []
    paths = {}
    for version in versions:
        candidates = [shutil.which(f"python{version}")]
        for root in roots:
            candidates += map(str, sorted(root.glob(f"versions/*/bin/python{version}"), reverse=True))
        for path in filter(None, candidates):
            code = "import sys, venv, ensurepip; print(sys.executable, '%d.%d' % sys.version_info[:2])"
            executable, _, actual = _output([path, "-c", code]).rpartition(" ")
            if actual == version:
                paths[version] = executable
                break
    return paths


def summary(text: str) -> tuple[int, int]:
    """Return the numbers of passed and failed tests from the last line that pytest prints."""
    counts = {"passed": 0, "failed": 0, "error": 0}
    lines = [line for line in text.splitlines() if re.search(r" in [\d.]+s", line)]
    for number, word in re.findall(r"(\d+) (passed|failed|error)", lines[-1] if lines else ""):
        counts[word] += int(number)
    return counts["passed"], counts["failed"] + counts["error"]


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    head = ["Python", "resolution", *PACKAGES, "passed", "failed", "seconds", ""]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        counts = [str(row.passed), str(row.failed), f"{row.seconds:.0f}"]
        lines.append([row.python, row.resolution, *row.versions, *counts, row.problem])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def build(python: str, folder: Path) -> Path:
    """Build the wheel of the checkout into a folder."""
    uv = shutil.which("uv")
    options = ["build", "--wheel", "--out-dir"] if uv else ["-m", "pip", "wheel", "--no-deps", "--wheel-dir"]
    subprocess.run([uv or python, *options, str(folder), str(REPOSITORY)], check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    return wheel


def run_tests(python: str, resolution: str, wheel: Path, folder: Path, log: Path) -> Row:
    """Install the wheel into a new environment and run the tests there.

    Args:
        python: interpreter.
        resolution: `lowest` or `newest`.
        wheel: file to install.
        folder: folder of the environment, which is deleted at the end.
        log: file for the output of the installer and pytest.
    """
    began = time.monotonic()
    version = _output([python, "-c", "import platform; print(platform.python_version())"])
    try:
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
        inside = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
        uv = shutil.which("uv")
        installer = [uv, "pip", "install", "--python", inside] if uv else [inside, "-m", "pip", "install"]
        command = [*installer, f"{wheel}[test]"]
        if resolution == "lowest":
            constraints = folder / "lowest.txt"
            constraints.write_text("\n".join(lower_bounds(_project())) + "\n", encoding="utf-8")
            command += ["--constraint", str(constraints)]
        installed = _logged(command, log)
        if installed != 0:
            seconds = time.monotonic() - began
            return Row(python=version, resolution=resolution, seconds=seconds, problem=f"not installable: see {log}")
        ask = f"from importlib.metadata import version; print(*map(version, {PACKAGES!r}))"
        versions = tuple(_output([inside, "-c", ask]).split())
        _logged([inside, "-m", "pytest", *OPTIONS, *DESELECTED, *SUITE], log)
        passed, failed = summary(log.read_text(encoding="utf-8", errors="replace"))
        return Row(
            python=version,
            resolution=resolution,
            versions=versions,
            passed=passed,
            failed=failed,
            seconds=time.monotonic() - began,
            problem="" if passed and not failed else f"see {log}",
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _project() -> dict:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _output(command: list[str]) -> str:
    """Return the output of a command; empty if it fails or does not exist."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _logged(command: list[str], log: Path) -> int:
    """Run a command in the checkout without PYTHONPATH, append its output to the log, return its exit code."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(command)}\n")
        file.flush()
        return subprocess.run(
            command, cwd=REPOSITORY, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False
        ).returncode


def main(arguments: list[str] | None = None) -> int:
    """Run the matrix and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", choices=VERSIONS, help="only this version; may be repeated")
    chosen = parser.add_mutually_exclusive_group()
    for resolution in RESOLUTIONS:
        chosen.add_argument(f"--{resolution}", action="store_const", const=resolution, dest="only")
    parser.add_argument(
        "--logs", type=Path, default=REPOSITORY / "out" / "matrix", metavar="DIR", help="folder of the logs"
    )
    options = parser.parse_args(arguments)
    paths = interpreters(tuple(options.python or VERSIONS))
    for version in options.python or VERSIONS:
        if version not in paths:
            print(f"Python {version}: not on this machine", file=sys.stderr)
    options.logs.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="auralsam2-matrix-") as temporary:
        wheel = build(next(iter(paths.values()), sys.executable), Path(temporary))
        for version, python in paths.items():
            for resolution in [options.only] if options.only else RESOLUTIONS:
                print(f"Python {version}, {resolution} dependencies ...", file=sys.stderr, flush=True)
                log = options.logs / f"{version}-{resolution}.log"
                log.unlink(missing_ok=True)
                rows.append(run_tests(python, resolution, wheel, Path(temporary, "environment"), log))
    print(table(rows))
    missing = [version for version in options.python or () if version not in paths]
    return 0 if rows and not missing and all(row.good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
