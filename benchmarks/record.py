"""Run the commands in a document and replace the output below each of them.

    python benchmarks/record.py docs/benchmarks/speed.md [--only TEXT]

A recorded block is a fenced one of kind `console` whose first line is `$ COMMAND`; everything below that line is
replaced by the command's stdout. Other blocks do not change.
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
    """Return a document with new outputs.

    Args:
        text: the document.
        run: returns the output of a command.
        only: run only the commands that contain this text.
    """

    def replace(block: re.Match[str]) -> str:
        command = block["command"]
        printed = run(command).rstrip("\n") + "\n" if only in command else block["printed"]
        return f"```console\n$ {command}\n{printed}```"

    return BLOCK.sub(replace, text)


def shell(command: str) -> str:
    """Run a command and return its stdout.

    Raises:
        subprocess.CalledProcessError: the command fails.
    """
    print(f"$ {command}", file=sys.stderr)
    return subprocess.run(command, shell=True, check=True, text=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Renew the outputs of the commands in a document.")
    parser.add_argument("document", type=Path)
    parser.add_argument("--only", default="", metavar="TEXT", help="only commands that contain this text")
    arguments = parser.parse_args()
    text = arguments.document.read_text(encoding="utf-8")
    if not BLOCK.search(text):
        parser.error(f"{arguments.document}: has no block that begins with ```console and $ COMMAND")
    content = record(text, shell, arguments.only)
    draft = arguments.document.with_name(f".{arguments.document.name}.part")
    draft.write_text(content, encoding="utf-8")
    draft.replace(arguments.document)


if __name__ == "__main__":
    main()
