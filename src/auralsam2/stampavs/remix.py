"""Audio remix: new audio for an existing scene, with other sounding objects or none.

The images are unchanged, so that they do not reveal the sounding objects and cached features of the image encoder
remain valid.
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
"""Kinds of remixed audio and their probabilities. A fifth is silence, which must be learned."""
DESCRIPTION = "scene.json"


@dataclass(frozen=True, kw_only=True)
class RemixedAudio:
    """Remixed audio of one of the kinds in `SHARES`.

    Attributes:
        kind: the kind.
        samples: (T · 16000, 2) float32 in [-1, 1].
        sounding: (n, T) bool, the seconds in which each object sounds.
    """

    kind: str
    samples: np.ndarray
    sounding: np.ndarray


def read_scene(folder: Path) -> dict[str, Any]:
    """Read the description of a scene, `scene.json`, in a folder.

    Raise InputError if it is missing or has another content.
    """
    path = folder / DESCRIPTION
    try:
        scene = strict_json.read_json(path)
        {key: scene[key] for key in ("mix", "frames", "objects")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: does not describe a scene of StampAVS ({error}): build it again") from error
    return scene


def remix_audio(
    scene: Mapping[str, Any], pool: AssetPool, rng: np.random.Generator, absent_voice_prob: float = 0.0
) -> RemixedAudio:
    """Draw new audio for a scene, the output of `read_scene`.

    At most one of several objects of one category, or of categories that sound alike, sounds; its direction identifies
    it. With probability `absent_voice_prob`, sounding objects, including those without recording, get recordings of
    absent categories: then only the direction identifies them, as for unseen categories.
    """
    mix = next(mix for mix in PRESETS if mix.name == scene["mix"])
    seconds, objects = int(scene["frames"]), scene["objects"]
    kinds, shares = [kind for kind, _ in SHARES], [share for _, share in SHARES]
    kind = str(rng.choice(kinds, p=shares))
    by_name = {category.name: category for category in pool.targets}
    count = {"single": 1, "multi": 2}.get(kind, 0)
    absent = _absent_categories(objects, by_name)
    if absent_voice_prob and absent and rng.random() < absent_voice_prob:
        indices = rng.permutation(len(objects))[:count].tolist()
        voices = {index: absent[int(rng.integers(len(absent)))] for index in indices}
    else:
        voices = _draw_voices(objects, by_name, count, rng)
    offscreen = []
    if kind == "offscreen" or (voices and rng.random() < mix.offscreen):
        unused = [category for category in absent if category not in voices.values()]
        if unused:
            offscreen = [draw_track(unused[int(rng.integers(len(unused)))], seconds, mix, rng)]
    tracks = [
        draw_track(voices[index], seconds, mix, rng) if index in voices else None for index in range(len(objects))
    ]
    silence = np.zeros(seconds, dtype=bool)
    pans = [np.array(item["pan"]) for item in objects]
    samples = mix_tracks_down(kind, mix, seconds, list(zip(tracks, pans, strict=True)), offscreen, rng)
    return RemixedAudio(
        kind=kind,
        samples=samples,
        sounding=np.array([silence if track is None else track.sounding for track in tracks]).reshape(-1, seconds),
    )


def _absent_categories(objects: Sequence[Mapping[str, Any]], by_name: Mapping[str, Category]) -> list[Category]:
    """Return the categories that are not visible and do not sound like a visible one."""
    visible = {item["category"] for item in objects}
    similar = {name for name in visible & by_name.keys() for name in by_name[name].alike}
    candidates = (category for category in by_name.values() if category.name not in visible | similar)
    return [category for category in candidates if not visible & set(category.alike)]


def _draw_voices(
    objects: Sequence[Mapping[str, Any]], by_name: Mapping[str, Category], count: int, rng: np.random.Generator
) -> dict[int, Category]:
    """Return the categories of the sounding objects by their positions among the objects."""
    voices: dict[int, Category] = {}
    used: set[str] = set()
    for index in rng.permutation(len(objects)).tolist():
        category = by_name.get(objects[index]["category"])
        if len(voices) < count and category is not None and category.name not in used:
            voices[index] = category
            used |= {category.name, *category.alike}
    return voices
