"""Photographs with masks, background photographs and recordings: the sources of RealAVS.

A folder has `photos.json` in COCO's instance format with `photos/`, and `backgrounds.csv` and `sounds.csv` with
`backgrounds/` and `sounds/`. Every photograph, background and recording has a `split`, `train` or `held-out`.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from pycocotools import mask as coco

from auralsam2.errors import InputError
from auralsam2.stampavs.assets import MIN_SIDE, Category, Recording, StampImage, read_picture
from auralsam2.stampavs.audio import read_recording
from auralsam2.stampavs.splits import AssetPool
from auralsam2.utils import strict_json

SOURCE_SPLITS = {"train": "train", "test": "held-out"}
"""Splits of RealAVS and the splits of the sources from which they are made."""
AMBIENT = "_ambient"
"""Folder of recordings without a visible source."""
FEATHER = 0.8
"""Standard deviation of the blur of a cutout's outline, in pixels of the photograph."""
MAX_CUT = 0.1
"""Largest share of the perimeter of a mask's box that is on the border of the photograph."""
_BACKGROUND_COLUMNS = ("file", "split", "licence", "author")
SOUND_COLUMNS = ("file", "folder", "category", "split", "licence", "author")


@dataclass(frozen=True, kw_only=True)
class PhotographMask:
    """Mask (H, W) bool of one object in a photograph.

    Attributes:
        key: name of its cutout.
        kind, group: category and supercategory in `photos.json`.
        path: photograph.
        mask: the mask.
        credit: licence and origin of the photograph.
    """

    key: str
    kind: str
    group: str
    path: Path
    mask: np.ndarray
    credit: str


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """File with its category and credit; `category` is empty for a background."""

    path: Path
    category: str
    credit: str


@dataclass(frozen=True, kw_only=True)
class PhotographSources:
    """Sources of one split, in the order of their keys; `noises` are recordings without a visible source."""

    masks: tuple[PhotographMask, ...]
    backgrounds: tuple[SourceFile, ...]
    sounds: tuple[SourceFile, ...]
    noises: tuple[SourceFile, ...] = ()

    @property
    def credits(self) -> tuple[str, ...]:
        """Licences and origins, each once, in alphabetical order."""
        return tuple(sorted({item.credit for item in (*self.masks, *self.backgrounds, *self.sounds)}))


def read_sources(folder: Path, split: str, excluded: frozenset[str] = frozenset()) -> PhotographSources:
    """Read the sources of a split, without the masks and recordings of `excluded` categories.

    Masks of crowds, of small objects and of objects that the border of the photograph cuts are left out.

    Raises:
        InputError: a file is missing or damaged.
    """
    source_split = SOURCE_SPLITS[split]
    backgrounds = _by_file(read_table(folder / "backgrounds.csv", _BACKGROUND_COLUMNS))
    sounds, noises = read_sounds(folder, split, excluded)
    return PhotographSources(
        masks=tuple(mask for mask in _read_masks(folder, source_split) if mask.kind not in excluded),
        backgrounds=tuple(
            SourceFile(path=folder / "backgrounds" / row["file"], category="", credit=_credit(row))
            for row in backgrounds
            if row["split"] == source_split
        ),
        sounds=sounds,
        noises=noises,
    )


def read_sounds(
    folder: Path, split: str, excluded: frozenset[str] = frozenset()
) -> tuple[tuple[SourceFile, ...], tuple[SourceFile, ...]]:
    """Read the recordings of a split: those of visible kinds that are not `excluded`, and noises.

    Raises:
        InputError: `sounds.csv` is missing or damaged.
    """
    table = _by_file(read_table(folder / "sounds.csv", SOUND_COLUMNS))
    rows = [row for row in table if row["split"] == SOURCE_SPLITS[split]]
    sounds, noises = (
        tuple(
            SourceFile(path=folder / "sounds" / row["file"], category=row["category"], credit=_credit(row))
            for row in rows
            if (row["folder"] == AMBIENT) == ambient and (ambient or row["category"] not in excluded)
        )
        for ambient in (False, True)
    )
    return sounds, noises


def _credit(row: dict[str, str]) -> str:
    return f"{row['licence']}: {row['author']}"


def _by_file(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(rows, key=lambda row: row["file"])


def read_table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Read the rows of a table of sources.

    Raises:
        InputError: the table is missing, damaged or empty, or has not all `columns`.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}): name a folder of photographs and sounds") from error
    missing = [name for name in columns if any(row.get(name) is None for row in rows)]
    if missing or not rows:
        raise InputError(f"{path}: has no column {missing[0]}" if missing else f"{path}: has no rows")
    return rows


