"""The report of an evaluation: one JSON file, whole or not at all."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from auralsam2.evaluation.published import published
from auralsam2.outputs.json_stream import write_object
from auralsam2.outputs.staging import writing
from auralsam2.version import __version__

_INNER = {"curve", "seconds"}
"""Of a row, what only the run itself needs."""


def write_report(path: Path, members: dict[str, Any], rows: Iterable[dict[str, Any]]) -> None:
    """Write the report; an earlier one is replaced.

    Args:
        path: of the file; its folder exists.
        members: what the report says of the whole.
        rows: of the samples; those with `error` are left out, for they are among the members.

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
    yield "published", published(options["dataset"], options["split"])
    yield "machine", machine()
    kept = ({name: value for name, value in row.items() if name not in _INNER} for row in rows if "error" not in row)
    yield "samples", kept


def machine() -> dict[str, Any]:
    """What times depend on."""
    return {
        "auralsam2": __version__,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
