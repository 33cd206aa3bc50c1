"""A new sound for a scene that is there already: other things in it are heard, at other times, or none.

The picture stays. So what is seen says nothing about what sounds, and a frozen image encoder's maps can be kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from auralsam2.errors import InputError
from auralsam2.stampavs.assets import Category
from auralsam2.stampavs.audio import draw_track, mix_tracks_down
from auralsam2.stampavs.presets import PRESETS
from auralsam2.stampavs.splits import AssetPool
from auralsam2.utils import strict_json

SHARES = (("single", 0.35), ("multi", 0.25), ("offscreen", 0.12), ("silence", 0.2), ("noise", 0.08))
"""Kinds of sound and how often each is drawn. Silence must be taught: a fifth of all scenes has none at all."""
DESCRIPTION = "scene.json"


@dataclass(frozen=True, kw_only=True)
class RemixedAudio:
    """A new sound.

    Attributes:
        kind: one of `SHARES`.
        samples: (T · 16000, 2) float32 in [-1, 1].
        sounding: (n, T) bool, which object is heard in which second.
    """

    kind: str
    samples: np.ndarray
    sounding: np.ndarray


def describe_remix(folder: Path) -> dict[str, Any]:
    """What a built scene says of itself.

    Args:
        folder: with `scene.json`.

    Raises:
        InputError: there is no such file, or it says something else.
    """
    path = folder / DESCRIPTION
    try:
        found = strict_json.read_json(path)
        {key: found[key] for key in ("mix", "frames", "objects")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: does not describe a scene of StampAVS ({error}): build it again") from error
    return found


def remix_audio(
    scene: Mapping[str, Any], pool: AssetPool, rng: np.random.Generator, strange: float = 0.0
) -> RemixedAudio:
    """Draw who is heard.

    Of several objects of one category, or of categories that sound alike, one is heard at most: its side tells which.

    Args:
        scene: of `describe`.
        pool: what may sound.
        rng: everything comes from it.
        strange: probability that what is heard has voices of things that are not seen, silent things too: the side
            alone tells which it is, as with things that were never met.
    """
    mix = next(mix for mix in PRESETS if mix.name == scene["mix"])
    seconds, objects = int(scene["frames"]), scene["objects"]
    kinds, shares = [kind for kind, _ in SHARES], [share for _, share in SHARES]
    kind = str(rng.choice(kinds, p=shares))
    known = {category.name: category for category in pool.targets}
    count = {"single": 1, "multi": 2}.get(kind, 0)
    strangers = _absent_categories(objects, known)
    if strange and strangers and rng.random() < strange:
        places = rng.permutation(len(objects))[:count].tolist()
        heard = {place: strangers[int(rng.integers(len(strangers)))] for place in places}
    else:
        heard = _voices(objects, known, count, rng)
    away = []
    if kind == "offscreen" or (heard and rng.random() < mix.offscreen):
        others = [each for each in strangers if each not in heard.values()]
        if others:
            away = [draw_track(others[int(rng.integers(len(others)))], seconds, mix, rng)]
    tracks = [draw_track(heard[place], seconds, mix, rng) if place in heard else None for place in range(len(objects))]
    never = np.zeros(seconds, dtype=bool)
    pans = [np.array(item["pan"]) for item in objects]
    samples = mix_tracks_down(kind, mix, seconds, list(zip(tracks, pans, strict=True)), away, rng)
    return RemixedAudio(
        kind=kind,
        samples=samples,
        sounding=np.array([never if track is None else track.sounding for track in tracks]).reshape(-1, seconds),
    )


def _absent_categories(objects: Sequence[Mapping[str, Any]], known: Mapping[str, Category]) -> list[Category]:
    """Categories that are not seen and do not sound like anything that is."""
    seen = {item["category"] for item in objects}
    near = {name for name in seen & known.keys() for name in known[name].alike}
    return [each for each in known.values() if each.name not in seen | near and not seen & set(each.alike)]


def _voices(
    objects: Sequence[Mapping[str, Any]], known: Mapping[str, Category], count: int, rng: np.random.Generator
) -> dict[int, Category]:
    """By place among the objects: the category of each that is heard."""
    chosen: dict[int, Category] = {}
    taken: set[str] = set()
    for place in rng.permutation(len(objects)).tolist():
        category = known.get(objects[place]["category"])
        if len(chosen) < count and category is not None and category.name not in taken:
            chosen[place] = category
            taken |= {category.name, *category.alike}
    return chosen