def _read_masks(folder: Path, split: str) -> list[PhotographMask]:
    path = folder / "photos.json"
    try:
        values = strict_json.read_json(path)
        images = {image["id"]: image for image in values["images"]}
        kinds = {kind["id"]: kind for kind in values["categories"]}
        masks = []
        for annotation in sorted(values["annotations"], key=lambda item: item["id"]):
            image = images[annotation["image_id"]]
            if image["split"] != split or annotation["iscrowd"] or min(annotation["bbox"][2:]) < MIN_SIDE:
                continue
            mask = decode_segmentation(annotation["segmentation"], image["height"], image["width"])
            if not mask.any() or cut_share(mask) > MAX_CUT:
                continue
            kind = kinds[annotation["category_id"]]
            masks.append(
                PhotographMask(
                    key=f"{kind['name'].replace(' ', '-')}-{annotation['id']}",
                    kind=kind["name"],
                    group=kind["supercategory"],
                    path=folder / "photos" / image["file_name"],
                    mask=mask,
                    credit=f"{image['licence']}: {image['origin']}",
                )
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no COCO instances with splits ({error!r}): name a folder of photographs") from error
    return masks


def decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Decode polygons or run lengths of COCO, compressed or not, to (height, width) bool."""
    if isinstance(segmentation, list):
        coded = coco.merge(coco.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        coded = coco.frPyObjects(segmentation, height, width)
    else:
        coded = segmentation
    return np.asarray(coco.decode(coded)).astype(bool)


def cut_share(mask: np.ndarray) -> float:
    """Return the number of mask pixels on the image border, over the perimeter of the mask's box."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    perimeter = 2 * (rows[-1] - rows[0] + columns[-1] - columns[0] + 2)
    return (mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum()) / perimeter


def cut_out(source: PhotographMask) -> Image.Image:
    """Cut an object out of its photograph, as RGBA with a feathered outline: alpha is above one half inside the mask.

    Raises:
        InputError: the photograph cannot be read, or has another size than its mask.
    """
    image = read_picture(source.path, "RGB")
    if image.size != source.mask.shape[::-1]:
        raise InputError(f"{source.path}: {image.size} pixels, but its mask has {source.mask.shape[::-1]}")
    alpha = Image.fromarray(source.mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(FEATHER))
    image.putalpha(alpha)
    return image


def crop_background(image: Image.Image, side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a square part of at least 60 % of the shorter side, mirrored at random, (side, side, 3) uint8."""
    length = int(rng.uniform(0.6, 1.0) * min(image.size))
    min_x, min_y = (int(rng.integers(edge - length + 1)) for edge in image.size)
    part = image.resize((side, side), Image.Resampling.LANCZOS, (min_x, min_y, min_x + length, min_y + length))
    return np.asarray(part)[:, :: int(rng.choice([-1, 1]))]


def photograph_pool(
    sources: PhotographSources, cutouts: Path, min_categories: int = 2, *, check: bool = True
) -> AssetPool:
    """Build the assets of scenes; a category sounds if it has cutouts, in the folder `cutouts`, and usable recordings.

    Args:
        sources: of one split.
        cutouts: folder with a `KEY.png` for each mask.
        min_categories: minimum number of sounding categories.
        check: read all recordings; unnecessary for scenes in silence.

    Raises:
        InputError: there are fewer sounding categories than `min_categories`.
    """
    pictures: dict[str, list[StampImage]] = defaultdict(list)
    groups = {mask.kind: mask.group for mask in sources.masks}
    for mask in sources.masks:
        pictures[mask.kind].append(StampImage(key=mask.key, path=cutouts / f"{mask.key}.png", name=mask.kind))
    recordings: dict[str, list[Recording]] = defaultdict(list)
    for sound in sources.sounds:
        if sound.category in pictures and (not check or _is_usable(sound.path)):
            recordings[sound.category].append(Recording(key=sound.path.stem, path=sound.path))
    categories = tuple(
        Category(name=name, group=groups[name], verb="", pictures=tuple(pictures[name]), recordings=tuple(items))
        for name, items in sorted(recordings.items())
    )
    if len(categories) < min_categories:
        raise InputError(
            f"{len(categories)} categories have both a mask and a recording, but scenes need {min_categories}: "
            "add files, or exclude fewer categories"
        )
    silent = [picture for name, group in sorted(pictures.items()) if name not in recordings for picture in group]
    return AssetPool(targets=categories, distractors=categories, silent=tuple(silent))


def _is_usable(path: Path) -> bool:
    """Return whether a recording can be read and is audible for a second."""
    try:
        read_recording(path)
    except InputError:
        return False
    return True
