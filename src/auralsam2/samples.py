"""Files in the package: the demo clip, training recipes and example scripts."""

from __future__ import annotations

import difflib
from pathlib import Path, PurePosixPath

from auralsam2.errors import UsageError
from auralsam2.paths import exists

PACKAGE = Path(__file__).parent
CLIP = "demo.mp4"
_FOLDERS = ("examples", "recipes")
_LAYERS = "recipes/parts/"
"""Layers that recipes share and that are no recipes themselves."""
_LISTED = 3
"""Maximum number of recipes that an error names."""


def demo_clip() -> Path:
    """Return the path of the demo clip: ten seconds of 384 × 384 pixels with audio."""
    return PACKAGE / "bundled" / CLIP


def names() -> tuple[str, ...]:
    """List the files by name: `demo.mp4`, then `examples/NAME.py` and `recipes/NAME.yaml`, sorted."""
    return (CLIP, *(name for name in _files() if not name.startswith(_LAYERS)))


def find(name: str) -> Path:
    """Return the path of a file by its name.

    Args:
        name: as `names` lists it; its first folder and its suffix may be omitted.

    Raises:
        UsageError: no file has this name.
    """
    path = _find(name)
    if path is None:
        raise UsageError(f"no file {name!r} comes with auralsam2: give one of {', '.join(names())}")
    return path


def find_recipe(path: Path, folder: str = "") -> Path:
    """Return the path of a recipe: the file itself, or the packaged recipe of that name.

    Args:
        path: a file; if there is none, the name of a packaged recipe, such as `recipes/v1m-large-paper.yaml`,
            `v1m-large-paper` or `zero-shot/avsbench`.
        folder: subfolder of `recipes/` whose names the error suggests.

    Raises:
        UsageError: neither exists.
    """
    if exists(path):
        return path
    packaged = None if path.is_absolute() else _find(path.as_posix())
    if packaged is None or packaged.suffix != ".yaml":
        recipes = [name for name in names() if PurePosixPath(name).parent == PurePosixPath("recipes", folder)]
        raise UsageError(
            f"{path}: no such file, and no recipe of this name comes with auralsam2: "
            f"give a YAML file or {_choice(path.stem, recipes)}"
        )
    return packaged


def _choice(stem: str, recipes: list[str]) -> str:
    """Describe the recipes to choose from: all if they are few, else those whose names resemble a stem."""
    if len(recipes) <= _LISTED:
        return f"one of {', '.join(recipes)}"
    stems = {PurePosixPath(name).stem: name for name in recipes}
    similar = [stems[name] for name in difflib.get_close_matches(stem, stems, _LISTED, 0.5)] or recipes[:1]
    return f"a recipe such as {', '.join(similar)} (auralsam2 samples --list prints all {len(recipes)})"


def _find(name: str) -> Path | None:
    """Return the path of a file by its name, with or without first folder and suffix; None if there is none."""
    if name in (CLIP, CLIP.removesuffix(".mp4")):
        return demo_clip()
    for known, path in _files().items():
        short = known.partition("/")[2]
        if name in (known, short) or name in (known.removesuffix(path.suffix), short.removesuffix(path.suffix)):
            return path
    return None


def _files() -> dict[str, Path]:
    """Return the paths of recipes, their layers and examples by name."""
    paths = {}
    for name in _FOLDERS:
        folder = _folder(name)
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".yaml"):
                paths[str(PurePosixPath(name, *path.relative_to(folder).parts))] = path
    return paths


def _folder(name: str) -> Path:
    """Return a folder of the wheel, or of the checkout for an editable install."""
    packaged = PACKAGE / name
    return packaged if packaged.is_dir() else PACKAGE.parents[1] / name
