"""`python -m projects.mini.render_instruments SOURCES OUT`: add instruments from sound fonts to a folder of recordings.

OUT gets the recordings of SOURCES, in the layout of RealAVS, and random phrases of each instrument in each sound font,
for training. FluidSynth renders them (Debian: `fluidsynth timgm6mb-soundfont fluid-soundfont-gm`).
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auralsam2.errors import InputError, OutputError, UnavailableError
from auralsam2.stampavs.photographs import SOUND_COLUMNS, read_table
from auralsam2.utils.atomic_io import Staging, writing
from projects.mini.stage_loop import exit_code

SOUND_FONTS = Path("/usr/share/sounds/sf2")
FONTS = {
    "TimGM6mb.sf2": ("GPL-2.0", "Tim Brechbill"),
    "FluidR3_GM.sf2": ("MIT", "Frank Wen"),
}
"""Licence and author of each sound font."""
RATE = 32_000
_TICKS, _TEMPO = 480, 500_000
"""Ticks and microseconds of a quarter note."""
_PERCUSSION = 9
"""Channel of percussion in General MIDI."""
_SECONDS, _LONG, _CHORD_PROB = 5.0, (0.12, 1.2), 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """Instrument of General MIDI.

    Attributes:
        program: program number from 0; None for percussion.
        keys: lowest and highest key, or the keys of the percussion.
        chords: whether several notes sound at once.
    """

    program: int | None
    keys: tuple[int, ...]
    chords: bool = False


INSTRUMENTS = {
    "piano": (Instrument(program=0, keys=(36, 84), chords=True),),
    "guitar": (
        Instrument(program=24, keys=(40, 76), chords=True),
        Instrument(program=25, keys=(40, 76), chords=True),
    ),
    "violin": (Instrument(program=40, keys=(55, 91)),),
    "trumpet": (Instrument(program=56, keys=(55, 80)),),
    "bassoon": (Instrument(program=70, keys=(34, 65)),),
    "flute": (Instrument(program=73, keys=(60, 93)),),
    "cymbal": (Instrument(program=None, keys=(49, 51, 52, 55, 57, 59)),),
    "floor tom": (Instrument(program=None, keys=(41, 43, 45)),),
    "hand drum": (Instrument(program=None, keys=(60, 61, 62, 63, 64)),),
    "drum kit": (Instrument(program=None, keys=(36, 38, 40, 41, 42, 46, 49), chords=True),),
}
"""Instruments by kind; cello is left out, because StampAVS holds it out of training."""


def draw_phrase(instrument: Instrument, rng: np.random.Generator) -> bytes:
    """Draw a phrase of about five seconds: a standard MIDI file of format 0."""
    channel = _PERCUSSION if instrument.program is None else 0
    events = [] if instrument.program is None else [(0, bytes([0xC0 | channel, instrument.program]))]
    keys = instrument.keys
    choices = np.array(keys) if instrument.program is None else np.arange(keys[0], keys[-1] + 1)
    beat, time = float(np.exp(rng.uniform(*np.log(_LONG)))), 0.0
    while time < _SECONDS:
        length = beat * float(rng.choice([0.5, 1.0, 1.0, 2.0]))
        count = int(rng.integers(2, 4)) if instrument.chords and rng.random() < _CHORD_PROB else 1
        for key in rng.choice(choices, min(count, len(choices)), replace=False).tolist():
            ticks = [round(moment * 1e6 / _TEMPO * _TICKS) for moment in (time, time + 0.95 * length)]
            events.append((ticks[0], bytes([0x90 | channel, key, int(rng.integers(50, 120))])))
            events.append((ticks[1], bytes([0x80 | channel, key, 0])))
        time += length
    track, last = bytearray(), 0
    for tick, message in sorted(events):
        track += _variable_length(tick - last) + message
        last = tick
    track += _variable_length(_TICKS) + b"\xff\x2f\x00"
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, _TICKS)
    return header + b"MTrk" + struct.pack(">I", len(track)) + bytes(track)


def _variable_length(value: int) -> bytes:
    """Encode a delta time: seven bits a byte, the high bit set in all but the last."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


