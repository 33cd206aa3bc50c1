"""Contact sheet: frames of sample clips with masks and waveforms."""

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
    """Row of `metadata.csv`, without the columns that a contact sheet does not need."""

    uid: str
    split: str
    mix: str
    kind: str


def draw_contact_sheet(
    root: Path, *, split: str | None = None, mix: str | None = None, clips: int = 12, seed: int = 0
) -> Image.Image:
    """Draw a contact sheet of random clips of a split and preset in two columns, in the order of the tables.

    Each tile shows the first five frames with outlines, red around objects that sound in that second and white around
    others, the waveforms of the left (upper) and right (lower) channel, and one expression.

    Raises:
        InputError: the folder contains no StampAVS data set, or one of its files cannot be read.
        UsageError: there is no clip of that split and preset.
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
    media, masks = root / "media" / sample.uid, root / "gt_mask" / sample.uid
    try:
        scene = strict_json.read_json(media / "scene.json")
        frames = [Image.open(media / "frames" / f"{number}.jpg").convert("RGB") for number in range(_COLUMNS)]
        layers = [
            [
                np.asarray(Image.open(masks / f"fid_{item['fid']}" / f"{number:05d}.png")) > 0
                for item in scene["objects"]
            ]
            for number in range(_COLUMNS)
        ]
        sound = _read_sound(media / "audio.wav")
    except (OSError, ValueError, KeyError, TypeError, wave.Error) as error:
        raise InputError(f"{media}: cannot be read ({error}): build the data set anew") from error
    width = _COLUMNS * _SIDE
    tile = Image.new("RGB", (width, _TEXT + _SIDE + _WAVE + _TEXT), _PAPER)
    canvas = ImageDraw.Draw(tile)
    canvas.text((0, 0), f"{sample.uid}   {sample.kind}   {_caption(scene)}", fill=_INK)
    for number, (frame, layer) in enumerate(zip(frames, layers, strict=True)):
        sounding = [item["sounding"][number] for item in scene["objects"]]
        tile.paste(_outline(frame, layer, sounding), (number * _SIDE, _TEXT))
    _draw_sound(canvas, sound[: _COLUMNS * 16_000], _TEXT + _SIDE)
    expression = next(iter(sorted(scene["expressions"], key=lambda item: not item["needs_sound"])), None)
    if expression:
        canvas.text((0, _TEXT + _SIDE + _WAVE), f"“{expression['exp']}”: {expression['fid'] or 'nothing'}", fill=_INK)
    return tile


def _caption(scene: dict[str, Any]) -> str:
    """Return numbers and names of the objects, in capitals if they sound, in brackets if they are offscreen."""
    names = [
        f"{item['fid']} {item['category'].upper() if any(item['sounding']) else item['category']}"
        for item in scene["objects"]
    ]
    return ", ".join([*names, *(f"[{track['category'].upper()}]" for track in scene["offscreen"])])


def _outline(frame: Image.Image, masks: Sequence[np.ndarray], sounding: Sequence[bool]) -> Image.Image:
    """Resize a frame and outline its masks, those of sounding objects last."""
    picture = np.array(frame.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))
    for sounding_pass in (False, True):
        for mask, sounds in zip(masks, sounding, strict=True):
            if sounds == sounding_pass:
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


def _draw_sound(canvas: ImageDraw.ImageDraw, sound: np.ndarray, top: int) -> None:
    """Draw the envelopes of both channels over the width of the frames, with a line at each second."""
    width = _COLUMNS * _SIDE
    edges = np.linspace(0, len(sound), width + 1).astype(int)[:-1]
    peaks = np.maximum.reduceat(np.abs(sound), edges, axis=0)
    for channel in (0, 1):
        middle, height = top + (2 * channel + 1) * _WAVE // 4, _WAVE // 4 - 1
        for column, peak in enumerate(peaks[:, channel]):
            # The square root makes quiet sounds visible.
            amplitude = round(float(np.sqrt(peak)) * height)
            canvas.line((column, middle - amplitude, column, middle + amplitude), fill=_SOUND)
    for second in range(_COLUMNS + 1):
        x = min(second * _SIDE, width - 1)
        canvas.line((x, top, x, top + _WAVE), fill=(200, 200, 200))


def _read_sound(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return samples.reshape(-1, 2).astype(np.float32) / 32768
