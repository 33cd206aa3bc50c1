"""`auralsam2 train`: train a model folder from a recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from auralsam2.errors import UnavailableError, message_line

EXAMPLES = """
Examples:

\b
  auralsam2 train recipes/stampavs-mini-fuser.yaml --set data.root=stamp
  auralsam2 train recipes/v1m-large-paper.yaml --set trainer.devices=4 --set optimiser.rate=5e-5
  auralsam2 train recipes/v1m-large-paper.yaml --resume     continue an interrupted run
  auralsam2 train recipes/v2-semantic-stepping-stones.yaml --set data.masks=masks

auralsam2 samples --list prints the names of the packaged recipes.
"""


def train_command(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.yaml", help="Recipe: a file, or the name of a packaged recipe.")
    ],
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Resume from the last checkpoint, if there is one.")
    ] = False,
) -> None:
    """Train AuralFuser, a baseline or the second stage for classes; SAM 2 and the text encoder stay frozen.

    Writes runs/NAME/: the models last/ and best/, the checkpoint last.ckpt, log/ and recipe.yaml.
    """
    from auralsam2.training.recipe import TrainingRecipe
    from auralsam2.training.semantic_recipe import load_recipe

    recipe = load_recipe(config, changes or ())
    out = Path(recipe.out) if recipe.out is not None else Path("runs") / config.stem
    try:
        from auralsam2.training import callbacks, semantic_run
        from auralsam2.training import run as training_run
    except ModuleNotFoundError as error:
        raise UnavailableError(f"training needs {error.name}: pip install 'auralsam2[train]'") from error

    bar = sys.stderr.isatty()
    if isinstance(recipe, TrainingRecipe):
        training_run.train(recipe, out, resume=resume, bar=bar, on_message=_note)
    else:
        semantic_run.train_second_stage(recipe, out, resume=resume, bar=bar, on_message=_note)
    print(f"written: {out / callbacks.LAST}, {out / callbacks.BEST}")


def _note(text: str) -> None:
    print(message_line("", text), file=sys.stderr, flush=True)
