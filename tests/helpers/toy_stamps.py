"""Makes a small folder of stamps: plain shapes and plain tones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from helpers.media_files import tone, write_media

THINGS = ("bell", "drum", "fan", "horn", "lamp", "pump", "siren", "whistle")
SILENT = ("brick", "chair", "plate")


def write_picture(path: Path, number: int, size: tuple[int, int] = (120, 90)) -> None:
    """A shape of a colour of its own in a transparent frame ten pixels wide."""
    image = Image.new("RGBA", size)
    box = (10, 10, size[0] - 11, size[1] - 11)
    colour = (40 + 20 * number, 220 - 18 * number, 30 + (70 * number) % 200, 255)
    pen = ImageDraw.Draw(image)
    (pen.ellipse if number % 2 else pen.rectangle)(box, fill=colour)
    image.save(path)


def write_stamps(folder: Path) -> Path:
    """Eight sounding things, one with a long rest in its sound, and three silent ones."""
    (folder / "things").mkdir(parents=True)
    for number, name in enumerate(THINGS):
        write_picture(folder / "things" / f"{name}.png", number)
        wave = tone(0.6 + 0.2 * number, frequency=300 + 150 * number, channels=1)
        if name == "pump":
            wave = np.concatenate([wave[:8000], np.zeros((24_000, 1), np.int16), wave[:8000]])
        write_media(folder / "things" / f"{name}.ogg", sound=wave, audio_codec="flac")
        (folder / "things" / f"{name}.txt").write_text(f"A {name}.\nde.utf8=Ein Ding.\n", encoding="utf-8")
    for number, name in enumerate(SILENT, start=len(THINGS)):
        write_picture(folder / f"{name}.png", number)
        (folder / f"{name}.txt").write_text(f"A {name}.\n", encoding="utf-8")
    return folder
