"""Exports of a session's masks, frames and data; each file appears whole or not at all."""

from __future__ import annotations

import dataclasses
import io
import mimetypes
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from auralsam2.errors import UsageError
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
from auralsam2.studio.commands import ExportCommand
from auralsam2.studio.object_style import ObjectStyle
from auralsam2.studio.session_state import SessionState
from auralsam2.studio.storage import SessionFolder, StoredClip, write_errors
from auralsam2.studio.stored_masks import StoredMasks
from auralsam2.types import Segmentation

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
_SUFFIX = "-objects"
KINDS |= {
    f"{name}{_SUFFIX}": (f"{name}{_SUFFIX}.zip", _ZIP)
    for name in ("cutout-prores", "cutout-webm", "cutout-png", "matte", "matte-prores")
}
"""Kinds that merge the masks of all objects have a second form with a file of each object."""
_MASKLESS = frozenset({"frames", "session"})
_MAX_STEM = 40
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
            UsageError: there is no mask to export, or an object was removed.
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
            postprocessing=state.postprocessing,
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
    with writer, read_frames(video, fps=clip.rate) as frames:
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
    """Write a format of `outputs.formats`; several files become an archive."""
    kind = order.kind.removesuffix(_SUFFIX)
    single = FORMATS[kind].members is None
    passes = _Passes(order, advance)
    part = order.file.with_name(f".{order.kind}.part")
    try:
        with write_errors(order.file.name):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            if kind == order.kind:
                _write_table(kind, part / "all" if single else part, order, passes)
            else:
                for number, style in order.objects.items():
                    path = part / f"{number}-{_file_stem(style.name)}{Path(FORMATS[kind].path).suffix}"
                    if not single:
                        path.mkdir()
                    _write_table(kind, path, dataclasses.replace(order, objects={number: style}), passes)
            if single and kind == order.kind:
                (part / "all").replace(order.file)
                return
        with _zip(order) as archive:
            for path in sorted(entry for entry in part.rglob("*") if entry.is_file()):
                archive.write(path, path.relative_to(part).as_posix())
    finally:
        shutil.rmtree(part, ignore_errors=True)


class _Passes:
    """Progress of a format that reads the masks in one or more passes.

    Args:
        order: export to write.
        advance: called with the progress of all passes together.
    """

    def __init__(self, order: ExportOrder, advance: Advance) -> None:
        entry, objects = FORMATS[order.kind.removesuffix(_SUFFIX)], len(order.objects)
        passes = objects if order.kind.endswith(_SUFFIX) else entry.passes + entry.object_passes * objects
        self._ticks, self._total = len(order.ticks), passes * len(order.ticks)
        self._advance, self._completed = advance, -self._ticks

    def begin(self) -> Advance:
        """Start a pass; returns its callback."""
        completed = self._completed = self._completed + self._ticks
        return lambda done, _total: self._advance(completed + done, self._total)


def _write_table(kind: str, path: Path, order: ExportOrder, passes: _Passes) -> None:
    """Write the stored masks of the objects of an order in a format."""
    clip = order.clip
    video = order.folder.path / clip.video

    def rows() -> Iterator[Row]:
        return map(frame_row, _segmentations(order, passes.begin()))

    table = MaskTable(
        info=probe(video),
        rows=rows,
        names={number: style.name for number, style in order.objects.items()},
        fps=clip.rate,
        sound=video if clip.audio else None,
        images="",
        title=order.name,
    )
    alpha = AlphaOptions(invert=order.invert, feather=order.postprocessing.feather)
    write_format(kind, path, table, ExportOptions(alpha=alpha))


def _file_stem(name: str) -> str:
    """Return the name of an object as a part of a file name."""
    return re.sub(r"[^\w-]+", "-", name).strip("-")[:_MAX_STEM] or "object"


def _frames(order: ExportOrder, advance: Advance) -> None:
    """Write all frames with the names and the size of the images in the COCO file."""
    clip = order.clip
    with _zip(order) as archive, read_frames(order.folder.path / clip.video, fps=clip.rate) as frames:
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
    masks = StoredMasks(folder=order.folder, clip=order.clip, threshold=order.threshold, score=order.score)

    def stored() -> Iterator[Segmentation]:
        for done, tick in enumerate(order.ticks, 1):
            present = (masks.segmentation(number, tick) for number in order.objects)
            yield from (segmentation for segmentation in present if segmentation is not None)
            advance(done, len(order.ticks))

    return postprocess(stored(), order.postprocessing)


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
