"""Run command lines and Python code in one process of the installed package, without a network.

    python readme_runner.py ITEMS.json RESULTS.json ARGUMENT...

ITEMS.json is a list of `[kind, text]`: kind `sh` for a line of shell that starts with `auralsam2`, `py` for code.
RESULTS.json is a list of `[exit code, stdout, stderr]`. Finally, `auralsam2 ARGUMENT...` runs and prints on stdout.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import json
import shlex
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

_connect = socket.socket.connect


def _refuse(self: socket.socket, address: Any) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6) and not ipaddress.ip_address(address[0]).is_loopback:
        raise OSError("no network")
    _connect(self, address)


def run(kind: str, text: str, clip: str) -> tuple[int, str, str]:
    """Run one item; returns its exit code, stdout and stderr."""
    from auralsam2.cli import main

    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        if kind == "sh":
            words = shlex.split(text.replace("$(auralsam2 samples)", clip), comments=True)
            code = main.run(words[1:])
        else:
            try:
                exec(compile(text, "README.md", "exec"), {"__name__": "readme"})
                code = 0
            except Exception:
                traceback.print_exc()
                code = 1
    return code, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    socket.socket.connect = _refuse  # type: ignore[method-assign]
    import auralsam2
    from auralsam2.samples import demo_clip

    items = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    results = [run(kind, text, str(demo_clip())) for kind, text in items]
    Path(sys.argv[2]).write_text(json.dumps({"package": auralsam2.__file__, "results": results}), encoding="utf-8")
    from auralsam2.cli import main

    sys.exit(main.run(sys.argv[3:]))
