"""Referring expressions: English phrases for one object of a scene, or for none.

An expression is a claim about name, place and sound of an object. Each claim is evaluated for every object of the scene
as true, false or undecided: whether a drifting object is "on the left", or a caribou "a deer", may be undecided. Only
claims without undecided objects are used: true for exactly one object or, for null expressions, for none.
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
"""first and last: by the start of the sound. longest: by the number of seconds."""

_MIN_OFFSET = 0.08
_MIN_SECONDS = 2
_MIN_DECIBELS = 6.0


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Claim about an object; None and empty fields claim nothing.

    Attributes:
        name: name of its category.
        verb: activity that replaces "making sound"; empty for none.
        place: a key of `PLACES`.
        hearing: a key of `HEARINGS`.
    """

    name: str | None = None
    verb: str = ""
    place: str | None = None
    hearing: str | None = None


@dataclass(frozen=True, kw_only=True)
class Expression:
    """Referring expression: English, lower case, without full stop.

    Attributes:
        fid: number of the object, 0 for none.
        text: the expression.
        claim: its claim.
        needs_sound: true if it would be ambiguous without its claim about sound.
    """

    fid: int
    text: str
    claim: Claim
    needs_sound: bool


def write_expressions(
    scene: Scene, count: int, nulls: int, absent: Sequence[Category], rng: np.random.Generator
) -> list[Expression]:
    """Write at most `count` expressions that refer to an object of a scene, and at most `nulls` that refer to none.

    `absent` are categories that are not visible, for the names in null expressions.
    """
    positive = [(claim, fid) for claim in _visible_claims(scene) if (fid := _unique_referent(claim, scene))]
    negative = [(claim, 0) for claim in _null_claims(scene, absent) if _has_no_referent(claim, scene)]
    expressions: dict[str, Expression] = {}
    for claims, number in ((positive, count), (negative, nulls)):
        candidates = [(claim, fid, _needs_sound(claim, fid, scene)) for claim, fid in claims]
        for claim, fid, needs in _select(candidates, number, rng):
            text = _phrase(claim, rng)
            expressions.setdefault(text, Expression(fid=fid, text=text, claim=claim, needs_sound=needs))
    return list(expressions.values())


def referred_objects(claim: Claim, scene: Scene) -> list[bool | None]:
    """Evaluate a claim for each object of a scene; None means undecided."""
    return [
        _conjunction(
            _evaluate_name(claim, item, scene), _evaluate_place(claim, item, scene), _evaluate_sound(claim, item, scene)
        )
        for item in scene.objects
    ]


def _unique_referent(claim: Claim, scene: Scene) -> int | None:
    """Return the number of the only object that a claim refers to; None if it is not unique or undecided."""
    answers = referred_objects(claim, scene)
    return answers.index(True) + 1 if answers.count(True) == 1 and None not in answers else None


def _has_no_referent(claim: Claim, scene: Scene) -> bool:
    return not any(answer is not False for answer in referred_objects(claim, scene))


def _needs_sound(claim: Claim, fid: int, scene: Scene) -> bool:
    """Return whether a claim is ambiguous without its part about sound."""
    if claim.hearing is None:
        return False
    without_sound = Claim(name=claim.name, place=claim.place)
    return _unique_referent(without_sound, scene) != fid if fid else not _has_no_referent(without_sound, scene)


def _conjunction(*parts: bool | None) -> bool | None:
    return False if False in parts else None if None in parts else True


def _evaluate_name(claim: Claim, item: SceneObject, scene: Scene) -> bool | None:
    """Evaluate the name of a claim.

    It is undecided for categories of similar appearance, for names that share a word, and, among objects without
    recording, for images of the same folder.
    """
    if claim.name is None or claim.name == item.category:
        return True
    if set(claim.name.split()) & set(item.category.split()):
        return None
    if item.role.category:
        return None if claim.name in item.role.category.alike else False
    folders = {other.stamp.rpartition("/")[0] for other in scene.objects if other.category == claim.name}
    return None if item.stamp.rpartition("/")[0] in folders else False


