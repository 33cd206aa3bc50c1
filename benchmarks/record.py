"""Run the commands that a document shows and put what they print under them, so that no figure is typed by hand.

    python benchmarks/record.py docs/benchmarks/speed.md [--only TEXT]

A recorded block is a fenced one of kind `console` whose first line is `$ COMMAND`; everything below that line is
replaced by what the command prints on stdout. Blocks of other kinds are left alone. The date, the machine and the
library versions belong into what the commands print.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

BLOCK = re.compile(r"^```console\n\$ (?P<command>[^\n]+)\n(?P<printed>.*?)^```$", re.DOTALL | re.MULTILINE)


def record(text: str, run: Callable[[str], str], only: str = "") -> str:
    """The document with fresh outputs.

    Args:
        text: of the document.
        run: gives what a command prints.
        only: run the commands that contain this text, keep the others' outputs.
    """

    def renewed(block: re.Match[str]) -> str:
        command = block["command"]
        printed = run(command).rstrip("\n") + "\n" if only in command else block["printed"]
        return f"```console\n$ {command}\n{printed}```"

    return BLOCK.sub(renewed, text)


def shell(command: str) -> str:
    """What a command prints on stdout; its stderr goes to ours.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    print(f"$ {command}", file=sys.stderr)
    return subprocess.run(command, shell=True, check=True, text=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Renew the outputs of the commands in a document.")
    parser.add_argument("document", type=Path)
    parser.add_argument("--only", default="", metavar="TEXT", help="only commands that contain this")
    arguments = parser.parse_args()
    text = arguments.document.read_text(encoding="utf-8")
    if not BLOCK.search(text):
        parser.error(f"{arguments.document}: has no block that begins with ```console and $ COMMAND")
    renewed = record(text, shell, arguments.only)
    draft = arguments.document.with_name(f".{arguments.document.name}.part")
    draft.write_text(renewed, encoding="utf-8")
    draft.replace(arguments.document)


if __name__ == "__main__":
    main()
