"""Files of an evaluation: JSON report, journal of a running evaluation, and masks."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from PIL import Image

from auralsam2.data.sample import LoadedClip
from auralsam2.errors import OutputError, UsageError
from auralsam2.evaluation.metrics import threshold_masks
from auralsam2.evaluation.predictor import Prediction
from auralsam2.evaluation.published import published_figures
from auralsam2.utils import strict_json
from auralsam2.utils.atomic_io import writing
from auralsam2.utils.json_stream import dump, plain, write_object
from auralsam2.version import __version__

_INNER = {"curve", "seconds"}
"""Members of a row that the report leaves out."""


def write_report(path: Path, members: dict[str, Any], rows: Iterable[dict[str, Any]]) -> None:
    """Write the report; an existing file is replaced.

    Args:
        path: of the file; its folder exists.
        members: members beside the rows.
        rows: of the samples; rows with `error` are left out, as the members list them.

    Raises:
        OutputError: the file cannot be written.
    """
    with writing(path):
        descriptor, name = tempfile.mkstemp(prefix=".auralsam2-", suffix=".json", dir=path.parent)
        os.close(descriptor)
        hidden = Path(name)
        try:
            write_object(hidden, _members(members, rows))
            hidden.replace(path)
        except BaseException:
            hidden.unlink(missing_ok=True)
            raise


def _members(members: dict[str, Any], rows: Iterable[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    yield from members.items()
    options = members["options"]
    yield "published", published_figures(options["dataset"], options["split"])
    yield "machine", describe_device()
    samples = ({name: value for name, value in row.items() if name not in _INNER} for row in rows if "error" not in row)
    yield "samples", samples


def describe_device() -> dict[str, Any]:
    """Return what times depend on: versions, threads, system, accelerator."""
    return {
        "auralsam2": __version__,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def journal_path(report: Path) -> Path:
    """Return the path of the journal, `REPORT.partial.jsonl` beside the report."""
    return report.with_name(f"{report.name}.partial.jsonl")


class EvaluationJournal:
    """File of JSON lines, a context manager: the identity of the run, then one row per sample.

    An incomplete last line, as of a killed process, is removed when the file is opened again.

    Args:
        path: created if missing.
        run: identity that a resumed run must have.

    Raises:
        UsageError: on entering: the file belongs to another run.
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        self.path, self._run = path, plain(run)
        self._file: Any = None

    def __enter__(self) -> EvaluationJournal:
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            whole = self._whole_bytes()
            self._file = self.path.open("ab")
            self._file.truncate(whole)
        if whole == 0:
            self._line(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield all rows.

        Raises:
            UsageError: the file is damaged.
        """
        with self.path.open(encoding="utf-8") as file:
            next(file)
            for number, line in enumerate(file, 2):
                try:
                    row = strict_json.parse_json(line)
                except ValueError as error:
                    raise UsageError(
                        f"{self.path}:{number}: damaged ({error}): delete the file to start anew"
                    ) from error
                yield row

    def add(self, row: dict[str, Any]) -> None:
        """Append a row and flush it."""
        self._line(row)

    def _line(self, value: dict[str, Any]) -> None:
        with writing(self.path):
            self._file.write((dump(value) + "\n").encode())
            self._file.flush()

    def _whole_bytes(self) -> int:
        """Check the first line, and return the length of the file up to its last complete line."""
        if not self.path.exists():
            return 0
        length = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break
                if number == 0:
                    self._check(line)
                length += len(line)
        return length

    def _check(self, line: bytes) -> None:
        try:
            earlier = strict_json.parse_json(line)
        except ValueError:
            earlier = None
        if not isinstance(earlier, dict):
            raise UsageError(f"{self.path}: not the rows of an evaluation: move it, or choose another `report`")
        names = {*earlier, *self._run}
        if different := sorted(name for name in names if earlier.get(name) != self._run.get(name)):
            raise UsageError(
                f"{self.path} holds rows of a run with another {', '.join(different)}: delete it to start anew, or "
                "choose another `report`"
            )


def save_masks(out: Path, clip: LoadedClip, prediction: Prediction, threshold: float | None) -> None:
    """Write `OUT/<sample id>/<i>.png` for each of the T frames, i from 0: 8 bit, 0 or 255, at the frame's own size.

    The folder appears whole; one from an earlier run is replaced.

    Args:
        out: made where missing.
        clip: gives id and frame sizes.
        prediction: its masks, resized bilinearly as logits.
        threshold: as in `above`.

    Raises:
        OutputError: a file cannot be written, or the id leads out of the folder.
    """
    name = PurePosixPath(clip.sample.id)
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise OutputError(f"{out}: sample id {clip.sample.id!r} is no name for a folder in it")
    folder = out / name
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".auralsam2-", dir=folder.parent) as hidden:
            whole = Path(hidden) / "masks"
            whole.mkdir()
            for i, frame in enumerate(clip.frames):
                logits = prediction.frame_logits(i, (frame.shape[0], frame.shape[1]))
                pixels = threshold_masks(logits, threshold).cpu().numpy() * np.uint8(255)
                Image.fromarray(pixels).save(whole / f"{i}.png")
            if folder.exists():
                shutil.rmtree(folder)
            whole.rename(folder)
