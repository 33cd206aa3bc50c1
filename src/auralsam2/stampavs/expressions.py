"""Sentences that refer to one object of a scene, or to none.

A sentence is worded from a claim: a name, a place, what is heard of the object, or several of these. The claim is
checked against every object of the scene, with a third answer beside yes and no: whether a drifting object is "on the
left", or a caribou "a deer", may be open. Only claims without open answers are used: true of exactly one object, or,
for null expressions, of none.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from auralsam2.stampavs.assets import Category
from auralsam2.stampavs.scene import Scene, SceneObject

PLACES = {"left": "on the left", "right": "on the right", "top": "at the top", "bottom": "at the bottom"}
HEARINGS = {
    "sounding": ("making sound", "that makes a sound", "that can be heard"),
    "silent": ("that never makes a sound", "that stays silent", "that is never heard"),
    "first": ("that is heard first", "that is the first to make a sound"),
    "last": ("that is heard last", "that is the last to make a sound"),
    "longest": ("that is heard the longest", "that sounds for the longest time"),
    "loudest": ("that is the loudest", "making the loudest sound"),
}
"""first and last: whose sound begins first or last. longest: in the most seconds."""

_SURE_PLACE = 0.08
_SURE_SECONDS = 2
_SURE_DECIBELS = 6.0


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a sentence says of an object; None where it says nothing.

    Attributes:
        name: what kind of thing it is.
        verb: what it does when it sounds, said instead of "making sound"; empty for no special word.
        place: a key of `PLACES`.
        hearing: a key of `HEARINGS`.
    """

    name: str | None = None
    verb: str = ""
    place: str | None = None
    hearing: str | None = None


@dataclass(frozen=True, kw_only=True)
class Expression:
    """A sentence.

    Attributes:
        fid: the object it refers to, 0 for none.
        text: English, lower case, without a full stop.
        claim: what it says.
        needs_sound: whether it would be open without what it says of the sound.
    """

    fid: int
    text: str
    claim: Claim
    needs_sound: bool


def write_expressions(
    scene: Scene, count: int, nulls: int, absent: Sequence[Category], rng: np.random.Generator
) -> list[Expression]:
    """Word sentences about a scene.

    Args:
        scene: what they are about.
        count: how many that refer to an object; fewer where the scene has no more to tell apart.
        nulls: how many that refer to nothing; likewise.
        absent: categories from which null expressions take names of things that are not seen.
        rng: draws claims and words.
    """
    positive = [(claim, fid) for claim in _positive(scene) if (fid := _only(claim, scene))]
    negative = [(claim, 0) for claim in _negative(scene, absent) if _none(claim, scene)]
    found: dict[str, Expression] = {}
    for claims, wanted in ((positive, count), (negative, nulls)):
        told = [(claim, fid, _needs_sound(claim, fid, scene)) for claim, fid in claims]
        for claim, fid, needs in _pick(told, wanted, rng):
            text = _word(claim, rng)
            found.setdefault(text, Expression(fid=fid, text=text, claim=claim, needs_sound=needs))
    return list(found.values())


def referred_objects(claim: Claim, scene: Scene) -> list[bool | None]:
    """Whether the claim is true of each thing of the scene; None where that is open."""
    return [
        _all(_named(claim, thing, scene), _stands(claim, thing, scene), _heard(claim, thing, scene))
        for thing in scene.things
    ]


def _only(claim: Claim, scene: Scene) -> int | None:
    """The object a claim refers to, None where it is none, several or open."""
    found = referred_objects(claim, scene)
    return found.index(True) + 1 if found.count(True) == 1 and None not in found else None


def _none(claim: Claim, scene: Scene) -> bool:
    return not any(answer is not False for answer in referred_objects(claim, scene))


def _needs_sound(claim: Claim, fid: int, scene: Scene) -> bool:
    """Whether what a claim says besides sound leaves open which object it refers to, or whether to any."""
    if claim.hearing is None:
        return False
    mute = Claim(name=claim.name, place=claim.place)
    return _only(mute, scene) != fid if fid else not _none(mute, scene)


def _all(*parts: bool | None) -> bool | None:
    return False if False in parts else None if None in parts else True


def _named(claim: Claim, thing: SceneObject, scene: Scene) -> bool | None:
    """Whether a name is its own.

    Open for what looks like it, shares a word with its name, or, among things without sound, lies in the same folder.
    """
    if claim.name is None or claim.name == thing.category:
        return True
    if set(claim.name.split()) & set(thing.category.split()):
        return None
    if thing.role.category:
        return None if claim.name in thing.role.category.alike else False
    folders = {other.stamp.rpartition("/")[0] for other in scene.things if other.category == claim.name}
    return None if thing.stamp.rpartition("/")[0] in folders else False


