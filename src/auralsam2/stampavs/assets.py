"""The stamps: pictures with an outline, and the sounds that belong to some of them.

What the Debian package holds, which pictures show one and the same thing, and what stays out and why, stands in
`catalogue.json`. Any other folder of NAME.png and NAME.ogg serves as well; then each NAME is a category.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from auralsam2.errors import InputError, UnavailableError

PACKAGE = "tuxpaint-stamps-default"
FOLDER = Path("/usr/share/tuxpaint/stamps")
SMALLEST = 60
"""Pixels of the shorter side under which a picture without sound is left out."""
LARGEST = 1024
"""Pixels of the longer side to which pictures are reduced when they are read."""
FAINT = 26
"""Alpha below this, of 255, is dust and set to 0."""
_SOUNDS = (".ogg", ".wav")
_NAME = re.compile(r"An? ([a-z]+(?:[ -][a-z]+){0,2})\.")


@dataclass(frozen=True, kw_only=True)
class StampImage:
    """One stamp.

    Attributes:
        key: its path in the folder, without the ending.
        path: the PNG.
        name: English, without an article, as in "red fire truck"; None where the folder tells none.
    """

    key: str
    path: Path
    name: str | None


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One sound; `key` and `path` as of a picture."""

    key: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Category:
    """Pictures and recordings of one kind of thing.

    Attributes:
        name: English, without an article.
        group: a wider kind whose members look alike, "bird"; empty where unknown.
        verb: what it does when it sounds, "barking"; empty where unknown.
        pictures, recordings: at least one of each.
        alike: names of other categories that a viewer might call by this name.
    """

    name: str
    group: str
    verb: str
    pictures: tuple[StampImage, ...]
    recordings: tuple[Recording, ...]
    alike: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AssetCollection:
    """All that scenes are made of.

    Attributes:
        source: the Debian package's name, or that of the folder.
        known: whether the folder is the package's, so that the committed splits apply.
        categories: by name, in alphabetical order.
        silent: pictures of things without sound, in order of their keys.
    """

    source: str
    known: bool
    categories: dict[str, Category]
    silent: tuple[StampImage, ...]


def collect_assets(folder: Path | None = None) -> AssetCollection:
    """Find the stamps of a folder.

    Args:
        folder: where NAME.png and NAME.ogg lie, at any depth; None for the Debian package's.

    Raises:
        UnavailableError: the package is not installed.
        InputError: the folder does not exist, lacks files of the catalogue, or has fewer than four sounding things.
    """
    if folder is None and not FOLDER.is_dir():
        raise UnavailableError(
            f"the stamps are not on this machine: apt install {PACKAGE}, or name a folder of NAME.png and NAME.ogg "
            "with `stamps=DIR`"
        )
    folder = folder or FOLDER
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: name a folder of NAME.png and NAME.ogg with `stamps=DIR`")
    catalogue = json.loads((Path(__file__).parent / "catalogue.json").read_text(encoding="utf-8"))
    pictures = {_key(path, folder): path for path in sorted(folder.rglob("*.png"))}
    sounds = {_key(path, folder): path for ending in reversed(_SOUNDS) for path in sorted(folder.rglob(f"*{ending}"))}
    listed = [key for entry in catalogue["categories"].values() for key in entry["pictures"]]
    known = 2 * sum(key in pictures for key in listed) > len(listed)
    find = _catalogued if known else _found
    categories, silent = find(folder, pictures, sounds, catalogue)
    if len(categories) < 4:
        raise InputError(
            f"{folder}: {len(categories)} pairs of NAME.png and NAME.ogg, but scenes need at least four: "
            "name another folder with `stamps=DIR`"
        )
    return AssetCollection(
        source=PACKAGE if known else folder.name,
        known=known,
        categories=dict(sorted(categories.items())),
        silent=tuple(picture for picture in silent if _stands(picture.path)),
    )


