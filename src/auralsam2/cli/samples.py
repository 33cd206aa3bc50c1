"""`auralsam2 samples`: paths of the files that come with the package."""

from __future__ import annotations

from typing import Annotated

import typer

from auralsam2 import samples as packaged

EXAMPLES = """
Examples:

\b
  auralsam2 segment "$(auralsam2 samples)"                  the demo clip
  cp "$(auralsam2 samples v1m-large-paper)" mine.yaml       a recipe to start from
  python "$(auralsam2 samples interactive)"                 an example script
"""


def samples(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Name as --list prints it; folder and suffix are optional.")
    ] = packaged.CLIP,
    names: Annotated[bool, typer.Option("--list", help="Print the names of all files.")] = False,
) -> None:
    """Print the path of a file that comes with the package: the demo clip, a recipe or an example."""
    print("\n".join(packaged.names()) if names else packaged.find(name))
