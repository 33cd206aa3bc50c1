"""What browsers play of a video, and a copy of its sound where that is nothing."""

from __future__ import annotations

from pathlib import Path

from auralsam2.media.container import audio_stream, open_input, video_stream

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


def plays(video: Path) -> bool:
    """Whether browsers play a file with its sound as it is, by its ending and its codecs.

    Args:
        video: named by what is inside.

    Raises:
        InputError: it cannot be opened.
    """
    pictures, sounds = _PLAYED.get(video.suffix, ((), ()))
    with open_input(video) as container:
        seen, heard = video_stream(container), audio_stream(container)
        return (
            seen is None or (seen.codec.canonical_name in pictures and seen.codec_context.pix_fmt in _LAYOUTS)
        ) and (heard is None or heard.codec.canonical_name in sounds)
