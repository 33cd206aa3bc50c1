"""Data set readers by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from auralsam2.data.avs_synthetic import AvsSynthetic
from auralsam2.data.avsbench import TABLES, AvsBench
from auralsam2.data.avsbench_object import MS3, MS3_TABLES, S4, S4_TABLES
from auralsam2.data.base import DatasetReader
from auralsam2.data.ref_avs import RefAvs
from auralsam2.data.stampavs_reader import RealAvs, StampAvs, StampAvsRef, StampAvsSemantic
from auralsam2.data.vpo import FOLDERS, Vpo
from auralsam2.errors import UnavailableError, UsageError


def _v1s(name: str, root: Path) -> DatasetReader:
    return S4(name, root) if _holds(root, S4_TABLES) and not _holds(root, TABLES) else AvsBench(name, root)


def _v1m(name: str, root: Path) -> DatasetReader:
    return MS3(name, root) if _holds(root, MS3_TABLES) and not _holds(root, TABLES) else AvsBench(name, root)


def _holds(root: Path, tables: tuple[str, ...]) -> bool:
    return any((root / table).is_file() for table in tables)


_READERS: dict[str, Callable[[str, Path], DatasetReader]] = {
    "v1s": _v1s,
    "v1m": _v1m,
    "v2": AvsBench,
    "v2-semantic": AvsBench,
    "s4": S4,
    "ms3": MS3,
    "ref-avs": RefAvs,
    "stampavs": StampAvs,
    "stampavs-ref": StampAvsRef,
    "stampavs-semantic": StampAvsSemantic,
    "realavs": RealAvs,
    **dict.fromkeys(FOLDERS, Vpo),
    "avs-synthetic": AvsSynthetic,
}

NAMES = tuple(_READERS)
"""Names of all data sets."""


def open_dataset(name: str, root: Path | str) -> DatasetReader:
    """Open a data set.

    `v1s` and `v1m` are read in the layout of the semantic release if the root has its csv file, else in that of the
    object release (`s4` and `ms3`).

    Args:
        name: one of `NAMES`.
        root: its folder; see docs/guide/datasets.md.

    Raises:
        UsageError: there is no data set of this name.
        UnavailableError: the folder is missing or holds other files.
        InputError: the csv file cannot be read.
    """
    if name not in _READERS:
        raise UsageError(f"`dataset={name}`: no such data set; choose from {', '.join(NAMES)}")
    root = Path(root)
    if not root.is_dir():
        raise UnavailableError(f"{root}: no such folder: get {name} first, see docs/guide/datasets.md")
    return _READERS[name](name, root)
