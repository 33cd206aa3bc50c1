"""How hard scenes are, and what happens in them."""

from __future__ import annotations

from dataclasses import dataclass

from auralsam2.stampavs.layout import LayoutLimits

KINDS = ("single", "multi", "distractor", "twins", "offscreen", "silence", "noise")
"""single: one object sounds. multi: two do, together or in turn. distractor: one does, and all others are of its group,
a bird among birds. twins: two of one kind, of which one sounds; only the side from which the sound comes tells which.
offscreen: something sounds that is not in the picture. silence: nothing sounds. noise: steady noise, no object's."""

WITHOUT_TARGET = ("offscreen", "silence", "noise")


@dataclass(frozen=True, kw_only=True)
class DifficultyPreset:
    """How hard scenes are.

    Attributes:
        name: "standard" or "hard".
        backgrounds: kinds of background and how often each occurs.
        room: what layouts may look like.
        visible: least share of an object's pixels that no other object hides, in every frame.
        silent: how often an object that is to be silent is one that has no sound at all.
        offscreen: how often something off the screen sounds besides what is seen.
        gains: least gain of an object's sound in dB; the greatest is 0.
        hiss: least and greatest level of steady noise under the sounds in dB below full scale, None for none.
        tone: greatest departure of an object's brightness from its own, as a factor.
    """

    name: str
    backgrounds: tuple[tuple[str, float], ...]
    room: LayoutLimits
    visible: float
    silent: float
    offscreen: float
    gains: float
    hiss: tuple[float, float] | None
    tone: float


STANDARD = DifficultyPreset(
    name="standard",
    backgrounds=(("plain", 0.45), ("gradient", 0.45), ("texture", 0.1)),
    room=LayoutLimits(
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
    room=LayoutLimits(
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
"""How many objects are seen, and how often, in each kind of clip."""

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
"""Kinds of clips in each split, and how often each occurs."""


def kind_of(split: str, index: int) -> str:
    """The kind of a split's clip number `index`, from 0; the shares hold well for any number of clips.

    Steps of the golden ratio over the unit line, so that a longer split begins with the clips of a shorter one.
    """
    point = (0.5 + index * 0.6180339887498949) % 1.0
    total = 0.0
    for kind, share in SHARES[split]:
        total += share
        if point < total:
            return kind
    return SHARES[split][-1][0]
