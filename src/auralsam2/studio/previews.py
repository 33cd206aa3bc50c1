"""What browsers play of a video, and a copy of its sound where that is nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from auralsam2.media.audio_choice import audio_stream
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.container import open_input, video_stream

SOUND = "sound.m4a"
SOUND_TYPE = "audio/mp4"
_PLAYED = {
    ".mp4": ({"h264", "vp9", "av1"}, {"aac", "mp3", "opus", "flac"}),
    ".webm": ({"vp8", "vp9", "av1"}, {"opus", "vorbis"}),
}
"""Codecs of pictures and sound that today's browsers have in common, by container. Some play Matroska, and some play
other codecs; a copy costs little, and plays everywhere."""
_LAYOUTS = frozenset({"yuv420p", "yuvj420p"})
"""Browsers give up on a file whose pictures they cannot show, even for its sound."""


def is_browser_playable(video: Path) -> bool:
    """Whether browsers play a file with its sound as it is, by its ending and its codecs.

    Args:
        video: named by what is inside.

    Raises:
        InputError: it cannot be opened.
    """
    pictures, sounds = _PLAYED.get(video.suffix, ((), ()))
    with open_input(video) as container:
        seen, heard = video_stream(container), audio_stream(container, video)
        return (
            seen is None or (seen.codec.canonical_name in pictures and seen.codec_context.pix_fmt in _LAYOUTS)
        ) and (heard is None or heard.codec.canonical_name in sounds)


MOST = 2000
"""Pairs of a waveform: more than a screen has columns."""
_PER_SECOND = 100


def waveform_peaks(path: Path, duration: float, advance: Callable[[float], None]) -> tuple[tuple[float, float], ...]:
    """The lowest and the highest sample of equal stretches, both channels together; one stretch is held at a time.

    Args:
        path: a file with sound.
        duration: seconds to cover.
        advance: told the part that is done, in [0, 1]; what it raises stops the work.

    Returns:
        at most `MOST` pairs in [-1, 1], rounded to a thousandth.

    Raises:
        InputError: the sound cannot be read.
    """
    count = max(1, min(MOST, round(duration * _PER_SECOND)))
    found = []
    with SoundTrack(path) as sound:
        for number in range(count):
            piece = sound.read(number * duration / count, (number + 1) * duration / count)
            advance(number / count)
            found.append((round(float(piece.min(initial=0)), 3), round(float(piece.max(initial=0)), 3)))
    return tuple(found)
