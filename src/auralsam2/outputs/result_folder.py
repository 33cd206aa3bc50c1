"""Result folder of one input."""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TextIO

import numpy as np
from PIL import Image

from auralsam2.errors import AuralError, UsageError
from auralsam2.outputs import result_json
from auralsam2.outputs.export import ExportOptions, check_replaceable, visible_names, write_format
from auralsam2.outputs.formats import FORMATS, OUTPUT_FILES
from auralsam2.outputs.jpeg import encode_jpeg
from auralsam2.outputs.mask_table import SOUNDING_OBJECT, MaskTable, default_name
from auralsam2.outputs.overlay import draw_label, draw_overlay, object_colour
from auralsam2.types import MediaInfo, Segmentation
from auralsam2.utils import json_stream
from auralsam2.utils.atomic_io import Staging, writing
from auralsam2.utils.background import BoundedQueue
from auralsam2.utils.timing import StageTimer

if TYPE_CHECKING:
    from auralsam2.media.video_writer import VideoWriter

_log = logging.getLogger(__name__)

_IMMEDIATE = frozenset({"overlay", "masks", "frames"})  # written frame by frame; others follow the last frame
OverlayRate = Literal["processed", "source"]
"""Frames of the overlay: the processed ones, or all frames of the source."""


class ResultFolder:
    """Context manager that writes the frames of one input, in order; all files appear, or none.

    Files are written to a hidden folder beside the result folder. `close`, or a normal exit from the `with` block,
    moves them, `result.json` last; an exception removes them. An earlier result remains until it is replaced. The next
    run removes the hidden folder of a killed one.

    Overlay, masks and frames are encoded in the thread that calls `write`, all other formats by `close`. Memory depends
    on the size of a frame alone.
    """

    def __init__(
        self,
        folder: Path,
        info: MediaInfo,
        save: frozenset[str],
        header: Mapping[str, Any],
        *,
        audio_from: Path | None = None,
        audio_track: int | str | None = None,
        start: float = 0.0,
        end: float | None = None,
        fps: float | None = None,
        overlay_rate: OverlayRate = "processed",
        export: ExportOptions | None = None,
    ) -> None:
        """Check the arguments; files are created on entering the `with` block.

        Args:
            folder: result folder, created if missing.
            info: properties of the video.
            save: formats to write, of `FORMATS`.
            header: `model`, `prompts`, `options`, `device` and `dtype` for `result.json`; paths, tuples, sets and
                dataclasses are converted. With a `request` in `options`, a later run can skip the input; see
                `is_complete`.
            audio_from: file with the audio of written videos; None for silent ones.
            audio_track: number or language of its audio track; None for the default one.
            start: first processed second.
            end: last processed second; None for the end of the video.
            fps: processed frames per second; None for every frame.
            overlay_rate: `processed` for an overlay of the processed frames, `source` for one of all frames, where a
                mask holds until the next one.
            export: options of the formats.

        Raises:
            UsageError: `save` is empty or contains an unknown format, or `overlay_rate` is unknown.
        """
        if unknown := sorted(save - OUTPUT_FILES.keys()):
            raise UsageError(f"cannot save {', '.join(unknown)}: choose from {', '.join(OUTPUT_FILES)}")
        if not save:
            raise UsageError(f"nothing to save: choose from {', '.join(OUTPUT_FILES)}")
        if overlay_rate not in ("source", "processed"):
            raise UsageError(f"`overlay_rate={overlay_rate}`: choose from processed, source")
        self.folder = folder
        self._info = info
        self._save = save
        # Before hours of work: raises if a key is missing or a value has no JSON form.
        self._header = {
            key: json_stream.plain(header[key]) for key in ("model", "prompts", "options", "device", "dtype")
        }
        self._overlay_options = {
            "audio_from": audio_from,
            "audio_track": audio_track,
            "start": start,
            "end": end,
            "pictures_end": info.duration or None,
        }
        self._table = MaskTable(
            info=info,
            rows=self._read_rows,
            fps=fps,
            start=start,
            end=end,
            sound=audio_from,
            audio_track=audio_track,
            images=f"{OUTPUT_FILES['frames']}/" if "frames" in save else None,
        )
        self._export = export or ExportOptions()
        self._immediate = _IMMEDIATE - ({"overlay"} if overlay_rate == "source" else set())
        self._staging = Staging(folder)
        self._sinks = ExitStack()  # writers to close before the results are moved
        self._all = ExitStack()  # the same and the hidden folder around them
        self._rows: TextIO | None = None
        self._overlay: VideoWriter | None = None
        self._count = 0
        self._labels: dict[int, str | None] = {}  # by object
        self._jpeg = b""
        self._jpeg_time: float | None = None  # presentation time of the picture in `_jpeg`
        self._closed = False

    def __enter__(self) -> ResultFolder:
        """Open the hidden folder.

        Raises:
            OutputError: the folder cannot be written, another run is writing into it, or a file that this package did
                not create has the name of a result.
        """
        with ExitStack() as stack:
            stack.enter_context(self._staging)
            self._sinks = stack.enter_context(ExitStack())
            with writing(self.folder):
                for kind in self._save:
                    check_replaceable(self._final(kind), kind)
                for kind in self._save:
                    if FORMATS[kind].members is not None:
                        self._hidden(kind).mkdir()
                if self._save - self._immediate:
                    self._rows = self._sinks.enter_context(self._rows_path.open("w", encoding="utf-8"))
            if "overlay" in self._save & self._immediate:
                from auralsam2.media.video_writer import VideoWriter

                with self._visible_names():
                    writer = VideoWriter(self._hidden("overlay"), **self._overlay_options)
                    self._overlay = self._sinks.enter_context(writer)
            self._all = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close on a normal exit; after an exception remove all files of this run."""
        if self._closed:
            return
        if error is None:
            self.close()
            return
        self._closed = True
        try:
            self._all.__exit__(kind, error, trace)
        except (OSError, AuralError) as second:  # such as the flush of a file to a full disk
            _log.debug("%s: while giving up: %s", self.folder, second)

    def write(self, segmentation: Segmentation, *others: Segmentation) -> None:
        """Add the next frame; mask images hold the union of its objects.

        Args:
            segmentation: of one object.
            others: of the other objects of the frame.

        Raises:
            OutputError: a file cannot be written.
            ValueError: frames are out of order.
        """
        objects = (segmentation, *others)
        for one in objects:
            self._labels[one.object_id] = one.label or self._labels.get(one.object_id)
        if segmentation.index != self._count:
            raise ValueError(f"got frame {segmentation.index}, expected frame {self._count}")
        if "masks" in self._save:
            self._write_mask(np.logical_or.reduce([one.mask for one in objects]))
        if "frames" in self._save:
            self._write_frame(segmentation)
        if self._rows is not None:
            with writing(self.folder):
                for one in objects:
                    self._rows.write(json_stream.dump(result_json.frame_row(one)) + "\n")
        if self._overlay is not None:
            with self._visible_names():
                overlay = segmentation.image
                for one in objects:
                    colour = object_colour(one.object_id)
                    overlay = draw_label(draw_overlay(overlay, one.mask, colour), one.mask, one.label or "", colour)
                self._overlay.write(overlay, *segmentation.slot)
        self._count += 1

    def close(self, *, timing: Mapping[str, float] | None = None, warnings: Sequence[str] = ()) -> None:
        """Finish all files and move them to the result folder; on failure no file of this run remains.

        Args:
            timing: seconds of each stage.
            warnings: warnings about this result, one line each.

        Raises:
            OutputError: a file cannot be written.
        """
        self._closed = True
        with self._all, self._visible_names(), writing(self.folder):
            self._sinks.close()
            default = "source {}".format if self._header["options"].get("separate") else default_name
            names = {number: default(number) for number in self._labels} or {0: SOUNDING_OBJECT}
            names |= {number: label for number, label in self._labels.items() if label}
            self._table = dataclasses.replace(self._table, names=dict(sorted(names.items())))
            if "json" in self._save:
                members = result_json.result_members(self._info, self._header, self._read_rows, timing or {}, warnings)
                json_stream.write_object(self._hidden("json"), members)
            for kind in FORMATS:
                if kind in self._save - self._immediate - {"json"}:
                    write_format(kind, self._hidden(kind), self._table, self._export)
            self._publish()

    def _publish(self) -> None:
        names = [name for kind, name in OUTPUT_FILES.items() if kind in self._save]
        others = {name for name in OUTPUT_FILES.values() if name not in names and (self.folder / name).exists()}
        replaced = any(os.path.lexists(self.folder / name) for name in names)
        # An earlier result.json about replaced files would mark an incomplete folder as complete.
        withdrawn = others & {OUTPUT_FILES["json"]} if replaced else set()
        self._staging.publish(names, sorted(withdrawn))
        if stale := sorted(others - withdrawn):
            _log.warning("%s: %s from an earlier run may not fit the new results", self.folder, ", ".join(stale))

    def _write_frame(self, segmentation: Segmentation) -> None:
        if segmentation.time != self._jpeg_time:
            self._jpeg, self._jpeg_time = encode_jpeg(segmentation.image), segmentation.time
        name = f"{self._count:06d}.jpg"
        with writing(self._final("frames") / name):
            (self._hidden("frames") / name).write_bytes(self._jpeg)

    def _write_mask(self, mask: np.ndarray) -> None:
        name = f"{self._count:06d}.png"
        with writing(self._final("masks") / name):
            Image.fromarray(mask * np.uint8(255)).save(self._hidden("masks") / name)

    def _visible_names(self) -> AbstractContextManager[None]:
        return visible_names(self._staging.path, self.folder)

    def _read_rows(self) -> Iterator[result_json.Row]:
        with self._rows_path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    @property
    def _rows_path(self) -> Path:
        return self._staging.path / "rows.jsonl"

    def _hidden(self, kind: str) -> Path:
        return self._staging.path / OUTPUT_FILES[kind]

    def _final(self, kind: str) -> Path:
        return self.folder / OUTPUT_FILES[kind]


def is_complete(folder: Path, request: str, save: Collection[str], *, files: Collection[str] | None = None) -> bool:
    """Return whether a folder contains all files of a request.

    `result.json` must be whole, of this schema and of an equal request, and each of its files must exist. A request
    that does not save `json` is never complete, nor is a result without a request hash.

    Args:
        folder: may be missing.
        request: as `request_hash` returns it; the `request` among the `options` in the header of `ResultFolder`.
        save: kinds of files that the request writes, of `OUTPUT_FILES`.
        files: paths of the files of the result, with slashes; None for those in the folder.

    Raises:
        KeyError: a kind is unknown.
    """
    kinds = [(kind, OUTPUT_FILES[kind]) for kind in save]
    if "json" not in save:
        return False
    members: set[str] = set()
    frames, latest = 0, None
    try:
        for name, value in json_stream.read_object(folder / OUTPUT_FILES["json"]):
            if name == "schema" and value != result_json.SCHEMA:
                return False
            if name == "options" and not (isinstance(value, dict) and value.get("request") == request):
                return False
            members.add(name)
            if name == "frames" and isinstance(value, dict):
                frames += value.get("index") != latest
                latest = value.get("index")
        if not {"schema", "options"} <= members:
            return False
        listed = set(_files(folder) if files is None else files)
        return all(_is_whole(kind, path, listed, frames) for kind, path in kinds)
    except (OSError, ValueError):  # missing, truncated or damaged
        return False


def _files(folder: Path) -> Iterator[str]:
    for root, _, names in os.walk(folder):
        yield from ((Path(root) / name).relative_to(folder).as_posix() for name in names)


def _is_whole(kind: str, path: str, files: Collection[str], frames: int) -> bool:
    if FORMATS[kind].members is None:
        return path in files
    inside = f"{path}/"
    count = sum(FORMATS[kind].owns(name.removeprefix(inside)) for name in files if name.startswith(inside))
    return count == frames if FORMATS[kind].numbered else count > 0


QUEUE_LENGTH = 4
"""Maximum number of queued frames."""


class BackgroundWriter:
    """Write frames to a `ResultFolder` in a background thread; on normal exit, wait for queued frames.

    The next `write`, or the exit, raises an error of the writer.

    Args:
        folder: opened folder.
        clock: timer of the stage `write`.
    """

    def __init__(self, folder: ResultFolder, clock: StageTimer) -> None:
        self._folder = folder
        self._clock = clock
        self._queue: BoundedQueue[tuple[Segmentation, ...] | None] = BoundedQueue(QUEUE_LENGTH)
        self._error: Exception | None = None
        self._aborted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="write-behind", daemon=True)

    def __enter__(self) -> BackgroundWriter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._aborted.set()
        self._queue.put_last(None)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def write(self, segmentation: Segmentation, *others: Segmentation) -> None:
        """Queue a frame, with one or several objects; wait while the queue is full.

        Raises:
            OutputError: an earlier frame could not be written.
        """
        if self._error is not None:
            raise self._error
        self._queue.put((segmentation, *others))

    def write_all(
        self, segmentations: Iterable[Segmentation], on_frame: Callable[[Segmentation], None] | None = None
    ) -> None:
        """Queue all frames; the objects of a frame are in sequence.

        Args:
            segmentations: in the order of time.
            on_frame: called after each frame, with its first object.
        """
        for _, (first, *others) in itertools.groupby(segmentations, key=lambda segmentation: segmentation.index):
            self.write(first, *others)
            if on_frame is not None:
                on_frame(first)

    def _run(self) -> None:
        # After an error, the queue is emptied without writing, so that `write` does not block.
        while (objects := self._queue.get()) is not None:
            if self._error is None and not self._aborted.is_set():
                try:
                    with self._clock.stage("write"):
                        self._folder.write(*objects)
                except Exception as error:  # raised again by `write` or on exit
                    self._error = error
