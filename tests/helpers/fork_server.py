"""Run Python programs in forks of a process that has imported the heavy libraries.

    python fork_server.py MODULE...

Reads requests from the Unix socket that is its standard input, until that is closed. A new interpreter takes seconds to
import torch and transformers, a fork milliseconds; apart from that a program runs and ends as in a new interpreter.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
import traceback
from types import ModuleType
from typing import Any


def serve(connection: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; returns the request in the forks, and None in the server when the socket is closed."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 3)
        if not data:
            return None
        while not data.endswith(b"\n"):
            data += connection.recv(1 << 16)
        if os.fork() == 0:
            connection.close()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            _supervise(*descriptors)
            return json.loads(data)
        for descriptor in descriptors:
            os.close(descriptor)


def _supervise(status: int, out: int, err: int) -> None:
    """Fork again: return in the program, and report its process id and its exit code from its parent."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if program := os.fork():
        os.close(out)
        os.close(err)
        os.write(status, program.to_bytes(4, "big"))
        _, code = os.waitpid(program, 0)
        os.write(status, os.waitstatus_to_exitcode(code).to_bytes(4, "big", signed=True))
        os._exit(0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in (status, out, err):
        os.close(descriptor)


def execute(request: dict[str, Any]) -> None:
    """Run a program as the interpreter would: `-m MODULE`, `-c CODE` or a file, with its arguments.

    Args:
        request: `arguments`, `folder` and `environment` of the program.
    """
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    # The tests may run in a background job, whose signals a shell ignores.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    match request["arguments"]:
        case ["-m", name, *rest]:
            sys.argv = [name, *rest]
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        case ["-c", code, *rest]:
            sys.argv = ["-c", *rest]
            sys.modules["__main__"] = ModuleType("__main__")
            exec(compile(code, "<string>", "exec"), sys.modules["__main__"].__dict__)
        case [path, *rest]:
            sys.argv = [path, *rest]
            runpy.run_path(path, run_name="__main__")


def finish(code: int) -> None:
    """End as the interpreter does, but without freeing the modules, as that would copy the memory of the server."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    for module in sys.argv[1:]:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    program = serve(socket.socket(fileno=os.dup(0)))
    if program is not None:
        try:
            execute(program)
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            finish(1 if isinstance(end.code, str) else end.code or 0)
        except Exception:
            traceback.print_exc()
            finish(1)
        finish(0)
