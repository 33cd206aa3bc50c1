"""Results of a live source, each written as soon as it is computed."""

from __future__ import annotations

from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np
from PIL import Image

from auralsam2.errors import UsageError
from auralsam2.media.encodings import H264_LIVE
from auralsam2.media.video_writer import VideoWriter
from auralsam2.outputs.overlay import draw_overlay
from auralsam2.outputs.result_json import frame_row
from auralsam2.types import Segmentation
from auralsam2.utils import json_stream
from auralsam2.utils.atomic_io import write_file, writing

LIVE_FILES = {"overlay": "overlay.mkv", "masks": "masks", "rows": "frames.jsonl"}
"""File or folder by format."""


def live_row(segmentation: Segmentation, latency: float, dropped: int) -> dict[str, Any]:
    """Return a frame as in `result.json`, with `latency` in seconds and the number of frames `dropped` so far."""
    return frame_row(segmentation) | {"latency": round(latency, 3), "dropped": dropped}


class LiveFolder:
    """Context manager that writes the frames of a live source.

    Each mask appears complete. The rows grow by whole lines. The overlay, without sound, can be played while it grows.

    Args:
        folder: must not exist; created.
        save: formats, of `LIVE_FILES`.

    Raises:
        UsageError: a format is unknown.
    """

    def __init__(self, folder: Path, save: frozenset[str]) -> None:
        if unknown := sorted(save - LIVE_FILES.keys()):
            raise UsageError(f"cannot save {', '.join(unknown)}: choose from {', '.join(LIVE_FILES)}")
        self.folder = folder
        self._save = save
        self._stack = ExitStack()
        self._rows: TextIO | None = None
        self._overlay: VideoWriter | None = None

    def __enter__(self) -> Self:
        """Create the folder.

        Raises:
            OutputError: it cannot be created, or exists.
        """
        with writing(self.folder):
            self.folder.mkdir(parents=True)
            if "masks" in self._save:
                self._path("masks").mkdir()
            if "rows" in self._save:
                self._rows = self._stack.enter_context(self._path("rows").open("w", encoding="utf-8"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the files."""
        self._stack.__exit__(kind, error, trace)

    def write(self, segmentation: Segmentation, row: dict[str, Any]) -> None:
        """Write the next frame.

        Args:
            segmentation: of one object.
            row: of `live_row`.

        Raises:
            OutputError: a file cannot be written.
        """
        if "masks" in self._save:
            image = BytesIO()
            Image.fromarray(segmentation.mask * np.uint8(255)).save(image, "png")
            write_file(self._path("masks") / f"{segmentation.index:06d}.png", image.getvalue())
        if "overlay" in self._save:
            if self._overlay is None:  # a source without a single frame has none
                self._overlay = self._stack.enter_context(
                    VideoWriter(self._path("overlay"), audio_from=None, encoding=H264_LIVE)
                )
            self._overlay.write(draw_overlay(segmentation.image, segmentation.mask), *segmentation.slot)
        if self._rows is not None:
            with writing(self._path("rows")):
                self._rows.write(json_stream.dump(row) + "\n")
                self._rows.flush()

    def _path(self, kind: str) -> Path:
        return self.folder / LIVE_FILES[kind]
