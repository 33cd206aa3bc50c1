"""What a media file says of itself."""

from __future__ import annotations

from pathlib import Path

from auralsam2.errors import InputError
from auralsam2.media.audio_choice import AudioChoice, audio_stream
from auralsam2.media.container import (
    announced_duration,
    frame_rate,
    main_streams,
    open_input,
    positive,
    video_stream,
)
from auralsam2.media.packet_clock import PacketClock
from auralsam2.media.rgb import Orientation, display_size
from auralsam2.media.stream_decoder import DamageLog, Decoder, demux
from auralsam2.types import MediaInfo

_MAX_SCAN = 64 * 1024**2
"""Bytes of the largest file whose packets are counted where its clock may jump."""


def _duration_of_packets(path: Path, announced: float) -> float:
    """Return the seconds of the longer stream by its packets where the clock jumps, else the announced ones."""
    with open_input(path) as container:
        jumps: list[str] = []
        clock = PacketClock(container, jumps.append)
        for packet in demux(container, main_streams(container), lambda: None):
            clock.correct(packet)
        return clock.duration if jumps else announced


def probe(path: Path | str, audio_track: AudioChoice = None) -> MediaInfo:
    """Describe a media file; decodes no more than up to its first picture.

    Args:
        path: a video, or a file of sound alone (then width and height are 0).
        audio_track: number or language of the sound track to describe; None for the default one.

    Raises:
        InputError: missing, a directory, not readable, empty, not media, or no picture of it decodes.
    """
    path = Path(path)
    with open_input(path) as container:
        video = video_stream(container)
        audio = audio_stream(container, path, audio_track)
        if video is None and audio is None:
            raise InputError(f"{path}: holds neither pictures nor sound that can be decoded")
        duration = announced_duration(container)
        if PacketClock.applies_to(container) and path.stat().st_size <= _MAX_SCAN:
            duration = _duration_of_packets(path, duration)
        width = height = 0
        fps = 0.0
        if video is not None:
            with Decoder(container, video, DamageLog(path, "picture")) as decoder:
                first = next((frame for _, frame in decoder.frames()), None)
            if first is None:
                raise InputError(f"{path}: no picture could be decoded, the file is damaged or incomplete")
            width, height = display_size(first, positive(video.sample_aspect_ratio), Orientation.of(first))
            fps = float(frame_rate(video) or 0)
        return MediaInfo(
            path=path,
            width=width,
            height=height,
            fps=fps,
            duration=duration,
            audio_rate=audio.codec_context.sample_rate or None if audio is not None else None,
            audio_channels=audio.codec_context.layout.nb_channels if audio is not None else 0,
            time_base=None if video is None else video.time_base,
        )
