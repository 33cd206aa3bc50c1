"""StampAVS: scenes of real pictures and real sounds, as `auralsam2 data build-stampavs` writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from auralsam2.data.folder import LABELS, PICTURES, find, numbered_from, present
from auralsam2.data.problems import MissingError
from auralsam2.data.reader import Listing, Published, Reader
from auralsam2.data.ref_avs import null_labels
from auralsam2.data.samples import Sample
from auralsam2.data.table import Row, Table
from auralsam2.errors import InputError

SPLITS = (
    "train", "val", "test-seen", "test-new-image", "test-new-sound", "test-unseen", "test-null", "test-robust",
)  # fmt: skip
HARD = "-hard"
"""Behind the name of a split: its hard mix instead of the standard one."""
MOST_FRAMES = 1000

_OBJECT = re.compile("fid_([1-9][0-9]*)")
_REMEDY = "give the folder that `auralsam2 data build-stampavs` wrote"


class _Scenes(Reader):
    """What both tasks share.

    Args:
        name: of the data set.
        root: the folder with `stampavs.json`.
        table: the csv file to list.
        columns: of it, see `Table`.
    """

    def __init__(self, name: str, root: Path, table: str, columns: Sequence[str]) -> None:
        find(root, ("stampavs.json",), _REMEDY)
        splits = dict.fromkeys((split + mix for mix in ("", HARD) for split in SPLITS), Published())
        super().__init__(name, Table(find(root, (table,), _REMEDY), dict.fromkeys(columns)), splits)
        self._root = root
        # Expressions about one scene follow one another and share the paths.
        self._frames = lru_cache(maxsize=16)(self._look_for_frames)
        self._objects = lru_cache(maxsize=16)(self._look_for_objects)

    def listing(self, split: str) -> Listing:
        """List a split; see `Reader.listing`."""
        self._frames.cache_clear()
        self._objects.cache_clear()
        return super().listing(split)

    def scene(self, row: Row) -> tuple[int, str]:
        """Number of frames and kind of a row of metadata.csv.

        Raises:
            InputError: the row makes no sense.
        """
        frames = row.number("frames")
        if not 0 < frames <= MOST_FRAMES:
            raise InputError(f"column frames is not a number from 1 to {MOST_FRAMES}: {frames}")
        return frames, row.need("kind")

    def sample(
        self,
        row: Row,
        split: str,
        clip: str,
        scene: tuple[int, str],
        labels: tuple[tuple[Path, ...], ...],
        expression: str | None = None,
        null: bool = False,
    ) -> Sample:
        """A sample, all but its labels looked for."""
        frames, kind = scene
        return Sample(
            dataset=self.name,
            split=split,
            id=row.name("uid"),
            clip=clip,
            frames=self._frames(clip, frames),
            audio=present(self._root / "media" / clip / "audio.wav"),
            labels=labels,
            supervised=(True,) * frames,
            expression=expression,
            null=null,
            kind=kind,
            objects=self._objects(clip, frames),
            line=row.line,
        )

    def masks(self, clip: str, folder: str, frames: int) -> tuple[Path, ...]:
        """The label files of one thing in a scene."""
        return numbered_from(self._root / "gt_mask" / clip / folder, range(frames), LABELS)

    def _look_for_frames(self, clip: str, frames: int) -> tuple[Path, ...]:
        return numbered_from(self._root / "media" / clip / "frames", range(frames), PICTURES)

    def _look_for_objects(self, clip: str, frames: int) -> tuple[tuple[Path, ...], ...]:
        folder = self._root / "gt_mask" / clip
        try:
            found = [_OBJECT.fullmatch(path.name) for path in folder.iterdir()]
        except OSError as error:
            raise MissingError(f"{folder}: no such folder") from error
        numbers = sorted(int(match[1]) for match in found if match)
        return tuple(self.masks(clip, f"fid_{number}", frames) for number in numbers)


class StampAvs(_Scenes):
    """Reads `stampavs`: find what sounds.

    Args:
        name: of the data set.
        root: the folder with `stampavs.json`.

    Raises:
        UnavailableError: it is not StampAVS.
        InputError: the csv file cannot be read.
    """

    def __init__(self, name: str, root: Path) -> None:
        super().__init__(name, root, "metadata.csv", ("uid", "split", "mix", "kind", "frames"))

    def split_of(self, row: Row) -> str:
        """The split to which a row belongs."""
        return _split_of(row)

    def build(self, rows: Sequence[Row], split: str) -> Sample:
        """The sample of one row."""
        (row,) = rows
        clip, scene = row.name("uid"), self.scene(row)
        labels = tuple((path,) for path in self.masks(clip, "sounding", scene[0]))
        return self.sample(row, split, clip, scene, labels)


class StampAvsRef(_Scenes):
    """Reads `stampavs-ref`: find what an expression says, one sample an expression.

    Args:
        name: of the data set.
        root: the folder with `stampavs.json`.

    Raises:
        UnavailableError: it is not StampAVS.
        InputError: a csv file cannot be read.
    """

    unique: ClassVar[bool] = False

    def __init__(self, name: str, root: Path) -> None:
        super().__init__(name, root, "expressions.csv", ("vid", "uid", "split", "fid", "exp"))
        table = Table(find(root, ("metadata.csv",), _REMEDY), dict.fromkeys(("uid", "split", "mix", "kind", "frames")))
        self._scenes = {row.text("uid"): row for row in table.rows()}

    def split_of(self, row: Row) -> str:
        """The split to which a row belongs: that of its scene, which alone knows the mix."""
        scene = self._scenes.get(row.text("vid"))
        return row.text("split") if scene is None else _split_of(scene)

    def build(self, rows: Sequence[Row], split: str) -> Sample:
        """The sample of one row."""
        (row,) = rows
        clip = row.name("vid")
        if clip not in self._scenes:
            raise InputError(f"column vid names no scene of metadata.csv: {clip!r}")
        scene = self.scene(self._scenes[clip])
        number = row.number("fid")
        if number:
            labels = tuple((path,) for path in self.masks(clip, f"fid_{number}", scene[0]))
        else:
            labels = null_labels(self._root / "gt_mask" / clip / "fid_0", scene[0])
        return self.sample(row, split, clip, scene, labels, row.need("exp"), number == 0)


def _split_of(row: Row) -> str:
    """The split of a scene; a mix that is not known makes it a split that is not known."""
    mix = row.text("mix")
    return row.text("split") + {"standard": "", "hard": HARD}.get(mix, f"-{mix}")
