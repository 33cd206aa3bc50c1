"""A program in a fork of the fork server ends as in a new interpreter."""

from __future__ import annotations

import pytest

PROGRAMS = {
    "exit code": "import sys; print(sys.argv); sys.exit(7)",
    "message": "import sys; sys.exit('no such thing')",
    "exception": "raise ValueError('no such value')",
    "signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "exit handler": "import atexit; atexit.register(print, 'end', flush=True); print('begin')",
    "thread": "import threading, time; threading.Thread(target=lambda: (time.sleep(0.2), print('end'))).start()",
    "environment": "import os; print(os.getcwd(), os.environ['AURALSAM2_CACHE'], os.environ['SPECIAL'])",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_fork_ends_as_an_interpreter(program, start, fork, monkeypatch):
    monkeypatch.setenv("SPECIAL", "ünusual")
    outcomes = []
    for run in (start, fork):
        process = run("-c", PROGRAMS[program], "one", "two")
        out, err = process.communicate(timeout=60)
        outcomes.append((process.returncode, out, err.splitlines()[-1:]))
    assert outcomes[0] == outcomes[1]


def test_an_interrupt_reaches_the_program(fork):
    code = """
import time
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("end")
"""
    process = fork("-c", code)
    assert process.stdout.readline() == "ready\n"
    assert process.poll() is None
    process.send_signal(2)
    assert process.communicate(timeout=60)[0] == "end\n"
    assert process.returncode == 0
