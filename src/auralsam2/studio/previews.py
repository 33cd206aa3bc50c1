"""Browser playback: check of the codecs, and waveform and spectrogram of the audio."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from auralsam2.media.audio_choice import audio_stream
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.container import open_input, video_stream
from auralsam2.modeling.log_mel import BANDS, HOP, OFFSET, WINDOW, log_mel
from auralsam2.types import AUDIO_RATE

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


_PIECE = 10.0
"""Seconds of audio that are transformed at once."""
_CONTRAST = 2.0
"""Exponent of the alpha channel, which lifts the loud bands out of the quiet ones."""
_RANGE = 5.0
"""Least range of a spectrogram, in natural logarithms: a silent track stays blank."""


def spectrogram(path: Path, duration: float) -> Image.Image:
    """Compute the log-mel spectrogram that the audio encoder reads, of both channels together.

    Args:
        path: file with audio.
        duration: seconds to cover.

    Returns:
        image of at most `MAX_PEAKS` columns and 64 rows, low frequencies at the bottom; white with an alpha channel
        that rises with the loudness.

    Raises:
        InputError: the audio cannot be read.
    """
    count = max(1, min(MAX_PEAKS, round(duration * _PER_SECOND)))
    columns = np.full((count, BANDS), math.log(OFFSET), np.float32)
    step = HOP / AUDIO_RATE
    with SoundTrack(path) as sound:
        for number in range(math.ceil(duration / _PIECE)):
            begin = number * _PIECE
            samples = sound.read(begin, min(duration, begin + _PIECE) + WINDOW / AUDIO_RATE)
            bands = log_mel(torch.from_numpy(samples.mean(1))).numpy()
            times = begin + step * np.arange(len(bands))
            at = np.minimum(count - 1, (times * count / duration).astype(int))
            np.maximum.at(columns, at, bands)
    columns -= math.log(OFFSET)
    levels = np.clip(columns.T[::-1] / max(_RANGE, float(columns.max())), 0, 1)
    alpha = np.rint(255 * levels**_CONTRAST).astype(np.uint8)
    return Image.fromarray(np.stack([np.full_like(alpha, 255), alpha], axis=-1), "LA")
