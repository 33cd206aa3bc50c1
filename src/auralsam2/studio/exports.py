"""Exports of a session's masks, frames and data; each file appears whole or not at all."""

from __future__ import annotations

import dataclasses
import io
import mimetypes
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from auralsam2.errors import UsageError
from auralsam2.inference.results import make_segmentation
from auralsam2.media.frame_reader import read_frames
from auralsam2.media.probe import probe
from auralsam2.media.video_writer import VideoWriter
from auralsam2.outputs.cutouts import AlphaOptions
from auralsam2.outputs.export import WRITERS, ExportOptions, write_format
from auralsam2.outputs.formats import FORMATS
from auralsam2.outputs.jpeg import encode_jpeg
from auralsam2.outputs.mask_table import MaskTable
from auralsam2.outputs.overlay import draw_overlay
from auralsam2.outputs.postprocessing import PostProcessing, postprocess
from auralsam2.outputs.result_json import Row, frame_row
from auralsam2.studio import mask_codec
from auralsam2.studio.commands import ExportCommand
from auralsam2.studio.object_style import ObjectStyle
from auralsam2.studio.session_state import SessionState
from auralsam2.studio.storage import SessionFolder, StoredClip, write_errors
from auralsam2.types import Frame, Segmentation

_ZIP = "application/zip"
_OWN = {
    "overlay": ("overlay.mp4", "video/mp4"),
    "masks": ("masks.zip", _ZIP),
    "frames": ("frames.zip", _ZIP),
    "session": ("session.zip", _ZIP),
}
"""Kinds that differ from the formats of `outputs`: masks of each object, all frames, and the session."""
KINDS = _OWN | {
    name: (entry.path, mimetypes.guess_type(entry.path)[0] or "application/octet-stream")
    if entry.members is None
    else (f"{name}.zip", _ZIP)
    for name, entry in FORMATS.items()
    if name in WRITERS.keys() - _OWN.keys() - {"fiftyone"}
}
"""File name and content type of each kind. FiftyOne reads the video from its path, which the browser does not have."""
_MASKLESS = frozenset({"frames", "session"})
Advance = Callable[[int, int], None]
"""Callback with the numbers of completed and of all steps; it may raise to stop the export."""


@dataclass(frozen=True, kw_only=True)
class ExportOrder:
    """Export to write.

    Attributes:
        kind: of `KINDS`.
        folder: folder of the session.
        clip: properties of its video.
        name: name of the session.
        objects: numbers and styles of the exported objects.
        ticks: frames with a mask of one of them, ascending.
        threshold: logit above which a pixel belongs to an object.
        score: object score below which masks are empty.
        postprocessing: steps of post-processing.
        invert: whether cut-outs and mattes contain the background.

    Raises:
        UsageError: there is no mask to export.
    """

    kind: str
    folder: SessionFolder
    clip: StoredClip
    name: str
    objects: dict[int, ObjectStyle]
    ticks: tuple[int, ...]
    threshold: float
    score: float
    postprocessing: PostProcessing = field(default_factory=PostProcessing)
    invert: bool = False

    def __post_init__(self) -> None:
        if self.kind not in _MASKLESS and not self.ticks:
            raise UsageError("there are no masks to export: press Listen, or click on an object first")

    @classmethod
    def of(cls, state: SessionState, command: ExportCommand) -> ExportOrder:
        """Return the order for the current masks of a session; hidden objects are exported with the session alone.

        Raises:
            UsageError: there is no mask to export, an object was removed, or a step of post-processing is out of range.
        """
        styles = {number: prompts.style for number, prompts in state.objects.items()}
        if missing := set(command.objects or ()) - styles.keys():
            raise UsageError(f"no object {min(missing)}: it was removed")
        if command.objects is not None and command.kind != "session":
            styles = {number: style for number, style in styles.items() if number in command.objects}
        elif command.kind != "session":
            styles = {number: style for number, style in styles.items() if not style.hidden}
        return cls(
            kind=command.kind,
            folder=state.folder,
            clip=state.clip,
            name=state.name,
            objects=styles,
            ticks=tuple(sorted(set().union(*(state.marks[number] for number in styles)))),
            threshold=state.threshold,
            score=state.score,
            postprocessing=command.postprocessing,
            invert=command.invert,
        )

    @property
    def file(self) -> Path:
        """Path of the export."""
        return self.folder.export(KINDS[self.kind][0])


def write_export(order: ExportOrder, advance: Advance) -> Path:
    """Write an export.

    Args:
        order: export to write.
        advance: called after each step; its exception stops the export and removes the unfinished file.

    Raises:
        OutputError: the file cannot be written.
        InputError: the video cannot be read.
    """
    with write_errors(order.file.name):
        order.file.parent.mkdir(exist_ok=True)
    writers = {"overlay": _overlay, "masks": _masks, "frames": _frames, "session": _session}
    writers.get(order.kind, _write_registered)(order, advance)
    return order.file


