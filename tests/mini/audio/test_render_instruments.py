"""Phrases of instruments, and the folder that holds them. FluidSynth is replaced by a program that writes a tone."""

from __future__ import annotations

import csv
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from auralsam2.stampavs.recordings import read_recordings
from auralsam2.stampavs.splits import read_splits
from projects.mini.render_instruments import FONTS, INSTRUMENTS, draw_phrase, main

FLUIDSYNTH = """#!{python}
import sys, wave
arguments = sys.argv[1:]
assert arguments[:7] == ["-ni", "-R", "0", "-C", "0", "-g", "0.6"], arguments
assert open(arguments[-1], "rb").read(4) == b"MThd"
if arguments[-2].endswith("broken.sf2"):
    sys.exit("no such sound font")
with wave.open(arguments[arguments.index("-F") + 1], "wb") as file:
    file.setparams((1, 2, int(arguments[arguments.index("-r") + 1]), 0, "NONE", ""))
    file.writeframes((b"\\x00\\x20" * 16 + b"\\x00\\xe0" * 16) * 1000)
"""


@pytest.fixture
def fonts(tmp_path, monkeypatch) -> Path:
    """Folder of empty sound fonts, with the program on the path."""
    folder = tmp_path / "fonts"
    folder.mkdir()
    for name in FONTS:
        (folder / name).write_bytes(b"")
    program = tmp_path / "bin" / "fluidsynth"
    program.parent.mkdir()
    program.write_text(FLUIDSYNTH.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return folder


def read_events(midi: bytes) -> list[tuple[int, bytes]]:
    """Read the messages of a MIDI file of one track, with their ticks."""
    assert midi[:4] == b"MThd"
    assert struct.unpack(">IHHH", midi[4:14]) == (6, 0, 1, 480)
    assert midi[14:18] == b"MTrk"
    track = midi[22:]
    assert struct.unpack(">I", midi[18:22])[0] == len(track)
    events, at, tick = [], 0, 0
    while at < len(track):
        delta = 0
        while True:
            delta, more = delta << 7 | track[at] & 0x7F, track[at] & 0x80
            at += 1
            if not more:
                break
        tick += delta
        size = 2 if track[at] & 0xF0 == 0xC0 else 3
        events.append((tick, track[at : at + size]))
        at += size
    return events


@pytest.mark.parametrize("kind", INSTRUMENTS)
def test_phrases_have_the_keys_of_the_instrument_and_about_five_seconds(kind):
    for instrument in INSTRUMENTS[kind]:
        events = read_events(draw_phrase(instrument, np.random.default_rng(3)))
        assert events[-1][1] == b"\xff\x2f\x00"
        played = [message for _, message in events[:-1]]
        channel = 9 if instrument.program is None else 0
        assert {message[0] & 0x0F for message in played} == {channel}
        programs = [message[1] for message in played if message[0] & 0xF0 == 0xC0]
        assert programs == ([] if instrument.program is None else [instrument.program])
        keys = [message[1] for message in played if message[0] & 0xF0 == 0x90]
        released = [message[1] for message in played if message[0] & 0xF0 == 0x80]
        assert sorted(keys) == sorted(released)
        if instrument.program is None:
            assert set(keys) <= set(instrument.keys)
        else:
            assert min(keys) >= instrument.keys[0]
            assert max(keys) <= instrument.keys[1]
        seconds = events[-2][0] / 480 * 0.5
        assert 4.5 < seconds < 8


def test_no_instrument_is_held_out_of_stampavs():
    assert not set(INSTRUMENTS) & set(read_splits().categories)


def test_folder_has_old_and_new_recordings(fonts, recordings, tmp_path, capsys):
    out = tmp_path / "more"
    assert main([str(recordings), str(out), "--fonts", str(fonts), "--phrases", "2"]) == 0
    count = 2 * len(FONTS) * len(INSTRUMENTS)
    assert capsys.readouterr().out.startswith(f"{count} phrases")
    with (recordings / "sounds.csv").open(encoding="utf-8", newline="") as file:
        before = list(csv.DictReader(file))
    with (out / "sounds.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[: len(before)] == before
    assert len(rows) == len(before) + count
    assert {row["licence"] for row in rows[len(before) :]} == {"GPL-2.0", "MIT"}
    assert all((out / "sounds" / row["file"]).is_file() for row in rows)
    kinds = read_recordings(out, "train").kinds
    assert {name: len(kinds[name]) for name in INSTRUMENTS} == dict.fromkeys(INSTRUMENTS, 2 * len(FONTS))


def test_equal_seeds_give_equal_phrases():
    (instrument,) = INSTRUMENTS["piano"]
    first, again, other = (draw_phrase(instrument, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("fault", ["font", "program", "sources", "exists", "render"])
def test_failures_leave_no_folder(fault, fonts, recordings, tmp_path, monkeypatch, capsys):
    out = tmp_path / "more"
    font = next(iter(FONTS))
    message = {
        "font": font,
        "program": "fluidsynth is not installed",
        "sources": "sounds.csv: cannot be read",
        "exists": "choose another folder",
        "render": "no such sound font",
    }[fault]
    if fault == "font":
        (fonts / font).unlink()
    elif fault == "program":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif fault == "exists":
        out.mkdir()
    elif fault == "render":
        (fonts / "broken.sf2").write_bytes(b"")
        monkeypatch.setitem(FONTS, "broken.sf2", ("MIT", "nobody"))
    sources = tmp_path if fault == "sources" else recordings
    assert main([str(sources), str(out), "--fonts", str(fonts), "--phrases", "1"]) != 0
    assert message in capsys.readouterr().err
    assert out.exists() == (fault == "exists")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