def _stands(claim: Claim, thing: SceneObject, scene: Scene) -> bool | None:
    """Whether its middle keeps to one half of the picture, and on average well away from the border of both."""
    if claim.place is None:
        return True
    side = scene.frames.shape[1]
    first, last = (0, 2) if claim.place in ("left", "right") else (1, 3)
    sign = -1 if claim.place in ("left", "top") else 1
    away = [sign * ((box[first] + box[last]) / (2 * side) - 0.5) for box in thing.boxes.tolist()]
    mean = sum(away) / len(away)
    if mean < -_SURE_PLACE and max(away) < 0:
        return False
    return True if mean > _SURE_PLACE and min(away) > 0 else None


def _heard(claim: Claim, thing: SceneObject, scene: Scene) -> bool | None:
    """Whether what is said of its sound is true; comparisons are with the other things that sound."""
    if claim.hearing is None:
        return True
    if claim.hearing in ("sounding", "silent"):
        return (thing.track is not None) == (claim.hearing == "sounding")
    if thing.track is None:
        return False
    value = _rank(claim.hearing, thing)
    others = [_rank(claim.hearing, other) for other in scene.things if other.track and other is not thing]
    margin = {"first": 1, "last": 1, "longest": _SURE_SECONDS, "loudest": _SURE_DECIBELS}[claim.hearing]
    if all(value >= other + margin for other in others):
        return True
    return False if any(value <= other - margin for other in others) else None


def _rank(hearing: str, thing: SceneObject) -> float:
    """Greater for the thing that a comparison picks."""
    assert thing.track is not None
    start = int(np.argmax(thing.track.sounding))
    return {
        "first": -start,
        "last": start,
        "longest": int(thing.track.sounding.sum()),
        "loudest": thing.track.level,
    }[hearing]


def _positive(scene: Scene) -> Iterator[Claim]:
    """All that can be said of the things that are seen."""
    kinds: set[tuple[str | None, str]] = {(None, "")}
    for thing in scene.things:
        if thing.role.picture.name:
            kinds.add((thing.category, thing.role.category.verb if thing.role.category else ""))
    comparing = sum(thing.track is not None for thing in scene.things) > 1
    for (name, verb), place, hearing in itertools.product(
        sorted(kinds, key=str), (None, *PLACES), (None, "sounding", "silent")
    ):
        if name or place or hearing:
            yield Claim(name=name, verb=verb, place=place, hearing=hearing)
    if comparing:
        yield from (Claim(hearing=hearing) for hearing in ("first", "last", "longest", "loudest"))


def _negative(scene: Scene, absent: Sequence[Category]) -> Iterator[Claim]:
    """What might be said and is not true: of what is seen, and of what is not."""
    yield from _positive(scene)
    for category, hearing in itertools.product(absent, (None, "sounding", "silent")):
        yield Claim(name=category.name, verb=category.verb, hearing=hearing)
    yield from (Claim(hearing=hearing) for hearing in ("first", "loudest"))


def _pick(claims: list[tuple[Claim, int, bool]], count: int, rng: np.random.Generator) -> list[tuple[Claim, int, bool]]:
    """Draw some, in turn one that needs sound and one that speaks of none; things not yet spoken of first."""
    left = [claims[int(number)] for number in rng.permutation(len(claims))]
    chosen: list[tuple[Claim, int, bool]] = []
    first = int(rng.integers(2))
    while left and len(chosen) < count:
        spoken = [fid for _, fid, _ in chosen]
        shapes = {_shape(claim) for claim, _, _ in chosen}
        for_sound = (len(chosen) + first) % 2 == 0
        best = min(
            left,
            key=lambda item: (
                not item[2] if for_sound else item[0].hearing is not None,
                _shape(item[0]) in shapes,
                spoken.count(item[1]),
            ),
        )
        left.remove(best)
        chosen.append(best)
    return chosen


def _shape(claim: Claim) -> tuple[bool, bool, str | None]:
    return claim.name is not None, claim.place is not None, claim.hearing


def _word(claim: Claim, rng: np.random.Generator) -> str:
    """Put a claim into words."""
    parts = ["the", claim.name or str(rng.choice(["object", "thing"]))]
    if claim.place:
        parts.append(PLACES[claim.place])
    if claim.hearing:
        choices = HEARINGS[claim.hearing]
        if claim.hearing == "sounding" and claim.verb:
            choices = (f"that is {claim.verb}", *choices)
        parts.append(choices[int(rng.integers(len(choices)))])
    return " ".join(parts)
