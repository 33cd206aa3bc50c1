"""AVS-Synthetic: images with instance masks, each with a VGGSound recording of the same class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar
from zlib import crc32

from auralsam2.data.base import DatasetReader, PublishedCounts
from auralsam2.data.csv_table import Row, Table, plain_name
from auralsam2.data.file_index import existing_file, find_files
from auralsam2.data.sample import Sample
from auralsam2.errors import InputError, UnavailableError
from auralsam2.utils import strict_json

SOUNDS = "category_for_vggsound_audios.json"
"""The pickle of the release, exported as JSON: names of recordings by class number."""

_REMEDY = "give the folder of AVS-Synthetic, which holds annotations.csv, images, masks and audios"
_COLUMNS = {"inst_id": 0, "img_id": 1, "class_name": 4, "class_id": 5, "audio_name": 8}


class AvsSynthetic(DatasetReader):
    """Reader of `avs-synthetic`: one image, one object, one recording.

    A row of `validate` or `test` names its sound. For training the release draws one of the class anew each time; here
    each object keeps the one that its name picks, so that every run hears the same.

    Args:
        name: of the data set.
        root: the folder with the csv.

    Raises:
        UnavailableError: it is not AVS-Synthetic.
        InputError: the csv file cannot be read.
    """

    names: ClassVar[str] = "inst_id"
    aliases: ClassVar[Mapping[str, str]] = {"val": "validate"}

    def __init__(self, name: str, root: Path) -> None:
        table = find_files(root, ("annotations.csv",), _REMEDY)
        for part in ("images", "masks", "audios"):
            find_files(root, (part,), _REMEDY)
        splits = {split: PublishedCounts() for split in ("train", "validate", "test")}
        super().__init__(name, Table(table, {**_COLUMNS, "split": None}), splits)
        self._root = root
        self._of_class: dict[str, list[str]] | None = None

    def build(self, rows: Sequence[Row], split: str) -> Sample:
        """Build the sample of a row."""
        (row,) = rows
        instance = row.name("inst_id")
        sound = self._drawn(row) if split == "train" else row.name("audio_name")
        return Sample(
            dataset=self.name,
            split=split,
            id=instance,
            clip=instance,
            frames=(existing_file(self._root / "images" / f"{row.name('img_id')}.jpg"),),
            audio=existing_file(self._root / "audios" / f"{sound.removesuffix('.wav')}.wav"),
            labels=((existing_file(self._root / "masks" / f"{instance}.png"),),),
            supervised=(True,),
            # The release hears the second example only.
            first_example=1,
            categories=(row.need("class_name"),),
            line=row.line,
        )

    def _drawn(self, row: Row) -> str:
        """Return the recording of a training row."""
        if self._of_class is None:
            self._of_class = _read_sounds(self._root / SOUNDS)
        number = row.need("class_id")
        sounds = self._of_class.get(number)
        if not sounds:
            raise InputError(f"{SOUNDS} has no sound for class {number}")
        return plain_name(sounds[crc32(row.need("inst_id").encode()) % len(sounds)], f"{SOUNDS}, class {number}")


def _read_sounds(path: Path) -> dict[str, list[str]]:
    """Read the names of recordings by class number.

    Raises:
        UnavailableError: the file is not there, or is something else.
    """
    remedy = "export the pickle of the release once, see docs/guide/datasets.md"
    try:
        content = strict_json.read_json(path)
    except FileNotFoundError as error:
        raise UnavailableError(f"{path}: no such file, training clips need it: {remedy}") from error
    except (OSError, ValueError) as error:
        raise UnavailableError(f"{path}: cannot be read as JSON: {remedy}") from error
    if not isinstance(content, dict) or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in content.values()
    ):
        raise UnavailableError(f"{path}: not lists of names by class number: {remedy}")
    return content
