"""`auralsam2 train`: a recipe becomes a model folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from auralsam2.errors import UnavailableError, message_line
from auralsam2.training.recipe import TrainingRecipe


def run_training(config: Path, changes: Sequence[str], *, resume: bool) -> None:
    """Train, and print where the models are.

    Raises:
        AuralError: the recipe makes no sense, something is missing, or the folder cannot be used.
    """
    recipe = TrainingRecipe.load(config, changes)
    out = Path(recipe.out) if recipe.out is not None else Path("runs") / config.stem
    try:
        from auralsam2.training import callbacks
        from auralsam2.training import run as running
    except ModuleNotFoundError as error:
        raise UnavailableError(f"training needs {error.name}: pip install 'auralsam2[train]'") from error

    running.train(recipe, out, resume=resume, bar=sys.stderr.isatty(), tell=_note)
    print(f"written: {out / callbacks.LAST}, {out / callbacks.BEST}")


def _note(news: str) -> None:
    print(message_line("", news), file=sys.stderr, flush=True)
