"""Exports: write the masks of a video in a format of the registry."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from auralsam2.arguments import as_path
from auralsam2.errors import InputError, OutputError, UsageError
from auralsam2.media import encodings
from auralsam2.media.sources import is_media_path
from auralsam2.outputs import (
    coco,
    cutouts,
    cvat,
    fiftyone_dataset,
    interval_files,
    label_images,
    label_studio,
    rle,
    yolo,
)
from auralsam2.outputs.cutouts import AlphaOptions
from auralsam2.outputs.formats import FORMATS, OUTPUT_FILES, parse_formats
from auralsam2.outputs.jpeg import encode_jpeg
from auralsam2.outputs.mask_table import MaskTable, object_of, read_mask_table, spooled_table, union
from auralsam2.outputs.overlay import draw_overlay, object_colour
from auralsam2.outputs.postprocessing import PostProcessing
from auralsam2.types import MediaInfo, Segmentation
from auralsam2.utils.atomic_io import Staging, writing

_FILE_BROWSERS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # files that desktops create in folders


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of the formats.

    Attributes:
        alpha: of cut-outs and mattes.
        tolerance: of polygons: greatest distance, in pixels, of a border pixel from its polygon; 0 for exact ones.

    Raises:
        UsageError: the tolerance is negative.
    """

    alpha: AlphaOptions = field(default_factory=AlphaOptions)
    tolerance: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < math.inf:
            raise UsageError(f"`tolerance={self.tolerance:g}` must be 0 or more pixels")

    def feathered(self, feather: float) -> ExportOptions:
        """Return the options with another softness of the edge; see `PostProcessing`."""
        return dataclasses.replace(self, alpha=dataclasses.replace(self.alpha, feather=feather))


Writer = Callable[[Path, MaskTable, ExportOptions], None]


def write_format(name: str, path: Path, table: MaskTable, options: ExportOptions | None = None) -> None:
    """Write the masks of a video in a format.

    Args:
        name: of `formats.FORMATS`, without `json`.
        path: file to write, or an empty folder for formats of several files.
        table: the masks.
        options: None for the defaults.

    Raises:
        InputError: the format needs the pictures of the video, which cannot be read.
        OutputError: a file cannot be written.
    """
    WRITERS[name](path, table, options or ExportOptions())


def export_result(
    folder: Path | str,
    names: Collection[str] | str,
    *,
    out: Path | str | None = None,
    objects: Collection[int] = (),
    video: Path | str | None = None,
    options: ExportOptions | None = None,
    postprocessing: PostProcessing | None = None,
) -> list[Path]:
    """Write the masks of a finished result in other formats; all files appear, or none.

    Args:
        folder: result folder with `result.json`.
        names: formats, of `formats.FORMATS` without `json`, as a collection or separated by commas.
        out: folder for the exports; None for the result folder.
        objects: numbers of the exported objects; none for all objects.
        video: the video, if it has been moved.
        options: options of the formats. Edges are as soft as in `segment`, unless `feather` is given here or below.
        postprocessing: steps for masks that were written without; a `feather` above 0 replaces that of `options`.

    Returns:
        the written files and folders, in the order of `formats.FORMATS`.

    Raises:
        UsageError: a format or an object is unknown.
        InputError: there is no complete `result.json`, or the video cannot be read.
        OutputError: a file cannot be written.
    """
    chosen = _known(names)
    folder = as_path("folder", folder)
    table = read_mask_table(folder, None if video is None else as_path("video", video))
    if objects:
        table = table.select(objects)
    if "frames" in chosen:
        table = dataclasses.replace(table, images=f"{OUTPUT_FILES['frames']}/")
    options = options or ExportOptions()
    if postprocessing is not None:
        table = table.postprocessed(postprocessing)
        if postprocessing.feather:
            options = options.feathered(postprocessing.feather)
    if options.alpha.feather is None:
        options = options.feathered(table.feather)
    if any(FORMATS[name].pictures for name in chosen) and not table.info.path.is_file():
        source = table.info.name or table.info.path
        reason = "is missing" if is_media_path(str(source)) else "is no file"
        raise InputError(f"{source}: the video of {folder} {reason}: name it with `video`")
    return _publish(chosen, table, folder if out is None else as_path("out", out), options)


def export_segmentations(
    names: Collection[str] | str,
    out: Path | str,
    info: MediaInfo,
    segmentations: Iterable[Segmentation],
    *,
    labels: Mapping[int, str] | None = None,
    options: ExportOptions | None = None,
) -> list[Path]:
    """Write the masks of a session, of one or several objects; all files appear, or none.

    Args:
        names: formats, of `formats.FORMATS` without `json`, as a collection or separated by commas.
        out: folder for the exports, created if missing.
        info: properties of the video, such as `VideoSession.info`.
        segmentations: the masks in any order of frames, which `VideoSession.propagate` yields.
        labels: names of all objects by number; objects of the same name share a category. None: the name of object 0 is
            "sounding object", those of others "object 1", ….
        options: options of the formats.

    Returns:
        the written files and folders, in the order of `formats.FORMATS`.

    Raises:
        UsageError: a format is unknown, or an object has no name.
        InputError: a format needs the pictures of the video, which cannot be read.
        OutputError: a file cannot be written.
    """
    chosen = _known(names)
    with spooled_table(info, segmentations, labels) as table:
        if "frames" in chosen:
            table = dataclasses.replace(table, images=f"{OUTPUT_FILES['frames']}/")
        return _publish(chosen, table, as_path("out", out), options)


