"""Writes the data set: the same bytes from the same seed, size and number of clips, by however many processes.

Each clip has a random generator of its own, is made in a hidden folder, and moves to its place when it is whole. The
tables and `stampavs.json` come last. A build that was stopped goes on where it was, if it is asked for the same.
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
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from auralsam2.errors import OutputError, UsageError
from auralsam2.stampavs import clip_files, expressions, splits
from auralsam2.stampavs import scene as scene_module
from auralsam2.stampavs.assets import AssetCollection, collect_assets
from auralsam2.stampavs.clip_files import ClipRows
from auralsam2.stampavs.licence import licence_notice
from auralsam2.stampavs.presets import PRESETS, SHARES, kind_of
from auralsam2.stampavs.splits import SplitAssets
from auralsam2.utils import strict_json
from auralsam2.utils.atomic_io import Staging, writing
from auralsam2.version import __version__

SCHEMA = "stampavs/1"
VERSION = 1
"""Changes whenever the same settings give other bytes."""
CLIPS = 2000
TEST_CLIPS = 100
HARD_PART = 4

CLIP_COLUMNS = ("uid", "split", "mix", "kind", "frames", "objects")
EXPRESSION_COLUMNS = ("vid", "uid", "split", "fid", "exp")

_TALK = {"test-null": (0, 4), "test-robust": (2, 2), "train": (4, 1), "val": (4, 1)}
_ABSENT = 6


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """What to build.

    Attributes:
        stamps: folder of stamps, None for the Debian package's.
        seed: 0 or greater.
        size: pixels of a side of the frames, 32 to 1024.
        clips: training clips, three quarters of them standard and one quarter hard. Every other split has 100 of each
            mix, or as many as `clips` if that is less.
    """

    stamps: Path | None = None
    seed: int = 0
    size: int = 256
    clips: int = CLIPS

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"`seed={self.seed}` must be 0 or greater")
        if not 32 <= self.size <= scene_module.LARGEST_SIZE:
            raise UsageError(f"`size={self.size}` must be 32 to {scene_module.LARGEST_SIZE} pixels")
        if self.clips < 1:
            raise UsageError(f"`clips={self.clips}` must be 1 or greater")

    def counts(self, possible: Iterable[str]) -> dict[str, dict[str, int]]:
        """How many clips of each mix the given splits get."""
        hard = self.clips // HARD_PART
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
    """What a process needs to make any clip."""

    root: Path
    staging: Path
    collection: AssetCollection
    held: SplitAssets
    seed: int
    size: int

    def make(self, task: _Task) -> ClipRows:
        """Make a clip, unless it is there."""
        media, masks = self.root / "media" / task.uid, self.root / "gt_mask" / task.uid
        if media.is_dir() and masks.is_dir():
            try:
                return clip_files.clip_rows(strict_json.read_json(media / "scene.json"))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise OutputError(f"{media}: scene.json is damaged ({error}): delete this folder") from error
        scene, said = self.draw(task)
        hidden = self.staging / task.uid
        clip_files.save_clip(hidden / "media", hidden / "gt_mask", task.uid, task.split, scene, said)
        if not masks.is_dir():
            (hidden / "gt_mask").rename(masks)
        (hidden / "media").rename(media)
        return clip_files.clip_rows(clip_files.describe_clip(task.uid, task.split, scene, said))

    def draw(self, task: _Task) -> tuple[scene_module.Scene, list[expressions.Expression]]:
        """The scene of a clip and what is said of it."""
        number = splits.SPLITS.index(task.split)
        rng = np.random.default_rng([self.seed, number, task.mix, task.index])
        pool = splits.asset_pool(self.collection, self.held, task.split)
        kind = kind_of(task.split, task.index)
        scene = scene_module.draw_scene(rng, pool, PRESETS[task.mix], kind, size=self.size)
        heard = {track.category for track in scene.offscreen}
        away = [category for category in pool.others if category.name not in {*scene.categories, *heard}]
        absent = [away[int(choice)] for choice in rng.permutation(len(away))[:_ABSENT]]
        absent += [category for category in pool.targets if category.name in heard]
        count, nulls = _TALK.get(task.split, (4, 0))
        return scene, expressions.write_expressions(scene, count, nulls, absent, rng)


_context: _WorkerContext | None = None


def _open(shop: _WorkerContext) -> None:
    """Prepare a worker process: it ignores Ctrl-C and SIGHUP, and ends when its parent process ends."""
    global _context
    _context = shop
    for name in ("SIGINT", "SIGHUP"):  # a terminal sends them to all processes; the parent ends its workers
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_follow, args=(multiprocessing.parent_process(),), daemon=True).start()


def _follow(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _make(task: _Task) -> ClipRows:
    assert _context is not None
    return _context.make(task)


def build_stampavs(
    root: Path,
    plan: BuildPlan,
    *,
    workers: int | None = None,
    progress: Callable[[int], AbstractContextManager[Callable[[Any], None]]] | None = None,
) -> dict[str, Any]:
    """Write the data set.

    Args:
        root: folder for it; missing, empty, or with an unfinished build of the same plan.
        plan: what to write.
        workers: processes, by default as many as there are cores. Any number gives the same bytes.
        progress: given the number of clips, a context that hands out what to call after each.

    Returns:
        what `stampavs.json` holds.

    Raises:
        UnavailableError: no stamps are named and the Debian package is not installed.
        InputError: the stamps cannot be used.
        OutputError: the folder holds something else, or cannot be written.
    """
    collection = collect_assets(plan.stamps)
    held = splits.split_assets(collection, plan.seed)
    counts = plan.counts(splits.possible_clips(collection, held))
    facts = _facts(plan, collection, held, counts)
    unfinished = root / _UNFINISHED
    if _read(root / "stampavs.json") == facts:
        unfinished.unlink(missing_ok=True)
        return facts
    tasks = [
        _Task(split=split, mix=mix, index=index)
        for split, by_mix in counts.items()
        for mix in range(len(PRESETS))
        for index in range(by_mix[PRESETS[mix].name])
    ]
    _refuse_others(root, facts)
    with Staging(root) as staging, writing(root):
        unfinished.write_text(_json(facts), encoding="utf-8", newline="\n")
        for name in ("media", "gt_mask"):
            (root / name).mkdir(exist_ok=True)
        shop = _WorkerContext(
            root=root, staging=staging.path, collection=collection, held=held, seed=plan.seed, size=plan.size
        )
        with (
            _table(staging.path / "metadata.csv", CLIP_COLUMNS) as add_clip,
            _table(staging.path / "expressions.csv", EXPRESSION_COLUMNS) as add_expression,
            progress(len(tasks)) if progress else nullcontext(_quiet) as advance,
        ):
            for rows in _produce(shop, tasks, workers or os.cpu_count() or 1):
                add_clip(rows.clip)
                for row in rows.expressions:
                    add_expression(row)
                advance(rows)
        (staging.path / "LICENCE.md").write_text(licence_notice(collection), encoding="utf-8", newline="\n")
        (staging.path / "stampavs.json").write_text(_json(facts), encoding="utf-8", newline="\n")
        staging.publish(["metadata.csv", "expressions.csv", "LICENCE.md", "stampavs.json"])
        unfinished.unlink()
    return facts


_UNFINISHED = "unfinished.json"


def _quiet(_: ClipRows) -> None:
    """No progress to show."""


def _produce(shop: _WorkerContext, tasks: list[_Task], workers: int) -> Iterator[ClipRows]:
    """Make all clips; results in the order of the tasks."""
    if workers == 1:
        yield from map(shop.make, tasks)
        return
    # Processes start afresh: a copy of one that has threads, as torch's, may never wake up.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_open, initargs=(shop,))
    try:
        yield from pool.map(_make, tasks, chunksize=4)
    except BrokenProcessPool as error:
        raise OutputError(
            f"{shop.root}: a process was killed, possibly for lack of memory: resume with fewer `workers`"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _facts(
    plan: BuildPlan, collection: AssetCollection, held: SplitAssets, counts: dict[str, dict[str, int]]
) -> dict[str, Any]:
    """The content of `stampavs.json`."""
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
        "held_out": {name: list(keys) for name, keys in asdict(held).items()},
        "settings": {
            "kinds": {split: dict(SHARES[split]) for split in counts},
            "mixes": {mix.name: json.loads(json.dumps(asdict(mix))) for mix in PRESETS},
        },
    }


def _digest(collection: AssetCollection) -> str:
    """A fingerprint of all files that are used, names and contents."""
    total = hashlib.sha256()
    files = [item for category in collection.categories.values() for item in (*category.pictures, *category.recordings)]
    for item in (*files, *collection.silent):
        total.update(item.key.encode() + b"\0" + hashlib.sha256(item.path.read_bytes()).digest())
    return total.hexdigest()


def _refuse_others(root: Path, facts: dict[str, Any]) -> None:
    """Refuse a folder that holds anything but an unfinished build of the same plan."""
    with writing(root):
        taken = root.exists() and (not root.is_dir() or any(not p.name.startswith(".") for p in root.iterdir()))
    if taken and _read(root / _UNFINISHED) != facts:
        raise OutputError(f"{root}: holds something else, or a build with other settings: choose a new folder")


def _read(path: Path) -> Any:
    """The content of a JSON file; None if it is missing or damaged."""
    try:
        return strict_json.read_json(path)
    except (OSError, ValueError):
        return None


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


@contextmanager
def _table(path: Path, columns: tuple[str, ...]) -> Iterator[Callable[[Iterable[Any]], Any]]:
    """A csv file; hands out what to call with each line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        yield writer.writerow