def render(midi: bytes, font: Path, wav: Path) -> None:
    """Render a MIDI file without reverberation and chorus.

    Raises:
        UnavailableError: FluidSynth is not installed.
        OutputError: FluidSynth wrote nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes.mid"
        notes.write_bytes(midi)
        command = ["fluidsynth", "-ni", "-R", "0", "-C", "0", "-g", "0.6", "-r", str(RATE), "-F", str(wav)]
        try:
            done = subprocess.run([*command, str(font), str(notes)], capture_output=True, text=True)
        except FileNotFoundError as error:
            raise UnavailableError("fluidsynth is not installed: apt-get install fluidsynth") from error
    if done.returncode or not wav.is_file():
        raise OutputError(f"{wav}: fluidsynth failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")


def add_instruments(sources: Path, out: Path, fonts: Path, phrases: int, seed: int = 0) -> int:
    """Write a folder with the recordings of another one and rendered phrases; returns the number of phrases.

    Args:
        sources: folder in the layout of RealAVS; only its recordings are copied.
        out: new folder.
        fonts: folder with the sound fonts of `FONTS`.
        phrases: phrases of each instrument in each sound font.
        seed: seed of the phrases.

    Raises:
        InputError: the table of `sources` is missing or damaged, or `out` exists.
        UnavailableError: a sound font or FluidSynth is missing.
        OutputError: the folder cannot be written.
    """
    if out.exists():
        raise InputError(f"{out}: exists: choose another folder")
    missing = next((fonts / name for name in FONTS if not (fonts / name).is_file()), None)
    if missing is not None:
        raise UnavailableError(f"{missing}: no such file: apt-get install timgm6mb-soundfont fluid-soundfont-gm")
    rows = read_table(sources / "sounds.csv", SOUND_COLUMNS)
    with Staging(out.parent) as staging, writing(out):
        draft = staging.path / out.name
        shutil.copytree(sources / "sounds", draft / "sounds")
        rendered = []
        for font, (licence, author) in FONTS.items():
            for kind, instruments in INSTRUMENTS.items():
                for number in range(phrases):
                    instrument = instruments[number % len(instruments)]
                    rng = np.random.default_rng([seed, *font.encode(), *kind.encode(), number])
                    folder = kind.replace(" ", "-")
                    file = f"{folder}/{Path(font).stem}-{number:02d}.wav"
                    path = draft / "sounds" / file
                    path.parent.mkdir(exist_ok=True)
                    render(draw_phrase(instrument, rng), fonts / font, path)
                    row = {"file": file, "folder": folder, "category": kind, "source": font, "split": "train"}
                    rendered.append(dict.fromkeys(rows[0], "") | row | {"licence": licence, "author": author})
        table = io.StringIO()
        writer = csv.DictWriter(table, list(rows[0]), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, *rendered])
        (draft / "sounds.csv").write_text(table.getvalue(), encoding="utf-8")
        staging.publish([out.name])
    return len(rendered)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m projects.mini.render_instruments", description=__doc__)
    parser.add_argument("sources", type=Path, help="folder in the layout of RealAVS")
    parser.add_argument("out", type=Path, help="new folder")
    parser.add_argument(
        "--fonts", type=Path, default=SOUND_FONTS, help="folder of the sound fonts (default: %(default)s)"
    )
    parser.add_argument("--phrases", type=int, default=8, metavar="N", help="of each instrument and font (default: 8)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    def run() -> None:
        count = add_instruments(options.sources, options.out, options.fonts, options.phrases, options.seed)
        print(f"{count} phrases of {len(INSTRUMENTS)} instruments: {options.out}")

    return exit_code(run)


if __name__ == "__main__":
    sys.exit(main())