def _key(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _catalogued(
    folder: Path, pictures: dict[str, Path], sounds: dict[str, Path], catalogue: dict[str, Any]
) -> tuple[dict[str, Category], list[StampImage]]:
    """What the catalogue says of the package's folder."""
    categories = {}
    used: set[str] = set()
    for name, entry in catalogue["categories"].items():
        missing = [f"{key}.png" for key in entry["pictures"] if key not in pictures]
        missing += [f"{key}.ogg" for key in entry["sounds"] if key not in sounds]
        if missing:
            raise InputError(
                f"{folder}: {missing[0]} is missing: reinstall {PACKAGE}, or name another folder with `stamps=DIR`"
            )
        categories[name] = Category(
            name=name,
            group=entry["group"],
            verb=entry["verb"],
            pictures=tuple(StampImage(key=key, path=pictures[key], name=name) for key in entry["pictures"]),
            recordings=tuple(Recording(key=key, path=sounds[key]) for key in entry["sounds"]),
            alike=tuple(
                sorted(other for pair in catalogue["alike"] if name in pair for other in pair if other != name)
            ),
        )
        used.update(entry["pictures"], entry["sounds"])
    silent = [
        StampImage(key=key, path=path, name=_name(path))
        for key, path in sorted(pictures.items())
        if key not in used and key not in sounds and not _excluded(key, catalogue["excluded"])
    ]
    return categories, silent


def _excluded(key: str, reasons: dict[str, str]) -> bool:
    """Whether a picture, or a folder that it lies in, is on the list; mirror images of others always are."""
    parts = key.split("/")
    return key.endswith("_mirror") or any("/".join(parts[:count]) in reasons for count in range(1, len(parts) + 1))


def _found(
    folder: Path, pictures: dict[str, Path], sounds: dict[str, Path], catalogue: dict[str, Any]
) -> tuple[dict[str, Category], list[StampImage]]:
    """Each NAME of an unknown folder by itself."""
    categories = {}
    for key in sorted(pictures.keys() & sounds.keys()):
        name = _name(pictures[key]) or re.sub(r"[\W_]+", " ", key.rsplit("/", 1)[-1]).strip().lower() or "thing"
        if name in categories:
            name = f"{name} {sum(other.split(' ')[0] == name.split(' ')[0] for other in categories) + 1}"
        categories[name] = Category(
            name=name,
            group="",
            verb="",
            pictures=(StampImage(key=key, path=pictures[key], name=name),),
            recordings=(Recording(key=key, path=sounds[key]),),
        )
    silent = [StampImage(key=k, path=path, name=_name(path)) for k, path in sorted(pictures.items()) if k not in sounds]
    return categories, silent


def _name(picture: Path) -> str | None:
    """The English name beside a picture, where it is a plain "A something."."""
    text = picture.with_suffix(".txt")
    if not text.is_file():
        return None
    lines = text.read_text(encoding="utf-8", errors="replace").splitlines()
    match = _NAME.fullmatch(lines[0].strip()) if lines else None
    return match[1] if match else None


def _stands(path: Path) -> bool:
    """Whether a picture is large enough, and has an outline: little of it is translucent or empty."""
    alpha = read_stamp(path)[..., 3]
    solid = (alpha >= 128).mean()
    blurred = ((alpha > 0) & (alpha < 230)).mean()
    return min(alpha.shape) >= SMALLEST and bool(solid > 0.2) and bool(blurred < 0.25 * solid)


@lru_cache(maxsize=256)
def read_stamp(path: Path) -> np.ndarray:
    """The picture of a stamp, cut to what is not transparent.

    Returns:
        (h, w, 4) uint8, colour and alpha, the longer side at most `LARGEST`; read-only.

    Raises:
        InputError: it cannot be read, or nothing of it is solid.
    """
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGBA")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a picture ({error}): remove it from the folder") from error
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    array = np.array(image)
    array[array[..., 3] < FAINT] = 0
    solid = array[..., 3] >= 128
    if not solid.any():
        raise InputError(f"{path}: nothing in the picture is solid: remove it from the folder")
    rows, columns = (np.flatnonzero(solid.any(axis)) for axis in (1, 0))
    array = np.ascontiguousarray(array[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    array.setflags(write=False)
    return array
