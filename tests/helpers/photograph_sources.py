"""Small sources of RealAVS: photographs with masks, backgrounds and recordings."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from helpers.media_files import tone, write_media

KINDS = ("cat", "dog", "pig")
WIDTH, HEIGHT = 120, 100
BOX = (20, 15, 99, 89)
"""First and last column and row of each mask: x0, y0, x1, y1."""
CREDIT = {"licence": "CC0", "author": "nobody known"}


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def colour(kind: int, split: str) -> tuple[int, int, int]:
    return (200 - 60 * kind, 40 + 60 * kind, 220 if split == "train" else 30)


def write_sources(folder: Path) -> Path:
    """Write two photographs a kind, one held out; the pig's mask is a polygon, the others are run lengths."""
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations, backgrounds, sounds = [], [], [], []
    for part in ("photos", "backgrounds", "sounds"):
        (folder / part).mkdir()
    x0, y0, x1, y1 = BOX
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y0 : y1 + 1, x0 : x1 + 1] = 1
    coded = coco.encode(np.asfortranarray(mask))
    rle = {"size": coded["size"], "counts": coded["counts"].decode()}
    polygon = [[x0, y0, x1 + 1, y0, x1 + 1, y1 + 1, x0, y1 + 1]]
    for split in ("train", "held-out"):
        for kind, name in enumerate(KINDS):
            number = len(images) + 1
            picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            picture[mask > 0] = colour(kind, split)
            Image.fromarray(picture).save(folder / f"photos/{number}.png")
            images.append(
                {"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT, "split": split}
                | {"licence": "CC BY 4.0", "origin": f"set {split}"}
            )
            annotations.append(
                {"id": number, "image_id": number, "category_id": kind, "iscrowd": 0, "bbox": [x0, y0, 80, 75]}
                | {"segmentation": polygon if name == "pig" else rle}
            )
            wave = tone(1.5, frequency=300 + 200 * kind + (50 if split == "train" else 0), channels=1)
            write_media(folder / f"sounds/{name}-{split}.ogg", sound=wave, audio_codec="flac")
            sounds.append({"file": f"{name}-{split}.ogg", "folder": name, "category": name, "split": split} | CREDIT)
        Image.fromarray(np.full((80, 90, 3), 120 if split == "train" else 60, np.uint8)).save(
            folder / f"backgrounds/{split}.png"
        )
        backgrounds.append({"file": f"{split}.png", "split": split} | CREDIT)
    crowd = {"id": 99, "image_id": 1, "category_id": 0, "iscrowd": 1, "bbox": [0, 0, 99, 99], "segmentation": rle}
    categories = [{"id": kind, "name": name, "supercategory": "animal"} for kind, name in enumerate(KINDS)]
    values = {"images": images, "annotations": [*annotations, crowd], "categories": categories}
    (folder / "photos.json").write_text(json.dumps(values))
    write_table(folder / "backgrounds.csv", backgrounds)
    write_table(folder / "sounds.csv", sounds)
    return folder
