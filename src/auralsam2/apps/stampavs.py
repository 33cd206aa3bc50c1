"""`auralsam2 data build-stampavs` and `auralsam2 data sheet`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from auralsam2.apps import parse
from auralsam2.apps.progress import frames_bar
from auralsam2.data.stampavs.build import Plan
from auralsam2.data.stampavs.build import build as building
from auralsam2.data.stampavs.mixes import MIXES
from auralsam2.data.stampavs.sheet import draw
from auralsam2.data.stampavs.splits import SPLITS
from auralsam2.errors import UsageError
from auralsam2.outputs.staging import writing


def build(out: Path, plan: Plan, *, workers: int | None) -> None:
    """Write the data set; print how many clips each split has, and how many this run drew in how many seconds."""
    drawn, began = 0, time.perf_counter()

    @contextmanager
    def progress(total: int) -> Iterator[Callable[[Any], None]]:
        with frames_bar("clips", total, shown=True) as advance:

            def count(clip: object) -> None:
                nonlocal drawn
                drawn += 1
                advance(clip)

            yield count

    facts = building(out, plan, workers=workers, progress=progress)
    seconds = time.perf_counter() - began
    for split, counts in facts["counts"].items():
        print(f"{split}: " + ", ".join(f"{count} {mix}" for mix, count in counts.items()))
    print(f"written: {out}; {drawn} clips in {seconds:.0f} s, {drawn / seconds:.1f} a second")


def sheet(root: Path, out: Path, *, split: str | None, mix: str | None, clips: int, seed: int) -> None:
    """Draw sample clips into a picture and print its name."""
    if split is not None:
        parse.choice("--split", split, SPLITS)
    if mix is not None:
        parse.choice("--mix", mix, tuple(one.name for one in MIXES))
    if out.suffix.lower() not in (".png", ".jpg"):
        raise UsageError(f"{out}: must end in .png or .jpg")
    picture = draw(root, split=split, mix=mix, clips=clips, seed=seed)
    with writing(out):
        beside = out.with_name(f".{out.name}.part")
        picture.save(beside, format="PNG" if out.suffix.lower() == ".png" else "JPEG", quality=85)
        beside.replace(out)
    print(f"written: {out}")
