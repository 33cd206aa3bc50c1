"""A contact sheet: some clips of the data set, frame by frame, with their masks and their sound."""

from __future__ import annotations

import csv
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from auralsam2.errors import InputError, UsageError
from auralsam2.utils import strict_json

_COLUMNS = 5
_SIDE = 144
_GAP = 6
_WAVE = 44
_TEXT = 13
_INK, _PAPER, _SOUND = (40, 40, 40), (250, 250, 248), (70, 110, 160)
_TARGET, _OTHER = (255, 40, 40), (255, 255, 255)


@dataclass(frozen=True, kw_only=True)
class SheetSample:
    """A row of `metadata.csv`, as far as a sheet needs it."""

    uid: str
    split: str
    mix: str
    kind: str


def draw_contact_sheet(
    root: Path, *, split: str | None = None, mix: str | None = None, clips: int = 12, seed: int = 0
) -> Image.Image:
    """Draw a sheet of clips, two beside each other, in the order of the tables.

    Each shows its first five frames: outlines red around what sounds in that second, white around what does not; below
    them the waveforms of both channels, second by second, left above right, and one of the expressions.

    Args:
        root: folder of the data set.
        split: only clips of this one; None for any.
        mix: likewise.
        clips: how many.
        seed: draws which.

    Raises:
        InputError: the folder holds no such data set, or one of its files cannot be read.
        UsageError: no clip is of that split and mix.
    """
    samples = [sample for sample in _samples(root) if split in (None, sample.split) and mix in (None, sample.mix)]
    if not samples:
        raise UsageError(f"{root}: no clips of split {split or 'any'} and mix {mix or 'any'}: choose another `split`")
    order = np.random.default_rng(seed).permutation(len(samples))[:clips]
    tiles = [_tile(root, samples[int(number)]) for number in sorted(order)]
    width, height = tiles[0].size
    lines = -(-len(tiles) // 2)
    sheet = Image.new("RGB", (min(2, len(tiles)) * (width + _GAP) + _GAP, lines * (height + _GAP) + _GAP), _PAPER)
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (_GAP + number % 2 * (width + _GAP), _GAP + number // 2 * (height + _GAP)))
    return sheet


def _samples(root: Path) -> list[SheetSample]:
    try:
        with (root / "metadata.csv").open(encoding="utf-8", newline="") as file:
            return [
                SheetSample(**{name: row[name] for name in SheetSample.__annotations__}) for row in csv.DictReader(file)
            ]
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise InputError(f"{root}: holds no StampAVS ({error}): build it with data build-stampavs") from error


def _tile(root: Path, sample: SheetSample) -> Image.Image:
    """One clip."""
    media, masks = root / "media" / sample.uid, root / "gt_mask" / sample.uid
    try:
        scene = strict_json.read_json(media / "scene.json")
        frames = [Image.open(media / "frames" / f"{number}.jpg").convert("RGB") for number in range(_COLUMNS)]
        layers = [
            [
                np.asarray(Image.open(masks / f"fid_{thing['fid']}" / f"{number:05d}.png")) > 0
                for thing in scene["objects"]
            ]
            for number in range(_COLUMNS)
        ]
        sound = _read_sound(media / "audio.wav")
    except (OSError, ValueError, KeyError, TypeError, wave.Error) as error:
        raise InputError(f"{media}: cannot be read ({error}): build the data set anew") from error
    width = _COLUMNS * _SIDE
    tile = Image.new("RGB", (width, _TEXT + _SIDE + _WAVE + _TEXT), _PAPER)
    pen = ImageDraw.Draw(tile)
    pen.text((0, 0), f"{sample.uid}   {sample.kind}   {_cast(scene)}", fill=_INK)
    for number, (frame, shown) in enumerate(zip(frames, layers, strict=True)):
        sounding = [thing["sounding"][number] for thing in scene["objects"]]
        tile.paste(_outlined(frame, shown, sounding), (number * _SIDE, _TEXT))
    _draw_sound(pen, sound[: _COLUMNS * 16_000], _TEXT + _SIDE)
    said = next(iter(sorted(scene["expressions"], key=lambda item: not item["needs_sound"])), None)
    if said:
        pen.text((0, _TEXT + _SIDE + _WAVE), f"“{said['exp']}”: {said['fid'] or 'nothing'}", fill=_INK)
    return tile


def _cast(scene: dict[str, Any]) -> str:
    """The objects by number and name, what sounds in capitals; what is not seen in brackets."""
    names = [
        f"{thing['fid']} {thing['category'].upper() if any(thing['sounding']) else thing['category']}"
        for thing in scene["objects"]
    ]
    return ", ".join([*names, *(f"[{track['category'].upper()}]" for track in scene["offscreen"])])


def _outlined(frame: Image.Image, masks: Sequence[np.ndarray], sounding: Sequence[bool]) -> Image.Image:
    """A frame in the size of the sheet with lines around the masks, those of what sounds last."""
    picture = np.array(frame.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))
    for wanted in (False, True):
        for mask, sounds in zip(masks, sounding, strict=True):
            if sounds == wanted:
                small = (
                    np.asarray(Image.fromarray(mask).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)) > 127
                )
                inner = small.copy()
                inner[1:] &= small[:-1]
                inner[:-1] &= small[1:]
                inner[:, 1:] &= small[:, :-1]
                inner[:, :-1] &= small[:, 1:]
                picture[small & ~inner] = _TARGET if sounds else _OTHER
    return Image.fromarray(picture)


def _draw_sound(pen: ImageDraw.ImageDraw, sound: np.ndarray, top: int) -> None:
    """Envelopes of both channels over the width of the frames, and a line where a second ends."""
    width = _COLUMNS * _SIDE
    edges = np.linspace(0, len(sound), width + 1).astype(int)[:-1]
    peaks = np.maximum.reduceat(np.abs(sound), edges, axis=0)
    for channel in (0, 1):
        middle, room = top + (2 * channel + 1) * _WAVE // 4, _WAVE // 4 - 1
        for column, peak in enumerate(peaks[:, channel]):
            # Square root: quiet sounds show as well.
            reach = round(float(np.sqrt(peak)) * room)
            pen.line((column, middle - reach, column, middle + reach), fill=_SOUND)
    for second in range(_COLUMNS + 1):
        x = min(second * _SIDE, width - 1)
        pen.line((x, top, x, top + _WAVE), fill=(200, 200, 200))


def _read_sound(path: Path) -> np.ndarray:
    """(n, 2) float32 in [-1, 1]."""
    with wave.open(str(path), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return samples.reshape(-1, 2).astype(np.float32) / 32768
