"""The masks of a video as a table that exports read in several passes."""

from __future__ import annotations

import dataclasses
import itertools
import json
import tempfile
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from auralsam2.errors import InputError, UsageError
from auralsam2.media.audio_choice import AudioChoice
from auralsam2.media.frame_reader import read_frames
from auralsam2.outputs import result_json, rle
from auralsam2.outputs.formats import OUTPUT_FILES
from auralsam2.outputs.postprocessing import PostProcessing, postprocess_items
from auralsam2.outputs.result_json import Row, Rows
from auralsam2.types import Frame, MediaInfo, Segmentation
from auralsam2.utils import json_stream

SOUNDING_OBJECT = "sounding object"
"""Name of object 0."""


@dataclass(frozen=True, kw_only=True)
class MaskTable:
    """Masks of the objects of a video.

    Attributes:
        info: properties of the video.
        rows: start a pass over the masks: one row per object and frame, as in `result.json`, the rows of a frame in
            sequence, frames in order of time.
        names: names of the objects by number.
        fps: processed frames per second; None if every frame was processed.
        start, end: processed part in seconds; None for the end of the video.
        sound: file with the audio; None without audio.
        audio_track: number or language of its audio track; None for the default one.
        images: prefix of the names of the processed frames' JPEG files; None if they are not exported.
        title: name of the video in exports; empty for that of its file.
        feather: softness of the edge of cut-outs and mattes with which the video was segmented, in pixels.
    """

    info: MediaInfo
    rows: Rows
    names: Mapping[int, str] = field(default_factory=lambda: {0: SOUNDING_OBJECT})
    fps: float | None = None
    start: float = 0.0
    end: float | None = None
    sound: Path | None = None
    audio_track: AudioChoice = None
    images: str | None = None
    title: str = ""
    feather: float = 0.0

    @property
    def video_name(self) -> str:
        """Name of the video in exports."""
        return self.title or Path(self.info.name or self.info.path).name

    @property
    def categories(self) -> dict[str, int]:
        """Numbers from 1 of the different names of the objects."""
        return {name: number for number, name in enumerate(dict.fromkeys(self.names.values()), 1)}

    def category_of(self, row: Row) -> int:
        """Return the number of the category of a row."""
        return self.categories[self.names[object_of(row)]]

    def source_frame(self, row: Row) -> int:
        """Return the number of a row's picture in the file; where it is unknown, an estimate from time and rate."""
        number = row.get("source_index")
        return round(row["time"] * self.info.fps) if number is None else number

    def select(self, objects: Collection[int]) -> MaskTable:
        """Return the table of some objects.

        Raises:
            UsageError: the table has no such object.
        """
        if unknown := sorted(set(objects) - self.names.keys()):
            names = ", ".join(f"{number} ({name})" for number, name in self.names.items())
            raise UsageError(f"no object {unknown[0]}: choose `object` from {names}")
        return dataclasses.replace(
            self,
            rows=lambda: (row for row in self.rows() if object_of(row) in objects),
            names={number: name for number, name in self.names.items() if number in objects},
        )

    def postprocessed(self, options: PostProcessing) -> MaskTable:
        """Return the table with post-processed masks."""

        def replaced(row: Row, mask: np.ndarray) -> Row:
            return row | {"rle": rle.encode_rle(mask), "sounding": row["sounding"] and bool(mask.any())}

        def rows() -> Iterator[Row]:
            return postprocess_items(self.rows(), options, object_of, lambda row: rle.decode_rle(row["rle"]), replaced)

        return dataclasses.replace(self, rows=rows) if options.changes_masks else self

    def frames(self) -> Iterator[list[Row]]:
        """Yield the rows of each processed frame."""
        for _, rows in itertools.groupby(self.rows(), key=lambda row: row["index"]):
            yield list(rows)

    def pictures(self) -> Iterator[tuple[Frame, list[Row]]]:
        """Read the video again at its own rate; yield each picture with the rows of its processed frame.

        A mask holds for its slot: from the beginning of the second, or of the fraction of a second, that the processed
        frame represents, to the beginning of the next one.

        Raises:
            InputError: the video cannot be read.
        """
        frames = self.frames()
        current: list[Row] = []
        following = next(frames, None)
        with read_frames(self.info.path, start=self.start, end=self.end) as pictures:
            for picture in pictures:
                while following is not None and (not current or following[0]["slot"][0] <= picture.time + 1e-6):
                    current, following = following, next(frames, None)
                yield picture, current

    def processed_pictures(self) -> Iterator[tuple[Frame, list[Row]]]:
        """Read the video again at the processed rate; yield each processed frame with its rows.

        Raises:
            InputError: the video cannot be read.
        """
        with read_frames(self.info.path, fps=self.fps, start=self.start, end=self.end) as pictures:
            frames = self.frames()
            rows = next(frames, None)
            for picture in pictures:
                if rows is not None and rows[0]["index"] == picture.index:
                    yield picture, rows
                    rows = next(frames, None)

    def intervals(self, number: int) -> list[list[float]]:
        """Return the intervals in which an object sounds and is visible: [start, end] in seconds."""
        rows = (row for row in self.rows() if object_of(row) == number)
        return list(result_json.sounding_intervals(rows))


