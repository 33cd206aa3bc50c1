"""Difficulty presets and kinds of scenes."""

from __future__ import annotations

from dataclasses import dataclass

from auralsam2.stampavs.layout import LayoutLimits

KINDS = ("single", "multi", "distractor", "twins", "offscreen", "silence", "noise")
"""single: one object sounds. multi: two objects sound, together or in turn. distractor: one object sounds, and all
others are of its group. twins: one of two objects of one category sounds, distinguished by the direction of the sound
alone. offscreen: an object outside the image sounds. silence: no sound. noise: stationary noise of no object."""

WITHOUT_TARGET = ("offscreen", "silence", "noise")


@dataclass(frozen=True, kw_only=True)
class DifficultyPreset:
    """Difficulty of scenes.

    Attributes:
        name: "standard" or "hard".
        backgrounds: kinds of background and their probabilities.
        layout: limits of the layout.
        visible: minimum share of an object's pixels that no other object covers, in every frame.
        silent: probability that a silent object has no recording.
        offscreen: probability of an additional sounding object outside the image.
        gains: minimum gain of an object's sound in dB; the maximum is 0.
        hiss: minimum and maximum level of stationary noise in dB of full scale; None for none.
        tone: maximum relative change of an object's brightness.
    """

    name: str
    backgrounds: tuple[tuple[str, float], ...]
    layout: LayoutLimits
    visible: float
    silent: float
    offscreen: float
    gains: float
    hiss: tuple[float, float] | None
    tone: float


STANDARD = DifficultyPreset(
    name="standard",
    backgrounds=(("plain", 0.45), ("gradient", 0.45), ("texture", 0.1)),
    layout=LayoutLimits(
        extents=((0.45, 0.7), (0.4, 0.65), (0.36, 0.55), (0.34, 0.5)), overlap=0.3, drift=0.25, turn=12, outside=0.0
    ),
    visible=0.6,
    silent=0.3,
    offscreen=0.0,
    gains=-9.0,
    hiss=None,
    tone=0.0,
)
HARD = DifficultyPreset(
    name="hard",
    backgrounds=(("texture", 0.5), ("clutter", 0.5)),
    layout=LayoutLimits(
        extents=((0.25, 0.6), (0.25, 0.5), (0.22, 0.45), (0.2, 0.4)), overlap=0.5, drift=0.5, turn=30, outside=0.1
    ),
    visible=0.35,
    silent=0.3,
    offscreen=0.25,
    gains=-10.0,
    hiss=(-62.0, -46.0),
    tone=0.15,
)
PRESETS = (STANDARD, HARD)

COUNTS = {
    "single": ((1, 0.08), (2, 0.27), (3, 0.35), (4, 0.3)),
    "multi": ((2, 0.08), (3, 0.32), (4, 0.6)),
    "distractor": ((2, 0.25), (3, 0.4), (4, 0.35)),
    "twins": ((2, 0.3), (3, 0.35), (4, 0.35)),
    "offscreen": ((1, 0.1), (2, 0.3), (3, 0.3), (4, 0.3)),
    "silence": ((1, 0.1), (2, 0.3), (3, 0.3), (4, 0.3)),
    "noise": ((1, 0.1), (2, 0.3), (3, 0.3), (4, 0.3)),
}
"""Numbers of visible objects and their probabilities, for each kind of scene."""

_TARGETS = (("single", 0.4), ("multi", 0.25), ("distractor", 0.15), ("twins", 0.2))
_ALL = (
    ("single", 0.32),
    ("multi", 0.2),
    ("distractor", 0.12),
    ("twins", 0.12),
    ("offscreen", 0.08),
    ("silence", 0.1),
    ("noise", 0.06),
)
SHARES = {
    "train": _ALL,
    "val": _ALL,
    "test-seen": _TARGETS,
    "test-new-image": _TARGETS,
    "test-new-sound": _TARGETS,
    "test-unseen": _TARGETS,
    "test-null": (("single", 0.4), ("multi", 0.2), ("distractor", 0.1), ("silence", 0.15), ("offscreen", 0.15)),
    "test-robust": (("silence", 0.34), ("noise", 0.33), ("offscreen", 0.33)),
}
"""Kinds of scenes and their probabilities, for each split."""


def scene_kind(split: str, index: int) -> str:
    """Return the kind of clip `index` of a split, from 0, so that any number of clips has about the shares of `SHARES`.

    The index is mapped by steps of the golden ratio, so that a longer split begins with the clips of a shorter one.
    """
    point = (0.5 + index * 0.6180339887498949) % 1.0
    total = 0.0
    for kind, share in SHARES[split]:
        total += share
        if point < total:
            return kind
    return SHARES[split][-1][0]
