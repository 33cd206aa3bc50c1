"""VPO: COCO images with VGGSound recordings, panned to the positions of the objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from auralsam2.data.base import DatasetReader, PublishedCounts
from auralsam2.data.csv_table import Row, Table
from auralsam2.data.file_index import existing_file, find_files
from auralsam2.data.sample import AudioMix, AudioSource, Sample
from auralsam2.errors import InputError

FOLDERS = {"vpo-ss": "VPO-SS", "vpo-ms": "VPO-MS", "vpo-msmi": "VPO-MSMI"}

_COLUMNS = ("img_Id", "ann_Ids", "cateName", "vgg_file", "split", "audio_pos")
_REMEDY = "give the folder that holds VPO and VGGSound, or VPO-SS, VPO-MS, VPO-MSMI and VGGSound"


class Vpo(DatasetReader):
    """Reader of `vpo-ss`, one sample per row, and of `vpo-ms` and `vpo-msmi`, one sample per image.

    Images of MSMI with one object of each class are in the folder of MS. Rows of split `val` belong to `test`, as in
    the public code.

    Args:
        name: of the data set.
        root: the folder with `VPO` and `VGGSound`, or with what is in `VPO` beside `VGGSound`.

    Raises:
        UnavailableError: a part of it is not there.
        InputError: the csv file cannot be read.
    """

    names: ClassVar[str] = "img_Id"
    unique: ClassVar[bool] = False

    def __init__(self, name: str, root: Path) -> None:
        folder = FOLDERS[name]
        file = f"{folder}/{name.replace('-', '_')}_data_stereo.csv"
        table = find_files(root, (f"VPO/{file}", file), _REMEDY)
        self._sounds = find_files(root, ("VGGSound/audios",), _REMEDY)
        columns = [*_COLUMNS, "multi_instance"] if name == "vpo-msmi" else list(_COLUMNS)
        super().__init__(
            name, Table(table, dict.fromkeys(columns)), {"train": PublishedCounts(), "test": PublishedCounts()}
        )
        self._folder = table.parent

    def split_of(self, row: Row) -> str:
        """Return the split of a row."""
        split = row.text("split")
        return "test" if split == "val" else split

    def groups(self, rows: Iterable[Row]) -> Iterable[Sequence[Row]]:
        """Group the rows of each image in order of first appearance; in VPO-SS each row is a group."""
        if self.name == "vpo-ss":
            return ([row] for row in rows)
        pictures: dict[str, list[Row]] = {}
        for row in rows:
            pictures.setdefault(row.text("img_Id"), []).append(row)
        return pictures.values()

    def build(self, rows: Sequence[Row], split: str) -> Sample:
        """Build the sample of an image."""
        picture = _twelve(rows[0], "img_Id")
        annotations = list(dict.fromkeys(_twelve(row, "ann_Ids") for row in rows))
        folder = self._folder
        below = ""
        if self.name == "vpo-ss":
            below = f"{rows[0].name('cateName')}/"
        elif self.name == "vpo-msmi" and {row.number("multi_instance") for row in rows} == {0}:
            folder = folder.with_name(FOLDERS["vpo-ms"])
        return Sample(
            dataset=self.name,
            split=split,
            id=f"{below}{picture}" + (f"_{annotations[0]}" if below else ""),
            clip=f"{below}{picture}",
            frames=(existing_file(folder / "data" / f"{below}{picture}.jpg"),),
            audio=AudioMix(voices=tuple(self._voice(row) for row in rows)),
            labels=(tuple(existing_file(folder / "mask" / f"{below}{picture}_{each}.png") for each in annotations),),
            supervised=(True,),
            coding="coco",
            # Three seconds give three examples; the picture stands for the middle of them.
            first_example=1,
            categories=tuple(dict.fromkeys(row.need("cateName") for row in rows)),
            line=rows[0].line,
        )

    def _voice(self, row: Row) -> AudioSource:
        text = row.need("audio_pos")
        try:
            position = float(text)
        except ValueError:
            position = -1.0
        if not 0.0 <= position <= 1.0:
            raise InputError(f"line {row.line}: column audio_pos is not a number from 0 to 1: {text!r}")
        return AudioSource(path=existing_file(self._sounds / f"{row.name('vgg_file')}.wav"), position=position)


def _twelve(row: Row, column: str) -> str:
    """Return a COCO number, zero-padded as in file names."""
    row.number(column)
    return row.text(column).zfill(12)