def object_of(row: Row) -> int:
    """Return the number of the object of a row."""
    return row["object_id"]


def union(rows: Sequence[Row]) -> rle.Rle:
    """Return the union of the masks of a frame."""
    return rle.merge_rles([row["rle"] for row in rows])


def read_mask_table(folder: Path, video: Path | None = None) -> MaskTable:
    """Read the masks of a result folder.

    Args:
        folder: a folder that `segment` has written, with `result.json`.
        video: the video, if it has been moved since.

    Raises:
        InputError: there is no complete `result.json`.
    """
    path = folder / OUTPUT_FILES["json"]
    header: dict[str, Any] = {}
    names: dict[int, str] = {}
    try:
        for member, value in json_stream.read_object(path):
            if member == "frames":
                names.setdefault(object_of(value), value.get("label") or "")
            elif member not in ("intervals", "warnings"):
                header[member] = value
        if header["schema"] != result_json.SCHEMA:
            raise InputError(f"{path}: has the schema {header['schema']}: segment the video again")
        source, options = header["input"], header["options"]
        fps = options.get("fps", "all")
        sound = header["prompts"]["audio"]
        info = MediaInfo(
            path=video or Path(source["path"]),
            width=source["size"][0],
            height=source["size"][1],
            fps=source["fps"],
            duration=source["duration"] or 0.0,
            audio_rate=source["audio_rate"],
            audio_channels=0,
            time_base=None if source["time_base"] is None else Fraction(source["time_base"]),
            name="" if video else source["path"],
        )
        feather = float((options.get("postprocessing") or {}).get("feather", 0.0))
        if sound == source["path"] or (sound is None and info.audio_rate is not None):
            sound = info.path
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): segment the video with `save=json`") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(f"{path}: is damaged: segment the video again") from error
    return MaskTable(
        info=info,
        rows=lambda: (value for member, value in json_stream.read_object(path) if member == "frames"),
        names={number: name or default_name(number) for number, name in (names or {0: ""}).items()},
        fps=None if fps == "all" else fps,
        start=options.get("start", 0.0),
        end=options.get("end"),
        sound=None if sound is None else Path(sound),
        audio_track=options.get("audio_track"),
        feather=feather,
    )


@contextmanager
def spooled_table(
    info: MediaInfo, segmentations: Iterable[Segmentation], names: Mapping[int, str] | None = None
) -> Iterator[MaskTable]:
    """Store segmentations in a temporary file, sorted by frame and object.

    Args:
        info: properties of the video.
        segmentations: masks of one or several objects, in any order.
        names: names of the objects by number; None for the default names.

    Yields:
        the table, valid inside the `with` block. Memory grows by 24 bytes per mask.

    Raises:
        UsageError: an object has no name.
    """
    keys: tuple[array[int], array[int], array[int]] = (array("q"), array("q"), array("q"))
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        for segmentation in segmentations:
            number = segmentation.object_id
            if names is not None and number not in names:
                raise UsageError(f"object {number} has no name in `labels`")
            for column, value in zip(keys, (file.tell(), number, segmentation.index), strict=True):
                column.append(value)
            file.write(json_stream.dump(result_json.frame_row(segmentation)) + "\n")
        order = np.lexsort(keys)

        def rows() -> Iterator[Row]:
            for position in order.tolist():
                file.seek(keys[0][position])
                yield json.loads(file.readline())

        chosen = names or {number: default_name(number) for number in sorted(set(keys[1]))}
        sound = info.path if info.audio_rate is not None else None
        yield MaskTable(info=info, rows=rows, names=chosen, sound=sound)


def default_name(number: int) -> str:
    """Return the name of an object without a category."""
    return SOUNDING_OBJECT if number == 0 else f"object {number}"
