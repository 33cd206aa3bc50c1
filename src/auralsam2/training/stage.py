"""The command line that the small stages of the bundled model share."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from auralsam2.errors import AuralError, message_line


def command(
    stage: str, train: Callable[[Path, Sequence[str], bool], dict[str, Any]], arguments: Sequence[str] | None
) -> int:
    """Run `python -m auralsam2.training.STAGE.train RECIPE [--set KEY=VALUE] [--resume] [--threads N]`.

    Args:
        stage: name of the package.
        train: given the recipe, the changes to it and whether to resume, trains and returns figures, which are printed.
        arguments: of the command line; None for the process's own.

    Returns:
        the exit code.
    """
    parser = argparse.ArgumentParser(prog=f"python -m auralsam2.training.{stage}.train")
    parser.add_argument("recipe", type=Path, help="YAML, see recipes/")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change a value of the recipe")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    try:
        figures = train(options.recipe, options.set, options.resume)
    except AuralError as error:
        print(message_line("error", error), file=sys.stderr)
        return error.exit_code
    print(json.dumps(figures))
    return 0
