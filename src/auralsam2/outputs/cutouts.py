"""Cut-outs and mattes at the size and rate of the source, with its audio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from auralsam2.errors import UsageError
from auralsam2.media.encodings import H264, VideoEncoding
from auralsam2.media.video_writer import VideoWriter
from auralsam2.outputs import rle
from auralsam2.outputs.mask_table import MaskTable, union
from auralsam2.outputs.postprocessing import MAX_FEATHER
from auralsam2.types import Frame
from auralsam2.utils.atomic_io import writing

MARGIN = 16
"""Width in pixels of the border around the object that has the colours of the source, against dark fringes."""
_PNG_LEVEL = 3


@dataclass(frozen=True, kw_only=True)
class AlphaOptions:
    """Options of the alpha channel of cut-outs and mattes.

    Attributes:
        invert: cut out the background in place of the objects.
        feather: standard deviation in pixels of the Gaussian that softens the edge; 0 for a hard edge. None for that
            of the segmentation in `export_result`, and for a hard edge elsewhere.

    Raises:
        UsageError: `feather` is negative.
    """

    invert: bool = False
    feather: float | None = None

    def __post_init__(self) -> None:
        if self.feather is not None and not 0 <= self.feather <= MAX_FEATHER:
            raise UsageError(f"`feather={self.feather:g}` must be 0 to {MAX_FEATHER} pixels")

    def alpha(self, mask: np.ndarray) -> np.ndarray:
        """Return the alpha channel of a mask.

        Args:
            mask: (H, W) bool.

        Returns:
            (H, W) uint8; 255 is opaque.
        """
        values = (mask ^ self.invert) * np.uint8(255)
        return ndimage.gaussian_filter(values, self.feather, mode="nearest") if self.feather else values


def write_cutout_video(path: Path, table: MaskTable, encoding: VideoEncoding, options: AlphaOptions) -> None:
    """Write the objects with an alpha channel.

    Colours are not multiplied by alpha. Farther than `MARGIN` pixels from the object they are black.

    Args:
        path: the file.
        table: masks; those of all objects are merged.
        encoding: has an alpha channel.
        options: of the alpha channel.

    Raises:
        InputError: the video cannot be read.
        OutputError: the file cannot be written.
    """
    with video_of(table, path, encoding) as writer:
        for frame, alpha in _alphas(table, options):
            writer.write(_cut_out(frame.image, alpha), *frame.slot)


def write_matte(path: Path, table: MaskTable, encoding: VideoEncoding, options: AlphaOptions) -> None:
    """Write the alpha channel as a grey video: white is the object; arguments as in `write_cutout_video`."""
    with video_of(table, path, encoding) as writer:
        for frame, alpha in _alphas(table, options):
            writer.write(np.repeat(alpha[..., None], 3, axis=2), *frame.slot)


def write_cutout_images(folder: Path, table: MaskTable, options: AlphaOptions) -> None:
    """Write the objects as RGBA images `000000.png`, …, and their times as `timestamps.txt`.

    The times are milliseconds from the start of the processed part, in timestamp format 2, which mkvmerge reads.

    Raises:
        InputError: the video cannot be read.
        OutputError: a file cannot be written.
    """
    with writing(folder), (folder / "timestamps.txt").open("w", encoding="utf-8") as times:
        times.write("# timestamp format v2\n")
        for frame, alpha in _alphas(table, options):
            picture = Image.fromarray(_cut_out(frame.image, alpha))
            picture.save(folder / f"{frame.index:06d}.png", compress_level=_PNG_LEVEL)
            times.write(f"{1000 * max(0.0, frame.time - table.start):.3f}\n")


def video_of(table: MaskTable, path: Path, encoding: VideoEncoding = H264) -> VideoWriter:
    """Open a video with the time span, the frame rate and the audio of a result."""
    return VideoWriter(
        path,
        audio_from=table.sound,
        audio_track=table.audio_track,
        start=table.start,
        end=table.end,
        pictures_end=table.info.duration or None,
        encoding=encoding,
        rate=table.info.fps,
    )


def _alphas(table: MaskTable, options: AlphaOptions) -> Iterator[tuple[Frame, np.ndarray]]:
    """Yield each picture of the source with its alpha channel, (H, W) uint8."""
    index = None
    alpha = options.alpha(np.zeros((table.info.height, table.info.width), np.bool_))
    for frame, rows in table.pictures():
        if rows and rows[0]["index"] != index:
            index, alpha = rows[0]["index"], options.alpha(rle.decode_rle(union(rows)))
        yield frame, alpha


def _cut_out(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return (H, W, 4) uint8 RGBA, black far from the object."""
    near = ndimage.uniform_filter((alpha > 0).astype(np.float32), 2 * MARGIN + 1, mode="constant") > 1e-6
    return np.concatenate([image * near[..., None], alpha[..., None]], axis=2)
