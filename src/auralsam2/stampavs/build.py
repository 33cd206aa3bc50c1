"""Builder of the data set: equal seed, size and number of clips give equal bytes for any number of processes.

Each clip has its own random generator and is built in a hidden folder, which is moved when it is complete. The tables
and `stampavs.json` are written last. An interrupted build with the same settings is resumed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from auralsam2.errors import OutputError, UsageError
from auralsam2.stampavs import expressions, splits
from auralsam2.stampavs import scene as scene_module
from auralsam2.stampavs.assets import AssetCollection, collect_assets
from auralsam2.stampavs.clip_files import ClipRows, build_clip
from auralsam2.stampavs.licence import licence_notice
from auralsam2.stampavs.presets import PRESETS, SHARES, scene_kind
from auralsam2.stampavs.splits import SplitAssets
from auralsam2.utils import strict_json
from auralsam2.utils.atomic_io import Staging, writing
from auralsam2.version import __version__

SCHEMA = "stampavs/1"
VERSION = 1
"""Version of the data, to increase whenever equal settings give other bytes."""
CLIPS = 2000
TEST_CLIPS = 100
HARD_DIVISOR = 4

UNFINISHED = "unfinished.json"
CLIP_COLUMNS = ("uid", "split", "mix", "kind", "frames", "objects")
EXPRESSION_COLUMNS = ("vid", "uid", "split", "fid", "exp")

Progress = Callable[[int], AbstractContextManager[Callable[[Any], None]]]
"""Given a number of clips, returns a context with a function to call after each clip."""

_EXPRESSION_COUNTS = {"test-null": (0, 4), "test-robust": (2, 2), "train": (4, 1), "val": (4, 1)}
_ABSENT_CATEGORIES = 6


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """Settings of a build.

    Attributes:
        stamps: folder of stamps; None for the one of the Debian package.
        seed: 0 or greater.
        size: side of the frames in pixels, 32 to 1024.
        clips: number of training clips, three quarters standard and one quarter hard. Every other split has 100 of each
            preset, at most `clips`.
    """

    stamps: Path | None = None
    seed: int = 0
    size: int = 256
    clips: int = CLIPS

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"`seed={self.seed}` must be 0 or greater")
        if not 32 <= self.size <= scene_module.MAX_SIZE:
            raise UsageError(f"`size={self.size}` must be 32 to {scene_module.MAX_SIZE} pixels")
        if self.clips < 1:
            raise UsageError(f"`clips={self.clips}` must be 1 or greater")

    def counts(self, possible: Iterable[str]) -> dict[str, dict[str, int]]:
        """Return the number of clips of each preset in the given splits."""
        hard = self.clips // HARD_DIVISOR
        train = {"standard": self.clips - hard, "hard": hard}
        other = min(TEST_CLIPS, self.clips)
        return {split: train if split == "train" else {mix.name: other for mix in PRESETS} for split in possible}


@dataclass(frozen=True, kw_only=True)
class _Task:
    split: str
    mix: int
    index: int

    @property
    def uid(self) -> str:
        return f"{self.split}-{PRESETS[self.mix].name}-{self.index:05d}"


@dataclass(frozen=True, kw_only=True)
class _WorkerContext:
    """State of a worker process."""

    root: Path
    staging: Path
    collection: AssetCollection
    held_out: SplitAssets
    seed: int
    size: int

    def make_clip(self, task: _Task) -> ClipRows:
        return build_clip(self.root, self.staging, task.uid, task.split, partial(self.draw_clip, task))

    def draw_clip(self, task: _Task) -> tuple[scene_module.Scene, list[expressions.Expression]]:
        number = splits.SPLITS.index(task.split)
        rng = np.random.default_rng([self.seed, number, task.mix, task.index])
        pool = splits.asset_pool(self.collection, self.held_out, task.split)
        kind = scene_kind(task.split, task.index)
        scene = scene_module.draw_scene(rng, pool, PRESETS[task.mix], kind, size=self.size)
        sounding = {track.category for track in scene.offscreen}
        absent_categories = [
            category for category in pool.distractors if category.name not in {*scene.categories, *sounding}
        ]
        absent = [
            absent_categories[int(choice)] for choice in rng.permutation(len(absent_categories))[:_ABSENT_CATEGORIES]
        ]
        absent += [category for category in pool.targets if category.name in sounding]
        count, nulls = _EXPRESSION_COUNTS.get(task.split, (4, 0))
        return scene, expressions.write_expressions(scene, count, nulls, absent, rng)


_context: _WorkerContext | None = None


def _init_worker(context: _WorkerContext) -> None:
    """Initialise a worker process, which ignores Ctrl-C and SIGHUP and ends with its parent process."""
    global _context
    _context = context
    for name in ("SIGINT", "SIGHUP"):  # a terminal sends them to all processes; the parent ends its workers
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, args=(multiprocessing.parent_process(),), daemon=True).start()


def _exit_with_parent(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _make_clip(task: _Task) -> ClipRows:
    assert _context is not None
    return _context.make_clip(task)


def build_stampavs(
    root: Path,
    plan: BuildPlan,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build the data set and return the content of `stampavs.json`.

    Args:
        root: its folder; missing, empty, or with an unfinished build of the same settings.
        plan: settings.
        workers: number of processes, by default one per core; any number gives the same bytes.
        progress: see `Progress`.

    Raises:
        UnavailableError: the Debian package is not installed.
        InputError: the stamps cannot be used.
        OutputError: the folder contains other files, or cannot be written.
    """
    collection = collect_assets(plan.stamps)
    held_out = splits.split_assets(collection, plan.seed)
    counts = plan.counts(splits.possible_splits(collection, held_out))
    manifest = _manifest(plan, collection, held_out, counts)
    tasks = [
        _Task(split=split, mix=mix, index=index)
        for split, by_mix in counts.items()
        for mix in range(len(PRESETS))
        for index in range(by_mix[PRESETS[mix].name])
    ]

    def make_clips(staging: Path) -> Iterator[ClipRows]:
        context = _WorkerContext(
            root=root, staging=staging, collection=collection, held_out=held_out, seed=plan.seed, size=plan.size
        )
        return _make_clips(context, tasks, workers or os.cpu_count() or 1)

    notice = licence_notice(collection)
    write_data_set(root, "stampavs.json", manifest, notice, len(tasks), make_clips, progress=progress)
    return manifest


