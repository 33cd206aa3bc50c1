"""StampAVS in the layout of `auralsam2 data build-stampavs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from auralsam2.data.base import DatasetReader, PublishedCounts, SplitListing
from auralsam2.data.class_names import STAMPAVS
from auralsam2.data.csv_table import Row, Table
from auralsam2.data.file_index import LABELS, PICTURES, existing_file, find_files, numbered_from
from auralsam2.data.ref_avs import null_labels
from auralsam2.data.sample import Sample
from auralsam2.errors import InputError
from auralsam2.utils import strict_json

SPLITS = (
    "train", "val", "test-seen", "test-new-image", "test-new-sound", "test-unseen", "test-null", "test-robust",
)  # fmt: skip
_MIXES = {"standard": "", "hard": "-hard"}
"""Suffix of the split for each difficulty preset."""
MOST_FRAMES = 1000
MOST_OBJECTS = 100
_REMEDY = "give the folder that `auralsam2 data build-stampavs` or `build-realavs` wrote"
_SCENE_COLUMNS = ("uid", "split", "mix", "kind", "frames", "objects")


@dataclass(frozen=True, slots=True)
class _Scene:
    """Content of a row of metadata.csv: number of frames, number of objects, kind."""

    frames: int
    objects: int
    kind: str


class _Scenes(DatasetReader):
    """Base of both tasks.

    Args:
        name: of the data set.
        root: the folder with `stampavs.json`.
        table: the csv file to list.
        columns: of it, see `Table`.
        splits: all of them with the sizes that are known.
    """

    def __init__(
        self, name: str, root: Path, table: str, columns: Sequence[str], splits: Mapping[str, PublishedCounts]
    ) -> None:
        super().__init__(name, Table(find_files(root, (table,), _REMEDY), dict.fromkeys(columns)), splits)
        self._root = root
        # Expressions about one scene follow one another and share the paths.
        self._frames = lru_cache(maxsize=16)(self._look_for_frames)
        self._objects = lru_cache(maxsize=16)(self._look_for_objects)

    def listing(self, split: str) -> SplitListing:
        """List a split; see `DatasetReader.listing`."""
        self._frames.cache_clear()
        self._objects.cache_clear()
        return super().listing(split)

    def scene(self, row: Row) -> _Scene:
        """Parse a row of metadata.csv.

        Raises:
            InputError: the row is invalid.
        """
        frames, objects = row.number("frames"), row.number("objects")
        if not 0 < frames <= MOST_FRAMES:
            raise InputError(f"column frames is not a number from 1 to {MOST_FRAMES}: {frames}")
        if objects > MOST_OBJECTS:
            raise InputError(f"column objects is not a number from 0 to {MOST_OBJECTS}: {objects}")
        return _Scene(frames, objects, row.need("kind"))

    def sample(
        self,
        row: Row,
        split: str,
        clip: str,
        scene: _Scene,
        labels: tuple[tuple[Path, ...], ...],
        expression: str | None = None,
        null: bool = False,
    ) -> Sample:
        """Build a sample from its files and given labels."""
        return Sample(
            dataset=self.name,
            split=split,
            id=row.name("uid"),
            clip=clip,
            frames=self._frames(clip, scene.frames),
            audio=existing_file(self._root / "media" / clip / "audio.wav"),
            labels=labels,
            supervised=(True,) * scene.frames,
            expression=expression,
            null=null,
            kind=scene.kind,
            objects=self._objects(clip, scene.frames, scene.objects),
            line=row.line,
        )

    def masks(self, clip: str, folder: str, frames: int) -> tuple[Path, ...]:
        """Return the label files of one object in a scene."""
        return numbered_from(self._root / "gt_mask" / clip / folder, range(frames), LABELS)

    def _look_for_frames(self, clip: str, frames: int) -> tuple[Path, ...]:
        return numbered_from(self._root / "media" / clip / "frames", range(frames), PICTURES)

    def _look_for_objects(self, clip: str, frames: int, objects: int) -> tuple[tuple[Path, ...], ...]:
        return tuple(self.masks(clip, f"fid_{number}", frames) for number in range(1, objects + 1))


class StampAvs(_Scenes):
    """Reader of `stampavs`: segment the sounding objects.

    Attributes:
        manifest: file with the counts of the build.
        split_names: splits of the data set.

    Args:
        name: of the data set.
        root: the folder with `stampavs.json`.

    Raises:
        UnavailableError: it is not StampAVS.
        InputError: the csv file cannot be read.
    """

    manifest: ClassVar[str] = "stampavs.json"
    split_names: ClassVar[tuple[str, ...]] = SPLITS

    def __init__(self, name: str, root: Path) -> None:
        counts = _planned(root, self.manifest, self.split_names)
        super().__init__(name, root, "metadata.csv", _SCENE_COLUMNS, counts)

    def split_of(self, row: Row) -> str:
        """Return the split of a row."""
        return _split_of(row)

    def build(self, rows: Sequence[Row], split: str) -> Sample:
        """Build the sample of a row."""
        (row,) = rows
        clip, scene = row.name("uid"), self.scene(row)
        labels = tuple((path,) for path in self.masks(clip, "sounding", scene.frames))
        return self.sample(row, split, clip, scene, labels)


class StampAvsSemantic(StampAvs):
    """Reader of `stampavs-semantic`: the category of each pixel of the sounding objects, one of `STAMPAVS`."""

    def build(self, rows: Sequence[Row], split: str) -> Sample:
        """Build the sample of a row."""
        sample = super().build(rows, split)
        path = self._root / "media" / sample.clip / "scene.json"
        try:
            objects = strict_json.read_json(path)["objects"]
            categories = tuple(str(one["category"]) for one in objects)
            sounding = [one["sounding"] for one in objects]
            labels = tuple(
                tuple(files[t] for files, flags in zip(sample.objects, sounding, strict=True) if flags[t])
                for t in range(len(sample.frames))
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise InputError(f"{path}: does not describe a scene of StampAVS ({error}): build it again") from error
        for category, flags in zip(categories, sounding, strict=True):
            if any(flags) and category not in STAMPAVS:
                raise InputError(f"{path}: {category!r} is no category of the stamps of StampAVS")
        numbers = tuple(STAMPAVS.index(name) if name in STAMPAVS else 0 for name in categories)
        return replace(sample, labels=labels, coding="object", categories=categories, object_classes=numbers)


class RealAvs(StampAvs):
    """Reader of `realavs`: photographic scenes in the layout of StampAVS, with one preset and two splits."""

    manifest: ClassVar[str] = "realavs.json"
    split_names: ClassVar[tuple[str, ...]] = ("train", "test")


class StampAvsRef(_Scenes):
    """Reader of `stampavs-ref`: segment the object of an expression, one sample per expression.

    Args:
        name: of the data set.
        root: the folder with `stampavs.json`.

    Raises:
        UnavailableError: it is not StampAVS.
        InputError: a csv file cannot be read.
    """

    unique: ClassVar[bool] = False

    def __init__(self, name: str, root: Path) -> None:
        splits = dict.fromkeys(_planned(root), PublishedCounts())
        super().__init__(name, root, "expressions.csv", ("vid", "uid", "split", "fid", "exp"), splits)
        table = Table(find_files(root, ("metadata.csv",), _REMEDY), dict.fromkeys(_SCENE_COLUMNS))
        self._scenes = {row.text("uid"): row for row in table.rows()}

    def split_of(self, row: Row) -> str:
        """Return the split of a row, that of its scene, which defines the preset."""
        scene = self._scenes.get(row.text("vid"))
        return row.text("split") if scene is None else _split_of(scene)

    def build(self, rows: Sequence[Row], split: str) -> Sample:
        """Build the sample of a row."""
        (row,) = rows
        clip = row.name("vid")
        if clip not in self._scenes:
            raise InputError(f"column vid names no scene of metadata.csv: {clip!r}")
        scene = self.scene(self._scenes[clip])
        number = row.number("fid")
        if number:
            labels = tuple((path,) for path in self.masks(clip, f"fid_{number}", scene.frames))
        else:
            labels = null_labels(self._root / "gt_mask" / clip / "fid_0", scene.frames)
        return self.sample(row, split, clip, scene, labels, row.need("exp"), number == 0)


def _planned(
    root: Path, manifest: str = StampAvs.manifest, names: tuple[str, ...] = SPLITS
) -> dict[str, PublishedCounts]:
    """Return all splits with the numbers of scenes in the manifest.

    Raises:
        UnavailableError: there is no such file.
        InputError: it cannot be read.
    """
    path = find_files(root, (manifest,), _REMEDY)
    try:
        counts = strict_json.read_json(path)["counts"]
        sizes = {
            f"{split}{behind}": int(counts.get(split, {}).get(mix, 0))
            for mix, behind in _MIXES.items()
            for split in names
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: does not say how many scenes of each split there are: {_REMEDY}") from error
    return {split: PublishedCounts(size, size) for split, size in sizes.items()}


def _split_of(row: Row) -> str:
    """Return the split of a scene; an unknown preset gives an unknown split."""
    mix = row.text("mix")
    return row.text("split") + _MIXES.get(mix, f"-{mix}")