def _known(names: Collection[str] | str) -> list[str]:
    names = parse_formats("names", names)
    if unknown := sorted(names - WRITERS.keys()):
        raise UsageError(f"cannot export {', '.join(unknown)}: choose `to` from {', '.join(WRITERS)}")
    return [name for name in FORMATS if name in names]


def _publish(names: list[str], table: MaskTable, out: Path, options: ExportOptions | None) -> list[Path]:
    paths = [out / OUTPUT_FILES[name] for name in names]
    with Staging(out) as staging:
        for name, path in zip(names, paths, strict=True):
            check_replaceable(path, name)
            hidden = staging.path / path.name
            with visible_names(staging.path, out), writing(path):
                if FORMATS[name].members is not None:
                    hidden.mkdir()
                write_format(name, hidden, table, options)
        with writing(out):
            staging.publish([path.name for path in paths])
    return paths


@contextmanager
def visible_names(hidden: Path, folder: Path) -> Iterator[None]:
    """Name the result folder in place of the hidden folder in the errors of writers."""
    try:
        yield
    except OutputError as error:
        raise type(error)(str(error).replace(str(hidden), str(folder))) from error


def check_replaceable(path: Path, name: str) -> None:
    """Raise OutputError instead of replacing files that this package did not create.

    Args:
        path: of the file or folder, which may be missing.
        name: its format.
    """
    if not os.path.lexists(path):
        return
    if path.is_dir() != (FORMATS[name].members is not None):
        raise OutputError(f"{path}: is in the way of a result: move it or choose another `out`")
    if path.is_dir():
        entries = (entry for entry in path.rglob("*") if not entry.is_dir() and entry.name not in _FILE_BROWSERS)
        members = (entry.relative_to(path).as_posix() for entry in entries)
        foreign = (member for member in members if not FORMATS[name].owns(member))
        if member := next(foreign, None):
            raise OutputError(f"{path}: holds {member}, not made by auralsam2: move it or choose another `out`")


def _overlay(path: Path, table: MaskTable, options: ExportOptions) -> None:
    with cutouts.video_of(table, path) as writer:
        for frame, rows in table.pictures():
            image = frame.image
            for row in rows:
                image = draw_overlay(image, rle.decode_rle(row["rle"]), object_colour(object_of(row)))
            writer.write(image, *frame.slot)


def _masks(folder: Path, table: MaskTable, options: ExportOptions) -> None:
    for rows in table.frames():
        path = folder / f"{rows[0]['index']:06d}.png"
        with writing(path):
            Image.fromarray(rle.decode_rle(union(rows)) * np.uint8(255)).save(path)


def _frames(folder: Path, table: MaskTable, options: ExportOptions) -> None:
    for frame, rows in table.processed_pictures():
        path = folder / f"{rows[0]['index']:06d}.jpg"
        with writing(path):
            path.write_bytes(encode_jpeg(frame.image))


WRITERS: dict[str, Writer] = {
    "overlay": _overlay,
    "masks": _masks,
    "frames": _frames,
    "cutout-prores": lambda path, table, options: cutouts.write_cutout_video(
        path, table, encodings.PRORES_4444, options.alpha
    ),
    "cutout-webm": lambda path, table, options: cutouts.write_cutout_video(
        path, table, encodings.VP9_ALPHA, options.alpha
    ),
    "cutout-png": lambda path, table, options: cutouts.write_cutout_images(path, table, options.alpha),
    "matte": lambda path, table, options: cutouts.write_matte(path, table, encodings.H264_MATTE, options.alpha),
    "matte-prores": lambda path, table, options: cutouts.write_matte(path, table, encodings.PRORES_422, options.alpha),
    "coco": lambda path, table, options: coco.write_coco(path, table),
    "ytvis": lambda path, table, options: coco.write_youtube_vis(path, table),
    "yolo": lambda path, table, options: yolo.write_yolo(path, table, options.tolerance),
    "cvat": lambda path, table, options: cvat.write_cvat(path, table),
    "labelstudio": lambda path, table, options: label_studio.write_label_studio(path, table),
    "mots": lambda path, table, options: label_images.write_mots(path, table),
    "davis": lambda path, table, options: label_images.write_davis(path, table),
    "fiftyone": lambda path, table, options: fiftyone_dataset.write_fiftyone(path, table),
    "npz": lambda path, table, options: label_images.write_label_volume(path, table),
    "intervals": lambda path, table, options: interval_files.write_intervals(path, table),
}
"""Writers by format; `result.json` is the source of all of them."""
