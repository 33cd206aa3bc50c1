"""The choice among the sound tracks of a file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from av.stream import Disposition

from auralsam2.errors import InputError
from auralsam2.media.container import announced_end, is_decodable, open_input, zero_of

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

AudioChoice = int | str | None
"""Number of a sound track from 0, its language as the file names it, or None for the default track."""

_COMMENTARY = Disposition.comment | Disposition.visual_impaired | Disposition.descriptions
_MAX_PACKETS = 20_000
"""Packets of a file that are searched for the first one of each sound track."""


def audio_stream(container: InputContainer, path: Path, choice: AudioChoice = None) -> AudioStream | None:
    """Return the sound stream to use, None without one; tracks without a packet do not count.

    Without a choice this is the track that is marked as default, else the first that is not a commentary, else the
    first.

    Args:
        container: the open file.
        path: its name.
        choice: number from 0 in the order of the file, or language.

    Raises:
        InputError: the file has sound tracks, but not the chosen one.
    """
    if not any(map(is_decodable, container.streams.audio)):
        return None
    stat = path.stat()
    return _choose(container, str(path), choice, _empty_tracks(path, stat.st_mtime_ns, stat.st_size))


def live_audio_stream(container: InputContainer, name: str, choice: AudioChoice = None) -> AudioStream | None:
    """Return the sound stream of a live source to use, None without one; see `audio_stream`."""
    return _choose(container, name, choice, frozenset())


def _choose(container: InputContainer, name: str, choice: AudioChoice, empty: frozenset[int]) -> AudioStream | None:
    """Return the chosen sound stream that is not among the empty ones."""
    full = [stream for stream in container.streams.audio if is_decodable(stream) and stream.index not in empty]
    if choice is None:
        return min(full, key=_rank, default=None)
    for number, stream in enumerate(container.streams.audio):
        if stream in full and choice in (number, _language(stream)):
            return stream
    if not full:
        return None
    names = ", ".join(f"{number} ({_language(stream)})" for number, stream in enumerate(container.streams.audio))
    raise InputError(f"{name}: no audio track {choice}: choose `audio_track` from {names}")


def audio_note(path: Path, choice: AudioChoice = None) -> str | None:
    """Describe the sound track in use where a file has several, None elsewhere."""
    with open_input(path) as container:
        stream = audio_stream(container, path, choice)
        if stream is None or len(container.streams.audio) < 2:
            return None
        number = container.streams.audio.index(stream)
        return f"audio track {number} ({_language(stream)}) of {len(container.streams.audio)} used"


def sound_end(container: InputContainer, path: Path) -> float | None:
    """Second at which the default sound stream ends, estimated by FFmpeg if need be; None where it is unknown."""
    stream = audio_stream(container, path)
    if stream is None:
        return None
    if stream.duration and stream.time_base:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base - zero_of(container))
    return announced_end(container, stream) or None


def _rank(stream: Any) -> tuple[bool, bool, int]:
    commentary = bool(stream.disposition & _COMMENTARY)
    return (commentary or not stream.disposition & Disposition.default, commentary, stream.index)


def _language(stream: Any) -> str:
    return stream.metadata.get("language", "und")


@lru_cache(maxsize=64)
def _empty_tracks(path: Path, modified: int, size: int) -> frozenset[int]:
    """Indices of the sound streams without a packet; the arguments identify the state of the file."""
    with open_input(path) as container:
        empty = {stream.index for stream in container.streams.audio}
        packets = container.demux()
        for _ in range(_MAX_PACKETS):
            try:
                packet = next(packets, None)
            except Exception:  # damage, which the decoder reports
                return frozenset()
            if packet is None:
                return frozenset(empty)
            if packet.size:
                empty.discard(packet.stream_index)
            if not empty:
                break
        return frozenset()
