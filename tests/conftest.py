"""Fixtures of all tests: no network but the loopback device, no caches of the user, small models, the command line."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from helpers.forked_process import ForkedProcess, ForkServer, checkout_environment
from helpers.shared_folders import build_once

pytest_plugins = ("helpers.studio_browser",)
_SLOW = {"start", "fork", "wheel", "installed"}
"""Fixtures that start programs."""


_CACHE_FOLDER = tempfile.mkdtemp(prefix="auralsam2-tests-")
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HOME": f"{_CACHE_FOLDER}/huggingface",
    "HF_HUB_CACHE": f"{_CACHE_FOLDER}/huggingface/hub",
    "AURALSAM2_CACHE": f"{_CACHE_FOLDER}/auralsam2",
    "OMP_NUM_THREADS": "1",
}
"""Environment of a worker and of the processes that it starts, set before any other file of the tests imports torch.

One thread a process: small models gain nothing from more, threads that wait for each other on a busy machine take ten
times as long, and sums over more threads may differ in the last bit.
"""


def pytest_unconfigure() -> None:
    """Remove the caches."""
    shutil.rmtree(_CACHE_FOLDER, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start programs."""
    for item in items:
        if _SLOW.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


def _refuse_beyond_loopback(host: object) -> None:
    try:
        local = host in ("localhost", "", b"", None) or ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        local = False
    if not local:
        pytest.fail(f"a test asked the network for {host!r}")


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """No test reaches beyond the loopback device: such an attempt fails it, whoever catches errors in between."""
    names, connects = socket.getaddrinfo, {name: getattr(socket.socket, name) for name in ("connect", "connect_ex")}

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        _refuse_beyond_loopback(host)
        return names(host, *rest, **more)

    def guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
        def guard(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                _refuse_beyond_loopback(address[0])
            return connect(self, address)

        return guard

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        for name, connect in connects.items():
            patch.setattr(socket.socket, name, guarded(connect))
        yield


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with few random weights that sees 64 x 64 pixels."""
    from helpers.small_networks import save_small_model

    return save_small_model(tmp_path_factory.mktemp("models") / "small", 64)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without a network."""

    def build(folder: Path) -> None:
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
        subprocess.run(command, cwd=Path(__file__).parents[1], check=True, capture_output=True)

    (built,) = build_once(tmp_path_factory, "dist", build).glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with the wheel installed; its dependencies come from the present environment."""

    def build(folder: Path) -> None:
        options = ["--quiet", "--no-deps", "--no-index", "--no-compile", "--target", folder]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, wheel], check=True)

    return build_once(tmp_path_factory, "installed", build)


@dataclass(frozen=True)
class Outcome:
    """What came of a command: exit code, and text on stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def errors(self) -> list[str]:
        """The messages of the lines on stderr that tell of errors."""
        start = "auralsam2: error: "
        return [line.removeprefix(start) for line in self.err.splitlines() if line.startswith(start)]

    @property
    def error(self) -> str:
        """The one error message."""
        (message,) = self.errors
        return message


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs a command in this process, and checks that stderr has nothing but our own lines."""

    def run(*arguments: object) -> Outcome:
        from auralsam2.cli import main

        capsys.readouterr()
        code = main.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        strange = [line for line in captured.err.splitlines() if not line.startswith("auralsam2: ")]
        assert not strange
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def segment(command: Callable[..., Outcome], small_model: Path, tmp_path: Path) -> Callable[..., Outcome]:
    """Runs `auralsam2 segment` with the small model, into `tmp_path/out`; what is given comes last, and so wins."""

    def run(*arguments: object) -> Outcome:
        return command("segment", "--model", small_model, "--out", tmp_path / "out", *arguments)

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `python ARGUMENT...` in `tmp_path`; programs that still run at the end of the test are killed."""
    running: list[subprocess.Popen[str]] = []

    def run(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": checkout_environment()}
        command = [sys.executable, *map(str, arguments)]
        running.append(subprocess.Popen(command, cwd=tmp_path, text=True, **(pipes | options)))
        return running[-1]

    yield run
    for started in running:
        started.kill()
        started.communicate()


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """A process that has imported torch and transformers, for programs that do so."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def fork(fork_server: ForkServer, tmp_path: Path) -> Iterator[Callable[..., ForkedProcess]]:
    """Runs `python ARGUMENT...` in `tmp_path` as `start` does, without the seconds that importing torch takes."""
    running: list[ForkedProcess] = []

    def run(*arguments: object) -> ForkedProcess:
        running.append(fork_server.start([*map(str, arguments)], tmp_path))
        return running[-1]

    yield run
    for started in running:
        started.kill()
        started.communicate()


@pytest.fixture
def pin() -> Callable[[str, str], None]:
    """Compares text with a file of `tests/pins`; with UPDATE_PINS=1 in the environment, writes it instead."""

    def compare(name: str, text: str) -> None:
        file = Path(__file__).parent / "pins" / name
        if os.environ.get("UPDATE_PINS") == "1":
            file.write_text(text, encoding="utf-8")
        known = file.read_text(encoding="utf-8") if file.exists() else ""
        assert text == known, f"{file} differs; if the change is meant: UPDATE_PINS=1 pytest, and commit the file"

    return compare
