"""Containers and codecs of the written videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class AudioEncoding:
    """Audio codec of a container.

    Attributes:
        encoder: FFmpeg's encoder of audio that cannot be copied.
        copied: codecs that are copied, with the lowest sampling rate of each in Hz.
        rates: sampling rates of the encoder in Hz; audio of another rate is resampled to 48 kHz.
    """

    encoder: str
    copied: Mapping[str, int]
    rates: frozenset[int]


AAC = AudioEncoding(
    encoder="aac",
    copied={"aac": 1, "mp3": 16_000, "mp3float": 16_000},
    rates=frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}),
)
OPUS = AudioEncoding(
    encoder="libopus",
    copied={"opus": 1, "libopus": 1, "vorbis": 1},
    rates=frozenset({8000, 12000, 16000, 24000, 48000}),
)


@dataclass(frozen=True, kw_only=True)
class VideoEncoding:
    """Container, video codec and audio codec of a written video.

    Attributes:
        muxer: FFmpeg's name of the container.
        encoder: FFmpeg's name of the video encoder.
        options: of the encoder. Encoders do not reorder frames, so that decoding order is display order, and look few
            frames ahead, so that memory is bounded.
        pixels: pixel format of the encoder.
        alpha: frames have an alpha channel.
        even: width and height must be even.
        audio: codec of the audio.
        muxer_options: of the container.
        metadata: of the video stream.
        in_place: the file can be read while it grows, and is written under its own name.
    """

    muxer: str
    encoder: str
    options: Mapping[str, str]
    pixels: str
    alpha: bool = False
    even: bool = False
    audio: AudioEncoding = AAC
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    in_place: bool = False


_H264 = {"preset": "fast", "bf": "0", "g": "60", "rc-lookahead": "10"}
# The index precedes the data, so that a browser plays the file while it loads.
_INDEX_FIRST = {"movflags": "+faststart"}

H264 = VideoEncoding(
    muxer="mp4",
    encoder="libx264",
    options=_H264 | {"crf": "20"},
    pixels="yuv420p",
    even=True,
    muxer_options=_INDEX_FIRST,
)
"""Plays in every browser."""
H264_MATTE = VideoEncoding(
    muxer="mp4",
    encoder="libx264",
    options=_H264 | {"crf": "8", "tune": "animation"},
    pixels="yuv420p",
    even=True,
    muxer_options=_INDEX_FIRST,
)
"""H.264 with sharp edges."""
H264_LIVE = VideoEncoding(
    muxer="matroska",
    encoder="libx264",
    options={"preset": "veryfast", "bf": "0", "g": "30", "crf": "23", "tune": "zerolatency"},
    pixels="yuv420p",
    even=True,
    muxer_options={"cluster_time_limit": "1000", "flush_packets": "1"},
    in_place=True,
)
"""H.264 that players show while it is written."""
PRORES_4444 = VideoEncoding(
    muxer="mov",
    encoder="prores_ks",
    options={"profile": "4444", "alpha_bits": "16", "vendor": "apl0"},
    pixels="yuva444p10le",
    alpha=True,
)
"""Apple ProRes 4444 with a lossless alpha channel."""
PRORES_422 = VideoEncoding(
    muxer="mov", encoder="prores_ks", options={"profile": "hq", "vendor": "apl0"}, pixels="yuv422p10le", even=True
)
"""Apple ProRes 422 HQ."""
VP9_ALPHA = VideoEncoding(
    muxer="webm",
    encoder="libvpx-vp9",
    # Alternate reference frames would put the alpha channel out of step.
    options={"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "auto-alt-ref": "0", "lag-in-frames": "0"},
    pixels="yuva420p",
    alpha=True,
    audio=OPUS,
    metadata={"alpha_mode": "1"},
)
"""VP9 with an alpha channel, for browsers."""
