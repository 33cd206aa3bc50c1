"""Stamps: images with an outline, and recordings of some of them.

`catalogue.json` lists the files of the Debian package, groups images of the same object, and excludes some with a
reason. In any other folder of NAME.png and NAME.ogg, each NAME is a category.
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
MIN_SIDE = 60
"""Minimum shorter side of an image without recording, in pixels."""
MAX_SIDE = 1024
"""Maximum longer side of an image in pixels; larger ones are reduced."""
MIN_ALPHA = 26
"""Alpha values below this one, of 255, are set to 0."""
_SOUNDS = (".ogg", ".wav")
_NAME = re.compile(r"An? ([a-z]+(?:[ -][a-z]+){0,2})\.")


@dataclass(frozen=True, kw_only=True)
class StampImage:
    """Image of a stamp.

    Path in the folder without suffix, file, and English name without article, if the folder has one.
    """

    key: str
    path: Path
    name: str | None


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Recording of one sound; `key` and `path` as in `StampImage`."""

    key: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Category:
    """Images and recordings of one kind of object.

    Attributes:
        name: English name without article.
        group: wider kind of objects of similar appearance, such as "bird"; empty if unknown.
        verb: activity of a sounding object, such as "barking"; empty if unknown.
        pictures, recordings: at least one of each.
        alike: names of other categories that could be called by this name.
    """

    name: str
    group: str
    verb: str
    pictures: tuple[StampImage, ...]
    recordings: tuple[Recording, ...]
    alike: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AssetCollection:
    """Images and recordings for scenes; categories and silent images in alphabetical order.

    Attributes:
        source: name of the Debian package or of the folder.
        is_package: true for the folder of the package, to which the committed splits apply.
        categories: categories by name.
        silent: images of objects without recording.
    """

    source: str
    is_package: bool
    categories: dict[str, Category]
    silent: tuple[StampImage, ...]


def collect_assets(folder: Path | None = None) -> AssetCollection:
    """Collect the stamps of a folder.

    Args:
        folder: folder of NAME.png and NAME.ogg at any depth; None for the one of the Debian package.

    Raises:
        UnavailableError: the package is not installed.
        InputError: the folder does not exist, lacks files of the catalogue, or has fewer than four pairs.
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
    catalogue_keys = [key for entry in catalogue["categories"].values() for key in entry["pictures"]]
    is_package = 2 * sum(key in pictures for key in catalogue_keys) > len(catalogue_keys)
    collect = _from_catalogue if is_package else _from_folder
    categories, silent = collect(folder, pictures, sounds, catalogue)
    if len(categories) < 4:
        raise InputError(
            f"{folder}: {len(categories)} pairs of NAME.png and NAME.ogg, but scenes need at least four: "
            "name another folder with `stamps=DIR`"
        )
    return AssetCollection(
        source=PACKAGE if is_package else folder.name,
        is_package=is_package,
        categories=dict(sorted(categories.items())),
        silent=tuple(picture for picture in silent if _is_usable(picture.path)),
    )


def _key(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _from_catalogue(
    folder: Path, pictures: dict[str, Path], sounds: dict[str, Path], catalogue: dict[str, Any]
) -> tuple[dict[str, Category], list[StampImage]]:
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
    """Return whether an image, or a folder around it, is excluded; mirrored copies always are."""
    parts = key.split("/")
    return key.endswith("_mirror") or any("/".join(parts[:count]) in reasons for count in range(1, len(parts) + 1))


def _from_folder(
    folder: Path, pictures: dict[str, Path], sounds: dict[str, Path], catalogue: dict[str, Any]
) -> tuple[dict[str, Category], list[StampImage]]:
    """Collect an unknown folder with each NAME as a category."""
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
    """Return the English name in the text file beside an image, if its form is "A something."."""
    text = picture.with_suffix(".txt")
    if not text.is_file():
        return None
    lines = text.read_text(encoding="utf-8", errors="replace").splitlines()
    match = _NAME.fullmatch(lines[0].strip()) if lines else None
    return match[1] if match else None


def _is_usable(path: Path) -> bool:
    """Return whether an image is large enough and has an outline, with few translucent or empty pixels."""
    alpha = read_stamp(path)[..., 3]
    opaque = (alpha >= 128).mean()
    translucent = ((alpha > 0) & (alpha < 230)).mean()
    return min(alpha.shape) >= MIN_SIDE and bool(opaque > 0.2) and bool(translucent < 0.25 * opaque)


def read_picture(path: Path, mode: str) -> Image.Image:
    """Read an image file and convert it to a mode of Pillow; raise InputError for any other file."""
    try:
        with Image.open(path) as opened:
            return opened.convert(mode)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a picture ({error}): remove it from the folder") from error


@lru_cache(maxsize=256)
def read_stamp(path: Path) -> np.ndarray:
    """Read the image of a stamp, cropped to its opaque pixels.

    Returns:
        (h, w, 4) uint8, colour and alpha, the longer side at most `MAX_SIDE`; read-only.

    Raises:
        InputError: it cannot be read, or has no opaque pixels.
    """
    image = read_picture(path, "RGBA")
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    array = np.array(image)
    array[array[..., 3] < MIN_ALPHA] = 0
    opaque = array[..., 3] >= 128
    if not opaque.any():
        raise InputError(f"{path}: nothing in the picture is solid: remove it from the folder")
    rows, columns = (np.flatnonzero(opaque.any(axis)) for axis in (1, 0))
    array = np.ascontiguousarray(array[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    array.setflags(write=False)
    return array
