"""AVSBench in the layout of its object release: S4 (V1S) and MS3 (V1M); all images are 224 x 224."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from auralsam2.data import avsbench
from auralsam2.data.base import DatasetReader
from auralsam2.data.csv_table import Row, Table
from auralsam2.data.file_index import LABELS, PICTURES, existing_file, find_files, numbered_from
from auralsam2.data.sample import Sample

S4_TABLES = ("s4_meta_data.csv", "Single-source/s4_meta_data.csv")
MS3_TABLES = ("ms3_meta_data.csv", "Multi-sources/ms3_meta_data.csv")

_NUMBERS = range(1, 6)


class _ObjectRelease(DatasetReader):
    """Base of S4 and MS3: five frames, numbered from 1, and wav audio; the pickled spectrograms are not read.

    Args:
        name: of the data set.
        table: the csv file; the data lie beside it.
        columns: of the csv, see `Table`.
        part: name of the same clips in the semantic release.
        folder: of the data, beside the csv.
    """

    frame_size: ClassVar[tuple[int, int] | None] = (224, 224)

    def __init__(self, name: str, table: Path, columns: Mapping[str, int | None], part: str, folder: str) -> None:
        super().__init__(name, Table(table, columns), avsbench.published(part))
        self._data = table.parent / folder

    def sample(
        self, row: Row, split: str, frames: str, sound: str, labels: str, first_only: bool, categories: tuple[str, ...]
    ) -> Sample:
        """Build a sample from paths below the folder of the data."""
        supervised = tuple(not first_only or number == 1 for number in _NUMBERS)
        files = iter(
            numbered_from(
                self._data / "gt_masks" / labels,
                [number for number, flag in zip(_NUMBERS, supervised, strict=True) if flag],
                LABELS,
            )
        )
        return Sample(
            dataset=self.name,
            split=split,
            id=row.text(self.names),
            clip=row.text(self.names),
            frames=numbered_from(self._data / "visual_frames" / frames, _NUMBERS, PICTURES),
            audio=existing_file(self._data / "audio_wav" / f"{sound}.wav"),
            labels=tuple((next(files),) if flag else () for flag in supervised),
            supervised=supervised,
            categories=categories,
            line=row.line,
        )


class S4(_ObjectRelease):
    """Reader of S4, single sources: a training clip has a mask of its first frame only.

    Args:
        name: of the data set.
        root: the folder with `s4_meta_data.csv`, or the one above it.

    Raises:
        UnavailableError: the csv file is not there.
        InputError: the csv file cannot be read.
    """

    names: ClassVar[str] = "name"

    def __init__(self, name: str, root: Path) -> None:
        table = find_files(root, S4_TABLES, "give the folder Single-source of AVSBench-object")
        super().__init__(name, table, {"name": 0, "category": 2, "split": 3}, "v1s", "s4_data")

    def build(self, rows: Sequence[Row], split: str) -> Sample:
        """Build the sample of a row."""
        (row,) = rows
        category = row.name("category")
        place = f"{split}/{category}/{row.name('name')}"
        return self.sample(row, split, place, place, place, split == "train", (category,))


class MS3(_ObjectRelease):
    """Reader of MS3, multiple sources: five masks per clip; a mask is empty if no visible object sounds.

    Args:
        name: of the data set.
        root: the folder with `ms3_meta_data.csv`, or the one above it.

    Raises:
        UnavailableError: the csv file is not there.
        InputError: the csv file cannot be read.
    """

    names: ClassVar[str] = "video_id"

    def __init__(self, name: str, root: Path) -> None:
        table = find_files(root, MS3_TABLES, "give the folder Multi-sources of AVSBench-object")
        super().__init__(name, table, {"video_id": 0, "split": 1}, "v1m", "ms3_data")

    def build(self, rows: Sequence[Row], split: str) -> Sample:
        """Build the sample of a row."""
        (row,) = rows
        video = row.name("video_id")
        return self.sample(row, split, video, f"{split}/{video}", f"{split}/{video}", False, ())
