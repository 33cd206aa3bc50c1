"""Programs in forks of `fork_server.py`, with the interface of `subprocess.Popen`."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

import auralsam2

MODULES = (
    "auralsam2.cli.main",
    "auralsam2.model",
    "auralsam2.evaluation.run",
    "auralsam2.training.run",
    "auralsam2.studio.launch",
)
"""Modules that the server imports, with torch, transformers, Lightning and FastAPI."""


def checkout_environment() -> dict[str, str]:
    """Environment variables with which a started Python imports this checkout."""
    source = [Path(auralsam2.__file__).parents[1], Path(__file__).parents[2], os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, source))}


class ForkedProcess:
    """A program in a fork.

    Attributes:
        pid: process id.
        stdout, stderr: pipes, as text.
        returncode: exit code, negative for a signal, None while the program runs.
    """

    def __init__(self, status: socket.socket, stdout: TextIO, stderr: TextIO) -> None:
        self._status, self.stdout, self.stderr = status, stdout, stderr
        self.returncode: int | None = None
        self.pid = int.from_bytes(self._status.recv(4), "big")

    def poll(self) -> int | None:
        """The exit code, None while the program runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; returns the exit code.

        Raises:
            subprocess.TimeoutExpired: the program runs for longer than `timeout` seconds.
        """
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end; returns the text on stdout and on stderr.

        Raises:
            subprocess.TimeoutExpired: the program runs for longer than `timeout` seconds.
        """
        end = None if timeout is None else time.monotonic() + timeout
        texts = {self.stdout: "", self.stderr: ""}

        def read(pipe: TextIO) -> None:
            texts[pipe] = pipe.read()

        threads = [threading.Thread(target=read, args=(pipe,), daemon=True) for pipe in texts if not pipe.closed]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))
            if thread.is_alive():
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        return texts[self.stdout], texts[self.stderr]

    def send_signal(self, number: int) -> None:
        """Send a signal to the program, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the program, if it still runs."""
        self.send_signal(9)

    def _ended(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], seconds)[0]:
            self.returncode = int.from_bytes(self._status.recv(4), "big", signed=True)
        return self.returncode


class ForkServer:
    """A process that has imported the heavy libraries; started with the first program, closed by `close`."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, arguments: list[str], folder: Path) -> ForkedProcess:
        """Start `python ARGUMENT...` in a folder, with the present environment variables."""
        environment = checkout_environment()
        if self._socket is None:
            self._socket, theirs = socket.socketpair()
            script = str(Path(__file__).with_name("fork_server.py"))
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", script, *MODULES], stdin=theirs, stdout=subprocess.DEVNULL, env=environment
                )
        status, theirs = socket.socketpair()
        pipes = [os.pipe() for _ in range(2)]
        request = {"arguments": arguments, "folder": str(folder), "environment": environment}
        with theirs:
            descriptors = [theirs.fileno(), *(write for _, write in pipes)]
            data = json.dumps(request).encode() + b"\n"
            sent = socket.send_fds(self._socket, [data], descriptors)
            self._socket.sendall(data[sent:])
        for _, write in pipes:
            os.close(write)
        out, err = (os.fdopen(read, encoding="utf-8") for read, _ in pipes)
        return ForkedProcess(status, out, err)

    def close(self) -> None:
        """End the server."""
        if self._socket is not None and self._process is not None:
            self._socket.close()
            self._process.wait()
