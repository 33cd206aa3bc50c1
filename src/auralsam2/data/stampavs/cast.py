"""Who is in a scene: what is seen, what sounds, and what sounds without being seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from auralsam2.data.stampavs.assets import Category, Picture
from auralsam2.data.stampavs.mixes import COUNTS, WITHOUT_TARGET, Mix
from auralsam2.data.stampavs.splits import Pool

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Role:
    """One object that is seen.

    Attributes:
        picture: its stamp.
        category: None for a thing that has no sound.
        sounds: whether it is one that makes itself heard.
    """

    picture: Picture
    category: Category | None
    sounds: bool = False


@dataclass(frozen=True, kw_only=True)
class Cast:
    """All of a scene.

    Attributes:
        roles: in random order.
        twins: numbers of two roles that only their side tells apart, or None.
        offscreen: categories that sound without being seen.
    """

    roles: tuple[Role, ...]
    twins: tuple[int, int] | None
    offscreen: tuple[Category, ...]


def choose(pool: Pool, mix: Mix, kind: str, rng: np.random.Generator) -> Cast:
    """Draw who is in a scene of the given kind."""
    numbers, shares = zip(*COUNTS[kind], strict=True)
    count = int(rng.choice(numbers, p=shares))
    roles: list[Role] = []
    for category in _distinct(pool.targets, 0 if kind in WITHOUT_TARGET else 2 if kind == "multi" else 1, rng):
        roles.append(Role(picture=_one(category.pictures, rng), category=category, sounds=True))
        if kind == "twins":
            roles.append(Role(picture=_one(category.pictures, rng), category=category))
    taken = {role.category.name for role in roles if role.category}
    unseen: list[Category] = []
    if kind == "offscreen" or (kind not in WITHOUT_TARGET and rng.random() < mix.offscreen):
        near = {name for role in roles if role.category for name in role.category.alike}
        away = [c for c in pool.targets if c.name not in taken | near and not taken & set(c.alike)]
        unseen = _distinct(away, 1, rng)
        taken |= {name for category in unseen for name in (category.name, *category.alike)}
    group = roles[0].category.group if kind == "distractor" and roles[0].category else None
    while len(roles) < count:
        role = _bystander(pool, mix, group, taken, {role.picture.key for role in roles}, rng)
        if role is None:
            break
        roles.append(role)
        if role.category:
            taken.add(role.category.name)
    order = [int(number) for number in rng.permutation(len(roles))]
    twins = (order.index(0), order.index(1)) if kind == "twins" else None
    return Cast(roles=tuple(roles[number] for number in order), twins=twins, offscreen=tuple(unseen))


def _bystander(
    pool: Pool, mix: Mix, group: str | None, taken: set[str], shown: set[str], rng: np.random.Generator
) -> Role | None:
    """Draw an object that is seen and keeps silent; None where nothing is left.

    Half of them are of the categories that may sound in this split, so that these do not stand out.
    """
    if group is None and rng.random() < mix.silent:
        silent = [picture for picture in pool.silent if picture.key not in shown]
        if silent:
            return Role(picture=_one(silent, rng), category=None)
    first, second = (pool.targets, pool.others) if rng.random() < 0.5 else (pool.others, pool.targets)
    for categories in (first, second):
        free = [c for c in categories if c.name not in taken and group in (None, c.group)]
        if free:
            category = _one(free, rng)
            return Role(picture=_one(category.pictures, rng), category=category)
    return None if group is None else _bystander(pool, mix, None, taken, shown, rng)


def _one(items: Sequence[Item], rng: np.random.Generator) -> Item:
    return items[int(rng.integers(len(items)))]


def _distinct(items: Sequence[Item], count: int, rng: np.random.Generator) -> list[Item]:
    """Different ones, fewer where there are not enough."""
    return [items[int(number)] for number in rng.permutation(len(items))[:count]]