def write_data_set(
    root: Path,
    name: str,
    manifest: dict[str, Any],
    licence: str,
    clips: int,
    make_clips: Callable[[Path], Iterable[ClipRows]],
    *,
    progress: Progress | None = None,
) -> None:
    """Write the clips, tables, licence and manifest of a data set, unless it is complete.

    Errors as of `build_stampavs`.

    Args:
        root: its folder; missing, empty, or with an unfinished build of the same manifest.
        name: file of the manifest, which is written last.
        manifest: settings and contents; equal manifests give equal bytes.
        licence: text of `LICENCE.md`.
        clips: number of clips.
        make_clips: given a folder for unfinished files, builds the clips in order.
        progress: see `Progress`.
    """
    unfinished = root / UNFINISHED
    if _read_manifest(root / name) == manifest:
        unfinished.unlink(missing_ok=True)
        return
    _check_folder(root, manifest)
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    with Staging(root) as staging, writing(root):
        unfinished.write_text(text, encoding="utf-8", newline="\n")
        for folder in ("media", "gt_mask"):
            (root / folder).mkdir(exist_ok=True)
        with (
            _open_table(staging.path / "metadata.csv", CLIP_COLUMNS) as add_clip,
            _open_table(staging.path / "expressions.csv", EXPRESSION_COLUMNS) as add_expression,
            progress(clips) if progress else nullcontext(_ignore_progress) as advance,
        ):
            for rows in make_clips(staging.path):
                add_clip(rows.clip)
                for row in rows.expressions:
                    add_expression(row)
                advance(rows)
        (staging.path / "LICENCE.md").write_text(licence, encoding="utf-8", newline="\n")
        (staging.path / name).write_text(text, encoding="utf-8", newline="\n")
        staging.publish(["metadata.csv", "expressions.csv", "LICENCE.md", name])
        unfinished.unlink()


def _ignore_progress(_: ClipRows) -> None:
    pass


def _make_clips(context: _WorkerContext, tasks: list[_Task], workers: int) -> Iterator[ClipRows]:
    if workers == 1:
        yield from map(context.make_clip, tasks)
        return
    # Processes are spawned: a forked process with threads, such as torch's, can deadlock.
    process_context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=process_context, initializer=_init_worker, initargs=(context,))
    try:
        yield from pool.map(_make_clip, tasks, chunksize=4)
    except BrokenProcessPool as error:
        raise OutputError(
            f"{context.root}: a process was killed, possibly for lack of memory: resume with fewer `workers`"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _manifest(
    plan: BuildPlan, collection: AssetCollection, held_out: SplitAssets, counts: dict[str, dict[str, int]]
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "made_by": f"auralsam2 {__version__}",
        "seed": plan.seed,
        "size": plan.size,
        "stamps": {
            "source": collection.source,
            "categories": len(collection.categories),
            "pictures": sum(len(category.pictures) for category in collection.categories.values()),
            "recordings": sum(len(category.recordings) for category in collection.categories.values()),
            "silent": len(collection.silent),
            "sha256": _digest(collection),
        },
        "counts": counts,
        "held_out": {name: list(keys) for name, keys in asdict(held_out).items()},
        "settings": {
            "kinds": {split: dict(SHARES[split]) for split in counts},
            "mixes": {mix.name: json.loads(json.dumps(asdict(mix))) for mix in PRESETS},
        },
    }


def _digest(collection: AssetCollection) -> str:
    digest = hashlib.sha256()
    files = [item for category in collection.categories.values() for item in (*category.pictures, *category.recordings)]
    for item in (*files, *collection.silent):
        digest.update(item.key.encode() + b"\0" + hashlib.sha256(item.path.read_bytes()).digest())
    return digest.hexdigest()


def _check_folder(root: Path, manifest: dict[str, Any]) -> None:
    """Raise OutputError for a folder with other files than an unfinished build of the same settings."""
    with writing(root):
        occupied = root.exists() and (not root.is_dir() or any(not p.name.startswith(".") for p in root.iterdir()))
    if occupied and _read_manifest(root / UNFINISHED) != manifest:
        raise OutputError(f"{root}: holds something else, or a build with other settings: choose a new folder")


def _read_manifest(path: Path) -> Any:
    """Read a JSON file; None if it is missing or damaged."""
    try:
        return strict_json.read_json(path)
    except (OSError, ValueError):
        return None


@contextmanager
def _open_table(path: Path, columns: tuple[str, ...]) -> Iterator[Callable[[Iterable[Any]], Any]]:
    """Open a csv file and yield the function that writes a row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        yield writer.writerow