def _evaluate_place(claim: Claim, item: SceneObject, scene: Scene) -> bool | None:
    """Evaluate the place: the object's centre must stay in one half of the image, on average away from the middle."""
    if claim.place is None:
        return True
    side = scene.frames.shape[1]
    first, last = (0, 2) if claim.place in ("left", "right") else (1, 3)
    sign = -1 if claim.place in ("left", "top") else 1
    offsets = [sign * ((box[first] + box[last]) / (2 * side) - 0.5) for box in item.boxes.tolist()]
    mean = sum(offsets) / len(offsets)
    if mean < -_MIN_OFFSET and max(offsets) < 0:
        return False
    return True if mean > _MIN_OFFSET and min(offsets) > 0 else None


def _evaluate_sound(claim: Claim, item: SceneObject, scene: Scene) -> bool | None:
    if claim.hearing is None:
        return True
    if claim.hearing in ("sounding", "silent"):
        return (item.track is not None) == (claim.hearing == "sounding")
    if item.track is None:
        return False
    value = _comparison_value(claim.hearing, item)
    rivals = [_comparison_value(claim.hearing, other) for other in scene.objects if other.track and other is not item]
    margin = {"first": 1, "last": 1, "longest": _MIN_SECONDS, "loudest": _MIN_DECIBELS}[claim.hearing]
    if all(value >= other + margin for other in rivals):
        return True
    return False if any(value <= other - margin for other in rivals) else None


def _comparison_value(hearing: str, item: SceneObject) -> float:
    assert item.track is not None
    start = int(np.argmax(item.track.sounding))
    return {
        "first": -start,
        "last": start,
        "longest": int(item.track.sounding.sum()),
        "loudest": item.track.level,
    }[hearing]


def _visible_claims(scene: Scene) -> Iterator[Claim]:
    kinds: set[tuple[str | None, str]] = {(None, "")}
    for item in scene.objects:
        if item.role.picture.name:
            kinds.add((item.category, item.role.category.verb if item.role.category else ""))
    comparing = sum(item.track is not None for item in scene.objects) > 1
    for (name, verb), place, hearing in itertools.product(
        sorted(kinds, key=str), (None, *PLACES), (None, "sounding", "silent")
    ):
        if name or place or hearing:
            yield Claim(name=name, verb=verb, place=place, hearing=hearing)
    if comparing:
        yield from (Claim(hearing=hearing) for hearing in ("first", "last", "longest", "loudest"))


def _null_claims(scene: Scene, absent: Sequence[Category]) -> Iterator[Claim]:
    """Yield claims that may be false: about visible objects, and with names of absent ones."""
    yield from _visible_claims(scene)
    for category, hearing in itertools.product(absent, (None, "sounding", "silent")):
        yield Claim(name=category.name, verb=category.verb, hearing=hearing)
    yield from (Claim(hearing=hearing) for hearing in ("first", "loudest"))


def _select(
    claims: list[tuple[Claim, int, bool]], count: int, rng: np.random.Generator
) -> list[tuple[Claim, int, bool]]:
    """Select claims, alternately with and without need of sound; objects with few expressions first."""
    remaining = [claims[int(number)] for number in rng.permutation(len(claims))]
    selected: list[tuple[Claim, int, bool]] = []
    first = int(rng.integers(2))
    while remaining and len(selected) < count:
        referents = [fid for _, fid, _ in selected]
        shapes = {_form(claim) for claim, _, _ in selected}
        for_sound = (len(selected) + first) % 2 == 0
        best = min(
            remaining,
            key=lambda item: (
                not item[2] if for_sound else item[0].hearing is not None,
                _form(item[0]) in shapes,
                referents.count(item[1]),
            ),
        )
        remaining.remove(best)
        selected.append(best)
    return selected


def _form(claim: Claim) -> tuple[bool, bool, str | None]:
    return claim.name is not None, claim.place is not None, claim.hearing


def _phrase(claim: Claim, rng: np.random.Generator) -> str:
    parts = ["the", claim.name or str(rng.choice(["object", "thing"]))]
    if claim.place:
        parts.append(PLACES[claim.place])
    if claim.hearing:
        choices = HEARINGS[claim.hearing]
        if claim.hearing == "sounding" and claim.verb:
            choices = (f"that is {claim.verb}", *choices)
        parts.append(choices[int(rng.integers(len(choices)))])
    return " ".join(parts)