def _overlay(order: ExportOrder, advance: Advance) -> None:
    clip = order.clip
    video = order.folder.path / clip.video
    writer = VideoWriter(order.file, audio_from=video if clip.audio else None, pictures_end=clip.duration or None)
    segmentations = _segmentations(order, lambda _done, _total: None)
    upcoming = next(segmentations, None)
    with writer, read_frames(video, fps=clip.fps) as frames:
        for frame in frames:
            picture = frame.image
            while upcoming is not None and upcoming.index == frame.index:
                segmentation, upcoming = upcoming, next(segmentations, None)
                picture = draw_overlay(picture, segmentation.mask, order.objects[segmentation.object_id].rgb)
            writer.write(picture, *clip.slot(frame.index))
            advance(frame.index + 1, len(clip.times))


def _masks(order: ExportOrder, advance: Advance) -> None:
    with _zip(order) as archive:
        for segmentation in _segmentations(order, advance):
            name = f"{segmentation.object_id}/{segmentation.index:06d}.png"
            _write_png(archive, name, segmentation.mask * np.uint8(255))


def _write_registered(order: ExportOrder, advance: Advance) -> None:
    """Write a format of `outputs.formats`; one of several files becomes an archive."""
    table = _mask_table(order, advance)
    options = ExportOptions(alpha=AlphaOptions(invert=order.invert, feather=order.postprocessing.feather))
    part = order.file.with_name(f".{order.kind}.part")
    try:
        if FORMATS[order.kind].members is None:
            with write_errors(order.file.name):
                write_format(order.kind, part, table, options)
                part.replace(order.file)
            return
        with write_errors(order.file.name):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            write_format(order.kind, part, table, options)
        with _zip(order) as archive:
            for path in sorted(entry for entry in part.rglob("*") if entry.is_file()):
                archive.write(path, path.relative_to(part).as_posix())
    finally:
        shutil.rmtree(part, ignore_errors=True)
        part.unlink(missing_ok=True)


def _mask_table(order: ExportOrder, advance: Advance) -> MaskTable:
    """Return the stored masks as a table, whose passes advance the progress."""
    clip = order.clip
    video = order.folder.path / clip.video

    def rows() -> Iterator[Row]:
        return map(frame_row, _segmentations(order, advance))

    return MaskTable(
        info=probe(video),
        rows=rows,
        names={number: style.name for number, style in order.objects.items()},
        fps=clip.fps,
        sound=video if clip.audio else None,
        images="",
        title=order.name,
    )


def _frames(order: ExportOrder, advance: Advance) -> None:
    """Write all frames with the names and the size of the images in the COCO file."""
    clip = order.clip
    with _zip(order) as archive, read_frames(order.folder.path / clip.video, fps=clip.fps) as frames:
        for frame in frames:
            archive.writestr(f"{frame.index:06d}.jpg", encode_jpeg(frame.image))
            advance(frame.index + 1, len(clip.times))


def _session(order: ExportOrder, advance: Advance) -> None:
    folder = order.folder
    masks = [path for number in order.objects for path in sorted((folder.path / "masks" / str(number)).glob("*.bin"))]
    with _zip(order) as archive:
        archive.write(folder.document, "session.json")
        if folder.log.exists():
            archive.write(folder.log, folder.log.name)
        archive.write(folder.path / order.clip.video, order.clip.video)
        advance(1, len(masks) + 1)
        for done, path in enumerate(masks, 2):
            archive.write(path, path.relative_to(folder.path).as_posix())
            advance(done, len(masks) + 1)


def _segmentations(order: ExportOrder, advance: Advance) -> Iterator[Segmentation]:
    """Yield the post-processed masks of all frames, and advance the progress."""

    def stored() -> Iterator[Segmentation]:
        for done, tick in enumerate(order.ticks, 1):
            yield from _objects(order, tick)
            advance(done, len(order.ticks))

    return postprocess(stored(), order.postprocessing)


def _objects(order: ExportOrder, tick: int) -> Iterator[Segmentation]:
    """Yield the stored masks of a frame at the session's threshold and score."""
    clip = order.clip
    # Shape without memory: callers that need the image have it.
    blank = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (clip.height, clip.width, 3))
    for number in order.objects:
        try:
            data = order.folder.mask(number, tick).read_bytes()
        except FileNotFoundError:
            continue
        header, logits = mask_codec.unpack_mask(data)
        segmentation = make_segmentation(
            Frame(index=tick, time=clip.times[tick], instant=clip.times[tick], slot=clip.slot(tick), image=blank),
            torch.from_numpy(logits - np.float32(order.threshold)),
            iou=header.iou,
            object_score=header.object_score,
            audible=header.sounding,
            number=number,
        )
        if header.object_score < order.score:
            empty = np.zeros_like(segmentation.mask)
            segmentation = dataclasses.replace(segmentation, mask=empty, sounding=False)
        yield segmentation


@contextmanager
def _zip(order: ExportOrder) -> Iterator[zipfile.ZipFile]:
    """Open an archive that appears when it is complete; its members are compressed already."""
    part = order.file.with_name(f".{order.file.name}.part")
    try:
        with write_errors(order.file.name):
            with zipfile.ZipFile(part, "w") as archive:
                yield archive
            part.replace(order.file)
    finally:
        part.unlink(missing_ok=True)


def _write_png(archive: zipfile.ZipFile, name: str, pixels: np.ndarray) -> None:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format="PNG")
    archive.writestr(name, data.getvalue())
