"""AVSBench in the layout of its semantic release, or of AuralSAM2: V1S, V1M and V2 in one tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from auralsam2.data.base import DatasetReader, PublishedCounts
from auralsam2.data.csv_table import Row, Table
from auralsam2.data.file_index import LABELS, PICTURES, existing_file, find_files, numbered_from
from auralsam2.data.sample import Sample

PARTS = {"v1s": ("v1s",), "v1m": ("v1m",), "v2": ("v1s", "v1m", "v2"), "v2-semantic": ("v1s", "v1m", "v2")}
"""Values of the csv column `label` in each data set, in this order. V2 pools all three, as AuralSAM2's release and
AVSBench's semantic task do."""
TABLES = ("metadata.csv", "avss_index/metadata.csv")
"""Paths of the csv file: official, and in AuralSAM2's layout."""

_FRAMES = {"v1s": 5, "v1m": 5, "v2": 10}
_CLIPS = {
    "v1s": {"train": 3452, "val": 740, "test": 740},
    "v1m": {"train": 296, "val": 64, "test": 64},
    "v2": {"train": 4750, "val": 500, "test": 750},
}
_REMEDY = "give the folder of AVSBench-semantic, which holds v1s, v1m and v2"


def published(name: str) -> dict[str, PublishedCounts]:
    """Return the sizes of the splits, counted in the csv of the release."""
    sizes = {split: sum(_CLIPS[part][split] for part in PARTS[name]) for split in ("train", "val", "test")}
    return {split: PublishedCounts(size, size) for split, size in sizes.items()}


class AvsBench(DatasetReader):
    """Reader of `v1s`, `v1m`, `v2` and `v2-semantic`; only the last has classes.

    Args:
        name: of the data set.
        root: the folder with the csv, or with `avss_index`.

    Raises:
        UnavailableError: the csv file or the folder of a part is not there.
        InputError: the csv file cannot be read.
    """

    def __init__(self, name: str, root: Path) -> None:
        table = find_files(root, TABLES, _REMEDY)
        for part in PARTS[name]:
            find_files(root, (part,), _REMEDY)
        super().__init__(name, Table(table, dict.fromkeys(("uid", "a_obj", "split", "label"))), published(name))
        self._root = root

    def includes(self, row: Row) -> bool:
        """Whether the row is a clip of this data set."""
        return row.text("label") in PARTS[self.name]

    def groups(self, rows: Iterable[Row]) -> Iterable[Sequence[Row]]:
        """Return one row per sample, part by part."""
        parts = PARTS[self.name]
        return ([row] for row in sorted(rows, key=lambda row: parts.index(row.text("label"))))

    def build(self, rows: Sequence[Row], split: str) -> Sample:
        """Build the sample of a row."""
        (row,) = rows
        part, uid = row.text("label"), row.name("uid")
        folder = self._root / part / uid
        numbers = range(_FRAMES[part])
        # Training clips of V1S have a label for their first frame only.
        supervised = tuple(part != "v1s" or split != "train" or number == 0 for number in numbers)
        labels = iter(
            numbered_from(folder / "labels_rgb", [number for number in numbers if supervised[number]], LABELS)
        )
        return Sample(
            dataset=self.name,
            split=split,
            id=f"{part}/{uid}",
            clip=f"{part}/{uid}",
            frames=numbered_from(folder / "frames", numbers, PICTURES),
            audio=existing_file(folder / "audio.wav"),
            labels=tuple((next(labels),) if flag else () for flag in supervised),
            supervised=supervised,
            coding="avss" if self.name == "v2-semantic" else "mask",
            categories=tuple(filter(None, row.text("a_obj").split("_"))),
            line=row.line,
        )
