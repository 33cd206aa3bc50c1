"""Browser playback: check of the codecs, and the waveform of the audio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from auralsam2.media.audio_choice import audio_stream
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.container import open_input, video_stream

SOUND = "sound.m4a"
SOUND_TYPE = "audio/mp4"
_CODECS = {
    ".mp4": ({"h264", "vp9", "av1"}, {"aac", "mp3", "opus", "flac"}),
    ".webm": ({"vp8", "vp9", "av1"}, {"opus", "vorbis"}),
}
"""Video and audio codecs that all current browsers support, by container. A copy of the audio replaces others."""
_PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p"})
"""Pixel formats that browsers support; they reject the whole file of another format, its audio included."""


def is_browser_playable(video: Path) -> bool:
    """Return whether browsers play a file with its audio, by its suffix and codecs.

    Args:
        video: file whose suffix matches its content.

    Raises:
        InputError: it cannot be opened.
    """
    video_codecs, audio_codecs = _CODECS.get(video.suffix, ((), ()))
    with open_input(video) as container:
        images, audio = video_stream(container), audio_stream(container, video)
        if audio is not None and audio.codec.canonical_name not in audio_codecs:
            return False
        if images is None:
            return True
        return images.codec.canonical_name in video_codecs and images.codec_context.pix_fmt in _PIXEL_FORMATS


MAX_PEAKS = 2000
"""Maximum number of pairs of a waveform, more than the columns of a screen."""
_PER_SECOND = 100


def waveform_peaks(path: Path, duration: float, advance: Callable[[float], None]) -> tuple[tuple[float, float], ...]:
    """Compute minimum and maximum of equal sections of the audio over both channels, one section at a time.

    Args:
        path: file with audio.
        duration: seconds to cover.
        advance: called with the completed share, in [0, 1]; its exception stops the computation.

    Returns:
        at most `MAX_PEAKS` pairs in [-1, 1], rounded to a thousandth.

    Raises:
        InputError: the audio cannot be read.
    """
    count = max(1, min(MAX_PEAKS, round(duration * _PER_SECOND)))
    peaks = []
    with SoundTrack(path) as sound:
        for number in range(count):
            piece = sound.read(number * duration / count, (number + 1) * duration / count)
            advance(number / count)
            peaks.append((round(float(piece.min(initial=0)), 3), round(float(piece.max(initial=0)), 3)))
    return tuple(peaks)
