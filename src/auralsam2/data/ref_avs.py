"""Ref-AVS: clips of ten seconds with expressions that refer to their objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from auralsam2.data.base import DatasetReader, MissingError, PublishedCounts, SplitListing
from auralsam2.data.csv_table import Row, Table, plain_name
from auralsam2.data.file_index import LABELS, PICTURES, existing_file, find_files, numbered_files, numbered_from
from auralsam2.data.sample import Sample
from auralsam2.errors import InputError

PUBLISHED = {
    "train": PublishedCounts(14113, 2919),
    "val": PublishedCounts(1349, 275),
    "test_s": PublishedCounts(2288, 273),
    "test_u": PublishedCounts(1656, 269),
    "test_n": PublishedCounts(1028, 257),
}
"""Sizes of the splits, counted in the csv of the release; the AuralSAM2 paper counts 14117 rows for train and 1454 for
test_u."""

_NUMBERS = range(10)
_REMEDY = "give the folder of Ref-AVS, which holds metadata.csv, media and gt_mask"


class RefAvs(DatasetReader):
    """Reader of `ref-avs`: one sample per row of the csv.

    A row is null, by its number of object 0, where the expression refers to nothing; its right mask is empty, whether
    the files are there or not. A uid that comes again gets a number behind it: the rows differ in their object.

    Args:
        name: of the data set.
        root: the folder with the csv.

    Raises:
        UnavailableError: it is not Ref-AVS.
        InputError: the csv file cannot be read.
    """

    aliases: ClassVar[Mapping[str, str]] = {"seen": "test_s", "unseen": "test_u", "null": "test_n"}
    ignored: ClassVar[tuple[str, ...]] = ("TODO",)
    unique: ClassVar[bool] = False

    def __init__(self, name: str, root: Path) -> None:
        table = find_files(root, ("metadata.csv",), _REMEDY)
        for part in ("media", "gt_mask"):
            find_files(root, (part,), _REMEDY)
        super().__init__(name, Table(table, dict.fromkeys(("uid", "split", "fid", "exp"))), PUBLISHED)
        self._root = root
        self._files = numbered_from

    def listing(self, split: str) -> SplitListing:
        """List a split; see `DatasetReader.listing`."""
        # Rows of one clip follow one another: their folders are read once, and they share the paths.
        self._files = lru_cache(maxsize=64)(numbered_from)
        return super().listing(split)

    def build(self, rows: Sequence[Row], split: str) -> Sample:
        """Build the sample of a row."""
        (row,) = rows
        uid = row.name("uid")
        clip = clip_of(uid)
        number = row.number("fid")
        media = self._root / "media" / clip
        masks = self._root / "gt_mask" / clip / f"fid_{number}"
        return Sample(
            dataset=self.name,
            split=split,
            id=uid,
            clip=clip,
            frames=self._files(media / "frames", _NUMBERS, PICTURES),
            audio=existing_file(media / "audio.wav"),
            labels=self._labels(masks) if number else null_labels(masks, len(_NUMBERS)),
            supervised=(True,) * len(_NUMBERS),
            expression=row.need("exp"),
            null=number == 0,
            categories=(uid.rsplit("_", 2)[1],) if number else (),
            line=row.line,
        )

    def _labels(self, folder: Path) -> tuple[tuple[Path, ...], ...]:
        return tuple((path,) for path in self._files(folder, _NUMBERS, LABELS))


def clip_of(uid: str) -> str:
    """Return the clip of an id `<clip>_<object>_<n>`.

    Raises:
        InputError: the text is of another form.
    """
    clip = uid.rsplit("_", 2)[0]
    if clip == uid or uid.count("_") < 2:
        raise InputError(f"column uid is not of the form CLIP_OBJECT_NUMBER: {uid!r}")
    return plain_name(clip, "the clip in column uid")


def null_labels(folder: Path, frames: int) -> tuple[tuple[Path, ...], ...]:
    """Return the label files of an expression without a referent, as far as they exist.

    Args:
        folder: of the files.
        frames: T.

    Returns:
        T entries.
    """
    try:
        found = numbered_files(folder, LABELS)
    except MissingError:
        found = {}
    return tuple((found[number],) if number in found else () for number in range(frames))
